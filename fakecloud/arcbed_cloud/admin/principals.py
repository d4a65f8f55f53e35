"""Principals made for a test: with a secret, with a role, with an early end."""

from __future__ import annotations

from typing import Any, Literal

from arcbed_cloud.estate import Estate
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.authorization import grant
from arcbed_cloud.services.entra import Directory
from arcbed_cloud.services.entra.directory import UnknownPrincipalError

SECRET_SECONDS = 365 * 86_400.0


class UnknownRoleError(ValueError):
    """There is no built-in role of this name."""


class Principals:
    """Makes and unmakes principals of the directory."""

    def __init__(self, plane: Plane, directory: Directory, estate: Estate) -> None:
        self._plane = plane
        self._directory = directory
        self._estate = estate

    def listed(self) -> list[dict[str, Any]]:
        """Everyone, without credentials."""
        return [
            {
                "objectId": entry.object_id,
                "clientId": entry.app_id or None,
                "kind": entry.kind,
                "name": entry.name,
                "resourceId": entry.resource_id,
                "userPrincipalName": entry.user_principal_name or None,
            }
            for entry in self._directory.search()
        ]

    async def create(
        self,
        *,
        name: str,
        kind: Literal["ServicePrincipal", "User"],
        role: str | None,
        scope: str | None,
        secret_seconds: float,
    ) -> dict[str, Any]:
        """A new principal; an application gets a secret good for `secret_seconds` of real time.

        Raises:
            UnknownRoleError: `role` names no built-in role.
        """
        where = scope or f"/subscriptions/{self._estate.subscription_id}"
        async with self._plane.store.unit() as unit:
            user_name = f"{name}@{self._directory.domain}" if kind == "User" and "@" not in name else name
            made = self._directory.add_principal(
                unit, kind=kind, name=name, user_principal_name=user_name if kind == "User" else ""
            )
            answer: dict[str, Any] = {"objectId": made.object_id, "name": name, "kind": kind}
            if kind == "ServicePrincipal":
                expires = self._plane.clock.wall() + secret_seconds
                secret, _ = self._directory.add_secret(unit, made.object_id, expires=expires, label="admin")
                answer.update(clientId=made.app_id, clientSecret=secret)
            else:
                answer["userPrincipalName"] = user_name
            if role is not None:
                try:
                    document = grant(
                        unit,
                        self._plane,
                        scope=where,
                        role=role,
                        principal_id=made.object_id,
                        principal_type=kind,
                    )
                except KeyError:
                    raise UnknownRoleError(f"There is no built-in role '{role}'.") from None
                answer["roleAssignmentId"] = document["id"]
        return answer

    async def delete(self, object_id: str) -> None:
        """Remove a principal; role assignments to it stay, as they do in Azure.

        Raises:
            UnknownPrincipalError: nobody has this object id.
        """
        self._known(object_id)
        async with self._plane.store.unit() as unit:
            self._directory.remove(unit, object_id)

    async def add_secret(self, object_id: str) -> dict[str, Any]:
        """A further secret.

        Raises:
            UnknownPrincipalError: nobody has this object id.
        """
        self._known(object_id)
        async with self._plane.store.unit() as unit:
            expires = self._plane.clock.wall() + SECRET_SECONDS
            secret, key_id = self._directory.add_secret(unit, object_id, expires=expires, label="admin")
        return {"objectId": object_id, "clientSecret": secret, "keyId": key_id}

    async def expire_secrets(self, object_id: str) -> None:
        """Let every secret run out now.

        Raises:
            UnknownPrincipalError: nobody has this object id.
        """
        self._known(object_id)
        async with self._plane.store.unit() as unit:
            self._directory.expire_secrets(unit, object_id)

    def _known(self, object_id: str) -> None:
        if self._directory.principal(object_id) is None:
            raise UnknownPrincipalError(f"No principal has the object id '{object_id}'.")
