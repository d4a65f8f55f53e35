"""What stands in Entra's tokens. The opaque members are of the right shape and mean nothing.

The shapes are those of Microsoft's "Access token claims reference" and "ID token claims reference".
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from arcbed_cloud.ids import Ids
from arcbed_cloud.services.entra.credentials import base64url
from arcbed_cloud.services.entra.directory import Principal

# Entra dates tokens back by five minutes, for clients whose clocks lag.
BACKDATE = 300
TENANT_CREATED = 1_577_836_800


def issuer_v1(tenant_id: str) -> str:
    """The issuer of access tokens for Azure's own resources."""
    return f"https://sts.windows.net/{tenant_id}/"


def backdate(lifetime: int) -> int:
    """How far a token of `lifetime` seconds is dated back; short-lived ones (of tests) are not."""
    return BACKDATE if lifetime >= 2 * BACKDATE else 0


def application(
    principal: Principal, audience: str, *, acr: str, times: dict[str, int], ids: Ids, uti: str
) -> dict[str, Any]:
    """Access token of a service principal or a machine; `acr` is 1 after a secret, 2 after a certificate."""
    issuer = issuer_v1(principal.tenant_id)
    claims: dict[str, Any] = {
        "aud": audience,
        "iss": issuer,
        **times,
        "aio": _opaque(ids, 36),
        "appid": principal.app_id,
        "appidacr": acr,
        "idp": issuer,
        "idtyp": "app",
        "oid": principal.object_id,
        "rh": _rh(ids),
        "sub": principal.object_id,
        "tid": principal.tenant_id,
        "uti": uti,
        "ver": "1.0",
        "xms_tcdt": TENANT_CREATED,
    }
    if principal.resource_id is not None:
        claims["xms_mirid"] = mirid(principal.resource_id)
    return claims


def user(
    person: Principal,
    audience: str,
    *,
    app_id: str,
    scope: str,
    times: dict[str, int],
    ids: Ids,
    uti: str,
    ip: str,
) -> dict[str, Any]:
    """Access token of a person who signed in through the application `app_id`."""
    issuer = issuer_v1(person.tenant_id)
    return {
        "aud": audience,
        "iss": issuer,
        **times,
        "acr": "1",
        "aio": _opaque(ids, 48),
        "amr": ["pwd"],
        "appid": app_id,
        "appidacr": "0",
        "groups": [],
        "idtyp": "user",
        "ipaddr": ip,
        "name": person.name,
        "oid": person.object_id,
        "puid": puid(person),
        "rh": _rh(ids),
        "scp": scope,
        "sub": pairwise(person, audience),
        "tid": person.tenant_id,
        "unique_name": person.user_principal_name,
        "upn": person.user_principal_name,
        "uti": uti,
        "ver": "1.0",
        "wids": [],
        "xms_tcdt": TENANT_CREATED,
    }


def identity(
    person: Principal,
    *,
    issuer: str,
    app_id: str,
    times: dict[str, int],
    nonce: str | None,
    ids: Ids,
    uti: str,
) -> dict[str, Any]:
    """ID token (version 2.0) for the application that the person signed in to."""
    claims: dict[str, Any] = {
        "aud": app_id,
        "iss": issuer,
        **times,
        "name": person.name,
        "oid": person.object_id,
        "preferred_username": person.user_principal_name,
        "rh": _rh(ids),
        "sub": pairwise(person, app_id),
        "tid": person.tenant_id,
        "uti": uti,
        "ver": "2.0",
    }
    if nonce:
        claims["nonce"] = nonce
    return claims


def mirid(resource_id: str) -> str:
    """The ARM id of a managed identity as tokens spell it: the keyword ``resourcegroups`` in lower case."""
    parts = resource_id.split("/")
    return "/".join(part.lower() if part.lower() == "resourcegroups" else part for part in parts)


def puid(person: Principal) -> str:
    """A person's "passport" id: sixteen hexadecimal digits, fixed for the person."""
    return "10032" + hashlib.sha256(person.object_id.encode()).hexdigest()[:11].upper()


def pairwise(person: Principal, audience: str) -> str:
    """The subject, which differs from application to application."""
    return base64url(hashlib.sha256(f"{person.object_id}|{audience}".encode()).digest())


def _opaque(ids: Ids, size: int) -> str:
    return base64.b64encode(bytes.fromhex(ids.hex(size * 2))).decode()


def _rh(ids: Ids) -> str:
    return "1." + base64url(bytes.fromhex(ids.hex(80))) + "."
