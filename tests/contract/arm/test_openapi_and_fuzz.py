"""The document describes what is served, and no input ends in a 500."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import OWNER, SUBSCRIPTION, Arm, close_arm, make_plane, open_arm

SUB = f"/subscriptions/{SUBSCRIPTION}"


def references(value: Any) -> set[str]:
    """Names of all component schemas that a document points to."""
    return set(re.findall(r"#/components/schemas/(\w+)", json.dumps(value)))


async def test_document_is_whole_every_reference_and_parameter_resolves(arm: Arm) -> None:
    document = arm.front.openapi()
    assert document["openapi"] == "3.0.3"
    assert references(document) <= set(document["components"]["schemas"])
    seen: set[str] = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = {item["name"] for item in operation["parameters"] if item["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert {"400", "401", "403", "404", "429"} <= set(operation["responses"])
    assert {"ResourceGroups_CreateOrUpdate", "RoleAssignments_Create", "Widgets_Poke"} <= seen


async def test_document_is_valid_openapi_and_schemathesis_sees_every_operation(arm: Arm) -> None:
    import schemathesis

    schema = schemathesis.openapi.from_dict(arm.front.openapi())
    schema.validate()  # against the OpenAPI 3.0 meta-schema
    operations = [found.ok() for found in schema.get_all_operations()]
    verbs = sum(len(item) for item in arm.front.openapi()["paths"].values())
    assert len(operations) == verbs


async def test_every_operation_of_the_document_is_routed(arm: Arm) -> None:
    """The document does not promise too much: no path of it is an unknown type or method."""
    await arm.register()
    await arm.group()
    values = {
        "subscriptionId": SUBSCRIPTION,
        "resourceGroupName": "rg1",
        "resourceProviderNamespace": "Microsoft.Test",
        "eventType": "management",
        "tagsName": "default",
    }
    for path, operations in arm.front.openapi()["paths"].items():
        filled = re.sub(r"{(\w+)}", lambda match: values.get(match.group(1), "w1"), path)
        for method, operation in operations.items():
            version = next(
                item["schema"]["enum"][0] for item in operation["parameters"] if item["name"] == "api-version"
            )
            answer = await arm.call(method.upper(), filled, version=version)
            assert answer.status_code != 405, (method, path)
            body = answer.text
            assert "InvalidResourceType" not in body, (method, path)
            assert "InvalidResourceNamespace" not in body, (method, path)
            declared = set(operation["responses"])
            assert str(answer.status_code) in declared, (method, path, answer.status_code)


# -- fuzz ----------------------------------------------------------------------------------------------------

SEGMENTS = st.sampled_from(
    [
        "subscriptions",
        SUBSCRIPTION,
        "resourceGroups",
        "rg1",
        "providers",
        "Microsoft.Test",
        "Microsoft.Authorization",
        "Microsoft.Resources",
        "Microsoft.Insights",
        "widgets",
        "parts",
        "tags",
        "default",
        "roleAssignments",
        "roleDefinitions",
        "locations",
        "operationstatus",
        "eventtypes",
        "management",
        "values",
        "register",
        "poke",
        "",
        "..",
        "%00",
        "%2F",
        "%ff",
        "%",
        "metadata",
        "endpoints",
        "tenants",
        "resources",
    ]
)
PATHS = st.lists(SEGMENTS | st.text(max_size=8).map(quote), max_size=10).map(
    lambda parts: "/" + "/".join(parts)
)
VERSIONS = st.sampled_from(["2022-09-01", "2022-04-01", "2026-02-01", "2015-04-01", "2022-12-01", "x", ""])
QUERIES = st.dictionaries(
    st.sampled_from(["$filter", "$top", "$skiptoken", "$expand", "$select"]),
    st.text(max_size=20)
    | st.sampled_from(["atScope()", "name eq 'a'", "eventTimestamp ge '2026-01-01'", "(", "1"]),
    max_size=3,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["location", "tags", "properties", "operation", "principalId", "roleDefinitionId"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@pytest.fixture(scope="module")
def loop_and_arm(tmp_path_factory: pytest.TempPathFactory):
    """One control plane for all examples."""
    loop = asyncio.new_event_loop()
    folder: Path = tmp_path_factory.mktemp("fuzz")

    async def opened() -> Arm:
        arm = await open_arm(make_plane(folder))
        arm.front._throttle.count = lambda *_: []  # type: ignore[method-assign]
        await arm.register()
        await arm.group()
        await arm.widget()
        return arm

    arm = loop.run_until_complete(opened())
    yield loop, arm
    loop.run_until_complete(close_arm(arm))
    loop.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "OPTIONS"]),
    path=PATHS
    | PATHS.map(lambda path: SUB + path)
    | PATHS.map(lambda path: f"{SUB}/resourceGroups/rg1/providers{path}"),
    version=VERSIONS,
    query=QUERIES,
    body=BODIES,
    headers=st.dictionaries(
        st.sampled_from(["x-ms-correlation-request-id", "x-ms-client-request-id", "content-length", "host"]),
        st.binary(max_size=12).filter(lambda value: b"\n" not in value and b"\r" not in value),
        max_size=2,
    ),
)
def test_no_input_ends_in_a_500(loop_and_arm, method, path, version, query, body, headers) -> None:
    loop, arm = loop_and_arm
    if method == "DELETE" and path.lower().rstrip("/").endswith("/resourcegroups/rg1"):
        return
    text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    status, content = loop.run_until_complete(
        call(arm, method, path, f"api-version={version}&{text}", body, headers)
    )
    assert status < 500, content
    if content:
        json.loads(content)
    assert arm.plane.store.get("resources", f"{SUB}/resourcegroups/rg1") is not None


async def call(
    arm: Arm, method: str, path: str, query: str, body: bytes, headers: dict[str, bytes]
) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (b"authorization", f"Bearer {arm.token(OWNER)}".encode()),
            *((name.encode(), value) for name, value in headers.items()),
        ],
        "client": None,
        "server": ("127.0.0.1", 1),
    }
    await arm.front(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]
