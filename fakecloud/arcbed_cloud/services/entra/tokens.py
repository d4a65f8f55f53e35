"""Access tokens: signed, verified on every call, and remembered by the hash of the whole token.

Signature, audience and lifetime are checked as Azure's services do. Lifetimes are real time, as unmodified
SDKs see them. The tokens of machines run out on the bed's clock as well, so that a jump of days forces new
ones; the bed's instant of issue rides in the opaque ``uti`` claim.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import jwt
import orjson

from arcbed_cloud.arm.request import Caller
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import claims
from arcbed_cloud.services.entra.credentials import base64url
from arcbed_cloud.services.entra.directory import TABLE, TENANT_KEY, Directory, Principal
from arcbed_cloud.services.entra.keys import SigningKeys
from arcbed_cloud.store.contract import Change

ARM_AUDIENCES = frozenset(
    host + slash
    for host in (
        "https://management.azure.com",
        "https://management.core.windows.net",
        "https://monitor.azure.com",
    )
    for slash in ("", "/")
)
CACHE_SIZE = 20_000
# Texts of tokens that are in use right now, found by their last letters: comparing is cheaper than hashing.
RECENT_SIZE = 256
_TAIL = 32
SKEW = 300
USER_SCOPE = "user_impersonation"
Reason = Literal[
    "malformed",
    "signature",
    "algorithm",
    "expired",
    "not_yet_valid",
    "audience",
    "issuer",
    "unknown_principal",
]


class TokenError(Exception):
    """A token was refused; `reason` is for programs, `message` in ARM's words."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class _Verified:
    """What is remembered of a token; `bed_expiry` is set for machines."""

    caller: Caller
    audience: str
    expires: float
    bed_expiry: datetime | None


