"""One service: its process, its state in systemd's words, and when it is started again."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from arcbed_init.units import PATH, Command, Unit, environment_files, pairs, seconds


@dataclass(eq=False)
class Service:
    """A unit and what runs of it. All methods belong to the supervisor's event loop."""

    unit: Unit
    manager_environment: Mapping[str, str]
    state: str = "inactive"
    substate: str = "dead"
    main_pid: int = 0
    since: float = 0.0
    result: str = "success"
    exit_code: int = 0
    restarts: int = 0
    _wanted: bool = False
    _starts: list[float] = field(default_factory=list)
    _ended: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    # -- what systemctl asks for ---------------------------------------------------------------------------

    async def start(self) -> bool:
        """Start it unless it runs; whether it is up."""
        async with self._lock:
            if self.state == "active":
                return True
            self._cancel()
            self._wanted = True
            return await self._bring_up()

    async def stop(self) -> None:
        """Stop it and wait until it is gone."""
        async with self._lock:
            self._wanted = False
            self._cancel()
            if self.main_pid:
                self._become("deactivating", "stop-sigterm")
                await self._end(self.main_pid)
            if self.state != "failed" or self.result == "success":
                self._become("inactive", "dead")

    async def restart(self) -> bool:
        """Stop and start; a failed one gets a new chance."""
        await self.stop()
        self._starts.clear()
        return await self.start()

    async def reset_failed(self) -> None:
        """Forget how it failed and how often it was started."""
        self._starts.clear()
        if self.state == "failed":
            self.result = "success"
            self._become("inactive", "dead")

    async def reload(self) -> bool:
        """Run ExecReload."""
        environment = self._environment() | {"MAINPID": str(self.main_pid)}
        return all([await self._run(command, environment) for command in self.unit.commands("ExecReload")])

    # -- what the supervisor tells -------------------------------------------------------------------------

    def reaped(self, pid: int, code: int) -> bool:
        """A child has ended; whether it was one of this service."""
        waiting = self._ended.pop(pid, None)
        if waiting is None and pid != self.main_pid:
            return False
        if waiting is not None and not waiting.done():
            waiting.set_result(code)
        if pid == self.main_pid:
            self._main_ended(code)
        return True

    # -- inside --------------------------------------------------------------------------------------------

    async def _bring_up(self) -> bool:
        if self._too_often():
            self._fail("start-limit-hit")
            return False
        self._become("activating", "start-pre")
        try:
            environment = self._environment()
            for command in self.unit.commands("ExecStartPre"):
                if not await self._run(command, environment):
                    self._fail("exit-code")
                    return False
            return await self._start_main(environment)
        except (OSError, KeyError, ValueError) as error:
            print(f"{self.unit.name}: {error}", file=sys.stderr, flush=True)
            self._fail("resources")
            return False

    def _too_often(self) -> bool:
        """StartLimitBurst starts within StartLimitIntervalSec are enough; an interval of 0 has no limit."""
        interval = seconds(self.unit.last("StartLimitIntervalSec", "10", "Unit"), 10.0)
        now = time.monotonic()
        self._starts = [*(at for at in self._starts if now - at < interval), now]
        return interval > 0 and len(self._starts) > int(self.unit.last("StartLimitBurst", "5", "Unit"))

    async def _start_main(self, environment: Mapping[str, str]) -> bool:
        kind = self.unit.last("Type", "simple")
        commands = self.unit.commands("ExecStart")
        if kind in {"oneshot", "forking"}:
            self._become("activating", "start")
            for command in commands:
                if not await self._run(command, environment):
                    self._fail("exit-code")
                    self._retry(failed=True)
                    return False
            if kind == "forking":
                self.main_pid = self._pid_from_file()
            if kind == "forking" or self.unit.last("RemainAfterExit").lower() in {"yes", "true", "1"}:
                self._become("active", "running" if self.main_pid else "exited")
            else:
                self._become("inactive", "dead")
            return True
        self.main_pid = self._spawn(commands[0], environment)
        self.exit_code, self.result = 0, "success"
        self._become("active", "running")
        return True

    def _pid_from_file(self) -> int:
        with suppress(OSError, ValueError):
            return int(Path(self.unit.last("PIDFile")).read_text())
        return 0

    def _main_ended(self, code: int) -> None:
        self.main_pid = 0
        self.exit_code = code
        if not self._wanted:
            return
        clean = code in {0, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT, -signal.SIGPIPE}
        self.result = "success" if clean else ("signal" if code < 0 else "exit-code")
        self._become("inactive" if clean else "failed", "dead" if clean else "failed")
        print(f"{self.unit.name}: main process exited, code {code}", file=sys.stderr, flush=True)
        self._retry(failed=not clean)

    def _retry(self, *, failed: bool) -> None:
        policy = self.unit.last("Restart", "no")
        final = self.unit.last("RestartPreventExitStatus").split()
        if (
            str(self.exit_code) in final
            or not self._wanted
            or not (policy == "always" or (failed and policy.startswith("on-")))
        ):
            return
        self._become("activating", "auto-restart")
        delay = seconds(self.unit.last("RestartSec", "100ms"), 0.1)
        self._timer = asyncio.get_running_loop().call_later(delay, self._again)

    def _again(self) -> None:
        self._timer = None
        self.restarts += 1
        task = asyncio.get_running_loop().create_task(self._bring_up())
        task.add_done_callback(lambda done: done.exception())

    def _environment(self) -> dict[str, str]:
        found = {"PATH": PATH, "LANG": "C.UTF-8", **self.manager_environment}
        user = self.unit.last("User")
        if user:
            entry = pwd.getpwnam(user)
            found |= {"USER": user, "LOGNAME": user, "HOME": entry.pw_dir, "SHELL": entry.pw_shell}
        return found | pairs(self.unit.all("Environment")) | environment_files(self.unit)

    def _spawn(self, command: Command, environment: Mapping[str, str]) -> int:
        """Start a process in a session of its own, as the unit's user; PID 1's output is its journal."""
        user = self.unit.last("User") or None
        group = self.unit.last("Group") or (pwd.getpwnam(user).pw_gid if user else None)
        process = subprocess.Popen(
            command.argv(environment),
            env=dict(environment),
            cwd=self.unit.last("WorkingDirectory", "/").lstrip("-") or "/",
            stdin=subprocess.DEVNULL,
            user=user,
            group=group,
            extra_groups=os.getgrouplist(user, pwd.getpwnam(user).pw_gid) if user else None,
            start_new_session=True,
        )
        process.returncode = 0  # The supervisor reaps it; subprocess need not.
        return process.pid

    async def _run(self, command: Command, environment: Mapping[str, str]) -> bool:
        pid = self._spawn(command, environment)
        ended = asyncio.get_running_loop().create_future()
        self._ended[pid] = ended
        self.exit_code = await ended
        return self.exit_code == 0 or command.tolerated

    async def _end(self, pid: int) -> None:
        ended = asyncio.get_running_loop().create_future()
        self._ended[pid] = ended
        self._kill(pid, getattr(signal, self.unit.last("KillSignal", "SIGTERM"), signal.SIGTERM))
        try:
            await asyncio.wait_for(
                asyncio.shield(ended), seconds(self.unit.last("TimeoutStopSec", "90"), 90.0)
            )
        except TimeoutError:
            self._become("deactivating", "stop-sigkill")
            self._kill(pid, signal.SIGKILL)
            await ended
        if self.unit.last("KillMode", "control-group") == "control-group":
            # What is left of the session, as systemd would end what is left of the control group.
            self._kill(pid, signal.SIGKILL)

    @staticmethod
    def _kill(pid: int, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)

    def _fail(self, result: str) -> None:
        self.result = result
        self._become("failed", "failed")

    def _become(self, state: str, substate: str) -> None:
        if state != self.state:
            self.since = time.time()
        self.state, self.substate = state, substate

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
