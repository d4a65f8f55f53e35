"""A machine's life with extensions in which anything may happen, and what must be so afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from extensions import ExtdBed
from extensions_service import Service
from extensions_trace import (
    Given,
    Handler,
    Heard,
    Labels,
    contradiction,
    gate,
    read,
    replay,
    traced,
    without_id,
)
from handler_contract import COMMAND_CLOCK

from arcbed_agent.config import LocalConfig
from arcbed_agent.governor import choose, wishes

#: Extensions and their handlers.
NAMES = {"sample": "Sample", "other": "Other", "first": "Run", "second": "Run", "third": "Run"}
#: Handlers, and whether they take several configurations.
KINDS = {"Sample": False, "Other": False, "Run": True}
#: What may be wished; a put is what is wished most.
WISHES = ["put", "put", "other version", "automatic upgrade", "delete", "disable"]
LINES = ["cut", "mend", "lose answers", "wait", "expire", "restart"]
#: What a store is asked to write.
WRITES = ("put", "put_handler", "remove", "remove_handler", "keep_sync")


class Killed(BaseException):
    """Extd has died."""


@dataclass(frozen=True)
class Wish:
    """A write in ARM.

    Args:
        what: one of `WISHES`.
        name: of the extension.
        fails: the command that fails in what is published now, ``package``: nothing is; empty: nothing fails.
        when: ``then``: the machine hears of it before anything else happens; ``together``: it hears of it
            with the next; ``meanwhile``: the next comes while a command of it runs; ``unheard``: the line is
            cut while a command of it runs, until it has ended.
        holds: that command.
    """

    what: str
    name: str
    fails: str = ""
    when: str = "then"
    holds: str = "install"


@dataclass(frozen=True)
class Kill:
    """Extd dies at its write number `writes` from now."""

    writes: int


Step = Wish | Kill | str


class Fuse:
    """Ends an extd at one of its writes."""

    def __init__(self, extd: Any) -> None:
        self.left: int | None = None
        self.blown = False
        for name in WRITES:
            setattr(extd.store, name, self._guarded(getattr(extd.store, name)))

    def _guarded(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.blown = self.blown or self.left == 0
            if self.blown:
                raise Killed
            if self.left is not None:
                self.left -= 1
            return write(*arguments, **named)

        return call


class Life:
    """One machine, its extensions, and whatever the test thinks of."""

    def __init__(self, root: Path) -> None:
        self.bed = ExtdBed.make(root, **{"governor.backend": "none"})
        self.service = self.bed.service = Service(self.bed.clock)
        self.versions = dict.fromkeys(KINDS, "1.0.0")
        self.given: dict[str, Given] = {}
        self.gates: list[int] = []
        self.held = 0
        self.holds = ""
        self.heard: list[Heard] = []

    # -- what happens ----------------------------------------------------------------------------------------

    async def live(self, steps: list[Step]) -> None:
        layout, clock = self.bed.layout, self.bed.clock
        wished = wishes(LocalConfig.load(layout))
        self.bed.governor = Labels(await choose(wished, owner="extd", root=layout.root, clock=clock))
        try:
            await self.happen_all(steps)
            await self.end()
        finally:
            await self.bed.governor.close()
            for gate in self.gates:
                os.close(gate)

    async def happen_all(self, steps: list[Step]) -> None:
        left = list(steps)
        while left:
            async with self.bed.running(end=False) as extd:
                fuse = Fuse(extd)
                await self.bed.clock.advance(seconds=1)
                while left and not fuse.blown:
                    step = left.pop(0)
                    if step == "restart":
                        break
                    await self.happen(step, extd, fuse)

    async def end(self) -> None:
        """The line is mended; one more write for each handler; then all is deleted."""
        self.service.away, self.service.losing = False, 0
        self.release()
        async with self.bed.running(end=False) as extd:
            for _ in range(2):
                await self.bed.pull(extd, 1_000)
            self.prove(extd)
            await self.write_once_more(extd)
            for name in list(self.service.items):
                self.wish(Wish("delete", name))
            await self.bed.pull(extd, 1_000)
            await self.bed.pull(extd, 400)
            self.prove(extd)
        async with self.bed.running(end=False) as extd:
            self.prove_nothing_is_left(extd)

    async def write_once_more(self, extd: Any) -> None:
        """A write that goes well makes good what others have lost by a change of version that did not."""
        asked: dict[str, str] = {}
        for name in self.service.items:
            asked.setdefault(NAMES[name], name)
        for name in asked.values():
            self.wish(Wish("put", name))
        await self.bed.pull(extd, 1_000)
        handlers = self.prove(extd)
        for kind, name in asked.items():
            if extd.store.get(name).result["state"] == "Succeeded":
                self.prove_enabled(kind, handlers[kind])
                (folder,) = self.folders(kind)
                assert folder == f"Arcbed.Test.{kind}-{extd.store.handler(f'Arcbed.Test.{kind}').version}"

    async def happen(self, step: Step, extd: Any, fuse: Fuse) -> None:
        if isinstance(step, Kill):
            fuse.left = step.writes
        elif isinstance(step, str):
            await self.befall(step, extd)
        else:
            if step.when in {"meanwhile", "unheard"}:
                self.hold(step.holds)
            self.wish(step)
            if step.when != "together":
                await self.pull(extd)
                self.hear(extd)
            if step.when == "unheard":
                await self.end_unheard(extd)
        if self.held:
            self.held -= 1
            if not self.held:
                self.release()

    def hear(self, extd: Any) -> None:
        """Keep what the machine has heard of while a command runs."""
        if not self.held or not self.waits:
            return
        begun = sum(line.startswith("begins") for line in self.trace.read_text().splitlines())
        known = [(one.name, one.wanted.operation_id[:8]) for one in extd.store]
        self.heard += [Heard(begun, name, operation) for name, operation in known if operation]

    async def end_unheard(self, extd: Any) -> None:
        """What is held ends, and the service cannot be told."""
        away, self.service.away = self.service.away, True
        self.release()
        await self.bed.pull(extd, 1)
        self.service.away = away

    async def pull(self, extd: Any) -> None:
        """The machine hears of what is wanted; returns when all is done or a command is held."""
        extd.poke()
        passing = asyncio.ensure_future(self.bed.clock.advance(seconds=1))
        if self.held:
            while not passing.done() and not self.waits:
                await asyncio.to_thread(self.trace.exists)
            self.bed.clock.let_pass(COMMAND_CLOCK)
        await passing
        await self.bed.quiet()

    @property
    def waits(self) -> bool:
        """Whether the command that is to be held has begun."""
        last = self.trace.read_text().splitlines()[-1:] if self.trace.exists() else []
        return last != [] and last[0].startswith("begins") and last[0].split()[4] == self.holds

    def hold(self, command: str) -> None:
        """Until the end of the next step this command does not end, and time passes all the same."""
        if not self.holds:
            self.holds = command
            os.mkfifo(gate(self.trace, command))
        self.held = 2

    def release(self) -> None:
        """Commands end, and time waits for them."""
        if self.holds:
            pipe = gate(self.trace, self.holds)
            self.gates.append(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
            pipe.unlink()
            os.write(self.gates[-1], b"go\n")
        self.bed.clock.let_pass()
        self.held, self.holds = 0, ""

    async def befall(self, what: str, extd: Any) -> None:
        if what == "lose answers":
            self.service.losing = 2
        elif what == "wait":
            self.release()
            await self.bed.pull(extd, 400)
        elif what == "expire":
            self.expire()
        else:
            self.service.away = what == "cut"

    def wish(self, wish: Wish) -> None:
        known = self.service.items.get(wish.name)
        if known is None and wish.what in {"delete", "automatic upgrade"}:
            return
        if known is not None and known["desiredState"] == "uninstalled" and wish.what != "delete":
            return  # ARM refuses every write but another deletion while a deletion is open
        if wish.what == "delete":
            self.service.delete(wish.name)
        else:
            self.put(wish)
        item = self.service.items[wish.name]
        self.given[item["operation"]["operationId"][:8]] = self.given_by(item)

    def put(self, wish: Wish) -> None:
        kind = NAMES[wish.name]
        if "version" in wish.what or "upgrade" in wish.what:
            self.versions[kind] = "1.1.0" if self.versions[kind] == "1.0.0" else "1.0.0"
        more: dict[str, Any] = {"extensionName": wish.name} if KINDS[kind] else {}
        desired = "disabled" if wish.what == "disable" else "enabled"
        if wish.what == "automatic upgrade":
            more["operation"] = self.service.operation("upgrade")
            desired = self.service.items[wish.name]["desiredState"]
        if wish.fails == "package":
            more["package"] = None
        self.service.put(
            traced(self.trace, kind, wish.fails, supportsMultipleExtensions=KINDS[kind]),
            name=wish.name,
            kind=kind,
            version=self.versions[kind],
            desiredState=desired,
            **more,
        )

    def given_by(self, item: Mapping[str, Any]) -> Given:
        """What the service lists, as `extensions_trace` has it."""
        return Given(
            name=item["name"],
            kind=NAMES[item["name"]],
            desired=item["desiredState"],
            version=item["typeHandlerVersion"],
            number=item["sequenceNumber"],
            automatic=(item["operation"] or {}).get("kind") == "upgrade",
            package=item["package"] is not None,
            at=len(self.given),
        )

    def expire(self) -> None:
        """Six hours have passed: what was before is listed again, and may have to be done again."""
        for item in self.service.expire():
            key = without_id(item["name"], item["sequenceNumber"])
            self.given[key] = replace(self.given_by(item), back=True)

    def newest(self) -> dict[str, str]:
        """The last operation of each extension."""
        return {one.name: operation for operation, one in self.given.items() if not one.back}

    @property
    def trace(self) -> Path:
        """What commands have written."""
        return self.bed.root / "trace"

    # -- what must be so afterwards --------------------------------------------------------------------------

    def prove(self, extd: Any) -> dict[str, Handler]:
        """All is settled and told, and what extd believes is what the handlers have seen."""
        runs = read(self.trace)
        handlers = replay(runs, self.given, KINDS, self.heard)
        told = self.finals()
        newest = self.newest()
        for name in self.service.items:
            known = extd.store.get(name)
            assert known.settled, name
            assert known.report is None, name
            assert newest[name] in told.keys() | self.service.expired, f"{newest[name]} of {name} has no end"
        for operation, final in told.items():
            own = [run for run in runs if run.operation == operation]
            why = contradiction(final, self.given[operation], own)
            assert not why, f"{operation}, {self.given[operation]}: {why}: {final}"
        for kind, seen in handlers.items():
            self.prove_handler(extd, kind, seen)
        self.prove_disk(extd)
        return handlers

    def finals(self) -> dict[str, dict[str, Any]]:
        """What was told at the end of each operation, which is the same however often it is told."""
        found: dict[str, dict[str, Any]] = {}
        for report in self.service.reports:
            if report["state"] != "InProgress":
                told = {member: value for member, value in report.items() if member != "reportSeq"}
                assert found.setdefault(report["operation"][:8], told) == told
        return found

    def prove_handler(self, extd: Any, kind: str, seen: Handler) -> None:
        """What extd believes of a handler."""
        known = extd.store.handler(f"Arcbed.Test.{kind}")
        there = {known.version} if known.state != "NotInstalled" else set()
        assert set(seen.installed) == there, (known, seen)
        if known.state == "Enabled":
            believed = [one.name for one in extd.store.of_handler(known.name) if one.enabled]
            enabled = {name if KINDS[kind] else "-" for name in believed}
            assert seen.surely == enabled - seen.doubtful, (known, enabled, seen)
        else:
            assert not seen.surely, (known, seen)

    def prove_enabled(self, kind: str, seen: Handler) -> None:
        """What is wanted and was told to be well is enabled, but for what has failed when it came back."""
        told, newest = self.finals(), self.newest()
        runs = [run for run in read(self.trace) if run.kind == kind and run.command == "enable"]
        codes = {run.name: run.code for run in runs}
        for name, item in self.service.items.items():
            well = told.get(newest[name], {}).get("state") == "Succeeded"
            called = name if KINDS[kind] else "-"
            wanted = NAMES[name] == kind and item["desiredState"] == "enabled"
            if wanted and well and not codes.get(called, 9):
                assert called in seen.enabled, (name, seen)

    def prove_disk(self, extd: Any) -> None:
        """There is what is enabled, and nothing of what is not wanted."""
        wanted = {one.wanted.handler for one in extd.store}
        for kind in KINDS:
            known = extd.store.handler(f"Arcbed.Test.{kind}")
            if f"Arcbed.Test.{kind}" not in wanted:
                assert self.folders(kind) == []
            elif known.state == "Enabled":
                assert f"Arcbed.Test.{kind}-{known.version}" in self.folders(kind)
        extensions = self.bed.layout["extensions"]
        assert not [path for path in extensions.iterdir() if path.name.startswith(".")]

    def folders(self, kind: str) -> list[str]:
        """The versions of a handler on disk."""
        return [path.name for path in self.bed.layout["extensions"].glob(f"Arcbed.Test.{kind}-*")]

    def prove_nothing_is_left(self, extd: Any) -> None:
        """A deletion always works."""
        assert self.service.items == {}
        assert list(extd.store) == extd.store.handlers == []
        layout = self.bed.layout
        assert not list(layout["extension_downloads"].glob("*"))
        assert not list(layout["extensions"].glob("Arcbed.*"))
        assert not list((layout["extension_state"] / "runs").iterdir())
