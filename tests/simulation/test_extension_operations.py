"""Any order of wishes, kills and cut lines: no command runs twice for a number, no final state is lost.

Four extensions of three handlers, two of them configurations of one. Wishes come one after another, together,
or while commands run; commands fail; versions go up and down; extd is stopped, or dies at any of its
writes; the line is cut, and answers to reports are lost after the service has taken them.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from extensions import COMMANDS, SUCCEED, ExtdBed, FakeGas, handler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Extensions and their handlers.
NAMES = {"sample": "Sample", "other": "Other", "first": "Run", "second": "Run"}
#: What may be wished; a put is what is wished most.
WISHES = ["put", "put", "other version", "automatic upgrade", "delete", "disable"]
LINES = ["cut", "mend", "lose answers", "wait", "restart"]
#: What undoes a command.
UNDONE = {
    "install": {"uninstall"},
    "enable": {"disable", "uninstall"},
    "disable": {"enable"},
    "uninstall": {"install"},
    # A change that was carried through.
    "update": {"enable"},
}
#: Commands about a handler, whichever of its configurations they are run for.
WHOLE = {"install", "update", "uninstall"}
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
        fails: the command that fails in what is published now; empty: none.
        when: ``then``: the machine hears of it before anything else happens; ``together``: it hears of it
            with the next; ``meanwhile``: the next comes while it works.
    """

    what: str
    name: str
    fails: str
    when: str


@dataclass(frozen=True)
class Kill:
    """Extd dies at its write number `writes` from now."""

    writes: int


Step = Wish | Kill | str


def wishes(names: list[str]) -> st.SearchStrategy[Wish]:
    """Wishes for some of the extensions."""
    fails = st.sampled_from([""] * 12 + list(COMMANDS))
    when = st.sampled_from(["then", "then", "then", "together", "meanwhile"])
    return st.builds(Wish, st.sampled_from(WISHES), st.sampled_from(names), fails, when)


def lives(names: list[str]) -> st.SearchStrategy[list[Step]]:
    """What may happen to these extensions."""
    wish = wishes(names)
    kill = st.builds(Kill, st.integers(0, 30))
    return st.lists(wish | wish | wish | kill | st.sampled_from(LINES), min_size=10, max_size=20)


STEPS = st.sampled_from([["sample"], ["sample", "other"], ["first", "second"], sorted(NAMES)]).flatmap(lives)


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


class Service(FakeGas):
    """Loses answers to reports that it has taken."""

    losing = 0

    def take(self, request: httpx.Request) -> httpx.Response:
        answer = super().take(request)
        if self.losing:
            self.losing -= 1
            raise httpx.ReadError("the connection was reset")
        return answer


class Life:
    """One machine, its extensions, and whatever the test thinks of."""

    def __init__(self, root: Path) -> None:
        self.bed = ExtdBed.make(root, **{"governor.backend": "none"})
        self.service = self.bed.service = Service(self.bed.clock)
        self.versions = dict.fromkeys(NAMES.values(), "1.0.0")

    # -- what happens ----------------------------------------------------------------------------------------

    async def live(self, steps: list[Step]) -> None:
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
        self.service.away, self.service.losing = False, 0
        async with self.bed.running() as extd:
            for _ in range(3):
                await self.bed.pull(extd, 1_000)
            self.prove(extd)

    async def happen(self, step: Step, extd: Any, fuse: Fuse) -> None:
        if isinstance(step, Kill):
            fuse.left = step.writes
            return
        if isinstance(step, str):
            await self.befall(step, extd)
            return
        self.wish(step)
        if step.when == "then":
            await self.bed.pull(extd, 1)
        elif step.when == "meanwhile":
            extd.poke()
            await self.bed.turns()

    async def befall(self, what: str, extd: Any) -> None:
        if what == "lose answers":
            self.service.losing = 2
        elif what == "wait":
            await self.bed.pull(extd, 400)
        else:
            self.service.away = what == "cut"

    def wish(self, wish: Wish) -> None:
        known = self.service.items.get(wish.name)
        if known is not None and known["desiredState"] == "uninstalled":
            return  # ARM refuses every write while a deletion is open
        if wish.what == "delete":
            if known is not None:
                self.service.delete(wish.name)
            return
        if wish.what == "automatic upgrade" and known is None:
            return
        kind = NAMES[wish.name]
        if "version" in wish.what or "upgrade" in wish.what:
            self.versions[kind] = "1.1.0" if self.versions[kind] == "1.0.0" else "1.0.0"
        more: dict[str, Any] = {"extensionName": wish.name} if kind == "Run" else {}
        if wish.what == "automatic upgrade":
            more["operation"] = self.service.operation("upgrade")
        self.service.put(
            self.package(kind, wish.fails),
            name=wish.name,
            kind=kind,
            version=self.versions[kind],
            desiredState="disabled" if wish.what == "disable" else "enabled",
            **more,
        )

    def package(self, kind: str, fails: str) -> bytes:
        scripts = {"enable": SUCCEED} | ({fails: "exit 9\n"} if fails else {})
        return handler(self.runs_file(kind), scripts, supportsMultipleExtensions=kind == "Run")

    def runs_file(self, kind: str) -> Path:
        return self.bed.root / f"runs-{kind}"

    # -- what must be so afterwards --------------------------------------------------------------------------

    def prove(self, extd: Any) -> None:
        for kind in set(NAMES.values()):
            self.prove_once(self.runs(kind))
        for name, item in self.service.items.items():
            known = extd.store.get(name)
            assert known.settled, name
            assert known.report is None, name
            operation = item["operation"]["operationId"]
            finals = [one for one in self.service.reports if one["operation"] == operation]
            assert [one["state"] for one in finals if one["state"] != "InProgress"] != [], name
        self.prove_disk(extd)

    def runs(self, kind: str) -> list[str]:
        path = self.runs_file(kind)
        return path.read_text().splitlines() if path.exists() else []

    @staticmethod
    def prove_once(runs: list[str]) -> None:
        """A command runs again for a version and a number only after what it did has been undone.

        That is so when an upgrade has failed and the old version has come back.
        """
        for at, run in enumerate(runs):
            version, command, _, name = run.split()
            if run in runs[:at]:
                last = at - 1 - runs[:at][::-1].index(run)
                since = [tuple(one.split()) for one in runs[last + 1 : at]]
                undone = [one for one in since if one[0] == version and one[1] in UNDONE[command]]
                again = f"{run} runs again: {'; '.join(runs[: at + 1])}"
                assert [one for one in undone if command in WHOLE or one[1] in WHOLE or one[3] == name], again

    def prove_disk(self, extd: Any) -> None:
        """There is one version of each handler that is wanted, and nothing of what is not."""
        layout = self.bed.layout
        wanted = {one.wanted.handler for one in extd.store}
        for kind in set(NAMES.values()):
            folders = [path.name for path in layout["extensions"].glob(f"Arcbed.Test.{kind}-*")]
            if f"Arcbed.Test.{kind}" not in wanted:
                assert folders == []
            elif extd.store.handler(f"Arcbed.Test.{kind}").state == "Enabled":
                version = extd.store.handler(f"Arcbed.Test.{kind}").version
                assert f"Arcbed.Test.{kind}-{version}" in folders
        assert not list((layout["extension_state"] / "runs").iterdir())
        assert not [path for path in layout["extensions"].iterdir() if path.name.startswith(".")]


def live(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Life(Path(folder) / "root").live(steps))


@pytest.mark.timeout(300)
@settings(max_examples=10, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_whatever_happens_no_command_runs_twice_and_no_result_is_lost(steps):
    live(steps)
