"""The handler contract as a table: what a scripted handler does, and what the manager must have done then.

A row names a rule of ``docs/handler-rules.toml``. Its steps are what the service, the clock and the handler
do; the rest is what is expected when all is quiet. The handler is always the same: each command notes that it
ran, leaves its environment behind, and does what the row's script for it says.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extensions import COMMANDS, SUCCEED, ExtdBed

from arcbed_agent.extd.daemon import Extd

RULES = Path(__file__).parents[2] / "docs" / "handler-rules.toml"
HANDLER = "Arcbed.Test.Sample"
OLD, NEW = "1.0.0", "1.1.0"
COMMAND_CLOCK = "web-01/extd/command"
STATUS_CLOCK = "web-01/extd/operation/status"
#: What a fresh installation runs.
FRESH = ("1.0.0 install 0 -", "1.0.0 enable 0 -")
#: A command that says that it runs, and goes on until it is killed.
HANG = "touch hanging; exec sleep 100000\n"

Step = Callable[["Play"], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One rule, or one case of it.

    Args:
        rule: key in ``docs/handler-rules.toml``.
        case: tells rows of one rule apart.
        steps: what happens, in this order.
        runs: all commands that ran: ``version command sequence configuration``.
        final: state and code of the last operation.
        said: part of the last operation's message.
        handler: version, state and status of the handler afterwards.
        files: content by path. True: it is there; False: it is not; a number: its permissions; a text: what
            is in it, without blanks around it. Paths may begin with one of `Play.places` in braces.
        environment: members by ``version command``, or by ``version command configuration``; None: not set.
        status: members of the last periodic report's `handler`.
        check: anything else.
    """

    rule: str
    case: str = ""
    steps: Sequence[Step]
    runs: Sequence[str] | None = None
    final: tuple[str, str] | None = None
    said: str = ""
    handler: tuple[str, str, str] | None = None
    files: Mapping[str, str | bool | int] = field(default_factory=dict)
    environment: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Play], None] | None = None

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.rule}: {self.case}" if self.case else self.rule


class Play:
    """A row being played."""

    def __init__(self, bed: ExtdBed) -> None:
        self.bed = bed
        self.traces = bed.root / "traces"
        self.traces.mkdir(parents=True)
        self.pending: asyncio.Future[None] | None = None
        self.extd: Extd
        self._running = AsyncExitStack()

    @property
    def places(self) -> dict[str, Path]:
        """Where things are, by the names that rows use."""
        layout = self.bed.layout
        return {
            "extensions": layout["extensions"],
            "folder": self.bed.folder(OLD),
            "new": self.bed.folder(NEW),
            "zips": layout["extension_downloads"],
            "logs": layout["extension_logs"] / f"{HANDLER}-{OLD}",
            "reports": layout["extension_reports"],
        }

    def at(self, path: str) -> Path:
        """`path` with its place filled in."""
        return Path(path.format(**self.places))

    def package(self, scripts: Mapping[str, str] | None, manifest: Mapping[str, Any] | None) -> bytes:
        """The handler, with the row's scripts."""
        lines = {"enable": SUCCEED} | dict(scripts or {})
        file = "$AZURE_GUEST_AGENT_EXTENSION_VERSION NAME${ConfigExtensionName:+ $ConfigExtensionName}"
        trace = f'env -0 > "{self.traces}/{file}"\n'
        traced = {name: trace.replace("NAME", name) + lines.get(name, "") for name in COMMANDS}
        return self.bed.handler(traced, **(manifest or {}))

    async def start(self) -> None:
        """Start extd."""
        self.extd = await self._running.enter_async_context(self.bed.running(end=False))

    async def stop(self) -> None:
        """Stop extd; what handlers have left running runs on."""
        await self._running.aclose()

    async def end(self) -> None:
        """Stop extd and everything that handlers have left running."""
        await self.stop()
        await self.extd.end_handlers()

    # -- what is looked at -----------------------------------------------------------------------------------

    def environment(self, command: str) -> dict[str, str]:
        """What a command found in its environment."""
        entries = (self.traces / command).read_text().split("\0")
        return dict(entry.partition("=")[::2] for entry in entries if entry)

    @property
    def finals(self) -> list[dict[str, Any]]:
        """The reports that ended operations."""
        return [one for one in self.bed.service.reports if one["state"] != "InProgress"]

    @property
    def final(self) -> dict[str, Any]:
        """The report that ended the last operation."""
        return self.finals[-1]

    def prove(self, row: Row) -> None:
        """Compare with what `row` expects."""
        if row.runs is not None:
            assert self.bed.runs == list(row.runs)
        if row.final is not None:
            assert (self.final["state"], self.final["instanceView"]["code"]) == row.final
        if row.said:
            assert row.said in self.final["instanceView"]["message"]
        if row.handler is not None:
            known = self.extd.store.handler(HANDLER)
            assert (known.version, known.state, known.status) == row.handler
        for name, wanted in row.files.items():
            self.prove_file(self.at(name), wanted)
        for command, members in row.environment.items():
            found = self.environment(command)
            assert {name: found.get(name) for name in members} == members
        if row.status:
            told = self.bed.service.statuses[-1]["handler"]
            assert {name: told[name] for name in row.status} == row.status
        if row.check is not None:
            row.check(self)

    @staticmethod
    def prove_file(path: Path, wanted: str | bool | int) -> None:
        """Compare one file or folder."""
        if isinstance(wanted, bool):
            assert path.exists() == wanted, path
        elif isinstance(wanted, int):
            assert path.stat().st_mode & 0o7777 == wanted, path
        else:
            assert path.read_text().strip() == wanted, path


