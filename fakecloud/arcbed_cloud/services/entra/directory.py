"""The directory of one tenant: users, service principals, applications and machine identities.

Rows of table ``principals``: key is the object id, kind one of ``User``, ``Group``, ``ServicePrincipal`` and
``Application``, scope the application id (or a user's principal name) in lower case, which look-ups go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cryptography import x509

from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import credentials
from arcbed_cloud.services.entra.credentials import Certificate, SecretCheck
from arcbed_cloud.store import Unit
from arcbed_cloud.store.contract import Document, Row

TABLE = "principals"
TENANT_KEY = "tenant"
Kind = Literal["User", "Group", "ServicePrincipal", "Application"]


class UnknownPrincipalError(LookupError):
    """No principal has this object id."""


@dataclass(frozen=True, slots=True)
class Principal:
    """One entry of the directory.

    `kind` is ARM's principal type. A machine's identity is a service principal with a `resource_id`.
    `app_id` is empty for users and groups, `user_principal_name` for everything else.
    """

    object_id: str
    app_id: str
    tenant_id: str
    kind: Kind
    name: str
    resource_id: str | None = None
    user_principal_name: str = ""
    created: str = ""
    enabled: bool = True
    extra: Document = field(default_factory=dict, compare=False, hash=False)

    @property
    def is_machine(self) -> bool:
        """True for the system-assigned identity of an Azure resource."""
        return self.resource_id is not None


class Directory:
    """Who exists. Writes go through the caller's unit: a resource and its identity are born together."""

    def __init__(self, plane: Plane, *, tenant_id: str | None = None) -> None:
        self._plane = plane
        self._unseeded = tenant_id or plane.ids.guid()

    # -- the tenant ----------------------------------------------------------------------------------------

    @property
    def tenant_id(self) -> str:
        """The one tenant."""
        return str(self._tenant.get("tenantId", self._unseeded))

    @property
    def subscription_id(self) -> str:
        """The subscription that exists from the first start on; empty before."""
        return str(self._tenant.get("subscriptionId", ""))

    @property
    def domain(self) -> str:
        """The tenant's initial domain."""
        return str(self._tenant.get("domain", "arcbed.onmicrosoft.com"))

    @property
    def _tenant(self) -> Document:
        row = self._plane.store.get("meta", TENANT_KEY)
        return row.document if row else {}

    def found(self, unit: Unit, *, tenant_id: str, subscription_id: str, domain: str) -> None:
        """Name the tenant; done once, at the first start of a state."""
        document = {"tenantId": tenant_id, "subscriptionId": subscription_id, "domain": domain}
        unit.put("meta", TENANT_KEY, document, kind=TENANT_KEY)

    # -- looking up ----------------------------------------------------------------------------------------

    def principal(self, object_id: str) -> Principal | None:
        """The principal with this object id, or None."""
        row = self._plane.store.get(TABLE, object_id.lower())
        return self._principal(row.document) if row else None

    def by_app_id(self, app_id: str) -> Principal | None:
        """The service principal of an application, or None."""
        rows = self._plane.store.rows(TABLE, kind="ServicePrincipal", scope=app_id.lower())
        return self._principal(rows[0].document) if rows else None

    def by_user_name(self, name: str) -> Principal | None:
        """The user with this principal name, or None."""
        rows = self._plane.store.rows(TABLE, kind="User", scope=name.lower())
        return self._principal(rows[0].document) if rows else None

    def search(
        self,
        *,
        kind: Kind | None = None,
        name: str | None = None,
        prefix: str | None = None,
        app_id: str | None = None,
    ) -> list[Principal]:
        """Principals that match all that is given; names are compared without regard to case."""
        rows = self._plane.store.rows(TABLE, kind=kind, scope=app_id.lower() if app_id is not None else None)
        found = (self._principal(row.document) for row in rows)
        return [
            entry
            for entry in found
            if (name is None or entry.name.lower() == name.lower())
            and (prefix is None or entry.name.lower().startswith(prefix.lower()))
        ]

    # -- adding and removing -------------------------------------------------------------------------------

    def add_principal(
        self,
        unit: Unit,
        *,
        kind: Kind,
        name: str,
        object_id: str | None = None,
        app_id: str | None = None,
        user_principal_name: str = "",
        resource_id: str | None = None,
        extra: Document | None = None,
    ) -> Principal:
        """Add an entry; ids are made where none are given.

        Raises:
            ValueError: the application id or the user's principal name is taken.
        """
        object_id = (object_id or self._plane.ids.guid()).lower()
        if kind in {"ServicePrincipal", "Application"}:
            app_id = (app_id or self._plane.ids.guid()).lower()
        scope = app_id or user_principal_name.lower()
        if scope and self._plane.store.rows(TABLE, kind=kind, scope=scope):
            raise ValueError(f"A principal of kind {kind} for '{scope}' exists already.")
        document: Document = {
            "objectId": object_id,
            "appId": app_id or "",
            "kind": kind,
            "name": name,
            "resourceId": resource_id,
            "userPrincipalName": user_principal_name,
            "created": self._plane.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "enabled": True,
            "secrets": [],
            "certificates": [],
            "extra": extra or {},
        }
        unit.put(TABLE, object_id, document, kind=kind, scope=scope)
        return self._principal(document)

    def add_machine(self, unit: Unit, *, name: str, resource_id: str) -> Principal:
        """The system-assigned identity of the Azure resource `resource_id`."""
        return self.add_principal(unit, kind="ServicePrincipal", name=name, resource_id=resource_id)

    def remove(self, unit: Unit, object_id: str) -> None:
        """Delete a principal and its credentials; an unknown one is fine. Its tokens are refused at once."""
        unit.delete(TABLE, object_id.lower())

    # -- credentials ---------------------------------------------------------------------------------------

    def add_secret(
        self, unit: Unit, object_id: str, *, secret: str | None = None, expires: float, label: str = ""
    ) -> tuple[str, str]:
        """Give a principal a client secret; only a salted hash of it is kept.

        Args:
            unit: what the write belongs to.
            object_id: whose secret.
            secret: a known text; made if left out.
            expires: real epoch seconds.
            label: the display name of the credential.

        Returns:
            The secret and the id of its key.
        """
        secret = secret or credentials.new_secret()
        entry = credentials.hashed(secret, key_id=self._plane.ids.guid(), expires=expires, label=label)
        self._change(unit, object_id, "secrets", lambda before: [*before, entry])
        return secret, str(entry["keyId"])

    def expire_secrets(self, unit: Unit, object_id: str) -> None:
        """Let every secret of a principal run out now."""
        now = self._plane.clock.wall()
        self._change(
            unit,
            object_id,
            "secrets",
            lambda before: [{**entry, "expires": min(entry["expires"], now)} for entry in before],
        )

    def secrets_of(self, object_id: str) -> list[Document]:
        """What is known of the secrets: ``keyId``, ``label``, ``hint``, ``expires`` (real seconds)."""
        row = self._plane.store.get(TABLE, object_id.lower())
        entries = row.document["secrets"] if row else ()
        return [{name: entry[name] for name in ("keyId", "label", "hint", "expires")} for entry in entries]

    def check_secret(self, app_id: str, secret: str) -> SecretCheck:
        """Compare with every secret of the application and of its service principal."""
        now = self._plane.clock.wall()
        entries = [entry for row in self._app_rows(app_id) for entry in row.document["secrets"]]
        return credentials.check(secret, entries, now)

    def add_certificate(self, unit: Unit, object_id: str, certificate: x509.Certificate) -> None:
        """Let a principal sign its client assertions with this certificate's key, besides those it has.

        Certificates that have run out on the principal's clock are forgotten.
        """
        principal = self.principal(object_id)
        now = self.certificate_now(principal) if principal else self._plane.clock.now()
        entry = credentials.stored(certificate)
        self._change(
            unit,
            object_id,
            "certificates",
            lambda before: [*credentials.current(before, now, without=entry["thumbprint"]), entry],
        )

    def remove_certificates(self, unit: Unit, object_id: str) -> None:
        """Let every certificate of a principal go: a machine that is given another key starts anew."""
        self._change(unit, object_id, "certificates", lambda _before: [])

    def certificates(self, app_id: str) -> list[Certificate]:
        """Every certificate that the application may sign with, run out or not."""
        return [
            credentials.parsed(entry)
            for row in self._app_rows(app_id)
            for entry in row.document["certificates"]
        ]

    def certificate_now(self, principal: Principal) -> datetime:
        """*Now* for a principal's certificates: the bed's time for machines, real time for everyone else."""
        clock = self._plane.clock
        return clock.now() if principal.is_machine else credentials.real_time(clock.wall())

    # -- internals -----------------------------------------------------------------------------------------

    def _app_rows(self, app_id: str) -> Iterator[Row]:
        for row in self._plane.store.rows(TABLE, scope=app_id.lower()):
            if row.kind in {"ServicePrincipal", "Application"}:
                yield row

    def _change(self, unit: Unit, object_id: str, member: str, change: Any) -> None:
        kind, scope, document = self._pending(unit, object_id.lower())
        changed = {**document, member: change(document[member])}
        unit.put(TABLE, object_id.lower(), changed, kind=kind, scope=scope)

    def _pending(self, unit: Unit, key: str) -> tuple[str, str, Document]:
        """The row as this unit left it: a principal may be given a credential in the unit that adds it."""
        for change in reversed(unit.changes):
            if change.table == TABLE and change.key == key:
                row = change.row
                break
        else:
            row = self._plane.store.get(TABLE, key)
        if row is None:
            raise UnknownPrincipalError(f"No principal has the object id '{key}'.")
        return row.kind, row.scope, row.document

    def _principal(self, document: Document) -> Principal:
        return Principal(
            object_id=document["objectId"],
            app_id=document["appId"],
            tenant_id=self.tenant_id,
            kind=document["kind"],
            name=document["name"],
            resource_id=document["resourceId"],
            user_principal_name=document["userPrincipalName"],
            created=document["created"],
            enabled=document["enabled"],
            extra=document["extra"],
        )
