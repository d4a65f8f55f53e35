"""What every call meets between its token and its handler: versions, scope, path, body, errors."""

from __future__ import annotations

import re

import pytest

from .conftest import AUDIENCE, BASE, OTHER, OWNER, SUBSCRIPTION, Arm, error, widget_path

SUB = f"/subscriptions/{SUBSCRIPTION}"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# -- api-version and type ------------------------------------------------------------------------------------


async def test_missing_api_version_is_refused(arm: Arm) -> None:
    for path in (SUB, f"{SUB}?api-version=", f"{SUB}?Api-Versio=2022-12-01"):
        assert error(await arm.call("GET", path, version=None)) == (
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )


@pytest.mark.parametrize("version", ["latest", "2022-1-1", "2022-12-01-", "'; drop table", "2099-01-01"])
async def test_version_that_arm_itself_lacks_names_arms_own_newest_first(arm: Arm, version: str) -> None:
    status, code, message = error(await arm.call("GET", SUB, version=version))
    assert (status, code) == (400, "InvalidApiVersionParameter")
    assert message.startswith(
        f"The api-version '{version}' is invalid. The supported versions are '2025-04-01,2025"
    )


async def test_version_that_a_provider_lacks_names_versions_and_locations(arm: Arm) -> None:
    await arm.group()
    answer = await arm.call("GET", widget_path(), version="2023-01-01")
    assert error(answer) == (
        400,
        "NoRegisteredProviderFound",
        (
            "No registered resource provider found for location 'westeurope' and API version '2023-01-01' "
            "for type 'widgets'. The supported api-versions are '2026-02-01, 2025-01-01-preview, "
            "2024-01-01'. The supported locations are 'westeurope, northeurope'."
        ),
    )


async def test_api_version_parameter_name_ignores_case(arm: Arm) -> None:
    assert (await arm.call("GET", f"{SUB}?API-Version=2022-12-01", version=None)).status_code == 200


async def test_unknown_namespace_and_unknown_type_are_404(arm: Arm) -> None:
    await arm.group()
    group = f"{SUB}/resourceGroups/rg1"
    answer = await arm.call("GET", f"{group}/providers/Contoso.Things/widgets/a")
    assert error(answer) == (
        404,
        "InvalidResourceNamespace",
        "The resource namespace 'Contoso.Things' is invalid.",
    )
    answer = await arm.call("GET", f"{group}/providers/Microsoft.Test/gadgets/a")
    assert error(answer) == (
        404,
        "InvalidResourceType",
        (
            "The resource type could not be found in the namespace 'Microsoft.Test' for api version "
            "'2022-09-01'."
        ),
    )
    for path in ("/", "/nothing", f"{SUB}/nothing", f"{group}/nothing/a/b"):
        assert error(await arm.call("GET", path))[:2] == (404, "InvalidResourceType")


async def test_type_that_lives_in_groups_is_not_found_in_a_subscription(arm: Arm) -> None:
    answer = await arm.call("GET", f"{SUB}/providers/Microsoft.Test/widgets/a", version="2026-02-01")
    assert error(answer)[:2] == (404, "InvalidResourceType")


async def test_verb_that_another_version_has_is_405(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    old = await arm.call("DELETE", widget_path(), version="2024-01-01")
    assert old.status_code == 202
    new = await arm.call("DELETE", widget_path(), version="2026-02-01")
    assert new.status_code == 500  # the later version's handler is another one


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", widget_path()),
        ("PUT", f"{SUB}/resourceGroups/rg1/providers/Microsoft.Test/widgets"),
        ("DELETE", SUB),
        ("OPTIONS", SUB),
        ("POST", f"{SUB}/resourceGroups/rg1"),
    ],
)
async def test_method_that_a_path_lacks_is_405_in_arms_bare_shape(arm: Arm, method: str, path: str) -> None:
    await arm.group()
    version = "2026-02-01" if "Test" in path else "2022-12-01" if path == SUB else "2022-09-01"
    answer = await arm.call(method, path, version=version)
    assert answer.status_code == 405
    assert answer.json() == {"Message": f"The requested resource does not support http method '{method}'."}


# -- subscription, group, parent, registration, order --------------------------------------------------------


async def test_subscription_that_does_not_exist_is_404_and_a_malformed_one_400(arm: Arm) -> None:
    unknown = "99999999-9999-4999-8999-999999999999"
    assert error(await arm.call("GET", f"/subscriptions/{unknown}/resourcegroups")) == (
        404,
        "SubscriptionNotFound",
        f"The subscription '{unknown}' could not be found.",
    )
    assert error(await arm.call("GET", "/subscriptions/mine/resourcegroups")) == (
        400,
        "InvalidSubscriptionId",
        "The provided subscription identifier 'mine' is malformed or invalid.",
    )


