"""The governor: launches commands into groups of a back end, watches them, and keeps their account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arcbed_agent.clock import Clock
from arcbed_agent.governor import files
from arcbed_agent.governor.candidates import Candidates
from arcbed_agent.governor.contract import (
    Choice,
    Escape,
    Governed,
    GovernorError,
    Limit,
    Usage,
)
from arcbed_agent.governor.family import Family
from arcbed_agent.governor.group import Counters, Group
from arcbed_agent.governor.hierarchy import memberships, path_in
from arcbed_agent.governor.processes import command_of, look
from arcbed_agent.governor.spawn import Child, program

#: Real seconds between two looks at who is where; what has left is found within twice that.
WATCH_SECONDS = 2.0
#: How long killing and removing a group is tried.
END_SECONDS = 10.0


@dataclass
class Held:
    """A group in use.

    Args:
        born: monotonic seconds when it was made.
        broken: its limit was not kept at some time.
        users: launches that are not through the gate yet; the group stays while there are any.
        begun: its account when it was made or taken over.
        gone: monotonic seconds when it was removed.
        seen: processes found in it last, with their start.
    """

    name: str
    group: Group
    choice: Choice
    limit: Limit
    born: float
    broken: bool = False
    users: int = 0
    begun: Counters = field(default_factory=Counters)
    gone: float | None = None
    seen: dict[int, int] = field(default_factory=dict)
    escapes: list[Escape] = field(default_factory=list)

    @property
    def enforced(self) -> bool:
        """Whether the limit has been kept all the time."""
        return self.choice.enforces and self.limit.percent is not None and not self.broken


class Command:
    """A governed command: `contract.Governed`."""

    def __init__(
        self, governor: GroupGovernor, held: Held, child: Child, begun: Counters, now: float
    ) -> None:
        self._governor, self._held, self._child = governor, held, child
        self._begun, self._born = begun, now
        self._ended: float | None = None

    @property
    def pid(self) -> int:
        """The process id of the command itself."""
        return self._child.pid

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """The command's output, if it was asked for."""
        return self._child.stdout

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """The command's errors, if they were asked for."""
        return self._child.stderr

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._child.returncode

    async def wait(self) -> int:
        """The exit code; the group is removed if nothing is left in it."""
        code = await self._child.wait()
        await asyncio.to_thread(self._governor.tidy, self._held)
        return code

    async def kill(self) -> None:
        """SIGKILL the whole group and wait until it is empty."""
        await asyncio.to_thread(self._governor.destroy, self._held)
        await self._child.wait()

    def usage(self) -> Usage:
        """The use of the group since this command was launched."""
        return self._governor.account(self._held, self._begun, self._born)


