"""Tokens for ARM, from Entra's v2 endpoints, for the person or principal who connects this machine.

Source: Microsoft's articles "OAuth 2.0 client credentials flow", "OAuth 2.0 device authorization grant" and
"Microsoft identity platform application authentication certificate credentials".
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError, document_of
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.keys import MachineKey

#: The public client of Microsoft's own command line tools; every tenant has it.
PUBLIC_CLIENT: Final = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
#: A principal's token is tried for so long while Entra cannot be reached (agent 1.23).
RETRY_SECONDS: Final = 300
#: A person has so long to sign in (agent 1.15).
DEVICE_CODE_SECONDS: Final = 300
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate with its private key, and the certificates above it."""

    key: rsa.RSAPrivateKey
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def load(cls, path: Path) -> ClientCertificate:
        """Read a PEM or PFX file without a password.

        Raises:
            AgentError: 23, the file cannot be used.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise AgentError(23, f"cannot read certificate file {path}: {error.strerror}") from error
        try:
            key, chain = _from_pem(data) if b"-----BEGIN" in data else _from_pfx(data)
        except (ValueError, TypeError) as error:
            raise AgentError(
                23,
                f"cannot use certificate file {path}: {error}",
                "It must be PEM or PFX with certificate and private key, without a password.",
            ) from error
        return cls(key, chain)

    def assertion(self, client_id: str, audience: str, *, now: float, jti: str) -> str:
        """A signed client assertion; `now` in real epoch seconds."""
        pem = "".join(item.public_bytes(serialization.Encoding.PEM).decode() for item in self.chain)
        return MachineKey(self.key).assertion(pem, client_id=client_id, audience=audience, now=now, jti=jti)


def _from_pem(data: bytes) -> tuple[rsa.RSAPrivateKey, tuple[x509.Certificate, ...]]:
    key = serialization.load_pem_private_key(data, password=None)
    return _belonging(key, x509.load_pem_x509_certificates(data))


def _from_pfx(data: bytes) -> tuple[rsa.RSAPrivateKey, tuple[x509.Certificate, ...]]:
    key, leaf, above = pkcs12.load_key_and_certificates(data, None)
    return _belonging(key, [leaf, *above] if leaf else above)


def _belonging(
    key: object, certificates: list[x509.Certificate]
) -> tuple[rsa.RSAPrivateKey, tuple[x509.Certificate, ...]]:
    """The key, and the chain with the key's own certificate first."""
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the private key is missing or not RSA")  # noqa: TRY004 - callers know one exception
    own = [item for item in certificates if item.public_key() == key.public_key()]
    if not own:
        raise ValueError("no certificate belongs to the private key")
    return key, (own[0], *(item for item in certificates if item not in own))


