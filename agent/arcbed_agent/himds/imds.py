"""Routes of the local endpoint: managed identity tokens, instance metadata, agent status.

Source: Microsoft's article "Authenticate against Azure resources with Azure Arc-enabled servers", and what
    published clients check (``docs/wire.md`` section 8.4).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.endpoints import Endpoints
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds import instance
from arcbed_agent.himds.backoff import machine_is_gone
from arcbed_agent.himds.challenge import Challenges
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.server import LocalRequest, LocalResponse, failure
from arcbed_agent.himds.tokens import MachineTokens
from arcbed_agent.logging import fields

VERSIONS: Final = ("2019-08-15", "2019-11-01", "2020-06-01")
RESOURCE_LIMIT: Final = 2_048
STATUS: Final = "/agentstatus"
_HOSTS: Final = {"localhost", "127.0.0.1", "[::1]"}
_FORWARDED: Final = {"forwarded", "via", "x-real-ip"}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the routes ask of the daemon.

    Args:
        config: what the machine is connected as.
        metadata: instance metadata under ARM's names.
        tags: tags in Azure.
        endpoints: global endpoints of a cloud.
        status: the document of ``/agentstatus``.
    """

    config: Callable[[], AgentConfig]
    metadata: Callable[[], Awaitable[Mapping[str, Any]]]
    tags: Callable[[], Mapping[str, str]]
    endpoints: Callable[[str], Awaitable[Endpoints]]
    status: Callable[[], Mapping[str, Any]]


class Imds:
    """Answers the requests of programs on this machine."""

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        machine: Machine,
        identity: Identity,
        tokens: MachineTokens,
        challenges: Challenges,
        log: logging.Logger,
    ) -> None:
        self._name = name
        self._clock = clock
        self._machine = machine
        self._identity = identity
        self._tokens = tokens
        self._challenges = challenges
        self._log = log
        self._routes: Mapping[str, Callable[[LocalRequest], Awaitable[LocalResponse]]] = {
            "/metadata/identity/oauth2/token": self._token,
            "/metadata/instance": self._instance,
            "/metadata/instance/compute": self._instance,
            "/metadata/endpoints": self._endpoints,
        }

    async def handle(self, request: LocalRequest) -> LocalResponse:
        """Answer `request`, and write both to the log."""
        if request.path.rstrip("/") == STATUS:
            # Probes of containers ask in real time, and must not hold or disturb the bed's.
            response = await self._dispatch(request)
        else:
            async with self._clock.task(self._name):
                response = await self._dispatch(request)
        expected = response.status < 400 or response.status == 401
        log = self._log.info if expected else self._log.warning
        names = {
            "Method": request.method,
            "Path": request.path,
            "Status Code": response.status,
            "Client-Id": request.headers.get("client-id", ""),
        }
        log("Local request", extra=fields({name: value for name, value in names.items() if value != ""}))
        return response

    async def _dispatch(self, request: LocalRequest) -> LocalResponse:
        if refused := _foreign(request):
            return refused
        path = request.path.rstrip("/")
        route = self._routes.get(path)
        if route is None and path != STATUS:
            return failure(404, "not_found", f"There is nothing at {request.path}")
        if request.method != "GET":
            return failure(405, "method_not_allowed", "Only GET is supported", ("Allow", "GET"))
        if route is None:
            return LocalResponse(200, self._machine.status())
        if refused := _malformed(request):
            return refused
        if not self._machine.config().connected:
            return failure(
                404, "not_connected", "This machine is not connected to Azure Arc; run azcmagent connect"
            )
        return await route(request)

    async def _instance(self, request: LocalRequest) -> LocalResponse:
        make = instance.compute if request.path.rstrip("/").endswith("/compute") else instance.instance
        metadata = await self._machine.metadata()
        return LocalResponse(200, make(self._machine.config(), metadata, self._machine.tags()))

    async def _endpoints(self, _request: LocalRequest) -> LocalResponse:
        cloud = self._machine.config().cloud
        try:
            return LocalResponse(200, instance.cloud_endpoints(cloud, await self._machine.endpoints(cloud)))
        except AgentError as error:
            return failure(503, "temporarily_unavailable", str(error))

    async def _token(self, request: LocalRequest) -> LocalResponse:
        resource = request.query.get("resource", "")
        if not resource or len(resource) > RESOURCE_LIMIT or not resource.isprintable():
            return failure(
                400, "invalid_request", "Required query variable 'resource' is missing or malformed"
            )
        if self._identity.expired(self._clock.now()):
            return failure(
                400,
                "identity_expired",
                "The machine's certificate has run out; run azcmagent disconnect and azcmagent connect",
            )
        scheme, _, answer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic" or not self._challenges.redeem(answer):
            return self._challenge(presented=bool(scheme))
        bypass = request.query.get("bypass_cache", "").lower() == "true"
        return await self._granted(resource, bypass_cache=bypass)

    def _challenge(self, *, presented: bool) -> LocalResponse:
        try:
            path = self._challenges.issue()
        except OSError as error:
            self._log.exception("No key file could be made")
            return failure(500, "internal_error", f"No key file could be made: {error}")
        why = "The key is not valid or has been used" if presented else "A key is required"
        return failure(
            401,
            "unauthorized",
            f"{why}; read the file that the Www-Authenticate header names and send its content",
            ("Www-Authenticate", f"Basic realm={path}"),
        )

    async def _granted(self, resource: str, *, bypass_cache: bool) -> LocalResponse:
        try:
            token = await self._tokens.get(resource, bypass_cache=bypass_cache)
        except UnreachableError as error:
            return failure(503, "temporarily_unavailable", f"Microsoft Entra ID cannot be reached: {error}")
        except CloudError as error:
            if machine_is_gone(error):
                return failure(400, error.code, f"The machine is gone from Azure: {error.message}")
            status = 503 if error.status >= 500 or error.status == 429 else 400
            return failure(status, error.code or "invalid_request", error.message)
        except AgentError as error:
            return failure(500, "internal_error", str(error))
        left = max(0, int(token.expires_on - self._clock.wall()))
        return LocalResponse(
            200,
            {
                "access_token": token.value,
                "refresh_token": "",
                "expires_in": str(left),
                "expires_on": str(token.expires_on),
                "not_before": str(token.not_before),
                "resource": resource,
                "token_type": "Bearer",
            },
        )


def _foreign(request: LocalRequest) -> LocalResponse | None:
    """Refuse what did not come from a program on this machine: other names for it, and anything forwarded."""
    host = request.headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _HOSTS:
        return failure(400, "invalid_request", "The Host header must be localhost or a loopback address")
    if any(header in _FORWARDED or header.startswith("x-forwarded-") for header in request.headers):
        return failure(400, "invalid_request", "Forwarded requests are not served")
    return None


def _malformed(request: LocalRequest) -> LocalResponse | None:
    if request.headers.get("metadata", "").strip().lower() != "true":
        return failure(400, "invalid_request", "Required header 'Metadata: true' is missing")
    supported = f"Supported are {' '.join(VERSIONS)}"
    version = request.query.get("api-version")
    if not version:
        return failure(400, "bad_request", f"Required query variable 'api-version' is missing. {supported}")
    if version not in VERSIONS:
        return failure(400, "bad_request", f"The api-version '{version}' is not supported. {supported}")
    return None
