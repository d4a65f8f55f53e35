"""Beds made of processes on this machine: each agent below a root of its own, all on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from arcbed.harness import namespace, process
from arcbed.harness.admin import Admin
from arcbed.harness.contract import CloudOptions, Network, ProxyKind
from arcbed.harness.daemon import Daemon
from arcbed.harness.errors import BedError, NotCoveredError
from arcbed.harness.process import Child, Completed
from arcbed.harness.process_network import ProcessNetwork, ProcessProxy
from arcbed.harness.programs import environment, program, wait_ready
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.himds.messages import dial
from arcbed_agent.host.layout import Layout

#: The script of extd; systemd calls it gc_linux_service, as it calls gcad.
EXTENSION_MANAGER = "gc_extension_service"
#: What a story may need and does not find among processes, with the reason.
LACKS: Mapping[str, str] = {
    "network": "the processes of a bed share this computer's network, which a bed must leave alone",
    "names": "there is no DNS for Azure's host names among processes; every service is on localhost",
    "installation": "the machines of a bed of processes are folders; nothing can be installed on them",
}


def bound_port(state: Path) -> int | None:
    """The port of the control plane on `state`, or None while it is not known."""
    with suppress(OSError, ValueError, KeyError):
        return int(json.loads((state / "fakecloud.json").read_text())["port"])
    return None


async def answers(state: Path) -> bool:
    """Whether the control plane on `state` has said where it is, and that it is ready."""
    return bound_port(state) is not None and await Admin(state).ready()


async def environment_of(state: Path) -> Mapping[str, Any]:
    """What ``fakecloud env --json`` says of the control plane on `state`.

    Raises:
        BedError: it fails.
    """
    listing = await process.run(
        [program("fakecloud"), "env", "--state", str(state), "--json"], env=environment()
    )
    if listing.exit_code:
        raise BedError(f"fakecloud env failed\n{listing.output}")
    found: Mapping[str, Any] = json.loads(listing.stdout)
    return found


class ProcessCloud:
    """`fakecloud serve` as a child process."""

    def __init__(self, state: Path, options: CloudOptions) -> None:
        self.state = state
        self.options = options
        self.env: Mapping[str, Any] = {}
        self._port = 0
        self._child: Child | None = None

    async def start(self) -> None:
        """Start it, on the same port as before if there was a before."""
        self._child = child = Child(
            "fakecloud",
            [program("fakecloud"), "serve", *self._arguments()],
            env=environment(),
            log=self.state.with_suffix(".log"),
        )
        (self.state / "fakecloud.json").unlink(missing_ok=True)
        await child.start()
        await wait_ready(child, lambda: answers(self.state))
        self._port = bound_port(self.state) or 0
        self.env = await environment_of(self.state)

    def _arguments(self) -> list[str]:
        return ["--state", str(self.state), "--port", str(self._port), *self.options.flags()]

    async def stop(self) -> None:
        """Stop it, keep its state."""
        if self._child:
            await self._child.stop()
            self._child = None

    async def kill(self) -> None:
        """End it without a word."""
        if self._child:
            await self._child.kill()
            self._child = None

    @property
    def admin(self) -> Admin:
        """The testbed's own API of it."""
        return Admin(self.state)

    @property
    def clock(self) -> Mapping[str, str]:
        """The clock's Unix socket."""
        return {"clock.address": str(self.state / "clock.sock")}

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ProcessDiedError: it ended by itself.
        """
        if self._child and not self._child.alive:
            raise self._child.died()

    def logs(self) -> Mapping[str, str]:
        """What it printed."""
        return _texts({"fakecloud.log": self.state.with_suffix(".log")})


class ProcessMachine:
    """himds, gcad, extd and azcmagent as child processes below a root folder."""

    def __init__(self, name: str, root: Path, variables: Mapping[str, str]) -> None:
        self.name = name
        self.variables = variables
        self.root = root
        self.layout = Layout(root)
        self.endpoint = ""
        self.line: ProcessProxy | None = None
        self._himds = Daemon(name, "himds", root.with_suffix(".out"), self._env, self._listens)
        log = root.with_suffix(".gcad.out")
        self._gcad = Daemon(name, "gc_linux_service", log, self._env, self._evaluates)
        log = root.with_suffix(".extd.out")
        self._extd = Daemon(name, EXTENSION_MANAGER, log, self._env, self._manages)

    def _env(self) -> dict[str, str]:
        return environment(ARC_ROOT=str(self.root), **self.variables)

    @property
    def network(self) -> Network:
        """Its line, which can be cut.

        Raises:
            NotCoveredError: it was not given one.
        """
        if self.line is None:
            raise NotCoveredError(LACKS["network"])
        return ProcessNetwork(self.line, LACKS["network"])

    def path(self, key: str) -> Path:
        """One of its documented paths; the keys are those of the agent's layout."""
        return self.layout[key]

    def files(self) -> Mapping[str, str]:
        """Every file below the root with its mode, as ``{"/var/opt/...": "0640"}``."""
        return {
            self.layout.shown(path): f"{path.stat().st_mode & 0o7777:04o}"
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    async def boot(self) -> None:
        """A folder is up as soon as it is there."""

    async def start_agent(self) -> None:
        """Start himds, gcad and extd where they do not run, and return when all answer on their sockets."""
        await asyncio.gather(self._himds.start(), self._gcad.start(), self._extd.start())

    async def _listens(self) -> bool:
        try:
            status = await asyncio.to_thread(HimdsClient(self.layout).status)
        except AgentError:
            return False
        self.endpoint = f"http://localhost:{status.port}"
        return status.port > 0

    async def _evaluates(self) -> bool:
        return _answers(self.layout["gcad_socket"])

    async def _manages(self) -> bool:
        return _answers(self.layout["extd_socket"])

    async def stop_agent(self) -> None:
        """Stop all three, as ``systemctl stop extd gcad himdsd`` does."""
        await self._extd.stop()
        await self._gcad.stop()
        await self._himds.stop()

    async def kill_agent(self) -> None:
        """End himds as ``kill -9`` does."""
        await self._himds.kill()

    async def start_policy_agent(self) -> None:
        """Start gcad and return when it answers on its socket."""
        await self._gcad.start()

    async def stop_policy_agent(self) -> None:
        """Stop gcad, as ``systemctl stop gcad`` does."""
        await self._gcad.stop()

    async def kill_policy_agent(self) -> None:
        """End gcad as ``kill -9`` does."""
        await self._gcad.kill()

    async def start_extension_manager(self) -> None:
        """Start extd and return when it answers on its socket."""
        await self._extd.start()

    async def stop_extension_manager(self) -> None:
        """Stop extd, as ``systemctl stop extd`` does."""
        await self._extd.stop()

    async def kill_extension_manager(self) -> None:
        """End extd as ``kill -9`` does."""
        await self._extd.kill()

    async def _end_handlers(self) -> None:
        """What extensions have started would outlive the bed."""
        if any((self.layout["extension_state"] / "handlers").glob("*.json")):
            await self.run(EXTENSION_MANAGER, ["--end-handlers"], limit=60)

    async def run(
        self,
        program_name: str,
        arguments: Sequence[str],
        *,
        limit: float,
        shown: Sequence[str] | None = None,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program of the agent below this machine's root."""
        return await process.run(
            [program(program_name), *arguments],
            env=self._env() | dict(env or {}),
            limit=limit,
            shown=(program_name, *(shown or arguments)),
            terminal=terminal,
        )

    async def command(self, command: Sequence[str], *, limit: float) -> Completed:
        """Run any program; the machine is this computer."""
        return await process.run(command, env=self._env(), limit=limit)

    async def fetch(self, url: str, headers: Mapping[str, str], query: Mapping[str, str]) -> httpx.Response:
        """One GET, with exactly these headers."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.get(url, params=query, headers=dict(headers))

    async def reside(self, command: Sequence[str], *, env: Mapping[str, str], limit: float) -> Completed:
        """Run any program with this machine's folder at /var/opt/azcmagent.

        Raises:
            BedError: mount namespaces are not allowed here.
        """
        home = self.layout["home"]
        if not await namespace.possible(home):
            raise BedError(
                "mount namespaces are not allowed here, so /var/opt/azcmagent cannot be the machine's"
            )
        wrapped = namespace.inside(home, command)
        return await process.run(wrapped, env=environment(**env), limit=limit, shown=command)

    async def remove(self) -> None:
        """Stop everything on it; its files stay until the bed is gone."""
        await self.stop_agent()
        await self._end_handlers()
        if self.line is not None:
            await self.line.stop()

    def check(self) -> None:
        """Make sure that its agent runs, if it should.

        Raises:
            ProcessDiedError: it ended by itself.
        """
        self._himds.check()
        self._gcad.check()
        self._extd.check()

    def logs(self) -> Mapping[str, str]:
        """The agent's logs and what its daemons printed."""
        layout = self.layout
        written = [
            layout[key] for key in ("himds_log", "cli_log", "gc_agent_log", "gc_worker_log", "gc_ext_log")
        ]
        printed = {"himds.out": self._himds.log, "gcad.out": self._gcad.log, "extd.out": self._extd.log}
        return _texts(printed | {path.name: path for path in written})


class ProcessBackend:
    """Everything below one folder.

    Args:
        folder: an existing, empty folder; its path should be short (Unix socket paths end at 107 bytes).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def cloud(self, options: CloudOptions) -> ProcessCloud:
        """Start a control plane and return when it is ready.

        Raises:
            NotReadyError: it does not become ready.
            ProcessDiedError: it ends at once.
        """
        state = self.folder / "cloud"
        state.mkdir(mode=0o700)
        cloud = ProcessCloud(state, options)
        try:
            await cloud.start()
        except BaseException:
            await cloud.kill()
            raise
        return cloud

    def settings(self, env: Mapping[str, Any]) -> Mapping[str, Any]:
        """Every endpoint by its URL, and any free port for the local endpoint."""
        return endpoints(env) | {"himds.port": 0}

    async def proxy(self, name: str, kind: ProxyKind) -> ProcessProxy:
        """Start an HTTP proxy on loopback and return when it is ready."""
        proxy = ProcessProxy(name, kind, self.folder / f"{name}.log")
        await proxy.start()
        return proxy

    async def close(self, *, keep: bool) -> None:
        """Nothing: processes end with their handles or with this process, files with the folder."""

    async def machine(
        self,
        name: str,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        bare: bool = False,
        cuttable: bool = False,
        by_name: bool = False,
    ) -> ProcessMachine:
        """Lay out a machine below `folder`; its agent is not running yet.

        One that is `cuttable` or goes `by_name` reaches the cloud through a proxy of its own.

        Raises:
            BedError: the bed has a machine of that name.
            NotCoveredError: `bare`.
        """
        if bare:
            raise NotCoveredError(LACKS["installation"])
        config = {"clock.address": str(self.folder / "cloud" / "clock.sock"), "clock.machine": name} | dict(
            config
        )
        machine = ProcessMachine(name, self.folder / name, environment)
        if machine.root.exists():
            raise BedError(f"the bed has a machine called {name} already")
        if cuttable or by_name:
            to = f"127.0.0.1:{bound_port(self.folder / 'cloud')}" if by_name else ""
            machine.line = ProcessProxy(f"{name}.line", "forward", self.folder / f"{name}.line.log", to=to)
            await machine.line.start()
            config = {**config, "proxy.url": machine.line.url}
        if by_name:
            config = {key: value for key, value in config.items() if not key.startswith("endpoints.")}
        local = machine.layout["local_config"]
        local.parent.mkdir(parents=True)
        local.write_text(json.dumps(dict(config), indent=2) + "\n")
        return machine


def _answers(path: Path) -> bool:
    """Whether somebody listens there; a daemon that was killed leaves its socket behind."""
    try:
        with dial(path, 2.0):
            return True
    except OSError:
        return False


def _texts(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: path.read_text(errors="replace") for name, path in files.items() if path.is_file()}


def endpoints(env: Mapping[str, Any]) -> dict[str, str]:
    """The localconfig.json of a machine that has no DNS for Azure's names (docs/wire.md 2.2, 2.3)."""
    arm = env["armEndpoint"]
    return {
        "endpoints.arm": arm,
        "endpoints.login": env["authority"],
        "endpoints.his": f"{arm}/his",
        "endpoints.gas": f"{arm}/gas",
        "endpoints.gns": f"{arm}/gns",
        "tls.caBundle": env["caFile"],
    }
