"""Schemathesis over the OpenAPI document that the table of resource types generates.

No input makes a 500, a traceback or an undeclared answer, every operation is reached, and most are also
reached with input that succeeds, so that the handlers behind the checks are fuzzed too.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

VM_ID = "9a0d1c9e-2f10-4d53-9d5e-000000000001"
#: Operations of the table, each of which must be reached.
OPERATIONS = 46
#: Those that also answer 2xx under fuzzing. The rest need an id that only an earlier answer gives.
SUCCEEDING = 40
#: A single value per path parameter that exists in the fuzzed bed.
EXISTING = {
    "resourceGroupName": "fuzz",
    "machineName": "m1",
    "resourceProviderNamespace": "Microsoft.HybridConnectivity",
    "location": "westeurope",
    "tagsName": "default",
    "eventType": "management",
    "roleDefinitionId": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
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
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.statuses: dict[str, Counter[int]] = defaultdict(Counter)

    def prepare(self) -> None:
        """What the valid half of the examples relies on; earlier operations may have removed it."""
        base = f"/subscriptions/{self.subscription}"
        group = f"{base}/resourceGroups/fuzz"
        self.client.post(f"{base}/providers/Microsoft.HybridCompute/register?api-version=2022-09-01")
        self.client.put(f"{group}?api-version=2022-09-01", json={"location": "westeurope"})
        self.client.put(
            f"{group}/providers/Microsoft.HybridCompute/machines/m1?api-version=2024-07-10",
            json={"location": "westeurope", "properties": {"vmId": VM_ID}},
        )

    def send(self, case: schemathesis.Case, *, existing: bool) -> None:
        """Send one generated request and judge the answer."""
        if existing:
            known = {**EXISTING, "subscriptionId": self.subscription}
            for name in case.path_parameters or {}:
                case.path_parameters[name] = known.get(name, case.path_parameters[name])
        request = case.as_transport_kwargs(base_url=self.cloud.url)
        answer = self.client.request(
            request["method"],
            request["url"],
            params=request.get("params"),
            content=request.get("data"),
            json=request.get("json"),
            headers={**self.client.headers, "Content-Type": "application/json"},
        )
        name = case.operation.definition.raw["operationId"]
        self.statuses[name][answer.status_code] += 1
        assert answer.status_code < 500, f"{name}: {answer.status_code} {answer.text[:500]}"
        assert str(answer.status_code) in case.operation.definition.raw["responses"], f"{name}: {answer!r}"
        assert "Traceback" not in answer.text
        if answer.status_code >= 400 and answer.content:
            body = answer.json()
            assert {"code", "message"} <= set(body.get("error", body)), body


def document(cloud: Any) -> dict[str, Any]:
    """The OpenAPI document, from the admin listener."""
    token = (cloud.state / "admin.token").read_text().strip()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(cloud.state / "admin.sock"))) as admin:
        answer = admin.get(
            "http://localhost/_fakecloud/openapi", headers={"Authorization": f"Bearer {token}"}
        )
    answer.raise_for_status()
    return answer.json()


@pytest.fixture
def target(start_cloud, tmp_path):
    cloud = start_cloud(tmp_path / "state", "--no-tls", "--no-request-limits")
    target = Target(cloud)
    yield target
    target.client.close()
    cloud.stop()
    assert "Traceback" not in (tmp_path / "state.log").read_text()


def fuzz(target: Target, examples: int) -> None:
    """`examples` generated requests for each operation, half of them with ids that exist."""
    schema = schemathesis.openapi.from_dict(document(target.cloud))
    for result in schema.get_all_operations():
        operation = result.ok()
        target.prepare()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), existing=st.booleans())
        def one(case, existing):
            target.send(case, existing=existing)

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
    assert len(succeeding) >= SUCCEEDING, sorted(set(target.statuses) - set(succeeding))
