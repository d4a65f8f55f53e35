"""The testbed's own API, in process."""

import httpx
import pytest

from arcbed_cloud.app import build
from arcbed_cloud.settings import Settings

ARM = "https://management.azure.com/.default"


class Api:
    def __init__(self, cloud, token: str, host: str = "localhost") -> None:
        self.cloud = cloud
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(cloud.admin),
            base_url=f"http://{host}/_fakecloud",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    async def __call__(self, method: str, path: str, body=None, status: int = 200):
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        if not answer.content:
            return None
        document = answer.json()
        assert document.get("apiVersion") == 1 or "openapi" in document
        return document


@pytest.fixture(scope="session")
def _state(tmp_path_factory):
    return tmp_path_factory.mktemp("admin") / "state"


@pytest.fixture
async def api(_state):
    cloud = build(Settings(state=_state))
    await cloud.startup()
    await cloud.bed.reset()
    api = Api(cloud, (_state / "admin.token").read_text().strip())
    yield api
    await api.client.aclose()
    await cloud.shutdown()


async def sign_in(cloud, made: dict) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": made["clientId"],
        "client_secret": made["clientSecret"],
        "scope": ARM,
    }
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(cloud.asgi), base_url="https://localhost"
    ) as client:
        return await client.post(f"/{cloud.estate.tenant_id}/oauth2/v2.0/token", data=form)


async def test_health_and_ready_need_no_token_and_everything_else_does(api):
    stranger = Api(api.cloud, "")
    await stranger("GET", "/health")
    await stranger("GET", "/ready")
    await stranger("GET", "/state", status=401)
    await Api(api.cloud, "wrong")("POST", "/reset", status=401)


async def test_host_of_another_site_is_refused_even_with_the_token(api):
    token = (api.cloud.settings.state / "admin.token").read_text().strip()
    await Api(api.cloud, token, host="evil.example")("GET", "/state", status=421)


async def test_state_counts_rows_and_masks_what_is_secret(api):
    counts = await api("GET", "/state")
    assert counts["tables"]["principals"] == 3
    rows = (await api("GET", "/state/principals?kind=ServicePrincipal"))["rows"]
    assert len(rows) == 2
    secret = rows[0]["document"]["secrets"][0]
    assert secret["digest"] == secret["salt"] == "********"
    assert secret["keyId"]
    await api("GET", "/state/no-such-table", status=404)


