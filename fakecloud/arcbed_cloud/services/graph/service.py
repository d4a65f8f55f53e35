"""The directory in Graph's shapes. Knows no HTTP.

Operations and members follow the Microsoft Graph REST reference, version 1.0: "servicePrincipal",
"application", "user" and "directoryObject: getByIds".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from arcbed_cloud.arm.request import Caller
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra.directory import Directory, Kind, Principal
from arcbed_cloud.services.graph import errors, filters

SECRET_SECONDS = 2 * 365 * 86_400
COLLECTIONS: Mapping[str, Kind] = {
    "servicePrincipals": "ServicePrincipal",
    "applications": "Application",
    "users": "User",
    "groups": "Group",
}
Document = dict[str, Any]


class Graph:
    """What callers may see and change.

    Args:
        plane: clock and state.
        directory: who exists.
        writers: object ids of applications that may write; people may anyway.
    """

    def __init__(self, plane: Plane, directory: Directory, writers: frozenset[str]) -> None:
        self.plane = plane
        self._directory = directory
        self._writers = writers

    # -- reading -------------------------------------------------------------------------------------------

    def listed(self, collection: str, filter_text: str | None) -> list[Document]:
        """Everyone of a collection whom the filter keeps.

        Raises:
            GraphError: 400 for a filter that is not understood.
        """
        keep = filters.parse(filter_text) if filter_text else None
        entries = map(self._rendered, self._directory.search(kind=COLLECTIONS[collection]))
        return [entry for entry in entries if keep is None or keep(entry)]

    def one(self, collection: str, name: str) -> Document:
        """By object id; people also by principal name.

        Raises:
            GraphError: 404.
        """
        return self._rendered(self._find(collection, name))

    def me(self, caller: Caller) -> Document:
        """The person who calls.

        Raises:
            GraphError: 400 for an application.
        """
        person = self._directory.principal(caller.object_id)
        if person is None or person.kind != "User":
            raise errors.bad_request("/me request is only valid with delegated authentication flow.")
        return self._rendered(person)

    def by_ids(self, ids: Iterable[Any], types: Iterable[Any]) -> list[Document]:
        """The objects of a list that exist, each with its ``@odata.type``."""
        wanted = {str(entry).lower() for entry in types}
        found = []
        for object_id in ids:
            principal = self._directory.principal(str(object_id))
            if principal is None:
                continue
            kind = principal.kind[0].lower() + principal.kind[1:]
            if not wanted or "directoryobject" in wanted or kind.lower() in wanted:
                found.append({"@odata.type": f"#microsoft.graph.{kind}", **self._rendered(principal)})
        return found

    # -- writing -------------------------------------------------------------------------------------------

    async def create_application(self, caller: Caller, body: Mapping[str, Any]) -> Document:
        """POST /applications.

        Raises:
            GraphError: 403, 400.
        """
        self._may_write(caller)
        name = _text(body, "displayName")
        extra = {
            "identifierUris": [str(entry) for entry in body.get("identifierUris") or ()],
            "signInAudience": str(body.get("signInAudience") or "AzureADMyOrg"),
        }
        async with self.plane.store.unit() as unit:
            made = self._directory.add_principal(unit, kind="Application", name=name, extra=extra)
        return self._rendered(made)

    async def create_service_principal(self, caller: Caller, body: Mapping[str, Any]) -> Document:
        """POST /servicePrincipals for an application of the tenant.

        Raises:
            GraphError: 403, 400, 409 if it exists.
        """
        self._may_write(caller)
        app_id = _text(body, "appId")
        applications = self._directory.search(kind="Application", app_id=app_id)
        if not applications:
            raise errors.bad_request(
                f"The appId '{app_id}' of the service principal does not reference a valid application."
            )
        try:
            async with self.plane.store.unit() as unit:
                made = self._directory.add_principal(
                    unit, kind="ServicePrincipal", name=applications[0].name, app_id=app_id
                )
        except ValueError as error:
            raise errors.GraphError(
                409,
                "Request_MultipleObjectsWithSameKeyValue",
                f"The service principal cannot be created: the service principal name {app_id} is in use.",
            ) from error
        return self._rendered(made)

    async def add_password(
        self, caller: Caller, collection: str, name: str, body: Mapping[str, Any]
    ) -> Document:
        """POST /{collection}/{id}/addPassword; the only answer that ever shows the secret.

        Raises:
            GraphError: 403, 404, 400.
        """
        self._may_write(caller)
        principal = self._find(collection, name)
        wanted = body.get("passwordCredential")
        wanted = wanted if isinstance(wanted, dict) else {}
        now = self.plane.clock.wall()
        expires = _end(wanted.get("endDateTime"), now + SECRET_SECONDS)
        label = str(wanted.get("displayName") or "")
        async with self.plane.store.unit() as unit:
            secret, key_id = self._directory.add_secret(
                unit, principal.object_id, expires=expires, label=label
            )
        return {
            "customKeyIdentifier": None,
            "displayName": label or None,
            "endDateTime": _iso(expires),
            "hint": secret[:3],
            "keyId": key_id,
            "secretText": secret,
            "startDateTime": _iso(now),
        }

    async def delete(self, caller: Caller, collection: str, name: str) -> None:
        """DELETE /{collection}/{id}; an application takes its service principal with it.

        Raises:
            GraphError: 403, 404.
        """
        self._may_write(caller)
        principal = self._find(collection, name)
        async with self.plane.store.unit() as unit:
            self._directory.remove(unit, principal.object_id)
            if principal.kind == "Application":
                for entry in self._directory.search(kind="ServicePrincipal", app_id=principal.app_id):
                    self._directory.remove(unit, entry.object_id)

    # -- internals -----------------------------------------------------------------------------------------

    def _find(self, collection: str, name: str) -> Principal:
        found = self._directory.principal(name)
        if found is None and collection == "users":
            found = self._directory.by_user_name(name)
        if found is None or found.kind != COLLECTIONS[collection]:
            raise errors.not_found(name)
        return found

    def _may_write(self, caller: Caller) -> None:
        if caller.kind != "User" and caller.object_id not in self._writers:
            raise errors.denied()

    def _rendered(self, principal: Principal) -> Document:
        if principal.kind == "User":
            return _user(principal)
        if principal.kind == "Group":
            return {"id": principal.object_id, "displayName": principal.name}
        passwords = [
            {
                "customKeyIdentifier": None,
                "displayName": entry["label"] or None,
                "endDateTime": _iso(entry["expires"]),
                "hint": entry["hint"],
                "keyId": entry["keyId"],
                "secretText": None,
            }
            for entry in self._directory.secrets_of(principal.object_id)
        ]
        shape = _application if principal.kind == "Application" else _service_principal
        return {**shape(principal), "passwordCredentials": passwords, "keyCredentials": []}


def _user(person: Principal) -> Document:
    return {
        "id": person.object_id,
        "displayName": person.name,
        "userPrincipalName": person.user_principal_name,
        "mail": person.user_principal_name,
        "givenName": person.name.partition(" ")[0],
        "surname": person.name.partition(" ")[2] or None,
        "businessPhones": [],
        "jobTitle": None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
    }


def _application(application: Principal) -> Document:
    return {
        "id": application.object_id,
        "appId": application.app_id,
        "displayName": application.name,
        "createdDateTime": application.created,
        "identifierUris": application.extra.get("identifierUris", []),
        "signInAudience": application.extra.get("signInAudience", "AzureADMyOrg"),
        "appRoles": [],
        "tags": [],
    }


def _service_principal(principal: Principal) -> Document:
    return {
        "id": principal.object_id,
        "appId": principal.app_id,
        "displayName": principal.name,
        "appDisplayName": principal.name,
        "appOwnerOrganizationId": principal.tenant_id,
        "accountEnabled": principal.enabled,
        "createdDateTime": principal.created,
        "alternativeNames": ["isExplicit=False", principal.resource_id] if principal.is_machine else [],
        "servicePrincipalNames": [principal.app_id],
        "servicePrincipalType": "ManagedIdentity" if principal.is_machine else "Application",
        "signInAudience": "AzureADMyOrg",
        "appRoles": [],
        "tags": [],
    }


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise errors.bad_request(f"A value is required for property '{name}' of resource.")
    return value


def _end(text: Any, otherwise: float) -> float:
    if text is None:
        return otherwise
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        raise errors.bad_request(
            f"Cannot convert the literal '{text}' to the expected type 'DateTimeOffset'."
        ) from None


def _iso(epoch: float) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
