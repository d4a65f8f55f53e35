"""What people were granted: device codes on their way, and refresh tokens. Both live in real time.

Rows of table ``grants``: kind ``device`` by the hash of the device code, scope the user code; kind
``refresh`` by the hash of the token, scope the person's object id. The texts themselves are never stored.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import errors
from arcbed_cloud.services.entra.credentials import base64url
from arcbed_cloud.store.contract import Document, Row, Unit

TABLE = "grants"
DEVICE_SECONDS = 900
REFRESH_SECONDS = 90 * 86_400
# Without the letters and digits that look alike.
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 9
REFRESH_PER_PERSON = 50


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device code as people see it; `state` is pending, approved, declined or redeemed."""

    user_code: str
    client_id: str
    scope: str
    state: Literal["pending", "approved", "declined", "redeemed"]
    expires: float
    user_id: str = ""


class Grants:
    """Issues and redeems device codes and refresh tokens."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    # -- device codes --------------------------------------------------------------------------------------

    async def start_device(self, client_id: str, scope: str, *, version: int) -> tuple[str, DeviceCode]:
        """A new device code (its text, and what the person will see of it)."""
        text = secrets.token_urlsafe(96)
        code = DeviceCode(
            user_code="".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH)),
            client_id=client_id,
            scope=scope,
            state="pending",
            expires=self._plane.clock.wall() + DEVICE_SECONDS,
        )
        async with self._plane.store.unit() as unit:
            self._drop_expired(unit, "device")
            unit.put(TABLE, _hash(text), _document(code, version), kind="device", scope=code.user_code)
        return text, code

    def device_codes(self) -> list[DeviceCode]:
        """Codes that have not run out, whatever has become of them."""
        now = self._plane.clock.wall()
        rows = self._plane.store.rows(TABLE, kind="device")
        return [code for code in map(_code, rows) if code.expires > now]

    def device_code(self, user_code: str) -> DeviceCode | None:
        """The code that a person typed; case and dashes do not matter."""
        row = self._by_user_code(user_code)
        return _code(row) if row else None

    async def decide(self, user_code: str, *, user_id: str | None) -> DeviceCode:
        """Approve as the person `user_id`, or decline (None).

        Raises:
            EntraError: 70018 for an unknown code or one that was decided, 70020 for one that has run out.
        """
        row = self._by_user_code(user_code)
        if row is None or row.document["state"] != "pending":
            raise errors.device_code_unknown()
        if row.document["expires"] <= self._plane.clock.wall():
            raise errors.device_code_expired()
        state = "declined" if user_id is None else "approved"
        changed = {**row.document, "state": state, "userId": user_id or ""}
        async with self._plane.store.unit() as unit:
            unit.put(TABLE, row.key, changed, kind=row.kind, scope=row.scope)
        return _code(Row(row.key, row.kind, row.scope, b"", {}, changed))

    async def redeem_device(self, text: str, client_id: str) -> DeviceCode:
        """The approved code behind a poll; good once.

        Raises:
            EntraError: authorization_pending, declined, expired, redeemed or unknown.
        """
        row = self._plane.store.get(TABLE, _hash(text))
        if row is None or row.kind != "device" or row.document["clientId"] != client_id.lower():
            raise errors.device_code_unknown()
        document = row.document
        if document["state"] == "redeemed":
            raise errors.redeemed()
        if document["state"] == "declined":
            raise errors.device_code_declined()
        if document["expires"] <= self._plane.clock.wall():
            raise errors.device_code_expired()
        if document["state"] == "pending":
            raise errors.authorization_pending()
        code = _code(row)
        async with self._plane.store.unit() as unit:
            unit.put(TABLE, row.key, {**document, "state": "redeemed"}, kind=row.kind, scope=row.scope)
        return code

    def _by_user_code(self, user_code: str) -> Row | None:
        wanted = user_code.replace("-", "").replace(" ", "").upper()
        rows = self._plane.store.rows(TABLE, kind="device", scope=wanted)
        return rows[0] if rows else None

    # -- refresh tokens ------------------------------------------------------------------------------------

    async def issue_refresh(self, user_id: str, client_id: str, scope: str) -> str:
        """A new refresh token. As in Entra, earlier ones stay good until they run out."""
        text = f"1.A{secrets.token_urlsafe(120)}"
        document: Document = {
            "userId": user_id,
            "clientId": client_id.lower(),
            "scope": scope,
            "expires": self._plane.clock.wall() + REFRESH_SECONDS,
        }
        async with self._plane.store.unit() as unit:
            self._drop_expired(unit, "refresh")
            mine = self._plane.store.rows(TABLE, kind="refresh", scope=user_id)
            oldest = sorted(mine, key=lambda row: float(row.document["expires"]))
            for row in oldest[: max(0, len(mine) - REFRESH_PER_PERSON + 1)]:
                unit.delete(TABLE, row.key)
            unit.put(TABLE, _hash(text), document, kind="refresh", scope=user_id)
        return text

    def refresh_token(self, text: str, client_id: str) -> Document:
        """What a refresh token stands for: ``userId`` and ``scope``.

        Raises:
            EntraError: 700082.
        """
        row = self._plane.store.get(TABLE, _hash(text))
        if (
            row is None
            or row.kind != "refresh"
            or row.document["clientId"] != client_id.lower()
            or row.document["expires"] <= self._plane.clock.wall()
        ):
            raise errors.invalid_refresh_token()
        return row.document

    def _drop_expired(self, unit: Unit, kind: str) -> None:
        # A run-out code is kept for a while, so that its poll is told so.
        limit = self._plane.clock.wall() - DEVICE_SECONDS
        for row in self._plane.store.rows(TABLE, kind=kind):
            if row.document["expires"] < limit:
                unit.delete(TABLE, row.key)


def _hash(text: str) -> str:
    return base64url(hashlib.sha256(text.encode()).digest())


def _document(code: DeviceCode, version: int) -> dict[str, Any]:
    return {
        "userCode": code.user_code,
        "clientId": code.client_id.lower(),
        "scope": code.scope,
        "state": code.state,
        "expires": code.expires,
        "userId": code.user_id,
        "version": version,
    }


def _code(row: Row) -> DeviceCode:
    document = row.document
    return DeviceCode(
        user_code=document["userCode"],
        client_id=document["clientId"],
        scope=document["scope"],
        state=document["state"],
        expires=document["expires"],
        user_id=document["userId"],
    )
