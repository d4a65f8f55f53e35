"""Which resource a token is asked for, and whether anybody answers to it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from arcbed_cloud import hosts
from arcbed_cloud.services.entra import errors
from arcbed_cloud.services.entra.directory import Directory

GRAPH = "https://graph.microsoft.com"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
OPENID = frozenset({"openid", "profile", "email", "offline_access"})
DEFAULT = "/.default"

# Microsoft's own resources, by application id and by host. A leading dot takes every name below.
FIRST_PARTY_IDS = frozenset(
    {GRAPH_APP_ID, "00000002-0000-0000-c000-000000000000", "797f4846-ba00-4fd7-ba43-dac1f8f63013"}
)
FIRST_PARTY_HOSTS = (
    "management.azure.com",
    "management.core.windows.net",
    "management.usgovcloudapi.net",
    "management.core.usgovcloudapi.net",
    "management.chinacloudapi.cn",
    "management.core.chinacloudapi.cn",
    "monitor.azure.com",
    "graph.microsoft.com",
    "graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
    "graph.windows.net",
    "storage.azure.com",
    "vault.azure.net",
    "managedhsm.azure.net",
    "database.windows.net",
    "ossrdbms-aad.database.windows.net",
    "servicebus.azure.net",
    "eventhubs.azure.net",
    "cognitiveservices.azure.com",
    "api.loganalytics.io",
    "api.applicationinsights.io",
    "digitaltwins.azure.net",
    "batch.core.windows.net",
    "datalake.azure.net",
    "cosmos.azure.com",
    "containerregistry.azure.net",
    "redis.azure.com",
    "search.azure.com",
    "azconfig.io",
    "gbl.his.arc.azure.com",
    "guestnotificationservice.azure.com",
    "relay.azure.net",
    "rest.media.azure.net",
    ".vault.azure.net",
    ".azconfig.io",
    ".blob.core.windows.net",
    ".queue.core.windows.net",
    ".table.core.windows.net",
    ".file.core.windows.net",
    ".database.windows.net",
    ".servicebus.windows.net",
    ".kusto.windows.net",
    ".his.arc.azure.com",
    ".guestconfiguration.azure.com",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The resource that a request is for and the scopes it named, all as they were spelled."""

    audience: str
    scopes: tuple[str, ...] = ()

    @property
    def openid(self) -> bool:
        """An ID token is wanted."""
        return "openid" in self.scopes

    @property
    def offline(self) -> bool:
        """A refresh token is wanted."""
        return "offline_access" in self.scopes

    @property
    def granted(self) -> str:
        """The ``scope`` of the answer: what was asked for, and the permission that Azure grants for it."""
        separator = "" if self.audience.endswith("//") else "/"
        permission = f"{self.audience}{separator}user_impersonation"
        asked = [scope for scope in self.scopes if scope != "offline_access"]
        return " ".join(dict.fromkeys([*asked, permission]))


def for_application(scope: str) -> Wanted:
    """The resource of a client credentials request (version 2.0): one scope that ends in ``/.default``.

    Raises:
        EntraError: 1002012 for any other scope.
    """
    parts = scope.split()
    if len(parts) != 1 or not parts[0].endswith(DEFAULT):
        raise errors.scope_without_default(scope)
    return Wanted(parts[0].removesuffix(DEFAULT), (parts[0],))


def for_user(scope: str) -> Wanted:
    """The resource of a person's request; bare permissions such as ``User.Read`` are Microsoft Graph's.

    Raises:
        EntraError: 70011 for no scope, or scopes of two resources.
    """
    scopes = tuple(scope.split())
    if not scopes:
        raise errors.invalid_scope(scope)
    named = {_resource(entry) for entry in scopes if entry not in OPENID and "/" in entry}
    if len(named) > 1:
        raise errors.invalid_scope(scope)
    return Wanted(named.pop() if named else GRAPH, scopes)


def ensure_known(wanted: Wanted, directory: Directory, base: str) -> None:
    """Refuse a resource that is neither Microsoft's, nor this control plane's, nor the tenant's.

    Raises:
        EntraError: 500011.
    """
    audience = wanted.audience
    if audience.lower() in FIRST_PARTY_IDS or _is_first_party(audience) or _is_ours(audience, base):
        return
    app_id = audience.removeprefix("api://").strip("/").lower()
    if directory.search(app_id=app_id) or _has_uri(directory, audience):
        return
    raise errors.unknown_resource(audience, directory.tenant_id)


def _resource(scope: str) -> str:
    return scope.rpartition("/")[0]


def _is_first_party(audience: str) -> bool:
    parts = urlsplit(audience)
    if parts.scheme not in {"https", "http"}:
        return False
    host = (parts.hostname or "").lower()
    return any(host == name or (name[0] == "." and host.endswith(name)) for name in FIRST_PARTY_HOSTS)


def _is_ours(audience: str, base: str) -> bool:
    parts, own = urlsplit(audience), urlsplit(base)
    if parts.scheme != "https":
        return False
    return parts.netloc.lower() == own.netloc.lower() or hosts.is_loopback(parts.netloc)


def _has_uri(directory: Directory, audience: str) -> bool:
    return any(
        audience in entry.extra.get("identifierUris", ()) for entry in directory.search(kind="Application")
    )
