"""A machine of a bed as a container with the agent's package installed, at its true paths."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx

from arcbed.harness import clock
from arcbed.harness.containers import files, shell
from arcbed.harness.containers.cloud import at, check, printed
from arcbed.harness.containers.engine import Engine
from arcbed.harness.containers.faults import DockerNetwork, Surroundings
from arcbed.harness.containers.files import ContainerPath
from arcbed.harness.containers.systemd import CgroupPart
from arcbed.harness.errors import BedError, NotReadyError
from arcbed.harness.process import Completed
from arcbed_agent.host.layout import LINUX

READY_SECONDS = 60.0
UNIT = "himdsd"
POLICY_UNIT = "gcad"
POLICY_SOCKET = f"/{LINUX['gcad_socket']}"
EXTENSION_UNIT = "extd"
EXTENSION_SOCKET = f"/{LINUX['extd_socket']}"
CLOCK_TOKEN_FILE = "etc/arcbed/clock.token"
CA_FILE = "usr/local/share/ca-certificates/arcbed.crt"
PORT = 40342
#: Folders that belong to the agent, for listings.
OWN = ("/opt/azcmagent", "/var/opt/azcmagent", "/var/lib/GuestConfig")
#: Whoever kills often meets no limit of starts: that is for services which end by themselves.
KILL = "kill -KILL $(systemctl show -p MainPID --value {0}); systemctl stop {0}; systemctl reset-failed {0}"


class DockerMachine:
    """A machine.

    Its agent is a service of the machine, started and stopped by ``systemctl``.

    Args:
        engine: where.
        name: how people call it; also its host name.
        around: networks and what is on them.
        bare: without the agent.
        cgroups: where systemd is PID 1; None: a supervisor stands in for it.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        around: Surroundings,
        *,
        bare: bool = False,
        cgroups: CgroupPart | None = None,
    ) -> None:
        self.name = name
        self.container = engine.name(name)
        self.endpoint = ""
        self._engine = engine
        self._around = around
        self._cgroups = cgroups
        self._address = around.azure.address()
        self._wanted = False
        self._image = engine.images.bare if bare else engine.images.agent
        self._network = DockerNetwork(engine, self.container, self._address, around)

    @property
    def root(self) -> ContainerPath:
        """Its file system."""
        return ContainerPath(self._engine, self.container, "/")

    @property
    def network(self) -> DockerNetwork:
        """Its network."""
        return self._network

    def path(self, key: str) -> ContainerPath:
        """One of its documented paths; the keys are those of the agent's layout."""
        return self.root / LINUX[key]

    def files(self) -> Mapping[str, str]:
        """The agent's files with their modes, as ``{"/var/opt/...": "0640"}``; empty when it does not run."""
        find = ["find", *OWN, "-type", "f", "-not", "-path", "/opt/azcmagent/lib/*", "-printf", "%04m %p\\n"]
        with suppress(BedError):
            found = self._engine.guarded(shell.execute, self._engine, self.container, find, limit=30)
            pairs = (line.split(" ", 1) for line in sorted(found.stdout.splitlines(), key=lambda x: x[5:]))
            return {path: mode for mode, path in pairs}
        return {}

    async def create(
        self, config: Mapping[str, Any], environment: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        """Make the container with its localconfig.json, variables and further files by their paths."""
        await self._engine.do(self._create, config, environment, given)

    async def boot(self) -> None:
        """Start the machine and return when its supervisor answers ``systemctl``.

        Raises:
            NotReadyError: it does not.
        """
        await self._engine.do(self._start)
        self._wanted = True
        if await clock.until(self._booted, limit=READY_SECONDS, every=0.1) is None:
            raise NotReadyError(f"{self.name} was not up within {READY_SECONDS:g} s")

    async def _booted(self) -> bool | None:
        self.check()
        asked = await self._execute(["systemctl", "show-environment"], limit=10)
        return asked.exit_code == 0 or None

    async def start_agent(self) -> None:
        """Start the machine or, where that runs, the agent's service, and return when it answers.

        Raises:
            NotReadyError: it does not.
        """
        await self._engine.do(self._start)
        self._wanted = True
        if await clock.until(self._answers, limit=READY_SECONDS, every=0.1) is None:
            raise NotReadyError(
                f"himds on {self.name} was not ready within {READY_SECONDS:g} s\n"
                f"{printed(self._engine, self.container, lines=20)}"
            )
        self.endpoint = f"http://localhost:{PORT}"
        await self.start_policy_agent()
        await self.start_extension_manager()

    async def stop_agent(self) -> None:
        """Stop all three: ``systemctl stop extd gcad himdsd``."""
        await self._script(f"systemctl stop {EXTENSION_UNIT} {POLICY_UNIT} {UNIT}")

    async def kill_agent(self) -> None:
        """End himds as ``kill -9`` does, and keep its service from starting it again."""
        await self._script(KILL.format(UNIT))

    async def start_policy_agent(self) -> None:
        """Start gcad, and return when its socket is there.

        Raises:
            NotReadyError: it does not come up.
        """
        await self._start_unit(POLICY_UNIT, POLICY_SOCKET)

    async def _start_unit(self, unit: str, path: str) -> None:
        # One that was killed has left its socket behind.
        await self._script(f"systemctl is-active -q {unit} || rm -f {path}; systemctl start {unit}")

        async def there() -> bool | None:
            self.check()
            asked = await self._execute(["test", "-S", path], limit=10)
            return asked.exit_code == 0 or None

        if await clock.until(there, limit=READY_SECONDS, every=0.1) is None:
            raise NotReadyError(f"{unit} on {self.name} was not ready within {READY_SECONDS:g} s")

    async def stop_policy_agent(self) -> None:
        """Stop gcad: ``systemctl stop gcad``."""
        await self._script(f"systemctl stop {POLICY_UNIT}")

    async def kill_policy_agent(self) -> None:
        """End gcad as ``kill -9`` does, and keep its service from starting it again."""
        await self._script(KILL.format(POLICY_UNIT))

    async def start_extension_manager(self) -> None:
        """Start extd, and return when its socket is there.

        Raises:
            NotReadyError: it does not come up.
        """
        await self._start_unit(EXTENSION_UNIT, EXTENSION_SOCKET)

    async def stop_extension_manager(self) -> None:
        """Stop extd: ``systemctl stop extd``."""
        await self._script(f"systemctl stop {EXTENSION_UNIT}")

    async def kill_extension_manager(self) -> None:
        """End extd as ``kill -9`` does, and keep its service from starting it again."""
        await self._script(KILL.format(EXTENSION_UNIT))

    async def _script(self, line: str) -> None:
        await self._engine.do(shell.script, self._engine, self.container, [line])

    async def run(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        limit: float,
        shown: Sequence[str] | None = None,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program of the agent."""
        return await self._execute(
            [program, *arguments],
            limit=limit,
            shown=(program, *(shown or arguments)),
            terminal=terminal,
            env=env,
        )

    async def command(self, command: Sequence[str], *, limit: float) -> Completed:
        """Run any program of the machine."""
        return await self._execute(command, limit=limit)

    async def reside(self, command: Sequence[str], *, env: Mapping[str, str], limit: float) -> Completed:
        """Run any program of the machine; the documented paths are the real ones."""
        return await self._execute(command, env=env, limit=limit)

    async def fetch(self, url: str, headers: Mapping[str, str], query: Mapping[str, str]) -> httpx.Response:
        """One GET by a program on the machine, with exactly these headers."""
        return await self._engine.do(shell.fetch, self._engine, self.container, url, headers, query)

    async def remove(self) -> None:
        """End everything on it; its files stay until the bed is gone."""
        self._wanted = False
        with suppress(BedError):
            await self._engine.do(self._end)

    def check(self) -> None:
        """Make sure that the machine runs; its agent is its supervisor's business.

        Raises:
            ProcessDiedError: it ended by itself.
        """
        if self._wanted:
            check(self._engine, self.container, self.name)

    def logs(self) -> Mapping[str, str]:
        """The agent's logs and what the machine printed."""
        found = {"console.log": printed(self._engine, self.container)}
        for key in ("himds_log", "cli_log", "gc_agent_log", "gc_worker_log", "gc_ext_log"):
            with suppress(OSError):
                path = self.path(key)
                found[path.name] = path.read_text(errors="replace")
        return found

    # -- in threads ----------------------------------------------------------------------------------------

    def _create(
        self, config: Mapping[str, Any], environment: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        engine, around = self._engine, self._around
        init = "systemd" if self._cgroups else "supervisor"
        machine = engine.client.containers.create(
            self._image,
            name=self.container,
            hostname=self.name,
            environment={"ARC_INIT": init, **environment},
            labels=engine.labels("machine"),
            dns=[around.resolver],
            dns_search=["."],
            network=around.control.name,
            networking_config=at(engine, around.control, around.control.address()),
            **(self._cgroups.options() if self._cgroups else {}),
        )
        engine.client.networks.get(around.azure.id).connect(machine, ipv4_address=self._address)
        local = json.dumps(dict(config), indent=2) + "\n"
        texts = {LINUX["local_config"]: local, **given}
        put = [files.regular(path, text.encode()) for path, text in texts.items()]
        files.put(engine, self.container, "/", put)

    def _start(self) -> None:
        machine = self._engine.container(self.container)
        if machine.attrs["State"]["Running"]:
            shell.script(self._engine, self.container, [f"systemctl start {UNIT}"])
        else:
            machine.start()

    async def _answers(self) -> bool | None:
        self.check()
        try:
            answer = await self.fetch(f"http://localhost:{PORT}/agentstatus", {"Metadata": "true"}, {})
        except BedError:
            return None
        return answer.is_success or None

    async def _execute(
        self,
        command: Sequence[str],
        *,
        limit: float,
        env: Mapping[str, str] | None = None,
        shown: Sequence[str] | None = None,
        terminal: bool = False,
    ) -> Completed:
        return await self._engine.do(
            shell.execute,
            self._engine,
            self.container,
            command,
            env=env,
            limit=limit,
            shown=shown,
            terminal=terminal,
        )

    def _end(self) -> None:
        self._network.close()
        machine = self._engine.container(self.container)
        if machine.attrs["State"]["Running"]:
            machine.kill()
