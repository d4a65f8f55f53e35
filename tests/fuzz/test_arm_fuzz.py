"""Schemathesis over the OpenAPI document that the table of resource types generates.

No input makes a 500, a traceback or an undeclared answer, every operation is reached, and most are also
reached with input that succeeds, so that the handlers behind the checks are fuzzed too.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onboarded import World
from tests.support.packages import package

from arcbed_cloud.services.extensions import Gallery

VM_ID = "9a0d1c9e-2f10-4d53-9d5e-000000000001"
#: Operations of the table, each of which must be reached.
OPERATIONS = 105
ASSIGNMENT = "5c1b2e3d-0000-4000-8000-000000000001"
REPORT = "5c1b2e3d-0000-4000-8000-000000000003"
CUSTOM_ROLE = "5c1b2e3d-0000-4000-8000-000000000002"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
#: A single value per path parameter that exists in the fuzzed bed.
EXISTING = {
    "resourceGroupName": "fuzz",
    "machineName": "m1",
    "resourceProviderNamespace": "Microsoft.HybridConnectivity",
    "location": "westeurope",
    "tagsName": "default",
    "eventType": "management",
    "roleDefinitionId": READER,
    "roleAssignmentName": ASSIGNMENT,
    "guestConfigurationAssignmentName": "Baseline",
    "reportId": REPORT,
    "extensionName": "probe",
    "runCommandName": "run1",
    "publisher": "Contoso.Tools",
    "extensionType": "Probe",
    "version": "1.0.0",
    "policyDefinitionName": "d1",
    "policySetDefinitionName": "s1",
    "policyAssignmentName": "p1",
    "policyExemptionName": "e1",
    "policyStatesResource": "latest",
    "remediationName": "r1",
}
BASELINE = "/providers/Microsoft.Authorization/policyDefinitions/fc9b3da7-8347-4380-8e70-0a0361d8dedd"
SSH_DEPLOY = "/providers/Microsoft.Authorization/policyDefinitions/e22a2f03-0534-4d10-8ea0-aa25a6113233"
#: Bodies and query members that succeed; generated members are laid over them one at a time.
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "ResourceGroups_CreateOrUpdate": {"location": "westeurope"},
    "ResourceGroups_Update": {"tags": {"a": "b"}},
    "Machines_CreateOrUpdate": {"location": "westeurope", "properties": {"vmId": VM_ID}},
    "Machines_Update": {"tags": {"a": "b"}},
    "Tags_CreateOrUpdateAtScope": {"properties": {"tags": {"a": "b"}}},
    "Tags_UpdateAtScope": {"operation": "Merge", "properties": {"tags": {"c": "d"}}},
    "GuestConfigurationHCRPAssignments_CreateOrUpdate": {
        "properties": {"guestConfiguration": {"name": "Baseline"}}
    },
    "MachineExtensions_CreateOrUpdate": {
        "location": "westeurope",
        "properties": {"publisher": "Contoso.Tools", "type": "Gauge", "settings": {"a": 1}},
    },
    "MachineExtensions_Update": {"properties": {"settings": {"a": 2}}},
    "UpgradeExtensions": {"extensionTargets": {"Contoso.Tools.Probe": {"targetVersion": "1.1"}}},
    "SetupExtensions": {"extensions": [{"publisher": "Contoso.Tools", "type": "Meter"}]},
    "MachineRunCommands_CreateOrUpdate": {
        "location": "westeurope",
        "properties": {"source": {"script": "id"}},
    },
    "RoleDefinitions_CreateOrUpdate": {
        "properties": {
            "roleName": "Fuzzed",
            "type": "CustomRole",
            "permissions": [{"actions": ["*/read"]}],
            "assignableScopes": ["@GROUP@"],
        }
    },
    "RoleAssignments_Create": {
        "properties": {
            "roleDefinitionId": f"@SUBSCRIPTION@/providers/Microsoft.Authorization/roleDefinitions/{READER}",
            "principalId": "@PRINCIPAL@",
            "principalType": "ServicePrincipal",
        }
    },
    "PolicyDefinitions_CreateOrUpdate": {
        "properties": {
            "policyRule": {
                "if": {"field": "type", "equals": "Microsoft.HybridCompute/machines"},
                "then": {"effect": "audit"},
            }
        }
    },
    "PolicySetDefinitions_CreateOrUpdate": {
        "properties": {"policyDefinitions": [{"policyDefinitionId": BASELINE}]}
    },
    "PolicyAssignments_Create": {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "policyDefinitionId": SSH_DEPLOY,
            "parameters": {"IncludeArcMachines": {"value": "true"}},
        },
    },
    "PolicyAssignments_Update": {"location": "westeurope"},
    "PolicyExemptions_CreateOrUpdate": {
        "properties": {
            "policyAssignmentId": "@GROUP@/providers/Microsoft.Authorization/policyAssignments/p1",
            "exemptionCategory": "Waiver",
        }
    },
    "Remediations_CreateOrUpdateAtResourceGroup": {
        "properties": {"policyAssignmentId": "@GROUP@/providers/Microsoft.Authorization/policyAssignments/p1"}
    },
}
GOOD_PATHS = {
    "MachineExtensions_CreateOrUpdate": {"extensionName": "gauge"},
    "MachineRunCommands_CreateOrUpdate": {"runCommandName": "run2"},
    "PolicyDefinitions_Delete": {"policyDefinitionName": "none"},
    "PolicySetDefinitions_Delete": {"policySetDefinitionName": "none"},
    "Remediations_CreateOrUpdateAtResourceGroup": {"remediationName": "r2"},
    "Remediations_DeleteAtResourceGroup": {"remediationName": "none"},
    "RoleDefinitions_CreateOrUpdate": {"roleDefinitionId": CUSTOM_ROLE},
    "RoleDefinitions_Delete": {"roleDefinitionId": CUSTOM_ROLE},
}


class Target:
    """The fuzzed control plane, and what came back from it."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.subscription = cloud.env["subscriptionId"]
        self.client = httpx.Client(base_url=cloud.url, timeout=30)
        form = {
            "grant_type": "client_credentials",
            "client_id": cloud.env["owner"]["clientId"],
            "client_secret": cloud.env["owner"]["clientSecret"],
            "scope": "https://management.azure.com/.default",
        }
        answer = self.client.post(f"/{cloud.env['tenantId']}/oauth2/v2.0/token", data=form)
        self.started = parsedate_to_datetime(answer.headers["date"])
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.world = World(cloud)
        self.statuses: dict[str, Counter[int]] = defaultdict(Counter)
        self.operations: dict[str, str] = {}

    def prepare(self) -> None:
        """What the valid part of the examples relies on; earlier operations may have removed it."""
        base = f"/subscriptions/{self.subscription}"
        group = f"{base}/resourceGroups/fuzz"
        for namespace in ("HybridCompute", "HybridConnectivity", "GuestConfiguration", "PolicyInsights"):
            self.client.post(f"{base}/providers/Microsoft.{namespace}/register?api-version=2022-09-01")
        self.client.put(f"{group}?api-version=2022-09-01", json={"location": "westeurope"})
        self.client.put(
            f"{group}/providers/Microsoft.Authorization/roleAssignments/{ASSIGNMENT}?api-version=2022-04-01",
            json=self._filled(GOOD_BODIES["RoleAssignments_Create"]),
        )
        self.client.put(
            f"{group}/providers/Microsoft.HybridCompute/machines/m1?api-version=2024-07-10",
            json={
                **self.world.body(),
                "properties": {"vmId": VM_ID, "clientPublicKey": self.world.key.public_text},
            },
        )
        self.client.put(
            f"{group}/providers/Microsoft.HybridCompute/machines/m1/providers/Microsoft.GuestConfiguration"
            "/guestConfigurationAssignments/Baseline?api-version=2024-04-05",
            json=GOOD_BODIES["GuestConfigurationHCRPAssignments_CreateOrUpdate"],
        )
        for scope, path, operation in (
            (base, "Authorization/policyDefinitions/d1", "PolicyDefinitions_CreateOrUpdate"),
            (base, "Authorization/policySetDefinitions/s1", "PolicySetDefinitions_CreateOrUpdate"),
            (group, "Authorization/policyAssignments/p1", "PolicyAssignments_Create"),
            (group, "Authorization/policyExemptions/e1", "PolicyExemptions_CreateOrUpdate"),
            (group, "PolicyInsights/remediations/r1", "Remediations_CreateOrUpdateAtResourceGroup"),
        ):
            version = "2021-10-01" if "Insights" in path else "2024-05-01"
            version = "2022-07-01-preview" if "Exemptions" in path else version
            self.client.put(
                f"{scope}/providers/Microsoft.{path}?api-version={version}",
                json=self._filled(GOOD_BODIES[operation]),
            )

        self._prepare_extensions(f"{group}/providers/Microsoft.HybridCompute/machines/m1")

    def _prepare_extensions(self, machine: str) -> None:
        """An extension and a run command whose operations are over: no agent picked them up in six hours."""
        version = "?api-version=2024-07-31-preview"
        for name in ("probe", "gauge", "Meter"):
            self.client.delete(f"{machine}/extensions/{name}{version}")
        body = {"location": "westeurope", "properties": {"publisher": "Contoso.Tools", "type": "Probe"}}
        body["properties"]["typeHandlerVersion"] = "1.0"
        self.client.put(f"{machine}/extensions/probe{version}", json=body)
        run = GOOD_BODIES["MachineRunCommands_CreateOrUpdate"]
        self.client.put(f"{machine}/runCommands/run1{version}", json=run)
        self.client.delete(f"{machine}/runCommands/run2{version}")
        with admin(self.cloud) as client:
            client.post("/_fakecloud/clock/advance", json={"seconds": 6 * 3_600}).raise_for_status()

    def report(self) -> None:
        """What a machine says of its assignment, if ARM does not show it already."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/fuzz"
        machine = f"{group}/providers/Microsoft.HybridCompute/machines/m1"
        assignment = (
            f"{machine}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/Baseline"
        )
        if self.client.get(f"{assignment}/reports/{REPORT}?api-version=2024-04-05").is_success:
            return
        headers = {"Authorization": f"Bearer {self.world.beat(machine, VM_ID)['token']}"}
        service = f"/gas/virtualMachines/{VM_ID}/assignments"
        item = self.client.get(f"{service}?api-version=sim-1", headers=headers).json()["value"][0]
        report = {
            "assignmentName": "Baseline",
            "assignmentHash": item["assignmentHash"],
            "itemGeneration": item["itemGeneration"],
            "configuration": {"name": "Baseline"},
            "operationType": "Initial",
            "jobId": REPORT,
            "startTime": "2026-03-01T12:00:00Z",
            "endTime": "2026-03-01T12:00:05Z",
            "complianceStatus": "Compliant",
            "seq": 1,
        }
        url = f"{service}/Baseline/reports/{REPORT}?api-version=sim-1"
        self.client.put(url, headers=headers, json=report).raise_for_status()

    def long_running(self) -> dict[str, str]:
        """Operation ids by the start of their path: a machine's deletion, a group's, and a policy scan."""
        base = f"/subscriptions/{self.subscription}"
        group = f"{base}/resourceGroups/passing"
        machine = f"{group}/providers/Microsoft.HybridCompute/machines/passing"
        self.client.put(f"{group}?api-version=2022-09-01", json={"location": "westeurope"})
        body = {"location": "westeurope", "properties": {"vmId": VM_ID.replace("9a0d", "9a0e")}}
        self.client.put(f"{machine}?api-version=2024-07-10", json=body)
        removed = self.client.delete(f"{machine}?api-version=2026-07-15").headers["azure-asyncoperation"]
        group_removed = self.client.delete(f"{group}?api-version=2022-09-01").headers["location"]
        fuzz = f"{base}/resourceGroups/fuzz"
        trigger = f"{fuzz}/providers/Microsoft.PolicyInsights/policyStates/latest/triggerEvaluation"
        scan = self.client.post(f"{trigger}?api-version=2019-10-01").headers["location"]
        last = [url.partition("?")[0].rsplit("/", 1)[1] for url in (removed, group_removed, scan)]
        starts = (f"{base}/providers/", f"{base}/operationresults", f"{fuzz}/providers/")
        return dict(zip(starts, last, strict=True))

    def _filled(self, body: Any) -> Any:
        group = f"/subscriptions/{self.subscription}/resourceGroups/fuzz"
        text = (
            json.dumps(body)
            .replace("@GROUP@", group)
            .replace("@SUBSCRIPTION@", group.partition("/resource")[0])
        )
        return json.loads(text.replace("@PRINCIPAL@", self.cloud.env["onboarding"]["objectId"]))

    def _exist(self, case: schemathesis.Case, name: str) -> None:
        """Name what exists."""
        known = {**EXISTING, "subscriptionId": self.subscription, **GOOD_PATHS.get(name, {})}
        for parameter in case.path_parameters or {}:
            case.path_parameters[parameter] = known.get(parameter, case.path_parameters[parameter])
        if "operationId" in (case.path_parameters or {}):
            path = case.formatted_path
            case.path_parameters["operationId"] = next(
                (found for start, found in self.operations.items() if path.startswith(start)), "x"
            )

    def _behave(self, case: schemathesis.Case, name: str) -> None:
        """Ask what succeeds, but for at most one generated member of the body."""
        if name == "Remediations_CancelAtResourceGroup":  # an earlier one has ended after five seconds
            group = f"/subscriptions/{self.subscription}/resourceGroups/fuzz"
            self.client.put(
                f"{group}/providers/Microsoft.PolicyInsights/remediations/r1?api-version=2021-10-01",
                json=self._filled(GOOD_BODIES["Remediations_CreateOrUpdateAtResourceGroup"]),
            )
        if name in GOOD_BODIES:
            generated = (
                list(case.body.items())[:1] if isinstance(case.body, dict) and len(case.body) % 2 else []
            )
            case.body = {**self._filled(GOOD_BODIES[name]), **dict(generated)}
        kept = {"api-version": (case.query or {}).get("api-version", "")}
        if name == "ActivityLogs_List":
            kept["$filter"] = f"eventTimestamp ge '{self.started:%Y-%m-%dT%H:%M:%SZ}'"
        case.query = kept

    def send(self, case: schemathesis.Case, mode: str) -> None:
        """Send one generated request and judge the answer."""
        operation = case.operation.definition.raw["operationId"]
        if mode != "wild":
            self._exist(case, operation)
        if mode == "good":
            self._behave(case, operation)
        request = case.as_transport_kwargs(base_url=self.cloud.url)
        answer = self.client.request(
            request["method"],
            request["url"],
            params=request.get("params"),
            content=request.get("data"),
            json=request.get("json"),
            headers={**self.client.headers, "Content-Type": "application/json"},
        )
        name = operation
        self.statuses[name][answer.status_code] += 1
        assert answer.status_code < 500, f"{name}: {answer.status_code} {answer.text[:500]}"
        assert str(answer.status_code) in case.operation.definition.raw["responses"], f"{name}: {answer!r}"
        assert "Traceback" not in answer.text
        if answer.status_code >= 400 and answer.content:
            body = answer.json()
            assert {"code", "message"} <= set(body.get("error", body)), body


def admin(cloud: Any) -> httpx.Client:
    """A client of the admin listener."""
    token = (cloud.state / "admin.token").read_text().strip()
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(cloud.state / "admin.sock")),
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )


def document(cloud: Any) -> dict[str, Any]:
    """The OpenAPI document, from the admin listener."""
    with admin(cloud) as client:
        answer = client.get("/_fakecloud/openapi")
    answer.raise_for_status()
    return answer.json()


@pytest.fixture
def target(start_cloud, tmp_path):
    cloud = start_cloud(tmp_path / "state", "--no-tls", "--no-request-limits")
    gallery = Gallery(cloud.state)
    for name, version in (("Probe", "1.0.0"), ("Probe", "1.1.0"), ("Gauge", "1.0.0"), ("Meter", "1.0.0")):
        gallery.publish(package(tmp_path, f"Contoso.Tools.{name}", version), now=0)
    target = Target(cloud)
    yield target
    target.client.close()
    target.world.client.close()
    cloud.stop()
    assert "Traceback" not in (tmp_path / "state.log").read_text()


def fuzz(target: Target, examples: int) -> None:
    """`examples` generated requests for each operation: wild, with ids that exist, and nearly good."""
    schema = schemathesis.openapi.from_dict(document(target.cloud))
    target.prepare()
    target.operations = target.long_running()
    for result in schema.get_all_operations():
        operation = result.ok()
        target.prepare()
        if operation.definition.raw["operationId"] == "GuestConfigurationHCRPAssignmentReports_Get":
            target.report()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), mode=st.sampled_from(["good", "existing", "wild"]))
        def one(case, mode):
            target.send(case, mode)

        one()
    print(json.dumps({name: dict(counts) for name, counts in sorted(target.statuses.items())}, indent=1))


def test_arm_under_fuzzing_never_answers_500(target):
    fuzz(target, 12)
    assert len(target.statuses) == OPERATIONS


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_arm_under_long_fuzzing_never_answers_500_and_reaches_the_handlers(target):
    fuzz(target, 150)
    assert len(target.statuses) == OPERATIONS
    succeeding = [
        name for name, counts in target.statuses.items() if any(200 <= code < 300 for code in counts)
    ]
    assert len(succeeding) == OPERATIONS, sorted(set(target.statuses) - set(succeeding))
