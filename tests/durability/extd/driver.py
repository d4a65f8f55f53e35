"""An extd of its own process, with a service that keeps what it knows on disk; it can be killed at any point.

``driver.py ROOT KILL_AT``: install, another version, deletion, each as soon as the service has the result of
the one before. A point is each flush, rename and removal of a file, each request before and after the
service has heard it, and each command before and after it is started. Their names go to ROOT/points; KILL_AT
(from 1) is the one to die at.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from extensions import SUCCEED, ExtdBed, FakeGas

from arcbed_agent.clock import SystemClock
from arcbed_agent.extd.commands import Commands

ROOT, KILL_AT = Path(sys.argv[1]), int(sys.argv[2])
STAGES = ("install", "update", "delete", "over")
_count = itertools.count(1)


def point(name: str) -> None:
    with (ROOT / "points").open("a") as stream:
        stream.write(f"{name}\n")
    if next(_count) == KILL_AT:
        os.kill(os.getpid(), signal.SIGKILL)


class KeptGas(FakeGas):
    """A service that survives: everything it knows is in one file."""

    stage = ""
    over = asyncio.Event()
    KEPT = ("items", "reports", "generation", "operations", "last_seq", "sequences")

    def load(self) -> None:
        path = ROOT / "service.json"
        if path.exists():
            kept = json.loads(path.read_text())
            self.stage = kept.pop("stage")
            for name, value in kept.items():
                setattr(self, name, value)
            self.files = {f"/{path.name}": path.read_bytes() for path in ROOT.glob("Arcbed.Test.*")}
        else:
            self.advance("install")

    def save(self) -> None:
        for name, content in self.files.items():
            (ROOT / name.strip("/")).write_bytes(content)
        kept = {name: getattr(self, name) for name in self.KEPT} | {"stage": self.stage}
        temporary = ROOT / "service.new"
        temporary.write_text(json.dumps(kept))
        temporary.rename(ROOT / "service.json")

    def advance(self, stage: str) -> None:
        self.stage = stage
        if stage in VERSIONS:
            secret = {"scheme": "plain-tls", "value": {"key": "open-sesame"}}
            self.put(HANDLERS[stage], version=VERSIONS[stage], protectedSettings=secret)
        elif stage == "delete":
            self.delete()
        self.save()

    def closed(self, name: str, report: dict[str, Any]) -> None:
        super().closed(name, report)
        if report["state"] != "InProgress":
            self.advance(STAGES[STAGES.index(self.stage) + 1])
            if self.stage == "over":
                self.over.set()

    async def __call__(self, request):
        name = f"{request.method} {request.url.path.rpartition('/')[2][-12:]}"
        point(f"before {name}")
        answer = await super().__call__(request)
        self.save()
        point(f"after {name}")
        if self.stage != self.said:
            self.said = self.stage
            extd.poke()
        return answer

    said = ""


def watched() -> None:
    fsync, replace, unlink, launch = os.fsync, os.replace, os.unlink, Commands._launch

    def flushed(descriptor):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        point(f"fsync {plain(name)}")
        fsync(descriptor)

    def replaced(source, target, **options):
        point(f"replace {Path(target).name}")
        replace(source, target, **options)

    def unlinked(path, **options):
        if "/proc" not in str(path):
            point(f"unlink {Path(path).name}")
        unlink(path, **options)

    async def launched(self, call, *more):
        point(f"before {call.run.name}")
        made = await launch(self, call, *more)
        point(f"after {call.run.name}")
        return made

    os.fsync, os.replace, os.unlink, Commands._launch = flushed, replaced, unlinked, launched


def plain(name: str) -> str:
    return re.sub(r"^[.](.+)[.][0-9]+-[0-9]+[.]new$", r"\1", name)


async def main() -> None:
    global extd  # noqa: PLW0603 - the service pokes it
    async with SystemClock() as clock:
        service = KeptGas(clock)
        bed = ExtdBed(ROOT / "machine", clock, service)
        bed.configure(
            **{"extd.allowHostChanges": True, "governor.mode": "account", "governor.backend": "none"}
        )
        for stage in ("install", "update"):
            HANDLERS[stage] = bed.handler({"enable": f"sleep 0.02\n{SUCCEED}", "install": "sleep 0.02\n"})
        service.load()
        if service.stage == "over":
            return
        extd = bed.make_extd()
        watched()
        await extd.start()
        service.said = service.stage
        extd.poke()
        await service.over.wait()
        while extd.store.get("sample") is not None and extd.store.get("sample").report is not None:
            await clock.task("driver").sleep(0.01)
        await extd.stop()


HANDLERS: dict[str, bytes] = {}
VERSIONS = {"install": "1.0.0", "update": "1.1.0"}
asyncio.run(main())
