"""Signing in: what the token endpoint does with each grant. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import audiences, errors
from arcbed_cloud.services.entra.assertions import Assertions
from arcbed_cloud.services.entra.audiences import Wanted
from arcbed_cloud.services.entra.credentials import SecretCheck, base64url
from arcbed_cloud.services.entra.directory import Directory, Principal
from arcbed_cloud.services.entra.grants import DEVICE_SECONDS, Grants
from arcbed_cloud.services.entra.tokens import Tokens

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE_GRANTS = frozenset({"urn:ietf:params:oauth:grant-type:device_code", "device_code"})
SHARED_TENANTS = frozenset({"common", "organizations"})
POLL_SECONDS = 5

# Public clients that Microsoft registers in every tenant: no service principal of ours stands for them.
PUBLIC_CLIENTS = frozenset(
    {
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",  # Azure CLI, and azure-identity when told nothing else
        "1950a258-227b-4e31-a9cf-717495945fc2",  # Azure PowerShell
        "04f0c124-f2bc-4f59-8241-bf6df9866bbd",  # Visual Studio
        "aebc6443-996d-45c2-90f0-388ff96faa56",  # Visual Studio Code
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint of the authority.

    `base` is the authority as the client spelled it (scheme, host, port, prefix), `version` 1 or 2 of the
    endpoint, `form` the decoded body.
    """

    base: str
    tenant: str
    version: Literal[1, 2]
    form: Mapping[str, str]
    client_ip: str = "127.0.0.1"

    def need(self, name: str) -> str:
        """A parameter that must be there.

        Raises:
            EntraError: 900144.
        """
        value = self.form.get(name, "")
        if not value:
            raise errors.missing_parameter(name)
        return value


