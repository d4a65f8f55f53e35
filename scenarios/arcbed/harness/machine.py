"""A machine of a bed, as stories and tests use it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt

from arcbed.harness import clock
from arcbed.harness.arm import Principal
from arcbed.harness.bedtime import Time
from arcbed.harness.cloud import LOCATION, Cloud
from arcbed.harness.contract import MachineHost, MachinePath
from arcbed.harness.errors import BedError
from arcbed.harness.networked import Networked
from arcbed.harness.process import Completed
from arcbed.harness.recorder import Recorder

COMMAND_SECONDS = 120.0
HIDDEN = "***"
SECRET_FLAGS = ("--service-principal-secret", "-p", "--access-token")
INSTANCE_VERSION = "2020-06-01"
TOKEN_VERSION = "2020-06-01"


@dataclass(frozen=True)
class Token:
    """What the local token endpoint answered, with the claims of the token (not verified)."""

    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The access token."""
        return str(self.body["access_token"])

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the token says."""
        found: Mapping[str, Any] = jwt.decode(self.text, options={"verify_signature": False})
        return found


class Machine(Networked):
    """A machine with the agent installed.

    Attributes:
        name: how the bed calls it, and the default resource name.
        resource_group: where `connect` puts it.
    """

    def __init__(
        self,
        host: MachineHost,
        cloud: Cloud,
        resource_group: str,
        recorder: Recorder | None = None,
        time: Time | None = None,
    ) -> None:
        self._time = time or Time(cloud.admin)
        self.host = host
        self.cloud = cloud
        self.resource_group = resource_group
        self.recorder = recorder

    @property
    def name(self) -> str:
        """How the bed calls it."""
        return self.host.name

    @property
    def root(self) -> MachinePath:
        """Its file system, as this process sees it."""
        return self.host.root

    def path(self, key: str) -> MachinePath:
        """One of its documented paths, such as ``agent_config``; the keys are those of the agent's layout."""
        return self.host.path(key)

    # -- the agent -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the agent's daemons where they do not run."""
        await self.host.start_agent()

    async def stop(self) -> None:
        """Stop the agent's daemons."""
        await self.host.stop_agent()

    async def kill(self) -> None:
        """End himds as ``kill -9`` does."""
        await self.host.kill_agent()

    async def start_policy_agent(self) -> None:
        """Start gcad."""
        await self.host.start_policy_agent()

    async def stop_policy_agent(self) -> None:
        """Stop gcad; himds goes on."""
        await self.host.stop_policy_agent()

    async def kill_policy_agent(self) -> None:
        """End gcad as ``kill -9`` does."""
        await self.host.kill_policy_agent()

    async def start_extension_manager(self) -> None:
        """Start extd."""
        await self.host.start_extension_manager()

    async def stop_extension_manager(self) -> None:
        """Stop extd; himds goes on, and so does what extensions have started."""
        await self.host.stop_extension_manager()

    async def kill_extension_manager(self) -> None:
        """End extd as ``kill -9`` does."""
        await self.host.kill_extension_manager()

    async def remove(self) -> None:
        """Stop everything on the machine."""
        await self.host.remove()

    async def azcmagent(
        self, *arguments: str, limit: float = COMMAND_SECONDS, terminal: bool = False
    ) -> Completed:
        """Run azcmagent to its end; any exit code is an answer. Secrets are kept off the record.

        Args:
            arguments: as on the command line.
            limit: real seconds.
            terminal: what it prints is what a person at a terminal sees, progress included.
        """
        async with self._time.command(f"{self.name}/azcmagent") as variables:
            done = await self.host.run(
                "azcmagent",
                arguments,
                limit=limit,
                shown=masked(arguments),
                terminal=terminal,
                env=variables,
            )
        self._record(done)
        return done

    async def run(
        self, *command: str, env: Mapping[str, str] | None = None, limit: float = COMMAND_SECONDS
    ) -> Completed:
        """Run any program as a service of the machine: it finds the agent by environment and by its files.

        Microsoft's libraries insist on /var/opt/azcmagent/tokens; here that is this machine's.

        Raises:
            BedError: the place where the bed runs cannot do that.
        """
        async with self._time.command(f"{self.name}/command") as variables:
            more = {**self.environment, **variables, **(env or {})}
            done = await self.host.reside(command, env=more, limit=limit)
        self._record(done)
        return done

    async def command(self, *command: str, limit: float = COMMAND_SECONDS) -> Completed:
        """Run any program on the machine, in no particular place."""
        async with self._time.command(f"{self.name}/command"):
            done = await self.host.command(command, limit=limit)
        self._record(done)
        return done

    def _record(self, done: Completed) -> None:
        if self.recorder:
            self.recorder.event(
                "command",
                shlex.join(done.arguments),
                seconds=done.seconds,
                body=done.output.strip(),
                mark=str(done.exit_code),
            )

    async def connect(
        self,
        *extra: str,
        principal: Principal | None = None,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        location: str = LOCATION,
        terminal: bool = False,
    ) -> Completed:
        """``azcmagent connect`` with a service principal (default: the onboarding one) and its secret."""
        who = principal or self.cloud.onboarding
        return await self.azcmagent(
            "connect",
            *("--subscription-id", self.cloud.subscription_id),
            *("--resource-group", self.resource_group),
            *("--tenant-id", self.cloud.tenant_id),
            *("--location", location),
            *("--resource-name", name or self.name),
            *_login(who),
            *(("--tags", ",".join(f"{key}={value}" for key, value in tags.items())) if tags else ()),
            *extra,
            terminal=terminal,
        )

    async def disconnect(self, *extra: str, principal: Principal | None = None) -> Completed:
        """``azcmagent disconnect`` with a service principal (default: the owner) and its secret."""
        who = principal or self.cloud.owner
        tenant = ("--tenant-id", self.cloud.tenant_id)
        return await self.azcmagent("disconnect", *tenant, *_login(who), *extra)

    async def disconnect_locally(self) -> Completed:
        """``azcmagent disconnect --force-local-only``: no credentials, no call."""
        return await self.azcmagent("disconnect", "--force-local-only")

    async def show(self) -> dict[str, Any]:
        """``azcmagent show --json``.

        Raises:
            BedError: it fails.
        """
        done = await self.azcmagent("show", "--json")
        if done.exit_code:
            raise BedError(f"azcmagent show failed\n{done.output}")
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    # -- the local endpoint --------------------------------------------------------------------------------

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which programs on the machine find the agent.

        The agent's package gives them to systemd services. Source: the article "Overview of the Azure
        Connected Machine agent".

        Raises:
            BedError: the agent has not been started.
        """
        base = self.host.endpoint
        if not base:
            raise BedError(f"the agent on {self.name} has not been started")
        return {"IMDS_ENDPOINT": base, "IDENTITY_ENDPOINT": f"{base}/metadata/identity/oauth2/token"}

    async def local(self, url: str, headers: Mapping[str, str], **query: str) -> httpx.Response:
        """One GET to the local endpoint, with exactly these headers."""
        began = clock.monotonic()
        answer = await self.host.fetch(url, headers, query)
        if self.recorder:
            self.recorder.event(
                "http",
                f"GET {answer.request.url}",
                seconds=clock.monotonic() - began,
                mark=str(answer.status_code),
                body=answer.text if answer.is_error else "",
            )
        return answer

    async def metadata(self) -> dict[str, Any]:
        """`compute` of ``/metadata/instance``.

        Raises:
            BedError: the agent refuses.
        """
        url = f"{self.environment['IMDS_ENDPOINT']}/metadata/instance"
        answer = await self.local(url, {"Metadata": "true"}, **{"api-version": INSTANCE_VERSION})
        if answer.is_error:
            raise BedError(f"the metadata endpoint answered {answer.status_code}: {answer.text}")
        compute: dict[str, Any] = answer.json()["compute"]
        return compute

    async def challenge(self, resource: str) -> httpx.Response:
        """The first half of the token exchange: a request without proof."""
        return await self.local(
            self.environment["IDENTITY_ENDPOINT"],
            {"Metadata": "true"},
            **{"api-version": TOKEN_VERSION, "resource": resource},
        )

    async def token(self, resource: str = "https://management.azure.com/") -> Token:
        """A token of the machine's identity, through the documented exchange: challenge, key file, proof.

        Raises:
            BedError: the agent refuses.
        """
        answer = await self.try_token(resource)
        if answer.is_error:
            raise BedError(f"the token endpoint answered {answer.status_code}: {answer.text}")
        return Token(answer.json())

    async def try_token(self, resource: str) -> httpx.Response:
        """The documented exchange, whatever comes of it.

        Raises:
            BedError: a token is given away without a challenge.
        """
        first = await self.challenge(resource)
        if first.is_success:
            raise BedError(f"the token endpoint answered {first.status_code} without a challenge")
        realm = first.headers.get("www-authenticate", "").partition("Basic realm=")[2]
        if not realm:
            return first
        proof = (self.path("tokens") / Path(realm).name).read_text()
        return await self.local(
            self.environment["IDENTITY_ENDPOINT"],
            {"Metadata": "true", "Authorization": f"Basic {proof}"},
            **{"api-version": TOKEN_VERSION, "resource": resource},
        )

    # -- its files -----------------------------------------------------------------------------------------

    def agent_config(self) -> dict[str, Any]:
        """`agentconfig.json`; empty where it is missing."""
        return self._document("agent_config")

    def local_config(self) -> dict[str, Any]:
        """`localconfig.json`; empty where it is missing."""
        return self._document("local_config")

    def set_local_config(self, **values: Any) -> None:
        """Write settings into `localconfig.json`, with ``__`` for the dot; None removes one."""
        document = self.local_config()
        for key, value in values.items():
            document.pop(key.replace("__", "."), None)
            if value is not None:
                document[key.replace("__", ".")] = value
        self.path("local_config").write_text(json.dumps(document, indent=2) + "\n")

    def files(self) -> dict[str, str]:
        """The agent's files with their modes, as ``{"/var/opt/...": "0640"}``."""
        return dict(self.host.files())

    def _document(self, key: str) -> dict[str, Any]:
        path = self.path(key)
        document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return document


def masked(arguments: Sequence[str]) -> list[str]:
    """`arguments` with the values of secret flags hidden."""
    return [
        HIDDEN if index and arguments[index - 1] in SECRET_FLAGS else argument
        for index, argument in enumerate(arguments)
    ]


def _login(principal: Principal) -> tuple[str, ...]:
    return (
        *("--service-principal-id", principal.client_id),
        *("--service-principal-secret", principal.client_secret),
    )