async def play(row: Row, bed: ExtdBed) -> None:
    """Let the steps of `row` happen, and compare."""
    played = Play(bed)
    await played.start()
    try:
        for step in row.steps:
            await step(played)
        played.prove(row)
    finally:
        await played.end()


def every(*checks: Callable[[Play], None]) -> Callable[[Play], None]:
    """All of `checks`."""

    def check(play: Play) -> None:
        for one in checks:
            one(play)

    return check


# -- steps ---------------------------------------------------------------------------------------------------


def put(
    scripts: Mapping[str, str] | None = None,
    *,
    manifest: Mapping[str, Any] | None = None,
    operation: str = "",
    begun: str = "",
    seconds: float = 10.0,
    **goal: Any,
) -> Step:
    """A PUT in ARM, and the machine hears of it.

    Args:
        scripts: what commands do, by name.
        manifest: members of `handlerManifest`.
        operation: its kind, if it is not create or update.
        begun: a file that a command makes while it runs: the step ends there, and the command goes on.
        seconds: of the machine's time that pass.
        goal: members of the goal.
    """

    async def step(play: Play) -> None:
        more = {"operation": play.bed.service.operation(operation)} if operation else {}
        play.bed.service.put(play.package(scripts, manifest), **goal, **more)
        await _hear(play, begun, seconds)

    return step


def delete(name: str = "sample", *, begun: str = "", seconds: float = 10.0) -> Step:
    """A DELETE in ARM, and the machine hears of it."""

    async def step(play: Play) -> None:
        play.bed.service.delete(name)
        await _hear(play, begun, seconds)

    return step


async def _hear(play: Play, begun: str, seconds: float) -> None:
    if not begun:
        await play.bed.pull(play.extd, seconds)
        return
    play.extd.poke()
    play.pending = asyncio.ensure_future(play.bed.clock.advance(seconds=seconds))
    await appears(play.at(begun))


async def appears(path: Path) -> None:
    """Handlers work in real time; so does this."""
    while not path.exists():
        await asyncio.to_thread(path.parent.exists)


def passes(*children: str, **delta: float) -> Step:
    """Time passes; `children` of the clock do not keep it from passing."""

    async def step(play: Play) -> None:
        if children:
            play.bed.clock.let_pass(*children)
        if play.pending is not None:
            await play.pending
            play.pending = None
        await play.bed.clock.advance(**delta)
        await play.bed.quiet()

    return step


def holds() -> Step:
    """From now on time waits for everything again."""

    async def step(play: Play) -> None:
        play.bed.clock.let_pass()

    return step


def ends(path: str) -> Step:
    """The process whose number is in the file `path` ends, in real time."""

    async def step(play: Play) -> None:
        pid = int(play.at(path).read_text())
        while alive(pid):
            await asyncio.to_thread(alive, pid)

    return step


def alive(pid: int) -> bool:
    """Whether a process has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def proven(**expected: Any) -> Step:
    """Compare already here."""

    async def step(play: Play) -> None:
        play.prove(Row(rule="", steps=(), **expected))

    return step


def again() -> Step:
    """The service says the same once more."""

    async def step(play: Play) -> None:
        play.bed.service.generation += 1
        await play.bed.pull(play.extd)

    return step


def restart() -> Step:
    """Extd ends and starts again."""

    async def step(play: Play) -> None:
        await play.stop()
        await play.start()
        await play.bed.pull(play.extd)

    return step


def write(path: str, text: str) -> Step:
    """Somebody writes a file."""

    async def step(play: Play) -> None:
        play.at(path).write_text(text)

    return step


def erase(path: str) -> Step:
    """Somebody deletes a file."""

    async def step(play: Play) -> None:
        play.at(path).unlink()

    return step


def catalogue() -> dict[str, dict[str, str]]:
    """The rules, by key: `text` and `source`."""
    areas = tomllib.loads(RULES.read_text(encoding="utf-8"))
    return {f"{area}.{name}": rule for area, rules in areas.items() for name, rule in rules.items()}