class SignIn:
    """The flows of one tenant."""

    def __init__(self, plane: Plane, directory: Directory, tokens: Tokens) -> None:
        self.plane = plane
        self.directory = directory
        self.tokens = tokens
        self.grants = Grants(plane)
        self._assertions = Assertions(plane.clock)

    def tenant(self, name: str, *, metadata: bool = False) -> str:
        """The tenant's id for its id or domain; ``common`` and ``organizations`` stay as they are.

        Raises:
            EntraError: 90002.
        """
        lowered = name.lower()
        if lowered in SHARED_TENANTS:
            return lowered
        if lowered in {self.directory.tenant_id, self.directory.domain}:
            return self.directory.tenant_id
        raise errors.tenant_not_found(name, metadata=metadata)

    async def token(self, call: Call) -> dict[str, Any]:
        """The token endpoint.

        Raises:
            EntraError: what is wrong with the request, the client, or the grant.
        """
        self.tenant(call.tenant)
        grant = call.need("grant_type")
        if grant == "client_credentials":
            return self._client_credentials(call)
        if grant in DEVICE_GRANTS:
            return await self._device(call)
        if grant == "refresh_token":
            return await self._refresh(call)
        raise errors.unsupported_grant(grant)

    # -- applications --------------------------------------------------------------------------------------

    def _client_credentials(self, call: Call) -> dict[str, Any]:
        tenant = self.tenant(call.tenant)
        if tenant in SHARED_TENANTS:
            raise errors.no_tenant_information()
        app_id = call.need("client_id")
        if call.version == 2:
            wanted = audiences.for_application(call.need("scope"))
        else:
            wanted = Wanted(call.need("resource"))
        principal = self.directory.by_app_id(app_id)
        if principal is None or not principal.enabled:
            raise errors.unknown_application(app_id, tenant)
        acr = self._prove(call, principal)
        audiences.ensure_known(wanted, self.directory, call.base)
        token, seconds = self.tokens.issue_application(principal, wanted.audience, acr=acr)
        return self._answer(call, wanted, token, seconds)

    def _prove(self, call: Call, principal: Principal) -> Literal["1", "2"]:
        if assertion := call.form.get("client_assertion"):
            if call.form.get("client_assertion_type") != ASSERTION_TYPE:
                raise errors.missing_parameter("client_assertion_type")
            self._assertions.verify(
                assertion,
                app_id=principal.app_id,
                registered=self.directory.certificates(principal.app_id),
                audiences=_endpoint_spellings(call, self.directory),
                certificate_now=self.directory.certificate_now(principal),
            )
            return "2"
        secret = call.form.get("client_secret")
        if not secret:
            raise errors.missing_credential()
        outcome = self.directory.check_secret(principal.app_id, secret)
        if outcome is SecretCheck.EXPIRED:
            raise errors.expired_secret(principal.app_id)
        if outcome is SecretCheck.WRONG:
            raise errors.wrong_secret(principal.app_id)
        return "1"

    # -- people --------------------------------------------------------------------------------------------

    async def device_code(self, call: Call) -> dict[str, Any]:
        """The device authorization endpoint.

        Raises:
            EntraError: 90002, 900144, 700016, 70011, 500011.
        """
        self.tenant(call.tenant)
        client_id = call.need("client_id")
        self._ensure_client(client_id)
        if call.version == 2:
            scope = call.need("scope")
        else:
            scope = f"{call.need('resource')}/.default openid offline_access"
        audiences.ensure_known(audiences.for_user(scope), self.directory, call.base)
        text, code = await self.grants.start_device(client_id, scope, version=call.version)
        page = f"{call.base}/devicelogin"
        message = (
            f"To sign in, use a web browser to open the page {page} and enter the code {code.user_code} "
            "to authenticate."
        )
        if call.version == 1:
            return {
                "user_code": code.user_code,
                "device_code": text,
                "verification_url": page,
                "expires_in": str(DEVICE_SECONDS),
                "interval": str(POLL_SECONDS),
                "message": message,
            }
        return {
            "user_code": code.user_code,
            "device_code": text,
            "verification_uri": page,
            "expires_in": DEVICE_SECONDS,
            "interval": POLL_SECONDS,
            "message": message,
        }

    async def _device(self, call: Call) -> dict[str, Any]:
        client_id = call.need("client_id")
        self._ensure_client(client_id)
        # Version 1 calls it `code`, and some clients send both.
        text = call.form.get("device_code") or call.need("code" if call.version == 1 else "device_code")
        code = await self.grants.redeem_device(text, client_id)
        return await self._sign_in(call, code.user_id, client_id, audiences.for_user(code.scope))

    async def _refresh(self, call: Call) -> dict[str, Any]:
        client_id = call.need("client_id")
        self._ensure_client(client_id)
        known = self.grants.refresh_token(call.need("refresh_token"), client_id)
        scope = call.form.get("scope", "")
        if call.version == 1 and (resource := call.form.get("resource")):
            scope = f"{resource}/.default openid offline_access"
        wanted = audiences.for_user(scope or known["scope"])
        return await self._sign_in(call, known["userId"], client_id, wanted)

    async def _sign_in(self, call: Call, user_id: str, client_id: str, wanted: Wanted) -> dict[str, Any]:
        audiences.ensure_known(wanted, self.directory, call.base)
        person = self.directory.principal(user_id)
        if person is None or not person.enabled:
            raise errors.unknown_user(user_id, self.directory.tenant_id)
        token, seconds = self.tokens.issue_user(person, wanted.audience, app_id=client_id, ip=call.client_ip)
        answer = self._answer(call, wanted, token, seconds)
        answer["scope"] = wanted.granted if call.version == 2 else "user_impersonation"
        if wanted.offline or call.version == 1:
            scope = " ".join(wanted.scopes)
            answer["refresh_token"] = await self.grants.issue_refresh(person.object_id, client_id, scope)
        if wanted.openid or call.version == 1:
            issuer = f"{call.base}/{person.tenant_id}/v2.0"
            answer["id_token"] = self.tokens.issue_identity(person, app_id=client_id, issuer=issuer)
        if call.form.get("client_info"):
            answer["client_info"] = client_info(person)
        return answer

    def _ensure_client(self, client_id: str) -> None:
        if client_id.lower() in PUBLIC_CLIENTS or self.directory.by_app_id(client_id):
            return
        raise errors.unknown_application(client_id, self.directory.tenant_id)

    # -- answers -------------------------------------------------------------------------------------------

    def _answer(self, call: Call, wanted: Wanted, token: str, seconds: int) -> dict[str, Any]:
        if call.version == 2:
            return {
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": token,
            }
        now = int(self.plane.clock.wall())
        return {
            "token_type": "Bearer",
            "expires_in": str(seconds),
            "ext_expires_in": str(seconds),
            "expires_on": str(now + seconds),
            "not_before": str(now - 300),
            "resource": wanted.audience,
            "access_token": token,
        }


def client_info(person: Principal) -> str:
    """Who signed in, as MSAL keys its accounts by."""
    return base64url(orjson.dumps({"uid": person.object_id, "utid": person.tenant_id}))


def _endpoint_spellings(call: Call, directory: Directory) -> set[str]:
    """What an assertion's audience may be: this endpoint under the tenant's names, or its issuer."""
    tenants = {call.tenant.lower(), directory.tenant_id, directory.domain}
    bases = {call.base.lower(), "https://login.microsoftonline.com"}
    tails = ("", "/v2.0", "/oauth2/token", "/oauth2/v2.0/token")
    return {f"{base}/{tenant}{tail}" for base in bases for tenant in tenants for tail in tails}