async def test_call_into_a_missing_group_is_404(arm: Arm) -> None:
    await arm.register()
    for answer in (
        await arm.call("GET", widget_path(), version="2026-02-01"),
        await arm.widget(),
        await arm.call("GET", f"{SUB}/resourceGroups/rg1/resources"),
    ):
        assert error(answer) == (404, "ResourceGroupNotFound", "Resource group 'rg1' could not be found.")


async def test_missing_item_names_type_and_group(arm: Arm) -> None:
    await arm.group()
    assert error(await arm.call("GET", widget_path("absent"), version="2026-02-01")) == (
        404,
        "ResourceNotFound",
        (
            "The Resource 'Microsoft.Test/widgets/absent' under resource group 'rg1' was not found. "
            "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        ),
    )


async def test_child_and_extension_of_a_missing_parent_are_404(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    for path in (f"{widget_path()}/parts/p1", f"{widget_path()}/providers/Microsoft.Test/gauges/g1"):
        status, code, message = error(await arm.call("GET", path, version="2026-02-01"))
        assert (status, code) == (404, "ParentResourceNotFound")
        assert f"the parent resource '{widget_path()}' could not be found" in message
    await arm.widget()
    path = f"{widget_path()}/providers/Microsoft.Test/gauges/g1"
    assert (await arm.call("GET", path, version="2026-02-01")).status_code == 200


async def test_write_to_an_unregistered_namespace_is_409_in_the_shape_that_sdks_act_on(arm: Arm) -> None:
    await arm.group()
    answer = await arm.widget()
    message = (
        "The subscription is not registered to use namespace 'Microsoft.Test'. "
        "See https://aka.ms/rps-not-found for how to register subscriptions."
    )
    code = "MissingSubscriptionRegistration"
    assert answer.status_code == 409
    assert answer.json() == {
        "error": {
            "code": code,
            "message": message,
            "details": [{"code": code, "target": "Microsoft.Test", "message": message}],
        }
    }
    await arm.register()
    assert (await arm.widget()).status_code == 201


async def test_checks_come_in_arms_order(arm: Arm) -> None:
    """Any version, authentication, the right version, subscription, role, registration, resource group."""
    unknown = "99999999-9999-4999-8999-999999999999"
    path = f"/subscriptions/{unknown}/resourceGroups/none/providers/Microsoft.Test/widgets/w"
    assert error(await arm.client.put(path))[1] == "MissingApiVersionParameter"
    assert (await arm.client.put(f"{path}?api-version=2000-01-01")).status_code == 401
    assert error(await arm.call("PUT", path, version=None))[1] == "MissingApiVersionParameter"
    assert error(await arm.call("PUT", path, version="2000-01-01"))[1] == "NoRegisteredProviderFound"
    assert error(await arm.call("PUT", path, version="2026-02-01"))[1] == "SubscriptionNotFound"
    path = widget_path(group="none")
    assert error(await arm.call("PUT", path, version="2026-02-01", who=OTHER))[1] == "AuthorizationFailed"
    assert error(await arm.call("PUT", path, version="2026-02-01"))[1] == "MissingSubscriptionRegistration"
    await arm.register()
    assert error(await arm.call("PUT", path, version="2026-02-01"))[1] == "ResourceGroupNotFound"


# -- paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        widget_path().upper(),
        widget_path().lower(),
        widget_path() + "/",
        "/" + widget_path(),
        widget_path().replace("/widgets", "//widgets"),
        widget_path().replace("resourceGroups", "resourcegroups"),
        widget_path().replace("w1", "%77%31"),
    ],
)
async def test_spelling_of_a_path_does_not_matter_and_the_stored_one_is_answered(arm: Arm, path: str) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    answer = await arm.client.send(
        arm.client.build_request(
            "GET",
            f"{BASE}{path}?api-version=2026-02-01",
            headers={"Authorization": f"Bearer {arm.token()}"},
        )
    )
    assert answer.status_code == 200
    assert answer.json()["id"] == widget_path()


async def test_action_on_an_item_and_in_a_subscription_get_their_parameters(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    answer = await arm.call("POST", f"{widget_path()}/POKE", version="2026-02-01")
    assert answer.json() == {
        "subscriptionId": SUBSCRIPTION,
        "resourceGroupName": "rg1",
        "widgetName": "w1",
    }
    path = f"{SUB}/providers/Microsoft.Test/checkWidget"
    answer = await arm.call("POST", path, version="2026-02-01")
    assert answer.json() == {"subscriptionId": SUBSCRIPTION}


async def test_mounted_below_a_prefix_links_keep_the_prefix(arm: Arm) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        sent.append(message)  # type: ignore[arg-type]

    await arm.group("a")
    await arm.group("b")
    path = f"/arm{SUB}/resourcegroups"
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "root_path": "/arm",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"api-version=2022-09-01&$top=1",
        "headers": [(b"host", b"localhost:1"), (b"authorization", f"Bearer {arm.token()}".encode())],
    }
    await arm.front(scope, receive, send)
    assert sent[0]["status"] == 200
    assert f"https://localhost:1/arm{SUB}/resourcegroups?".encode() in sent[1]["body"]  # type: ignore[operator]