class GroupGovernor:
    """`contract.Governor` on a back end.

    Args:
        candidates: the back ends; blocks while the first that works is found.
        family: sorts processes by group.
        clock: for durations only.
    """

    def __init__(self, candidates: Candidates, family: Family, clock: Clock) -> None:
        self._candidates, self._family, self._clock = candidates, family, clock
        self._family.fallback, self._family.waited_for = self.tightest, self.waited_for
        self._backend, self._choice = candidates.pick()
        self._backends = [self._backend]
        self._held: dict[str, Held] = {}
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._watch: threading.Thread | None = None
        self._closed = False

    @property
    def choice(self) -> Choice:
        """Which back end, and why."""
        return self._choice

    # -- launching

    async def launch(
        self,
        command: Sequence[str],
        *,
        name: str,
        limit: Limit,
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        cwd: Path | str | None = None,
    ) -> Governed:
        """Start `command` in the group `name`; see `contract.Governor.launch`."""
        variables = {**(os.environ if environment is None else environment), **self._family.mark(name)}
        words = [program(command[0], variables, cwd), *command[1:]]
        while True:
            held, begun = await asyncio.to_thread(self._prepare, name, limit)
            try:
                child = self._start(held, words, variables, stdout, stderr, cwd)
                try:
                    await asyncio.to_thread(held.group.admit, child.pid)
                except GovernorError as error:
                    await child.abandon()
                    await asyncio.to_thread(self._fall_back, held, error)
                    continue
                except asyncio.CancelledError:
                    child.drop()
                    raise
                governed = Command(self, held, child, begun, self._clock.monotonic())
                await child.connect()
                child.release()
                return governed
            finally:
                with self._lock:
                    held.users -= 1
                await asyncio.to_thread(self.tidy, held)

    def _prepare(self, name: str, limit: Limit) -> tuple[Held, Counters]:
        """The group, made and limited, and its account so far."""
        while True:
            with self._lock:
                held = self._held.get(name) or self._new(name, limit)
                try:
                    if name not in self._held:
                        held.group.make()
                        held.begun = held.group.counters()
                        self._held[name] = held
                        self._hold(held, limit)
                    elif held.limit != limit:
                        self._hold(held, limit)
                except GovernorError as error:
                    self._fall_back(held, error)
                    continue
                held.users += 1
                self._attend()
                return held, held.group.counters()

    def _new(self, name: str, limit: Limit) -> Held:
        if "/" in name or name in {"", ".", ".."} or not name.isprintable():
            raise ValueError(f"no name for a group: {name!r}")
        return Held(name, self._backend.group(name), self._choice, limit, self._clock.monotonic())

    def _hold(self, held: Held, limit: Limit) -> None:
        held.group.hold(limit.cores if held.choice.mode == "enforce" else None)
        held.limit = limit

    def _start(
        self,
        held: Held,
        command: Sequence[str],
        environment: Mapping[str, str],
        stdout: int | None,
        stderr: int | None,
        cwd: Path | str | None,
    ) -> Child:
        with self._family.lock:
            child = Child(
                command,
                prefix=held.group.command([]),
                environment=environment,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                reaped=self._reaped,
            )
            self._family.launched(child.pid, held.name)
        return child

    def _reaped(self, pid: int, seconds: float, children: float) -> None:
        if name := self._family.reaped(pid):
            self.waited_for(name, pid, seconds, children)

    def waited_for(self, name: str, pid: int, seconds: float, children: float) -> None:
        """A process of the group was waited for; called by `Family` too."""
        if held := self._held.get(name):
            held.group.waited_for(pid, seconds, children)

    def tightest(self) -> str | None:
        """The group with the smallest limit, for `Family`."""
        held = list(self._held.values())
        return min(held, key=lambda item: item.limit.cores or 1e9).name if held else None

    def _fall_back(self, held: Held, error: GovernorError) -> None:
        """Go on with the next back end; groups that work stay where they are."""
        with self._lock:
            if self._held.get(held.name) is held:
                del self._held[held.name]
            with contextlib.suppress(GovernorError):
                held.group.remove()
            if held.choice is self._choice:
                self._candidates.reject(held.choice.backend, str(error))
                self._backend, self._choice = self._candidates.pick()
                self._backends.append(self._backend)

    # -- groups

    async def limit(self, name: str, limit: Limit) -> None:
        """Give the group another limit."""
        await asyncio.to_thread(self._limit, name, limit)

    def _limit(self, name: str, limit: Limit) -> None:
        with self._lock:
            # Writing a quota, even the same one, gives the group another period's share.
            if (held := self._held.get(name)) and held.limit != limit:
                self._hold(held, limit)

    def usage(self, name: str) -> Usage | None:
        """The use of the group since it was made."""
        held = self._held.get(name)
        return None if held is None else self.account(held, held.begun, held.born)

    def usages(self) -> Mapping[str, Usage]:
        """The use of every group that there is."""
        return {name: self.account(held, held.begun, held.born) for name, held in list(self._held.items())}

    def account(self, held: Held, begun: Counters, born: float) -> Usage:
        """The use of a group since `begun`."""
        used = held.group.counters().since(begun)
        return Usage(
            used.cpu,
            used.throttled,
            used.periods,
            used.throttled_periods,
            (held.gone or self._clock.monotonic()) - born,
            held.limit,
            held.enforced,
            held.choice.backend,
            held.group.where,
            tuple(held.escapes),
        )

    async def end(self, name: str) -> Usage | None:
        """Kill what is left in the group and remove it."""
        held = self._held.get(name)
        if held is None:
            return None
        await asyncio.to_thread(self.destroy, held)
        return self.account(held, held.begun, held.born)

    def destroy(self, held: Held) -> None:
        """Kill until nothing is left, then remove the group.

        Raises:
            GovernorError: something cannot be killed.
        """
        deadline = self._clock.monotonic() + END_SECONDS
        while self._clock.monotonic() < deadline:
            held.group.kill()
            files.kill(self._family.left(held.name))  # those that have moved out, too
            if self.tidy(held):
                return
            threading.Event().wait(0.01)
        raise GovernorError(f"processes in {held.group.where} cannot be killed: {sorted(held.group.pids())}")

    def tidy(self, held: Held) -> bool:
        """Remove the group if nothing is in it and nothing is about to be; whether it is gone."""
        with self._lock:
            if self._held.get(held.name) is not held:
                return True
            if held.users or held.group.pids() or self._family.left(held.name):
                return False
            if not held.group.remove():
                return False
            del self._held[held.name]
            held.gone = self._clock.monotonic()
            self._family.forget(held.name)
            return True

    async def close(self) -> None:
        """End all groups and stop watching."""
        self._closed = True
        for held in list(self._held.values()):
            with contextlib.suppress(GovernorError):
                await asyncio.to_thread(self.destroy, held)
        self._wake.set()
        if self._watch is not None:
            await asyncio.to_thread(self._watch.join)
        for backend in self._backends:
            await asyncio.to_thread(backend.close)
        self._family.close()

    # -- watching

    def _attend(self) -> None:
        """Watch as long as there is something to watch; an idle daemon costs nothing."""
        if self._watch is None and not self._closed:
            self._watch = threading.Thread(target=self._look_after, name="governor", daemon=True)
            self._watch.start()

    def _look_after(self) -> None:
        while not self._wake.wait(WATCH_SECONDS):
            self.inspect()
            with self._lock:
                if not self._held:
                    self._watch = None
                    return

    def inspect(self) -> None:
        """Find processes that have left their group, bring them back, and remove groups that are empty."""
        census = self._family.census()
        for name, held in list(self._held.items()):
            members = {pid: member.started for pid, member in census.get(name, {}).items()}
            for pid, started in (held.seen | members).items():
                self._check(held, pid, started)
            inside = {pid: member.started for pid in held.group.pids() if (member := look(pid))}
            held.seen = members | inside
            self.tidy(held)

    def _check(self, held: Held, pid: int, started: int) -> None:
        now = look(pid)
        if now is None or now.started != started or now.ended or held.users or held.group.holds(pid):
            return
        found_in = _whereabouts(pid)
        returned = True
        try:
            held.group.take_back(pid)
        except GovernorError:
            returned = False
        held.broken = True
        held.escapes.append(Escape(pid, command_of(pid), found_in, returned))


def _whereabouts(pid: int) -> str:
    """The group that a process is in, of the cpu controller where there is one."""
    try:
        found = memberships(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return ""
    for controller in ("cpu", None):
        with contextlib.suppress(GovernorError):
            return path_in(found, controller)
    return ""
