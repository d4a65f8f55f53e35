"""kill -9 of the control plane between a policy's call and what follows from it."""

from __future__ import annotations

import asyncio

import httpx
from running import restart

from arcbed.harness.admin import Admin

ARC = {"IncludeArcMachines": {"value": "true"}}
BUILTIN = "/providers/Microsoft.Authorization/policyDefinitions"
SSH_DEPLOY = f"{BUILTIN}/e22a2f03-0534-4d10-8ea0-aa25a6113233"
GUESTS = "microsoft.guestconfiguration/guestconfigurationassignments"
NAME = "setlinuxsshserversecuritybaseline"
OWNER_ROLE = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"


class Arm:
    """ARM as the owner."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.base = f"/subscriptions/{cloud.env['subscriptionId']}"
        self.group = f"{self.base}/resourceGroups/servers"
        self.http = httpx.Client(base_url=cloud.url, verify=cloud.tls, timeout=30)
        form = {
            "grant_type": "client_credentials",
            "client_id": cloud.env["owner"]["clientId"],
            "client_secret": cloud.env["owner"]["clientSecret"],
            "scope": "https://management.azure.com/.default",
        }
        token = self.http.post(f"/{cloud.env['tenantId']}/oauth2/v2.0/token", data=form).json()
        self.http.headers["Authorization"] = f"Bearer {token['access_token']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def put(self, path, version, body):
        answer = self.http.put(f"{path}?api-version={version}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path, version):
        return self.http.get(f"{path}?api-version={version}").json()


def advance(cloud, **duration):
    asyncio.run(Admin(cloud.state).call("POST", "clock/advance", duration))


def onboarded_and_assigned(arm):
    """A Linux machine, and a policy that may deploy to it: the assignment, and the machine's id."""
    for namespace in ("HybridCompute", "GuestConfiguration", "PolicyInsights"):
        path = f"{arm.base}/providers/Microsoft.{namespace}/register?api-version=2022-09-01"
        assert arm.http.post(path).is_success
    arm.put(arm.group, "2022-09-01", {"location": "westeurope"})
    machine = f"{arm.group}/providers/Microsoft.HybridCompute/machines/web-01"
    properties = {"vmId": "9a0d1c9e-2f10-4d53-9d5e-000000000001", "osType": "linux"}
    arm.put(machine, "2024-07-10", {"location": "westeurope", "properties": properties})
    policy = f"{arm.group}/providers/Microsoft.Authorization"
    body = {
        "identity": {"type": "SystemAssigned"},
        "location": "westeurope",
        "properties": {"policyDefinitionId": SSH_DEPLOY, "parameters": ARC},
    }
    made = arm.put(f"{policy}/policyAssignments/ssh", "2024-05-01", body)
    name = made["identity"]["principalId"]
    role = {
        "roleDefinitionId": f"{arm.base}/providers/Microsoft.Authorization/roleDefinitions/{OWNER_ROLE}",
        "principalId": name,
    }
    arm.put(f"{policy}/roleAssignments/{name}", "2022-04-01", {"properties": role})
    return made, machine


def test_policy_goes_on_after_each_kill(start_cloud, tmp_path):
    """Assigned, killed, evaluated; remediation asked for, killed, deployed."""
    cloud = start_cloud(tmp_path / "state", "--clock", "stepped")
    try:
        with Arm(cloud) as arm:
            made, machine = onboarded_and_assigned(arm)
        cloud.kill()

        cloud = restart(cloud, "--clock", "stepped")
        advance(cloud, minutes=5)
        key = f"{machine}/providers/{GUESTS}/{NAME}"
        kept = cloud.stored("resources", key)["properties"]
        assert kept["guestConfiguration"]["assignmentType"] == "Audit"
        with Arm(cloud) as arm:
            task = f"{arm.group}/providers/Microsoft.PolicyInsights/remediations/r1"
            arm.put(task, "2021-10-01", {"properties": {"policyAssignmentId": made["id"]}})
        cloud.kill()

        cloud = restart(cloud, "--clock", "stepped")
        advance(cloud, seconds=5)
        kept = cloud.stored("resources", key)["properties"]
        assert kept["guestConfiguration"]["assignmentType"] == "ApplyAndAutoCorrect"
        with Arm(cloud) as arm:
            ended = arm.get(task, "2021-10-01")["properties"]
        assert ended["deploymentStatus"]["successfulDeployments"] == 1
    finally:
        cloud.stop()