class EntraClient:
    """Asks one tenant for tokens.

    Args:
        transport: how Entra is reached.
        login: base URL of Entra without a slash at the end.
        tenant: id or domain; ``organizations`` for a person whose tenant is not known.
        clock: retries and polling wait on it; assertions carry its real time.
        chance: source of assertion ids.
    """

    def __init__(
        self, transport: Transport, login: str, tenant: str, clock: Clock, chance: random.Random
    ) -> None:
        self._transport = transport
        self._base = f"{login}/{tenant}/oauth2/v2.0"
        self._clock = clock
        self._chance = chance

    async def by_secret(self, client_id: str, secret: str, scope: str) -> str:
        """A principal's token.

        Raises:
            AgentError: 41, with what Entra said.
        """
        form = {"client_id": client_id, "client_secret": secret, "scope": scope}
        return await self._patiently(lambda: {**form, "grant_type": "client_credentials"})

    async def by_certificate(self, client_id: str, certificate: ClientCertificate, scope: str) -> str:
        """A principal's token; every try carries a fresh assertion.

        Raises:
            AgentError: 41, with what Entra said.
        """

        def form() -> dict[str, str]:
            jti = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
            assertion = certificate.assertion(
                client_id, f"{self._base}/token", now=self._clock.wall(), jti=jti
            )
            return {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": assertion,
                "scope": scope,
            }

        return await self._patiently(form)

    async def _patiently(self, form: Callable[[], dict[str, str]]) -> str:
        """Ask again while Entra is out of reach or overloaded; a refusal is final."""
        deadline = self._clock.now() + timedelta(seconds=RETRY_SECONDS)
        pause = 1.0
        async with self._clock.task("azcmagent/token") as task:
            while True:
                try:
                    return await self._token(form())
                except (UnreachableError, CloudError) as error:
                    if not _passing(error) or self._clock.now() + timedelta(seconds=pause) > deadline:
                        raise _refused(error) from error
                    pause = max(pause, getattr(error, "retry_after", None) or 0)
                await task.sleep(pause)
                pause = min(pause * 2, 30.0)

    async def by_device_code(self, scope: str, tell: Callable[[str], None]) -> str:
        """A person's token; `tell` is given Entra's message with the address and the code.

        Raises:
            AgentError: 41, nobody signed in within five minutes, or Entra refused.
        """
        try:
            answer = await self._transport.send(
                "POST",
                f"{self._base}/devicecode",
                form={"client_id": PUBLIC_CLIENT, "scope": f"{scope} offline_access openid profile"},
            )
            offer = document_of(answer)
        except (UnreachableError, CloudError) as error:
            raise _refused(error) from error
        tell(str(offer.get("message", "")))
        lifetime = min(DEVICE_CODE_SECONDS, int(offer.get("expires_in", DEVICE_CODE_SECONDS)))
        until = self._clock.now() + timedelta(seconds=lifetime)
        async with self._clock.task("azcmagent/device-code") as task:
            return await self._poll(offer, until, task)

    async def _poll(self, offer: Mapping[str, Any], until: datetime, task: ClockTask) -> str:
        form = {
            "grant_type": _DEVICE_GRANT,
            "client_id": PUBLIC_CLIENT,
            "device_code": str(offer["device_code"]),
        }
        interval = float(offer.get("interval", 5))
        while self._clock.now() < until:
            await task.sleep(interval)
            try:
                return await self._token(form)
            except CloudError as error:
                if error.code == "slow_down":
                    interval += 5
                elif error.code != "authorization_pending" and not _passing(error):
                    raise _refused(error) from error
            except UnreachableError:
                continue
        raise AgentError(41, "nobody signed in within 5 minutes", "Run the command again for a new code.")

    async def _token(self, form: Mapping[str, str]) -> str:
        answer = document_of(await self._transport.send("POST", f"{self._base}/token", form=form))
        token = answer.get("access_token")
        if not isinstance(token, str):
            raise CloudError(
                200, "InvalidAnswer", "the answer holds no access token", url=f"{self._base}/token"
            )
        return token


def _passing(error: UnreachableError | CloudError) -> bool:
    """Whether asking again may help."""
    return isinstance(error, UnreachableError) or error.status == 429 or error.status >= 500


def _refused(error: UnreachableError | CloudError) -> AgentError:
    """AZCM0041 in a person's words; Entra's description begins with its AADSTS number."""
    if isinstance(error, UnreachableError):
        return AgentError(
            41,
            f"cannot reach Microsoft Entra ID at {error.host}: {error.reason}",
            "Check the proxy and firewall settings; azcmagent check tells which endpoint fails.",
        )
    first = error.message.splitlines()[0].strip() if error.message else error.code
    return AgentError(
        41, f"Microsoft Entra ID refused to issue a token: {first}", _ADVICE.get(_aadsts(first), "")
    )


def _aadsts(message: str) -> str:
    return message.partition(":")[0].removeprefix("AADSTS") if message.startswith("AADSTS") else ""


_ADVICE = {
    "7000215": "Check the secret of the service principal; it may have expired.",
    "7000222": "The secret of the service principal has expired; make a new one.",
    "700016": "Check --service-principal-id and --tenant-id.",
    "700027": "Check that the certificate is registered with the service principal.",
    "90002": "Check --tenant-id.",
}


def claims_of(token: str, *, now: float) -> dict[str, Any]:
    """The claims of an access token that a person handed in; its signature is ARM's business.

    Args:
        token: a JWT.
        now: real epoch seconds.

    Raises:
        AgentError: 12, it is no token, or it has expired.
    """
    claims = _payload(token)
    if claims is None:
        raise AgentError(
            12,
            "the access token is not a JSON web token",
            "Pass it as a plain string: az account get-access-token --query accessToken --output tsv",
        )
    expires = claims.get("exp")
    if not isinstance(expires, (int, float)) or expires <= now:
        raise AgentError(12, "the access token has expired", "Get a new one; tokens live about one hour.")
    return claims


def _payload(token: str) -> dict[str, Any] | None:
    try:
        head, body, _signature = token.split(".")
        header, document = json.loads(_unpadded(head)), json.loads(_unpadded(body))
    except (ValueError, binascii.Error):
        return None
    return document if isinstance(header, dict) and isinstance(document, dict) else None


def _unpadded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
