"""Roles decide every call, and a change of roles counts at once."""

from __future__ import annotations

from uuid import UUID

import pytest

from .conftest import OTHER, OWNER, SUBSCRIPTION, TENANT, Arm, error, widget_path

SUB = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SUB}/resourceGroups/rg1"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
NAME = str(UUID(int=7))
VERSION = "2022-04-01"


def role(name: str) -> str:
    return f"{SUB}/{DEFINITIONS}/{name}"


async def assign(arm: Arm, scope: str = GROUP, name: str = NAME, **properties: object):
    body = {"roleDefinitionId": role(READER), "principalId": OTHER, **properties}
    return await arm.call("PUT", f"{scope}/{ASSIGNMENTS}/{name}", version=VERSION, json={"properties": body})


async def test_assignment_opens_its_scope_and_below_and_its_removal_closes_it_on_the_next_call(
    arm: Arm,
) -> None:
    await arm.register()
    await arm.group()
    await arm.group("rg2")
    await arm.widget()
    read = {"version": "2026-02-01", "who": OTHER}
    assert (await arm.call("GET", widget_path(), **read)).status_code == 403
    created = await assign(arm)
    assert created.status_code == 201
    assert (await arm.call("GET", widget_path(), **read)).status_code == 200
    assert (await arm.call("GET", widget_path(group="rg2"), **read)).status_code == 403
    assert (await arm.call("DELETE", widget_path(), **read)).status_code == 403
    removed = await arm.call("DELETE", created.json()["id"], version=VERSION)
    assert removed.status_code == 200
    assert removed.json()["id"] == created.json()["id"]
    assert (await arm.call("GET", widget_path(), **read)).status_code == 403
    assert (await arm.call("DELETE", created.json()["id"], version=VERSION)).status_code == 204


async def test_scope_named_alike_is_another_scope(arm: Arm) -> None:
    await arm.group()
    await arm.group("rg10")
    await assign(arm)
    listed = await arm.call("GET", f"{SUB}/resourceGroups/rg10/resources", who=OTHER)
    assert listed.status_code == 403


async def test_refused_list_names_the_collections_scope_and_a_refused_item_the_item(arm: Arm) -> None:
    await arm.group()
    answer = await arm.call(
        "GET", f"{GROUP}/providers/Microsoft.Test/widgets", version="2026-02-01", who=OTHER
    )
    assert f"'Microsoft.Test/widgets/read' over scope '{GROUP}' or" in error(answer)[2]
    answer = await arm.call("POST", f"{widget_path()}/poke", version="2026-02-01", who=OTHER)
    assert f"'Microsoft.Test/widgets/poke/action' over scope '{widget_path()}' or" in error(answer)[2]
    answer = await arm.call("POST", f"{SUB}/providers/Microsoft.HybridCompute/register", who=OTHER)
    assert f"'Microsoft.HybridCompute/register/action' over scope '{SUB}' or" in error(answer)[2]
    answer = await arm.call("GET", f"{SUB}/resourcegroups", who=OTHER)
    assert (
        f"'Microsoft.Resources/subscriptions/resourceGroups/read' over scope '{SUB}' or" in error(answer)[2]
    )


