import pytest

from arcbed_cloud.services.entra import ARM_AUDIENCES

BASE = "https://localhost:8443"


async def test_metadata_v2_names_every_endpoint_on_the_clients_host_and_port(authority):
    answer = await authority.client.get(f"/{authority.tenant}/v2.0/.well-known/openid-configuration")
    document = answer.json()
    root = f"{BASE}/{authority.tenant}"
    assert document["issuer"] == f"{root}/v2.0"
    assert document["token_endpoint"] == f"{root}/oauth2/v2.0/token"
    assert document["authorization_endpoint"] == f"{root}/oauth2/v2.0/authorize"
    assert document["device_authorization_endpoint"] == f"{root}/oauth2/v2.0/devicecode"
    assert document["jwks_uri"] == f"{root}/discovery/v2.0/keys"
    assert document["rbac_url"] == "https://pas.windows.net"


async def test_metadata_v1_names_the_v1_endpoints_and_issuer(authority):
    answer = await authority.client.get(f"/{authority.tenant}/.well-known/openid-configuration")
    assert answer.json()["token_endpoint"] == f"{BASE}/{authority.tenant}/oauth2/token"
    assert answer.json()["issuer"] == f"https://sts.windows.net/{authority.tenant}/"


@pytest.mark.parametrize("tenant", ["common", "organizations"])
async def test_metadata_of_shared_tenants_leaves_the_issuer_open(authority, tenant):
    answer = await authority.client.get(f"/{tenant}/v2.0/.well-known/openid-configuration")
    assert answer.json()["issuer"] == f"{BASE}/{{tenantid}}/v2.0"
    assert answer.json()["token_endpoint"] == f"{BASE}/{tenant}/oauth2/v2.0/token"


async def test_metadata_by_domain_name_resolves_to_the_tenant(authority):
    path = f"/{authority.cloud.estate.domain}/v2.0/.well-known/openid-configuration"
    assert authority.tenant in (await authority.client.get(path)).json()["issuer"]


async def test_metadata_of_an_unknown_tenant_is_90002(authority):
    other = "11111111-1111-1111-1111-111111111111"
    answer = await authority.client.get(f"/{other}/v2.0/.well-known/openid-configuration")
    assert answer.status_code == 400
    body = answer.json()
    assert body["error"] == "invalid_tenant"
    assert body["error_codes"] == [90002]
    assert f"Tenant '{other}' not found" in body["error_description"]


async def test_metadata_under_a_prefix_and_under_azures_name_keeps_the_clients_spelling(authority):
    path = f"/{authority.tenant}/v2.0/.well-known/openid-configuration"
    prefixed = (await authority.client.get(f"/login{path}")).json()
    assert prefixed["token_endpoint"] == f"{BASE}/login/{authority.tenant}/oauth2/v2.0/token"
    async with authority.at("login.microsoftonline.com") as azure:
        document = (await azure.get(path)).json()
    assert document["token_endpoint"].startswith(f"https://login.microsoftonline.com/{authority.tenant}/")


async def discovered(client, endpoint: str):
    return await client.get(
        "/common/discovery/instance", params={"api-version": "1.1", "authorization_endpoint": endpoint}
    )


async def test_instance_discovery_for_this_host_points_at_its_metadata_with_the_true_port(authority):
    answer = await discovered(authority.client, f"https://localhost/{authority.tenant}/oauth2/v2.0/authorize")
    document = answer.json()
    assert document["tenant_discovery_endpoint"] == (
        f"{BASE}/{authority.tenant}/v2.0/.well-known/openid-configuration"
    )
    network = document["metadata"][-1]
    assert network["aliases"] == ["localhost:8443"]
    assert network["preferred_network"] == network["preferred_cache"] == "localhost:8443"


async def test_instance_discovery_for_azures_own_host_lists_its_aliases(authority):
    endpoint = f"https://login.microsoftonline.com/{authority.tenant}/oauth2/v2.0/authorize"
    async with authority.at("login.microsoftonline.com") as azure:
        found = (await discovered(azure, endpoint)).json()
    assert "login.windows.net" in found["metadata"][0]["aliases"]
    assert found["tenant_discovery_endpoint"].startswith("https://login.microsoftonline.com/")


@pytest.mark.parametrize(
    "endpoint",
    ["https://evil.example/common/oauth2/v2.0/authorize", "http://localhost/x/oauth2/authorize", "nonsense"],
)
async def test_instance_discovery_for_a_strange_host_is_invalid_instance(authority, endpoint):
    answer = await discovered(authority.client, endpoint)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_instance"


async def test_published_keys_verify_what_is_issued(authority):
    import jwt

    keys = (await authority.client.get("/common/discovery/v2.0/keys")).json()
    token = (await authority.with_secret()).json()["access_token"]
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key.key, ["RS256"], audience=list(ARM_AUDIENCES | {"https://management.azure.com"})
    )
    assert claims["oid"] == authority.cloud.estate.owner.objectId


async def test_unknown_path_of_the_authority_is_404_json(authority):
    answer = await authority.client.get("/login/nothing/here")
    assert answer.status_code == 404
    assert "error" in answer.json()
