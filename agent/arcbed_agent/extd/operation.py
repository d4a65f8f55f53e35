"""One operation in progress: it can be started again from its beginning and does nothing twice.

Everything that must not happen twice is a *step* with a name. A step that has begun is on disk before it
begins, and a command's result is on disk before anything follows from it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.extd import commands, environment, failure, settings
from arcbed_agent.extd.commands import TIMEOUTS, Call, Commands, Ended
from arcbed_agent.extd.failure import OperationError
from arcbed_agent.extd.folder import Folder
from arcbed_agent.extd.goal import Goal
from arcbed_agent.extd.manifest import ManifestError
from arcbed_agent.extd.output import Output
from arcbed_agent.extd.packages import Packages
from arcbed_agent.extd.records import NOT_READY, READY, Extension, Handler, Work
from arcbed_agent.extd.rooms import RoomError, Rooms
from arcbed_agent.extd.store import Store
from arcbed_agent.extd.vault import Vault
from arcbed_agent.gc_logs import by
from arcbed_agent.governor import GovernorError, Limits, together
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import Redactor

MANAGER: Final = "EXTENSION_MANAGER"
_LOG_HEAD: Final = 10 * 1024 * 1024
_PHASES: Final = {
    "install": "Installing", "enable": "Enabling", "update": "Updating",
    "disable": "Disabling", "uninstall": "Uninstalling",
}  # fmt: skip


@dataclass(frozen=True)
class Tools:
    """What operations work with."""

    layout: Layout
    clock: Clock
    store: Store
    packages: Packages
    commands: Commands
    rooms: Rooms
    vault: Vault
    limits: Callable[[], Limits]
    endpoint: Callable[[], Awaitable[str]]
    redactor: Redactor
    log: logging.Logger
    progress: Callable[[str], None] = field(default=lambda _name: None)


class SupersededError(Exception):
    """Something else is wanted by now; the operation ends without a word."""


class Operation:
    """The operation of one extension.

    Args:
        tools: shared by all.
        task: the loop that carries it out.
        name: of the extension.
    """

    def __init__(self, tools: Tools, task: ClockTask, name: str) -> None:
        self.tools = tools
        self.task = task
        self.name = name
        self.goal = Goal.from_json(self.work.goal)

    # -- what is on disk -------------------------------------------------------------------------------------

    @property
    def extension(self) -> Extension:
        """The record as it is now; pulls may change its goal at any time.

        Raises:
            SupersededError: it is gone.
        """
        found = self.tools.store.get(self.name)
        if found is None:
            raise SupersededError
        return found

    @property
    def work(self) -> Work:
        """What has been done."""
        found = self.extension.current
        if found is None:
            raise SupersededError
        return found

    def keep(self, *, power_loss: bool = False, **changes: Any) -> None:
        """Change `work` on disk."""
        changed = replace(self.work, **changes)
        self.tools.store.put(replace(self.extension, work=changed.to_json()), power_loss=power_loss)

    def note(self, key: str, *, power_loss: bool = False, **values: Any) -> None:
        """Write down what is known of a step."""
        runs = self.work.runs
        self.keep(power_loss=power_loss, runs={**runs, key: {**runs.get(key, {}), **values}})

    @property
    def plan(self) -> dict[str, Any]:
        """What was decided at the beginning."""
        return self.work.plan

    def ran(self, key: str) -> bool:
        """Whether a step has begun."""
        return key in self.work.runs

    @property
    def handler(self) -> Handler:
        """What is installed of the handler."""
        return self.tools.store.handler(self.goal.handler)

    def folder(self, version: str = "") -> Folder:
        """The folder of a version, of the wanted one by default."""
        return Folder(self.tools.layout, self.goal.handler, version or self.goal.version)

    def state(
        self,
        state: str,
        message: str,
        *,
        version: str = "",
        code: int = 0,
        ready: bool = False,
        once: str = "",
    ) -> None:
        """Keep the handler's state, in the manager's files and in the handler's folder.

        Args:
            state: see `Handler`.
            message: see `Handler`.
            code: see `Handler`.
            version: that the state is of; the one that is known by default.
            ready: whether Azure is told Ready.
            once: name of this change, which is not made again when the operation is started again.
        """
        if once and self.ran(once):
            return
        before = self.handler
        handler = replace(
            before,
            state=state,
            version=version or before.version,
            status=READY if ready else NOT_READY,
            code=code,
            message=self.tools.redactor.clean(message),
        )
        self.tools.store.put_handler(handler)
        document = {
            "name": handler.name,
            "version": handler.version,
            "status": handler.status,
            "code": handler.code,
            "message": handler.message,
            "supports_multi_config": handler.multi,
        }
        self.folder(handler.version).write_state(state, document)
        if once:
            self.note(once, done=True)

    def phase(self, phase: str) -> None:
        """Tell where the operation is."""
        if self.work.phase != phase:
            self.keep(phase=phase)
            self.tools.progress(self.name)

    def check_wanted(self) -> None:
        """Stop between two steps when something else is wanted.

        Raises:
            SupersededError: it is.
        """
        if self.extension.goal != self.work.goal:
            raise SupersededError

    # -- steps -----------------------------------------------------------------------------------------------

    async def step(self, key: str, action: Callable[[], Awaitable[None]]) -> None:
        """Do `action` unless it has been done; it may be done again if it was cut short."""
        if not self.ran(key):
            self.check_wanted()
            await action()
            self.note(key, done=True)

    async def command(
        self,
        command: str,
        folder: Folder,
        *,
        extra: Mapping[str, str] | None = None,
        extension: str = "",
        sequence: int | None = None,
        again: str = "",
    ) -> Ended:
        """Run a command of a handler, or answer how it ended when it ran before.

        Args:
            command: install, enable, update, disable or uninstall.
            folder: whose.
            extra: more environment.
            extension: which configuration of the handler it is about; empty: the handler itself.
                The environment names this operation's own then, so that the handler can report there.
            sequence: of its settings; None: of this operation's own.
            again: tells a second run in one operation from the first: the way back after a failed upgrade.

        Raises:
            OperationError: it cannot be run: no such command, no folder, no place to run it.
            SupersededError: something else is wanted by now.
        """
        key = self.key(command, folder, extension, again)
        known = self.work.runs.get(key, {})
        if "ended" in known:
            return _remembered(known)
        line = self._line(command, folder)
        number = self.sequence if sequence is None else sequence
        if not known:
            self.check_wanted()
            self.phase(_PHASES[command])
            known = self._begin(key, number)
        # A fresh run can still be refused; then it has not begun.
        named = extension or self.goal.extension_name
        members = {"extension": named, "extra": extra or {}, "sequence": known.get("sequence", number)}
        ended = await self._run(command, folder, line, known, members)
        self._end(key, known, ended)
        self._write_log(folder, named, line, ended)
        return ended

    async def settle(self) -> None:
        """Wait for a command that an earlier start has begun, and keep its result; begins nothing."""
        for key, known in self.work.runs.items():
            if "file" not in known or "ended" in known:
                continue
            run = Path(known["file"])
            if commands.prevent(run):
                others = {other: what for other, what in self.work.runs.items() if other != key}
                self.keep(power_loss=True, runs=others)
                continue
            ended = await self.tools.commands.adopt(self.task, run, datetime.fromisoformat(known["begun"]))
            self._end(key, known, ended)

    @staticmethod
    def key(command: str, folder: Folder, extension: str = "", again: str = "") -> str:
        """The step that a command is; see `command`."""
        return ":".join(word for word in (again, command, folder.version, extension) if word)

    def _begin(self, key: str, sequence: int) -> dict[str, Any]:
        plain = "".join(char if char.isalnum() or char in "-_." else "_" for char in f"{self.name}.{key}")
        number, operation = self.goal.sequence, self.goal.operation_id[:8] or "local"
        run = self.tools.store.runs / f"{plain[:120]}.{number}.{operation}"
        commands.forget(run)
        begun, wall = self.tools.clock.now().isoformat(), self.tools.clock.wall()
        self.note(key, power_loss=True, file=str(run), begun=begun, wall=wall, sequence=sequence)
        return self.work.runs[key]

    async def _run(
        self,
        command: str,
        folder: Folder,
        line: str,
        known: Mapping[str, Any],
        members: Mapping[str, Any],
    ) -> Ended:
        tools, log = self.tools, by(MANAGER)
        limit = tools.limits().extension(self.goal.kind, command)
        shown = tools.rooms.shown(folder.path)
        try:
            words = await tools.rooms.enter(self.goal.handler, folder.path, f"{shown}/{line}", limit)
            call = Call(
                run=Path(known["file"]),
                words=words,
                environment=environment.environment(
                    path=shown,
                    version=folder.version,
                    endpoint=await tools.endpoint(),
                    **members,
                ),
                folder=folder.path,
                group=self.goal.handler,
                limit=limit,
                seconds=TIMEOUTS[command],
            )
            tools.log.info("Executing %s of %s: %s", command, folder.name, line, extra=log)
            ended = await tools.commands.run(self.task, call, begun=datetime.fromisoformat(known["begun"]))
        except (RoomError, OSError, GovernorError) as error:
            raise OperationError(failure.COMMANDS[command], f"{command.capitalize()}: {error}") from error
        text = "%s of %s has ended with %s"
        tools.log.info(text, command, folder.name, "time-out" if ended.timed_out else ended.exit, extra=log)
        return ended

    def _end(self, key: str, known: Mapping[str, Any], ended: Ended) -> None:
        clean = self.tools.redactor.clean
        self.note(
            key,
            power_loss=True,
            ended=self.tools.clock.now().isoformat(),
            exit=ended.exit,
            timedOut=ended.timed_out,
            output=[
                clean(text)
                for text in (
                    ended.output.stdout,
                    ended.output.stderr,
                    ended.output.stdout_tail,
                    ended.output.stderr_tail,
                )
            ],
            governance=dict(ended.governance),
        )
        commands.forget(Path(known["file"]))

    def _line(self, command: str, folder: Folder) -> str:
        """The shell line of a command.

        Raises:
            OperationError: the folder cannot be used.
        """
        try:
            line = folder.manifest.commands[command]
        except ManifestError as error:
            raise OperationError(error.code, str(error)) from error
        if os.statvfs(folder.path).f_flag & os.ST_NOEXEC:
            text = (
                f"The extension cannot run: {self.tools.rooms.shown(folder.path.parent)} is on a file system "
                "that is mounted with the noexec flag"
            )
            raise OperationError(failure.NOEXEC, text, exit_code=failure.NOEXEC)
        return line

    def _write_log(self, folder: Folder, extension: str, line: str, ended: Ended) -> None:
        """``CommandExecution.log``: what was run, and the beginning of what it printed."""
        name = f"CommandExecution_{extension}.log" if extension else "CommandExecution.log"
        path = folder.logs / name
        code = "timed out" if ended.timed_out else f"exit code {ended.exit}"
        text = f"{self.tools.clock.now().isoformat()} {line}: {code}\n{ended.output.text}\n\n"
        try:
            if path.exists() and path.stat().st_size > _LOG_HEAD:
                path.write_bytes(path.read_bytes()[-_LOG_HEAD // 2 :])
            with path.open("a", encoding="utf-8") as stream:
                stream.write(self.tools.redactor.clean(text))
        except OSError as error:
            self.tools.log.warning("%s cannot be written: %s", path, error, extra=by(MANAGER))

    # -- settings --------------------------------------------------------------------------------------------

    @property
    def has_settings(self) -> bool:
        """Whether the extension has any settings, public or protected."""
        return settings.given(self.goal, self.extension.protected)

    @property
    def sequence(self) -> int:
        """The number that the handler sees: 0 without settings."""
        return settings.number(self.goal, self.extension.protected)

    def settings(self) -> dict[str, Any] | None:
        """The settings file's document; None without any settings."""
        return settings.document(self.goal, self.extension.protected, self.tools.vault)

    @property
    def governance(self) -> dict[str, Any]:
        """What the commands of this operation have used together."""
        return together([run.get("governance") or {} for run in self.work.runs.values()])


def _remembered(known: Mapping[str, Any]) -> Ended:
    return Ended(
        exit=known["exit"],
        output=Output(*known["output"]),
        timed_out=known["timedOut"],
        governance=known.get("governance") or {},
        adopted=True,
    )
