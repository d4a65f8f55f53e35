"""The documents by which clients find an authority's endpoints: on the host and port that they used."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from arcbed_cloud import hosts
from arcbed_cloud.services.entra import claims, errors

# The public cloud's authority under its other names, as instance discovery lists them.
PUBLIC_ALIASES = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
V2_TAIL = "/v2.0/.well-known/openid-configuration"
V1_TAIL = "/.well-known/openid-configuration"


def openid_configuration(base: str, tenant: str, *, shared: bool, version: int) -> dict[str, Any]:
    """The OpenID Connect document of a tenant (``shared``: of ``common`` or ``organizations``).

    Args:
        base: the authority as the client spelled it.
        tenant: id, or ``common`` or ``organizations``.
        shared: the issuer is then a pattern, as Entra has it.
        version: 1 or 2.
    """
    segment = "/v2.0" if version == 2 else ""
    keys = "/discovery/v2.0/keys" if version == 2 else "/discovery/keys"
    root = f"{base}/{tenant}"
    owner = "{tenantid}" if shared else tenant
    return {
        "token_endpoint": f"{root}/oauth2{segment}/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{root}{keys}",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{base}/{owner}/v2.0" if version == 2 else claims.issuer_v1(owner),
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "authorization_endpoint": f"{root}/oauth2{segment}/authorize",
        "device_authorization_endpoint": f"{root}/oauth2{segment}/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{root}/oauth2{segment}/logout",
        "claims_supported": [
            *("sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name"),
            *("msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username"),
            *("name", "tid", "ver", "at_hash", "c_hash", "email"),
        ],
        "kerberos_endpoint": f"{root}/kerberos",
        "tenant_region_scope": None if shared else "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    }


def instance_discovery(
    base: str, authorization_endpoint: str, *, port: int, known: frozenset[str]
) -> dict[str, Any]:
    """Where the metadata of an authority is, if it is one of ours.

    MSAL for Python leaves the port out of `authorization_endpoint`; the answer names the true one.

    Args:
        base: the authority that was asked.
        authorization_endpoint: the one that is asked about.
        port: the port that this listener is reached by.
        known: further host names of this control plane.

    Raises:
        EntraError: 50049 with the error ``invalid_instance``.
    """
    asked, own = urlsplit(authorization_endpoint), urlsplit(base)
    host = (asked.hostname or "").lower()
    mine = (
        host == own.hostname or hosts.is_loopback(host) or hosts.service_of(host) == "login" or host in known
    )
    if asked.scheme != "https" or not mine:
        raise errors.unknown_instance()
    path, _, tail = asked.path.partition("/oauth2")
    authority = _with_port(host, asked.port or port)
    return {
        "tenant_discovery_endpoint": f"https://{authority}{path}{V2_TAIL if 'v2.0' in tail else V1_TAIL}",
        "api-version": "1.1",
        "metadata": _networks(authority),
    }


def _networks(authority: str) -> list[dict[str, Any]]:
    public = {
        "preferred_network": "login.microsoftonline.com",
        "preferred_cache": "login.windows.net",
        "aliases": PUBLIC_ALIASES,
    }
    if authority in PUBLIC_ALIASES:
        return [public]
    return [public, {"preferred_network": authority, "preferred_cache": authority, "aliases": [authority]}]


def _with_port(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == 443 else f"{shown}:{port}"