async def test_contributor_may_write_resources_but_not_roles(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.grant("Contributor", SUB)
    written = await arm.call(
        "PUT", widget_path(), version="2026-02-01", who=OTHER, json={"location": "westeurope"}
    )
    assert written.status_code == 201
    path = f"{GROUP}/{ASSIGNMENTS}/{NAME}"
    body = {"properties": {"roleDefinitionId": role(READER), "principalId": OTHER}}
    for method in ("PUT", "DELETE"):
        refused = await arm.call(method, path, version=VERSION, who=OTHER, json=body)
        assert error(refused)[:2] == (403, "AuthorizationFailed")
    assert (await arm.call("GET", f"{GROUP}/{ASSIGNMENTS}", version=VERSION, who=OTHER)).status_code == 200


async def test_subscriptions_are_listed_to_whoever_holds_a_role_anywhere_in_them(arm: Arm) -> None:
    listed = await arm.call("GET", "/subscriptions", version="2022-12-01", who=OTHER)
    assert listed.json() == {"value": []}
    await arm.group()
    await assign(arm)
    listed = await arm.call("GET", "/subscriptions", version="2022-12-01", who=OTHER)
    (found,) = listed.json()["value"]
    assert found["subscriptionId"] == SUBSCRIPTION
    assert (found["state"], found["tenantId"], found["displayName"]) == ("Enabled", TENANT, "tests")


# -- role assignments ----------------------------------------------------------------------------------------


async def test_assignment_has_azures_shape_and_create_hides_its_maker(arm: Arm) -> None:
    await arm.group()
    created = (await assign(arm, principalType="ServicePrincipal")).json()
    assert created == {
        "properties": {
            "roleDefinitionId": role(READER),
            "principalId": OTHER,
            "principalType": "ServicePrincipal",
            "scope": GROUP,
            "condition": None,
            "conditionVersion": None,
            "createdOn": "2026-03-01T00:00:00.0000000Z",
            "updatedOn": "2026-03-01T00:00:00.0000000Z",
            "createdBy": None,
            "updatedBy": OWNER,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{GROUP}/{ASSIGNMENTS}/{NAME}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": NAME,
    }
    read = (await arm.call("GET", created["id"], version=VERSION)).json()
    assert read["properties"]["createdBy"] == OWNER


async def test_update_may_change_the_description_only(arm: Arm) -> None:
    await arm.group()
    await assign(arm)
    await arm.plane.clock.advance(hours=1)
    updated = await assign(arm, description="for the night shift")
    assert updated.status_code == 201
    properties = updated.json()["properties"]
    assert properties["description"] == "for the night shift"
    assert (properties["createdOn"][11:13], properties["updatedOn"][11:13]) == ("00", "01")
    assert error(await assign(arm, roleDefinitionId=role(CONTRIBUTOR))) == (
        400,
        "RoleAssignmentUpdateNotPermitted",
        "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
    )


@pytest.mark.parametrize(
    ("properties", "code", "status"),
    [
        ({"principalId": str(UUID(int=1))}, "PrincipalNotFound", 400),
        ({"principalType": "User"}, "UnmatchedPrincipalType", 400),
        ({"principalType": "Robot"}, "InvalidRequestContent", 400),
        ({"principalId": "me"}, "InvalidPrincipalId", 400),
        ({"principalId": None}, "InvalidRequestContent", 400),
        ({"roleDefinitionId": role(str(UUID(int=2)))}, "RoleDefinitionDoesNotExist", 404),
        ({"roleDefinitionId": ["x"]}, "InvalidRequestContent", 400),
        ({"description": {}}, "InvalidRequestContent", 400),
    ],
)
async def test_assignment_that_cannot_be_is_refused(
    arm: Arm, properties: dict[str, object], code: str, status: int
) -> None:
    await arm.group()
    assert error(await assign(arm, **properties))[:2] == (status, code)
    assert len(arm.plane.store.rows("grants")) == 1


async def test_assignment_name_must_be_a_guid(arm: Arm) -> None:
    await arm.group()
    assert error(await assign(arm, name="mine"))[:2] == (400, "InvalidRoleAssignmentId")


async def test_second_assignment_of_one_role_to_one_principal_is_409(arm: Arm) -> None:
    await arm.group()
    await assign(arm)
    status, code, message = error(await assign(arm, name=str(UUID(int=8))))
    assert (status, code) == (409, "RoleAssignmentExists")
    assert message.startswith("The role assignment already exists.")
    assert (await assign(arm, scope=SUB, name=str(UUID(int=8)))).status_code == 201


async def test_naming_the_type_lets_a_principal_be_assigned_before_it_has_arrived(arm: Arm) -> None:
    await arm.group()
    answer = await assign(arm, principalId=str(UUID(int=1)), principalType="ServicePrincipal")
    assert answer.status_code == 201


async def test_list_filters_by_scope_and_principal(arm: Arm) -> None:
    await arm.group()
    await assign(arm)
    await assign(arm, scope=SUB, name=str(UUID(int=8)), roleDefinitionId=role(CONTRIBUTOR))

    async def scopes(path: str, condition: str) -> list[str]:
        answer = await arm.call("GET", f"{path}/{ASSIGNMENTS}?$filter={condition}", version=VERSION)
        assert answer.status_code == 200, answer.text
        return sorted(item["properties"]["scope"] for item in answer.json()["value"])

    assert await scopes(GROUP, "") == [SUB, SUB, GROUP]
    assert await scopes(SUB, "atScope()") == [SUB, SUB]
    assert await scopes(SUB, f"principalId eq '{OTHER}'") == [SUB, GROUP]
    assert await scopes(SUB, f"atScope() and assignedTo('{OTHER}')") == [SUB]
    assert await scopes(GROUP, "atExactScope()") == [GROUP]
    answer = await arm.call("GET", f"{SUB}/{ASSIGNMENTS}?$filter=never()", version=VERSION)
    assert error(answer)[1] == "InvalidFilterInQueryString"


# -- role definitions ----------------------------------------------------------------------------------------


async def test_builtin_role_is_found_by_name_in_any_case_and_prefixed_by_the_subscription(arm: Arm) -> None:
    path = f"{GROUP}/{DEFINITIONS}?$filter=roleName eq 'azure connected machine ONBOARDING'"
    await arm.group()
    (found,) = (await arm.call("GET", path, version=VERSION)).json()["value"]
    assert found["id"] == role("b64e21ea-ac4e-4cdf-9dc9-5b892992bee7")
    assert found["properties"]["type"] == "BuiltInRole"
    (permission,) = found["properties"]["permissions"]
    assert "Microsoft.HybridCompute/machines/write" in permission["actions"]
    assert permission["notActions"] == []
    tenant = await arm.call("GET", f"/{DEFINITIONS}/{READER}", version=VERSION)
    assert tenant.json()["id"] == f"/{DEFINITIONS}/{READER}"


async def custom(arm: Arm, actions: list[str], name: str = NAME, role_name: str = "Widget Reader"):
    properties = {
        "roleName": role_name,
        "description": "",
        "assignableScopes": [SUB],
        "permissions": [{"actions": actions, "notActions": []}],
    }
    return await arm.call(
        "PUT", f"{SUB}/{DEFINITIONS}/{name}", version=VERSION, json={"properties": properties}
    )


async def test_custom_role_works_and_its_change_counts_at_once(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    created = await custom(arm, ["Microsoft.Test/*/read"])
    assert created.status_code == 201
    assert created.json()["properties"]["type"] == "CustomRole"
    await assign(arm, roleDefinitionId=created.json()["id"])
    read = {"version": "2026-02-01", "who": OTHER}
    assert (await arm.call("GET", widget_path(), **read)).status_code == 200
    assert (await custom(arm, ["Microsoft.Test/gauges/read"])).status_code == 201
    assert (await arm.call("GET", widget_path(), **read)).status_code == 403


async def test_custom_role_in_use_stays_and_an_unused_one_goes(arm: Arm) -> None:
    await arm.group()
    created = (await custom(arm, ["*/read"])).json()
    assigned = await assign(arm, roleDefinitionId=created["id"])
    refused = await arm.call("DELETE", created["id"], version=VERSION)
    assert error(refused)[1] == "RoleDefinitionHasAssignments"
    await arm.call("DELETE", assigned.json()["id"], version=VERSION)
    assert (await arm.call("DELETE", created["id"], version=VERSION)).status_code == 200
    assert (await arm.call("DELETE", created["id"], version=VERSION)).status_code == 204
    gone = await arm.call("GET", created["id"], version=VERSION)
    assert error(gone)[:2] == (404, "RoleDefinitionDoesNotExist")


async def test_builtin_roles_and_taken_names_cannot_be_written(arm: Arm) -> None:
    assert error(await custom(arm, ["*"], name=READER))[:2] == (403, "RoleDefinitionIsBuiltIn")
    assert error(await custom(arm, ["*"], role_name="owner"))[:2] == (409, "RoleDefinitionWithSameNameExists")
    assert error(await custom(arm, ["*"], name="nine"))[:2] == (400, "InvalidRoleDefinitionId")
    body = {"properties": {"roleName": "x", "permissions": [{"actions": "all"}]}}
    answer = await arm.call("PUT", f"{SUB}/{DEFINITIONS}/{NAME}", version=VERSION, json=body)
    assert error(answer)[:2] == (400, "InvalidRequestContent")