async def test_principal_made_with_a_role_can_sign_in_and_read(api):
    made = await api("POST", "/principals", {"name": "reader", "role": "Reader"}, status=201)
    token = (await sign_in(api.cloud, made)).json()["access_token"]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.cloud.asgi), base_url="https://localhost"
    ) as client:
        answer = await client.get(
            f"/subscriptions/{api.cloud.estate.subscription_id}?api-version=2022-12-01",
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 200


async def test_principal_with_an_unknown_role_is_refused_and_not_made(api):
    before = (await api("GET", "/principals"))["principals"]
    await api("POST", "/principals", {"name": "x", "role": "Emperor"}, status=400)
    assert (await api("GET", "/principals"))["principals"] == before


async def test_principal_can_be_deleted_and_its_secrets_expired_and_replaced(api):
    made = await api("POST", "/principals", {"name": "short-lived"}, status=201)
    path = f"/principals/{made['objectId']}"
    await api("POST", f"{path}/secrets/expire")
    assert (await sign_in(api.cloud, made)).json()["error_codes"] == [7000222]
    fresh = await api("POST", f"{path}/secrets", status=201)
    assert (await sign_in(api.cloud, {**made, **fresh})).status_code == 200
    await api("DELETE", path, status=204)
    assert (await sign_in(api.cloud, {**made, **fresh})).json()["error_codes"] == [700016]
    await api("DELETE", path, status=404)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x", "typo": 1}, {"name": "x", "kind": "Robot"}])
async def test_principal_with_an_unusable_body_is_told_what_is_wrong(api, body):
    error = await api("POST", "/principals", body, status=400)
    assert error["error"]["code"] == "InvalidRequest"
    assert error["error"]["message"]


async def test_reset_keeps_who_was_there_first(api):
    await api("POST", "/principals", {"name": "extra"}, status=201)
    await api("POST", "/reset")
    names = {entry["name"] for entry in (await api("GET", "/principals"))["principals"]}
    assert names == {"Arc Owner", "arcbed-owner", "arcbed-onboarding"}


async def test_snapshot_brings_state_and_time_back(api):
    await api("POST", "/principals", {"name": "before"}, status=201)
    await api("PUT", "/snapshots/one", status=201)
    taken = (await api("GET", "/clock"))["now"]
    await api("POST", "/principals", {"name": "after"}, status=201)
    await api("POST", "/clock/advance", {"days": 3})
    await api("POST", "/snapshots/one/restore")
    names = {entry["name"] for entry in (await api("GET", "/principals"))["principals"]}
    assert "before" in names
    assert "after" not in names
    assert (await api("GET", "/clock"))["now"][:15] == taken[:15]
    assert [entry["name"] for entry in (await api("GET", "/snapshots"))["snapshots"]] == ["one"]
    await api("DELETE", "/snapshots/one", status=204)
    assert (await api("GET", "/snapshots"))["snapshots"] == []


@pytest.mark.parametrize("name", ["..%2Fstate", ".hidden", "a b", "x" * 65])
async def test_snapshot_name_that_could_leave_the_folder_is_refused(api, name):
    answer = await api.client.put(f"/snapshots/{name}")
    assert answer.status_code in {400, 404}


async def test_snapshot_that_does_not_exist_changes_nothing(api):
    await api("POST", "/snapshots/none/restore", status=400)
    assert (await api("GET", "/state"))["tables"]["principals"] == 3


async def test_clock_moves_by_what_was_asked(api):
    before = api.cloud.plane.clock.now()
    await api("POST", "/clock/advance", {"hours": 2, "minutes": 1})
    assert 7_260 <= (api.cloud.plane.clock.now() - before).total_seconds() < 7_290
    await api("POST", "/clock/advance", {"hours": -1}, status=400)


async def test_device_code_can_be_approved_and_denied_without_a_browser(api):
    signin = api.cloud.signin
    _, first = await signin.grants.start_device("cli", "openid", version=2)
    _, second = await signin.grants.start_device("cli", "openid", version=2)
    listed = (await api("GET", "/devicecodes"))["deviceCodes"]
    assert {entry["userCode"] for entry in listed} == {first.user_code, second.user_code}
    approved = await api("POST", f"/devicecodes/{first.user_code}/approve")
    assert (approved["state"], approved["userId"]) == ("approved", api.cloud.estate.user.objectId)
    denied = await api("POST", f"/devicecodes/{second.user_code}/deny")
    assert denied["state"] == "declined"
    await api("POST", f"/devicecodes/{first.user_code}/deny", status=400)


async def test_device_code_for_an_unknown_user_stays_pending(api):
    _, code = await api.cloud.signin.grants.start_device("cli", "openid", version=2)
    await api("POST", f"/devicecodes/{code.user_code}/approve", {"user": "nobody@x"}, status=404)
    assert api.cloud.signin.grants.device_code(code.user_code).state == "pending"


async def test_key_rotation_is_named_and_published(api):
    rotated = await api("POST", "/keys/rotate")
    assert rotated["published"][0] == rotated["kid"]
    assert len(rotated["published"]) == 2


async def test_routes_and_openapi_come_from_arms_table(api):
    types = {row["type"]: row for row in (await api("GET", "/routes"))["resourceTypes"]}
    operations = {entry["operationId"] for entry in types["Microsoft.HybridCompute/machines"]["operations"]}
    assert "Machines_Get" in operations
    assert (await api("GET", "/openapi"))["paths"]


async def test_his_log_is_listed(api):
    assert (await api("GET", "/his/log"))["entries"] == []


async def test_unknown_path_is_404_in_the_apis_shape(api):
    assert (await api("GET", "/nothing", status=404))["error"]["code"] == "NotFound"


async def test_package_is_published_over_the_api(api, tmp_path):
    from arcbed_cloud.services.packages.formats import write_deb

    content = write_deb("Package: azcmagent\nVersion: 1.2.3.4\nArchitecture: amd64\n", {})
    answer = await api.client.put("/packages/azcmagent_1.2.3.4_amd64.deb", content=content)
    assert (answer.status_code, answer.json()["version"]) == (201, "1.2.3.4")
    listed = await api("GET", "/packages")
    assert (listed["latest"], [entry["version"] for entry in listed["packages"]]) == ("1.2.3.4", ["1.2.3.4"])
    refused = await api.client.put("/packages/other.deb", content=b"no package")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "InvalidPackage")
