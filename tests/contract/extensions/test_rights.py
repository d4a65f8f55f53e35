"""Who may write extensions: the built-in roles, and that the machine's own identity may not."""

from __future__ import annotations

import pytest

ONBOARDING = "b64e21ea-ac4e-4cdf-9dc9-5b892992bee7"
ADMINISTRATOR = "cd570a14-e51a-42ad-bac8-bafd67325302"
VERSION = "2026-07-15"


async def principal(bed, role):
    """The token of somebody who has a role on the group, or none."""
    async with bed.cloud.plane.store.unit() as unit:
        made = bed.cloud.directory.add_principal(unit, kind="ServicePrincipal", name=f"has {role}")
    if role is not None:
        body = {
            "properties": {
                "roleDefinitionId": f"{bed.group.rpartition('/resourceGroups')[0]}/providers"
                f"/Microsoft.Authorization/roleDefinitions/{role}",
                "principalId": made.object_id,
                "principalType": "ServicePrincipal",
            }
        }
        name = "5c1b2e3d-0000-4000-8000-000000000009"
        path = f"{bed.group}/providers/Microsoft.Authorization/roleAssignments/{name}"
        answer = await bed.arm("PUT", path, body, version="2022-04-01")
        assert answer.status_code == 201, answer.text
    return bed.token(made.object_id, "https://management.azure.com/")


@pytest.mark.parametrize(
    ("role", "put", "setup", "read"),
    [(ONBOARDING, 403, 202, 403), (ADMINISTRATOR, 202, 409, 200), (None, 403, 403, 403)],
)
async def test_roles_allow_what_they_allow_in_azure(bed, role, put, setup, read):
    bed.publish()
    token = await principal(bed, role)
    headers = {"Authorization": f"Bearer {token}"}
    body = {"location": "westeurope", "properties": {"publisher": "Contoso.Tools", "type": "Probe"}}
    several = {"extensions": [body["properties"]]}
    base, query = "https://localhost:8443", {"api-version": VERSION}
    path = f"{base}{bed.extension()}"
    statuses = [
        (await bed.http.put(path, params=query, json=body, headers=headers)).status_code,
        (
            await bed.http.post(
                f"{base}{bed.machine()}/addExtensions", params=query, json=several, headers=headers
            )
        ).status_code,
        (await bed.http.get(f"{base}{bed.machine()}/extensions", params=query, headers=headers)).status_code,
    ]
    assert statuses == [put, setup, read]


async def test_machines_own_identity_may_not_give_itself_extensions(bed):
    bed.publish()
    row = bed.cloud.machines.get(bed.machine().lower())
    token = bed.token(row.document["identity"]["principalId"], "https://management.azure.com/")
    body = {"location": "westeurope", "properties": {"publisher": "Contoso.Tools", "type": "Probe"}}
    answer = await bed.http.put(
        f"https://localhost:8443{bed.extension()}",
        params={"api-version": VERSION},
        json=body,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")
