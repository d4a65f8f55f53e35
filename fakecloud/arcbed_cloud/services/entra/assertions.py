"""Client assertions: how an application proves that it holds a certificate's key.

Rules of "Microsoft identity platform application authentication certificate credentials". Python's MSAL signs
with RS256, names the key by ``x5t`` with padding, and writes times as fractions; others use PS256 and
``x5t#S256``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any

import jwt
import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from arcbed_cloud.clock import Keeper
from arcbed_cloud.services.entra import errors
from arcbed_cloud.services.entra.credentials import Certificate, base64url, real_time

ALGORITHMS = ["RS256", "PS256"]
SKEW = 300
REMEMBERED = 10_000


class Assertions:
    """Verifies assertions and remembers their ``jti``.

    An assertion may be sent again while it lives: MSAL for Python does so for nine minutes. What is refused
    is a second, different assertion under a ``jti`` that was seen.
    """

    def __init__(self, clock: Keeper) -> None:
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=ALGORITHMS)
        self._seen: dict[tuple[str, str], tuple[float, bytes]] = {}

    def verify(
        self,
        assertion: str,
        *,
        app_id: str,
        registered: list[Certificate],
        audiences: Collection[str],
        certificate_now: datetime,
    ) -> None:
        """Accept or refuse.

        Args:
            assertion: the compact JWT.
            app_id: who sends it.
            registered: the certificates that the application may use.
            audiences: spellings of this token endpoint.
            certificate_now: the time that the certificates' dates are compared with.

        Raises:
            EntraError: 50027, 700027, 700024, 50012, 700021.
        """
        try:
            header = jwt.get_unverified_header(assertion)
        except jwt.InvalidTokenError as error:
            raise errors.invalid_assertion("The header cannot be read.") from error
        if header.get("alg") not in ALGORITHMS:
            raise errors.invalid_assertion(f"The algorithm '{header.get('alg')}' is not accepted.")
        key = _named_key(header, registered, app_id)
        if not key.not_valid_before_utc <= certificate_now < key.not_valid_after_utc:
            raise errors.assertion_key("The key used is expired.", _thumbprint(key), app_id)
        claims = self._signed_claims(assertion, key, app_id)
        if not (str(claims.get("iss")).lower() == str(claims.get("sub")).lower() == app_id.lower()):
            raise errors.assertion_subject()
        if not _audience_matches(claims.get("aud"), audiences):
            raise errors.assertion_audience()
        self._check_life(assertion, claims, app_id)

    def _signed_claims(self, assertion: str, key: x509.Certificate, app_id: str) -> dict[str, Any]:
        public = key.public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise errors.assertion_key("The key is not an RSA key.", _thumbprint(key), app_id)
        try:
            claims = orjson.loads(self._jws.decode(assertion, public, algorithms=ALGORITHMS))
        except jwt.InvalidSignatureError as error:
            raise errors.assertion_key("The signature is invalid.", _thumbprint(key), app_id) from error
        except (jwt.InvalidTokenError, ValueError) as error:
            raise errors.invalid_assertion("The claims cannot be read.") from error
        if not isinstance(claims, dict):
            raise errors.invalid_assertion("The claims are not an object.")
        return claims

    def _check_life(self, assertion: str, claims: dict[str, Any], app_id: str) -> None:
        now = self._clock.wall()
        try:
            end = float(claims["exp"])
            start = float(claims.get("nbf", claims.get("iat", 0)))
        except (KeyError, TypeError, ValueError) as error:
            raise errors.invalid_assertion("The claims 'exp' and 'nbf' must be numbers.") from error
        if not start - SKEW <= now < end + SKEW:
            raise errors.assertion_times(_iso(now), _iso(start), _iso(end))
        self._remember(
            app_id, str(claims.get("jti", "")), end, hashlib.sha256(assertion.encode()).digest(), now
        )

    def _remember(self, app_id: str, jti: str, end: float, digest: bytes, now: float) -> None:
        if not jti:
            return
        before = self._seen.get((app_id, jti))
        if before is not None and before[0] + SKEW > now and before[1] != digest:
            raise errors.invalid_assertion(f"An assertion with the jti '{jti}' has been used before.")
        if len(self._seen) >= REMEMBERED:
            self._seen = {name: entry for name, entry in self._seen.items() if entry[0] + SKEW > now}
        while len(self._seen) >= REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[app_id, jti] = (end, digest)


def _named_key(header: dict[str, Any], registered: list[Certificate], app_id: str) -> x509.Certificate:
    """The registered certificate that the header names by thumbprint or carries whole."""
    names = {str(header[name]).rstrip("=") for name in ("x5t", "x5t#S256", "kid") if name in header}
    leaf = _leaf(header)
    if leaf is not None:
        names.add(base64url(leaf.fingerprint(hashes.SHA256())))
    for entry in registered:
        if names & {entry.x5t, entry.x5t_s256, entry.thumbprint}:
            if leaf is not None and leaf != entry.certificate:
                raise errors.invalid_assertion("The header 'x5c' carries another certificate than it names.")
            return entry.certificate
    raise errors.assertion_key("The key was not found.", _shown(header, leaf), app_id)


def _leaf(header: dict[str, Any]) -> x509.Certificate | None:
    chain = header.get("x5c")
    if isinstance(chain, str):
        chain = [chain]
    if not chain:
        return None
    try:
        return x509.load_der_x509_certificate(base64.b64decode(chain[0]))
    except (ValueError, TypeError, KeyError) as error:
        raise errors.invalid_assertion("The header 'x5c' cannot be read.") from error


def _shown(header: dict[str, Any], leaf: x509.Certificate | None) -> str:
    if leaf is not None:
        return _thumbprint(leaf)
    name = str(header.get("x5t") or header.get("x5t#S256") or header.get("kid") or "")
    try:
        return base64.urlsafe_b64decode(name.rstrip("=") + "=" * (-len(name.rstrip("=")) % 4)).hex().upper()
    except (ValueError, binascii.Error):
        return name


def _thumbprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Azure's name for it


def _audience_matches(audience: object, accepted: Collection[str]) -> bool:
    given = audience if isinstance(audience, list) else [audience]
    return any(isinstance(entry, str) and entry.rstrip("/").lower() in accepted for entry in given)


def _iso(epoch: float) -> str:
    try:
        return f"{real_time(epoch):%Y-%m-%dT%H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return str(epoch)
