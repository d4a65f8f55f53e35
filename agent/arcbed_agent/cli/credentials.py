"""Which way of signing in was asked for, and the token it gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from arcbed_agent.cli.command import Arguments
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.validation import Validator
from arcbed_agent.errors import AgentError
from arcbed_agent.logging import fields

if TYPE_CHECKING:
    from arcbed_agent.cloud.endpoints import Endpoints
    from arcbed_agent.cloud.transport import Transport

Method = Literal["token", "secret", "certificate", "azcli", "device"]
_WORDS = {
    "token": "the access token",
    "secret": "a service principal's secret",
    "certificate": "a service principal's certificate",
    "azcli": "the sign-in of the Azure CLI",
    "device": "a device code",
}
#: As published logs have it; the other words are ours.
_LOGGED = {
    "token": "Token",
    "secret": "SPN",
    "certificate": "SPN certificate",
    "azcli": "AzCLI",
    "device": "DeviceCode",
}
#: Where a person may sign in whose tenant is not known.
_ANY_TENANT = "organizations"


@dataclass(frozen=True)
class Credentials:
    """How to get a token for ARM.

    Args:
        method: the way.
        tenant: of the account; empty when it is not known.
        client_id: of the principal.
        secret: of the principal, or the access token.
        certificate: the principal's file.
    """

    method: Method
    tenant: str = ""
    client_id: str = ""
    secret: str = ""
    certificate: Path | None = None


@dataclass(frozen=True)
class Token:
    """An access token, and the tenant it is from."""

    value: str
    tenant: str


def read_credentials(session: Session, arguments: Arguments, validator: Validator) -> Credentials:
    """What the flags say.

    Raises:
        AgentError: 12, 16 or 23 for what is wrong; 27 when ways exclude each other.
    """
    client_id = validator.guid("service-principal-id")
    secret = _secret(session, arguments)
    certificate = arguments.text("service-principal-cert")
    asked: dict[Method, bool] = {
        "token": bool(arguments.text("access-token")),
        "secret": bool(secret),
        "certificate": bool(certificate),
        "azcli": arguments.on("use-azcli"),
        "device": arguments.on("use-device-code"),
    }
    chosen = [method for method, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise AgentError(27, f"{_WORDS[chosen[0]]} and {_WORDS[chosen[1]]} exclude each other")
    method: Method = chosen[0] if chosen else "device"
    if client_id and method not in {"secret", "certificate"}:
        raise AgentError(
            16,
            "missing mandatory parameter --service-principal-secret or --service-principal-cert",
            "A service principal needs one of them.",
        )
    if method in {"secret", "certificate"}:
        client_id = validator.required("service-principal-id", " for a service principal").lower()
        validator.required("tenant-id", " for a service principal")
    return Credentials(
        method,
        tenant=validator.tenant("user-tenant-id") or validator.tenant("tenant-id"),
        client_id=client_id,
        secret=arguments.text("access-token") or secret,
        certificate=Path(certificate) if certificate else None,
    )


def _secret(session: Session, arguments: Arguments) -> str:
    """The principal's secret, from the flag or from a file, without the file's last newline."""
    secret, file = arguments.text("service-principal-secret"), arguments.text("service-principal-secret-file")
    if not file:
        return secret
    if secret:
        raise AgentError(
            27, "--service-principal-secret and --service-principal-secret-file exclude each other"
        )
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise AgentError(
            23, f"invalid value for --service-principal-secret-file: {file}: {reason}"
        ) from error
    if not secret:
        raise AgentError(23, f"invalid value for --service-principal-secret-file: {file} is empty")
    session.redactor.conceal(secret)
    return secret


async def obtain(
    session: Session, credentials: Credentials, transport: Transport, endpoints: Endpoints, cloud: str
) -> Token:
    """Sign in.

    Raises:
        AgentError: 12, the access token will not do; 41, no token was to be had.
    """
    from arcbed_agent.cloud.endpoints import CLOUDS
    from arcbed_agent.cloud.entra import ClientCertificate, EntraClient, claims_of

    scope = f"{CLOUDS[cloud].arm}/.default"
    tenant = credentials.tenant or _ANY_TENANT
    entra = EntraClient(transport, endpoints.login, tenant, session.clock, session.chance)
    session.log.debug("Requesting a token", extra=fields(Method=_LOGGED[credentials.method]))
    session.terminal.info(f"Signing in with {_WORDS[credentials.method]}...")
    match credentials.method:
        case "token":
            value = credentials.secret
        case "secret":
            value = await entra.by_secret(credentials.client_id, credentials.secret, scope)
        case "certificate":
            certificate = ClientCertificate.load(credentials.certificate or Path())
            value = await entra.by_certificate(credentials.client_id, certificate, scope)
        case "azcli":
            value = _from_azcli(CLOUDS[cloud].arm, credentials.tenant)
        case "device":
            value = await entra.by_device_code(scope, session.terminal.prompt)
    session.redactor.conceal(value)
    claims = claims_of(value, now=session.clock.wall())
    return Token(value, str(claims.get("tid", "")))


def check_token(session: Session, credentials: Credentials) -> None:
    """Look at an access token before anything else is done with it.

    Raises:
        AgentError: 12, it will not do.
    """
    if credentials.method == "token":
        from arcbed_agent.cloud.entra import claims_of

        claims_of(credentials.secret, now=session.clock.wall())


def _from_azcli(resource: str, tenant: str) -> str:
    program = shutil.which("az")
    if program is None:
        raise AgentError(41, "the Azure CLI is not installed", "Install it, or sign in another way.")
    command = [program, "account", "get-access-token", "--resource", f"{resource}/", "--output", "json"]
    command += ["--tenant", tenant] if tenant else []
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError(41, f"the Azure CLI did not run: {error}") from error
    if finished.returncode:
        said = finished.stderr.strip().splitlines() or ["no message"]
        raise AgentError(41, f"the Azure CLI gave no token: {said[-1]}", "Sign in with az login first.")
    try:
        return str(json.loads(finished.stdout)["accessToken"])
    except (ValueError, KeyError, TypeError) as error:
        raise AgentError(41, "the Azure CLI's answer holds no access token") from error
