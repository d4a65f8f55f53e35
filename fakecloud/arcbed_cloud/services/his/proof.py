"""Proof of possession: a compact JWS by which an agent shows that it holds a machine's private key.

What is in it and in which order it is checked: ``docs/wire.md``, section 6.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson

from arcbed_cloud.clock import Keeper
from arcbed_cloud.providers.hybridcompute.keys import key_id, read_public_key
from arcbed_cloud.services.his.errors import HisError, invalid_proof

TYPE = "arc-pop+jwt"
ALGORITHMS = ["RS256", "PS256"]
LIFETIME = 300
SKEW = 60
JTI_SECONDS = 600
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof must be about."""

    vm_id: str
    resource_id: str
    method: str
    url: str
    body: bytes


class Proofs:
    """Checks proofs and remembers their `jti` for ten minutes of real time."""

    def __init__(self, clock: Keeper) -> None:
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=ALGORITHMS)
        self._used: OrderedDict[tuple[str, str], float] = OrderedDict()

    def check(self, proof: str, stored_key: str | None, proven: Proven) -> None:
        """Accept a proof once.

        Args:
            proof: the compact JWS.
            stored_key: base64 PKCS#1 of the machine's key, None if it has none yet.
            proven: the request and the machine.

        Raises:
            HisError: 409 KeyMismatch for another key, else 401 InvalidProof.
        """
        header = _header(proof)
        if stored_key is None or header["kid"] != key_id(stored_key):
            raise HisError(409, "KeyMismatch", "The proof was made with another key than the machine's.")
        claims = self._verified(proof, stored_key)
        _check_machine(claims, proven)
        self._check_times(claims)
        _check_request(claims, proven)
        self._check_once(claims, proven)

    def _verified(self, proof: str, stored_key: str) -> dict[str, Any]:
        try:
            payload = self._jws.decode(proof, read_public_key(stored_key), algorithms=ALGORITHMS)
            claims = orjson.loads(payload)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise invalid_proof("The signature of the proof does not hold.") from error
        if not isinstance(claims, dict):
            raise invalid_proof("The payload of the proof is no JSON object.")
        return claims

    def _check_times(self, claims: dict[str, Any]) -> None:
        issued, expires, now = _number(claims, "iat"), _number(claims, "exp"), self._clock.wall()
        if not 0 <= expires - issued <= LIFETIME:
            raise invalid_proof(f"The proof may live for at most {LIFETIME} seconds.")
        if issued > now + SKEW:
            raise invalid_proof("The proof is not valid yet. Check the machine's clock.")
        if expires < now - SKEW:
            raise invalid_proof("The proof has expired. Check the machine's clock.")

    def _check_once(self, claims: dict[str, Any], proven: Proven) -> None:
        jti, now = claims.get("jti"), self._clock.wall()
        if not isinstance(jti, str) or not jti:
            raise invalid_proof("The proof has no 'jti'.")
        while self._used and next(iter(self._used.values())) <= now:
            self._used.popitem(last=False)
        name = (proven.vm_id.lower(), jti)
        if name in self._used:
            raise invalid_proof("The proof was used before.")
        self._used[name] = now + JTI_SECONDS


def base64url(data: bytes) -> str:
    """Without padding, as JOSE writes it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def body_hash(body: bytes) -> str:
    """The `bh` of a body."""
    return base64url(hashlib.sha256(body).digest())


def _header(proof: str) -> dict[str, Any]:
    # Text that decodes to the same bytes but is spelled otherwise is refused: one proof has one spelling.
    parts = proof.split(".")
    if len(parts) != 3 or not all(map(_is_canonical, parts)):
        raise invalid_proof("The proof is no compact JWS.")
    try:
        header = orjson.loads(jwt.utils.base64url_decode(parts[0]))
    except ValueError as error:
        raise invalid_proof("The header of the proof is no JSON.") from error
    if not isinstance(header, dict) or header.get("typ") != TYPE:
        raise invalid_proof(f"The proof must have the type '{TYPE}'.")
    if header.get("alg") not in ALGORITHMS:
        raise invalid_proof(f"The proof must be signed with {' or '.join(ALGORITHMS)}.")
    if not isinstance(header.get("kid"), str):
        raise invalid_proof("The proof names no key.")
    return header


def _is_canonical(part: str) -> bool:
    try:
        return bool(part) and base64url(jwt.utils.base64url_decode(part)) == part
    except ValueError:
        return False


def _check_machine(claims: dict[str, Any], proven: Proven) -> None:
    if str(claims.get("iss", "")).lower() != proven.vm_id.lower():
        raise invalid_proof("'iss' of the proof is not the vmId.")
    if str(claims.get("sub", "")).lower() != proven.resource_id.lower():
        raise invalid_proof("'sub' of the proof is not the machine's resource id.")


def _check_request(claims: dict[str, Any], proven: Proven) -> None:
    if claims.get("htm") != proven.method:
        raise invalid_proof("'htm' of the proof is not the method of the request.")
    if _spelled(claims.get("htu")) != _spelled(proven.url):
        raise invalid_proof("'htu' of the proof is not the URL of the request without its query.")
    if claims.get("bh") != body_hash(proven.body):
        raise invalid_proof("'bh' of the proof is not the hash of the body.")


def _spelled(url: Any) -> tuple[str, str, int | None, str, str] | None:
    try:
        parts = urlsplit(str(url))
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())
    except ValueError:
        return None
    return (parts.scheme.lower(), (parts.hostname or "").lower(), port, parts.path, parts.query)


def _number(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise invalid_proof(f"'{name}' of the proof must be a number.")
    return value