class Tokens:
    """Issues and verifies the tenant's tokens."""

    def __init__(self, plane: Plane, directory: Directory) -> None:
        self._plane = plane
        self._clock = plane.clock
        self._directory = directory
        self.keys = SigningKeys(plane.settings.state, plane.clock)
        self._verified: dict[bytes, _Verified] = {}
        self._by_principal: dict[str, set[bytes]] = {}
        self._recent: dict[str, tuple[str, _Verified]] = {}
        self._jws = jwt.PyJWS(algorithms=["RS256"])
        plane.store.subscribe(self._changed)

    # -- issuing -------------------------------------------------------------------------------------------

    def issue_application(
        self, principal: Principal, audience: str, *, acr: Literal["1", "2"]
    ) -> tuple[str, int]:
        """An access token of a service principal or machine and the seconds it is good for from now.

        Args:
            principal: whose token.
            audience: the resource, spelled as it was asked for.
            acr: ``1`` after a secret, ``2`` after a certificate.
        """
        settings = self._plane.settings
        back = claims.backdate(
            settings.machine_token_seconds if principal.is_machine else settings.token_seconds
        )
        # What Azure shows of a machine's token is `exp - nbf`, 86,700 s: the five minutes are part of it.
        left = settings.machine_token_seconds - back if principal.is_machine else settings.token_seconds
        document = claims.application(
            principal,
            audience,
            acr=acr,
            times=self._times(left, back),
            ids=self._plane.ids,
            uti=self._uti(back),
        )
        return self._sign(document), left - 1

    def issue_user(
        self, person: Principal, audience: str, *, app_id: str, scope: str = USER_SCOPE, ip: str = "127.0.0.1"
    ) -> tuple[str, int]:
        """An access token of a person, and the seconds it is good for from now."""
        left = self._plane.settings.token_seconds
        back = claims.backdate(left)
        document = claims.user(
            person,
            audience,
            app_id=app_id,
            scope=scope,
            times=self._times(left, back),
            ids=self._plane.ids,
            uti=self._uti(back),
            ip=ip,
        )
        return self._sign(document), left - 1

    def issue_identity(self, person: Principal, *, app_id: str, issuer: str, nonce: str | None = None) -> str:
        """An ID token for the application that a person signed in to."""
        left = self._plane.settings.token_seconds
        back = claims.backdate(left)
        return self._sign(
            claims.identity(
                person,
                issuer=issuer,
                app_id=app_id,
                times=self._times(left, back),
                nonce=nonce,
                ids=self._plane.ids,
                uti=self._uti(back),
            )
        )

    def _times(self, left: int, back: int) -> dict[str, int]:
        now = int(self._clock.wall())
        return {"iat": now - back, "nbf": now - back, "exp": now + left}

    def _uti(self, back: int) -> str:
        stamp = int((self._clock.now().timestamp() - back) * 1000)
        return base64url(stamp.to_bytes(6, "big") + bytes.fromhex(self._plane.ids.hex(20)))

    def _sign(self, document: dict[str, Any]) -> str:
        key = self.keys.current
        headers = {"x5t": key.kid, "kid": key.kid}
        return self._jws.encode(orjson.dumps(document), key.private, algorithm="RS256", headers=headers)

    # -- verifying -----------------------------------------------------------------------------------------

    def verify(self, token: str, audiences: frozenset[str]) -> Caller:
        """Who calls.

        Args:
            token: the text after ``Bearer``.
            audiences: what the token may be for; ARM adds its own URL to `ARM_AUDIENCES`.

        Raises:
            TokenError: with a reason of its own for each way in which a token can be bad.
        """
        recent = self._recent.get(token[-_TAIL:])
        if recent is not None and recent[0] == token:
            known = recent[1]
            self._check_times(known)
        else:
            known = self._known(token)
        if known.audience not in audiences:
            raise TokenError(
                "audience",
                "The access token has been obtained for wrong audience or resource "
                f"'{known.audience}'. It should exactly match with one of the allowed audiences "
                f"{','.join(repr(entry) for entry in sorted(audiences))}.",
            )
        return known.caller

    def _known(self, token: str) -> _Verified:
        name = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(name)
        if known is None:
            known = self._check(token)
            self._check_times(known)
            self._remember(name, known)
        else:
            self._check_times(known)
        if len(self._recent) >= RECENT_SIZE:
            self._recent.clear()
        self._recent[token[-_TAIL:]] = (token, known)
        return known

    def rotate(self, *, keep: int = 1) -> str:
        """Sign with a new key, named in the answer; tokens of the `keep` newest earlier keys stay good."""
        self._forget_all()
        return self.keys.rotate(keep=keep).kid

    def _check(self, token: str) -> _Verified:
        document = self._signed_claims(token)
        try:
            audience, tenant = str(document["aud"]), str(document["tid"])
            issuer, object_id = str(document["iss"]), str(document["oid"])
            expires, not_before = float(document["exp"]), float(document["nbf"])
        except (KeyError, TypeError, ValueError) as error:
            raise TokenError("malformed", "The access token is invalid.") from error
        self._check_issuer(issuer, tenant)
        if not_before > self._clock.wall() + SKEW:
            raise TokenError(
                "not_yet_valid",
                f"The access token is valid from UTC time '{_us(not_before)}', "
                f"which is later than current UTC time '{_us(self._clock.wall())}'.",
            )
        principal = self._directory.principal(object_id)
        if principal is None or not principal.enabled:
            raise TokenError(
                "unknown_principal", f"The principal '{object_id}' of the access token does not exist."
            )
        return _Verified(
            _caller(principal, document), audience, expires, self._bed_expiry(principal, document)
        )

    def _signed_claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise TokenError("malformed", "The access token is invalid.") from error
        if header.get("alg") != "RS256":
            raise TokenError(
                "algorithm", "The access token is signed with an algorithm that is not accepted."
            )
        key = self.keys.by_kid(str(header.get("kid", "")))
        if key is None:
            raise TokenError("signature", "The access token is signed with a key that is not the tenant's.")
        try:
            document = orjson.loads(self._jws.decode(token, key.public, algorithms=["RS256"]))
        except jwt.InvalidSignatureError as error:
            raise TokenError("signature", "The access token's signature is invalid.") from error
        except (jwt.InvalidTokenError, ValueError) as error:
            raise TokenError("malformed", "The access token is invalid.") from error
        if not isinstance(document, dict):
            raise TokenError("malformed", "The access token is invalid.")
        return document

    def _check_issuer(self, issuer: str, tenant: str) -> None:
        ours = self._directory.tenant_id
        if issuer != claims.issuer_v1(ours) or tenant != ours:
            raise TokenError(
                "issuer",
                f"The access token is from the wrong issuer '{issuer}'. It must match the tenant "
                f"'{claims.issuer_v1(ours)}' associated with this subscription. "
                f"Please use the authority (URL) 'https://login.windows.net/{ours}' to get the token.",
            )

    def _bed_expiry(self, principal: Principal, document: dict[str, Any]) -> datetime | None:
        if not principal.is_machine:
            return None
        try:
            born = jwt.utils.base64url_decode(str(document["uti"]))[:6]
            start = datetime.fromtimestamp(int.from_bytes(born, "big") / 1000, UTC)
        except (KeyError, ValueError, OverflowError) as error:
            raise TokenError("malformed", "The access token is invalid.") from error
        return start + timedelta(seconds=float(document["exp"]) - float(document["nbf"]))

    def _check_times(self, token: _Verified) -> None:
        wall = self._clock.wall()
        if token.expires <= wall:
            raise _expired(token.expires, wall)
        if token.bed_expiry is None or not self._plane.settings.machine_tokens_on_bed_clock:
            return
        now = self._clock.now()
        if token.bed_expiry <= now:
            raise _expired(token.bed_expiry.timestamp(), now.timestamp())

    # -- remembering ---------------------------------------------------------------------------------------

    def _remember(self, name: bytes, token: _Verified) -> None:
        while len(self._verified) >= CACHE_SIZE:
            self._forget(next(iter(self._verified)))
        self._verified[name] = token
        self._by_principal.setdefault(token.caller.object_id, set()).add(name)

    def _forget(self, name: bytes) -> None:
        self._recent.clear()
        token = self._verified.pop(name, None)
        if token is None:
            return
        names = self._by_principal[token.caller.object_id]
        names.discard(name)
        if not names:
            del self._by_principal[token.caller.object_id]

    def _forget_all(self) -> None:
        self._recent.clear()
        self._verified.clear()
        self._by_principal.clear()

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.table == TABLE:
                for name in list(self._by_principal.get(change.key, ())):
                    self._forget(name)
            elif change.table == "meta" and change.key == TENANT_KEY:
                self._forget_all()


def _caller(principal: Principal, document: dict[str, Any]) -> Caller:
    caller = Caller(
        object_id=principal.object_id,
        tenant_id=principal.tenant_id,
        name=principal.app_id,
        kind=principal.kind,
        app_id=str(document.get("appid", principal.app_id)),
        resource_id=principal.resource_id,
        claims=document,
    )
    return replace(caller, name=principal.user_principal_name) if principal.kind == "User" else caller


def _expired(expiry: float, now: float) -> TokenError:
    return TokenError(
        "expired",
        f"The access token expiry UTC time '{_us(expiry)}' is earlier than current UTC time '{_us(now)}'.",
    )


def _us(epoch: float) -> str:
    """A time as ARM's messages print it: ``7/24/2026 9:05:00 AM``."""
    moment = datetime.fromtimestamp(epoch, UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour % 12 or 12}:{moment:%M:%S} " + (
        "AM" if moment.hour < 12 else "PM"
    )
