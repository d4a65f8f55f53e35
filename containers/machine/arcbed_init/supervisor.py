"""PID 1: starts what is enabled, reaps what ends, and answers systemctl on a socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from arcbed_init.follower import Follower
from arcbed_init.service import Service
from arcbed_init.units import UnitFiles, full_name

SOCKET = Path("/run/arcbed/init.sock")
#: What systemd itself stops on in a container, and what docker sends without being told.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN + 3)


class NoUnitError(LookupError):
    """There is no such unit."""


class Supervisor:
    """The services of one machine.

    Args:
        files: where units are.
        logs: log files whose new lines go to standard output, where ``docker logs`` finds them.
        socket: where systemctl asks.
    """

    def __init__(self, files: UnitFiles, logs: tuple[str, ...] = (), socket: Path = SOCKET) -> None:
        self._files = files
        self._logs = [Follower(path) for path in logs]
        self._socket = socket
        self._environment = files.default_environment()
        self._services: dict[str, Service] = {}
        self._order: list[Service] = []
        self._stopping = asyncio.Event()
        self._verbs: dict[str, Callable[[Service], Awaitable[Any]]] = {
            "start": Service.start,
            "stop": Service.stop,
            "restart": Service.restart,
            "reload": Service.reload,
            "reset-failed": Service.reset_failed,
        }

    async def run(self) -> None:
        """Until a signal says stop; then every service is stopped, the last one first."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in STOPS:
            loop.add_signal_handler(number, self._stopping.set)
        for log in self._logs:
            log.keep_looking()
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, self._socket)
        self._socket.chmod(0o600)
        for name in self._files.wanted():
            if service := self.service(name):
                await self._perform("start", service)
        await self._stopping.wait()
        server.close()
        for service in reversed(self._order):
            await service.stop()
        for log in self._logs:
            log.look()

    def service(self, name: str) -> Service | None:
        """The service called `name`, or None if it has no unit file and never ran."""
        name = full_name(name)
        if name not in self._services:
            unit = self._files.find(name)
            if unit is None:
                return None
            self._services[name] = Service(unit, self._environment)
        return self._services[name]

    def reload(self) -> None:
        """Read the unit files again; what runs goes on."""
        fresh = self._files.default_environment()
        self._environment.update(fresh)
        for name, service in list(self._services.items()):
            if unit := self._files.find(name):
                service.unit = unit
            elif not service.main_pid:
                del self._services[name]

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            any(service.reaped(pid, code) for service in list(self._services.values()))

    # -- systemctl's questions -----------------------------------------------------------------------------

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer = await self._handle(request)
        except NoUnitError as error:
            answer = {"error": "no-unit", "unit": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": "bad-request", "message": str(error)}
        # Whoever asked may be gone, as after a kill.
        with suppress(ConnectionError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _handle(self, request: dict[str, Any]) -> dict[str, Any]:
        verb = request["verb"]
        if verb == "daemon-reload":
            self.reload()
        elif verb == "environment":
            return {"environment": {"PATH": os.defpath, **self._environment}}
        elif verb == "set-environment":
            self._environment.update(request["values"])
        elif verb == "unset-environment":
            for name in request["names"]:
                self._environment.pop(name, None)
        elif verb == "list":
            return {"units": [self._show(service) for service in self._services.values()]}
        elif verb == "show":
            return self._show(self._known(request["unit"]))
        else:
            return {"ok": await self._perform(verb, self._known(request["unit"])) is not False}
        return {"ok": True}

    def _known(self, name: str) -> Service:
        service = self.service(name)
        if service is None:
            raise NoUnitError(full_name(name))
        return service

    async def _perform(self, verb: str, service: Service) -> Any:
        if service not in self._order:
            self._order.append(service)
        return await self._verbs[verb](service)

    def _show(self, service: Service) -> dict[str, Any]:
        unit = service.unit
        return {
            "Id": unit.name,
            "Names": unit.name,
            "Description": unit.description,
            "LoadState": "loaded",
            "ActiveState": service.state,
            "SubState": service.substate,
            "FragmentPath": str(unit.path),
            "DropInPaths": " ".join(map(str, unit.drop_ins)),
            "UnitFileState": self._files.state(unit),
            "Type": unit.last("Type", "simple"),
            "Restart": unit.last("Restart", "no"),
            "NRestarts": service.restarts,
            "MainPID": service.main_pid,
            "ExecMainStatus": abs(service.exit_code),
            "Result": service.result,
            "since": service.since,
        }


def main() -> None:
    """Run as PID 1."""
    logs = tuple(filter(None, os.environ.get("ARC_LOGS", "").split(":")))
    asyncio.run(Supervisor(UnitFiles(), logs).run())
    sys.exit(0)