# -- headers -------------------------------------------------------------------------------------------------


async def test_every_answer_carries_arms_headers(arm: Arm) -> None:
    for answer in (
        await arm.call("GET", SUB, version="2022-12-01"),
        await arm.call("GET", f"{SUB}/nothing"),
        await arm.client.get("/metadata/endpoints?api-version=2022-09-01"),
    ):
        headers = answer.headers
        assert headers["cache-control"] == "no-cache"
        assert headers["pragma"] == "no-cache"
        assert headers["expires"] == "-1"
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        assert headers["x-content-type-options"] == "nosniff"
        assert GUID.fullmatch(headers["x-ms-request-id"])
        correlation = headers["x-ms-correlation-request-id"]
        assert headers["x-ms-routing-request-id"] == f"WESTEUROPE:20260301T000000Z:{correlation}"
        assert headers["content-type"] == "application/json; charset=utf-8"


async def test_clients_ids_come_back_and_unsafe_ones_do_not(arm: Arm) -> None:
    mine = {"x-ms-correlation-request-id": "my-correlation", "x-ms-client-request-id": "my-request"}
    answer = await arm.call("GET", SUB, version="2022-12-01", headers=mine)
    assert answer.headers["x-ms-correlation-request-id"] == "my-correlation"
    assert answer.headers["x-ms-client-request-id"] == "my-request"
    assert answer.headers["x-ms-request-id"] != "my-request"
    bad = {"x-ms-correlation-request-id": "x" * 300, "x-ms-client-request-id": "a\tb"}
    answer = await arm.call("GET", SUB, version="2022-12-01", headers=bad)
    assert GUID.fullmatch(answer.headers["x-ms-correlation-request-id"])
    assert "x-ms-client-request-id" not in answer.headers


async def test_success_has_no_failure_cause(arm: Arm) -> None:
    assert "x-ms-failure-cause" not in (await arm.call("GET", SUB, version="2022-12-01")).headers


async def test_head_of_an_item_is_204_or_404_without_a_body(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    here = await arm.call("HEAD", widget_path(), version="2026-02-01")
    assert (here.status_code, here.content) == (204, b"")
    gone = await arm.call("HEAD", widget_path("absent"), version="2026-02-01")
    assert (gone.status_code, gone.content) == (404, b"")


# -- bodies and failures -------------------------------------------------------------------------------------


async def test_body_above_four_megabytes_is_413_whether_announced_or_not(arm: Arm) -> None:
    async def chunks():
        for _ in range(5):
            yield b" " * 1024 * 1024

    path = f"{SUB}/resourcegroups/rg1?api-version=2022-09-01"
    headers = {"Authorization": f"Bearer {arm.token()}", "Content-Type": "application/json"}
    for content in (b" " * (4 * 1024 * 1024 + 1), chunks()):
        answer = await arm.client.put(path, content=content, headers=headers)
        assert error(answer)[:2] == (413, "RequestEntityTooLarge")
    assert arm.plane.store.get("resources", f"{SUB}/resourcegroups/rg1") is None


async def test_body_that_is_not_json_is_415_and_broken_json_400(arm: Arm) -> None:
    path = f"{SUB}/resourcegroups/rg1"
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await arm.call("PUT", path, content=b'{"location":"westeurope"}', headers=plain)
    assert error(answer)[:2] == (415, "UnsupportedMediaType")
    json_type = {"Content-Type": "application/json; charset=utf-8"}
    for body in (b"{", b"[]", b"3", b'{"location": "\xff"}', b"[" * 5000, b'{"location": NaN}'):
        answer = await arm.call("PUT", path, content=body, headers=json_type)
        assert error(answer)[:2] == (400, "InvalidRequestContent")


async def test_unexpected_error_is_500_with_the_request_id_and_nothing_of_the_cause(
    arm: Arm, capsys: pytest.CaptureFixture[str]
) -> None:
    await arm.register()
    await arm.group()
    answer = await arm.call("DELETE", widget_path(), version="2026-02-01")
    status, code, message = error(answer)
    assert (status, code) == (500, "InternalServerError")
    assert answer.headers["x-ms-request-id"] in message
    assert "secret" not in answer.text
    assert "a secret detail" in capsys.readouterr().out  # the log tells


async def test_caller_in_the_refusal_is_the_application(arm: Arm) -> None:
    answer = await arm.call("GET", SUB, version="2022-12-01", who=OTHER)
    assert error(answer) == (
        403,
        "AuthorizationFailed",
        (
            f"The client '{OTHER}' with object id '{OTHER}' does not have authorization to perform action "
            f"'Microsoft.Resources/subscriptions/read' over scope '{SUB}' or the scope is invalid. If access "
            "was recently granted, please refresh your credentials."
        ),
    )
    assert OWNER not in answer.text
    assert AUDIENCE not in answer.text
