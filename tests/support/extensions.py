"""An extension manager inside the test: stepped clock, own folder, real handlers, and a scripted service."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import random
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from scripted import BLOBS, START, FakeIdentity, Home, ScriptedService, refusal

from arcbed_agent.archives import ArchiveLimits
from arcbed_agent.extd.daemon import Extd
from arcbed_agent.gc_logs import PolicyFormatter
from arcbed_agent.governor import Governor
from arcbed_agent.logging import Redactor, open_log
from arcbed_cloud.clock import Keeper

NEVER = "2099-01-01T00:00:00Z"
COMMANDS = ("install", "enable", "disable", "update", "uninstall")
#: What every command of a made handler does first: a line for each run, in a file that outlives all versions.
NOTE = (
    'printf "%s %s %s %s\\n" "$AZURE_GUEST_AGENT_EXTENSION_VERSION" COMMAND '
    '"$ConfigSequenceNumber" "${ConfigExtensionName:--}" >> RUNS\n'
)
#: Reports success for the wanted sequence number.
SUCCEED = (
    'echo \'[{"status": {"status": "success", "code": 0, "formattedMessage": '
    '{"lang": "en", "message": "fine"}}}]\' > "status/${ConfigExtensionName:+$ConfigExtensionName.}'
    '$ConfigSequenceNumber.status"\n'
)


def handler(runs: Path, scripts: Mapping[str, str] | None = None, **manifest: Any) -> bytes:
    """A zip with a shell script for each command; `scripts` replaces what they do after noting the run."""
    lines = {"enable": SUCCEED} | dict(scripts or {})
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        document = {f"{name}Command": f"{name}.sh" for name in COMMANDS}
        document |= {"rebootAfterInstall": False, "reportHeartbeat": False, **manifest}
        archive.writestr(
            _member("HandlerManifest.json"), json.dumps([{"version": 1.0, "handlerManifest": document}])
        )
        for name in COMMANDS:
            note = NOTE.replace("COMMAND", name).replace("RUNS", str(runs))
            archive.writestr(_member(f"{name}.sh"), f"#!/bin/sh\n{note}{lines.get(name, '')}")
    return made.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    """The same package at any time of day."""
    made = zipfile.ZipInfo(name)
    made.external_attr = 0o600 << 16
    return made


@dataclass
class FakeGas(ScriptedService):
    """The service as extd sees it."""

    KIND = "extensions"
    statuses: list[dict[str, Any]] = field(default_factory=list)
    operations: int = 0
    last_seq: int = 0
    sequences: dict[str, int] = field(default_factory=dict)

    def publish(self, content: bytes, version: str = "1.0.0", kind: str = "Sample") -> dict[str, Any]:
        """The `package` of a goal."""
        file = f"Arcbed.Test.{kind}__{version}.zip"
        digest = hashlib.sha256(content).hexdigest()
        catalogue = f"{digest}  {file}\n".encode()
        self.files[f"/{file}"] = content
        self.files[f"/{file}.cat"] = catalogue
        return {
            "uri": f"{BLOBS}/{file}?sv=1&sig=secret",
            "sha256": digest,
            "sizeBytes": len(content),
            "catalogUri": f"{BLOBS}/{file}.cat?sv=1&sig=secret",
            "catalogSha256": hashlib.sha256(catalogue).hexdigest(),
        }

    def put(
        self,
        content: bytes,
        *,
        name: str = "sample",
        version: str = "1.0.0",
        kind: str = "Sample",
        **more: Any,
    ) -> None:
        """As a PUT in ARM."""
        sequence = self.sequences.get(name, -1) + 1
        self.sequences[name] = sequence
        known = name in self.items
        self.items[name] = {
            "name": name,
            "publisher": "Arcbed.Test",
            "type": kind,
            "typeHandlerVersion": version,
            "desiredState": "enabled",
            "sequenceNumber": sequence,
            "operation": self.operation("update" if known else "create"),
            "package": self.publish(content, version, kind),
            "settings": {"wanted": 1},
            "protectedSettings": None,
            **more,
        }
        self.generation += 1

    def operation(self, kind: str) -> dict[str, str]:
        self.operations += 1
        return {
            "operationId": f"00000000-0000-4000-8000-{self.operations:012d}",
            "kind": kind,
            "createdAt": (self.clock.now() + timedelta(microseconds=self.operations)).isoformat(),
            "expiresAt": NEVER,
        }

    def delete(self, name: str = "sample") -> None:
        """As a DELETE in ARM."""
        self.items[name] |= {"desiredState": "uninstalled", "operation": self.operation("delete")}
        self.generation += 1

    def finals(self, name: str = "sample") -> list[dict[str, Any]]:
        """Reports that ended an operation."""
        return [one for one in self.reports if one["name"] == name and one["state"] != "InProgress"]

    def phases(self, name: str = "sample") -> list[str]:
        return [one["phase"] for one in self.reports if one["name"] == name]

    def content(self, path: str) -> bytes | None:
        return self.files.get(path)

    def take(self, request: httpx.Request) -> httpx.Response:
        words = request.url.path.split("/")
        name = words[4]
        if name not in self.items:
            return refusal(404, "ExtensionNotFound")
        report = json.loads(request.content)
        assert report["reportSeq"] > self.last_seq
        self.last_seq = report["reportSeq"]
        if words[5] == "status":
            self.statuses.append({"name": name, **report})
            return httpx.Response(200, json={"accepted": True})
        self.reports.append({"name": name, "operation": words[6], **report})
        if words[6] == (self.items[name]["operation"] or {}).get("operationId"):
            self.closed(name, report)
        return httpx.Response(200, json={"accepted": True})

    def closed(self, name: str, report: Mapping[str, Any]) -> None:
        if report["state"] == "InProgress":
            return
        self.items[name]["protectedSettings"] = None
        if (
            self.items[name]["desiredState"] == "uninstalled"
            and report["handler"]["status"] == "NotInstalled"
        ):
            del self.items[name]
            self.generation += 1


@dataclass
class ExtdBed(Home):
    """A machine's folder, its service, and as many starts of extd as the test makes."""

    LOG = "gc_ext_log"
    service: FakeGas
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    chance: random.Random = field(default_factory=lambda: random.Random("extd"))
    limits: ArchiveLimits | None = None
    governor: Governor | None = None

    @classmethod
    def make(cls, root: Path, **values: Any) -> ExtdBed:
        clock = Keeper("stepped", start=START)
        made = cls(root, clock, FakeGas(clock))
        made.configure(**{"extd.allowHostChanges": True, "governor.mode": "account", **values})
        return made

    @property
    def runs_file(self) -> Path:
        return self.root / "runs"

    @property
    def runs(self) -> list[str]:
        """What the handlers did: ``version command sequence configuration``."""
        return self.runs_file.read_text().splitlines() if self.runs_file.exists() else []

    def handler(self, scripts: Mapping[str, str] | None = None, **manifest: Any) -> bytes:
        return handler(self.runs_file, scripts, **manifest)

    def folder(self, version: str = "1.0.0", kind: str = "Sample") -> Path:
        return self.layout["extensions"] / f"Arcbed.Test.{kind}-{version}"

    def make_extd(self) -> Extd:
        log, redactor = logging.Logger("gc_ext"), Redactor()  # noqa: LOG001 - one for each start
        formatter = PolicyFormatter(self.clock, redactor)
        log.addHandler(open_log(self.layout["gc_ext_log"], self.clock, formatter=formatter))
        return Extd(
            layout=self.layout,
            clock=self.clock,
            identity=self.identity,
            chance=self.chance,
            network=lambda: httpx.MockTransport(self.service),
            limits=self.limits,
            governor=self.governor,
            name="web-01",
            redactor=redactor,
            log=log,
        )

    @asynccontextmanager
    async def running(self, *, end: bool = True) -> AsyncIterator[Extd]:
        """One start of extd; `end` ends what handlers have left running."""
        extd = self.make_extd()
        await extd.start()
        try:
            yield extd
        finally:
            await extd.stop()
            if end:
                await extd.end_handlers()
            for one in extd.log.handlers:
                one.close()

    async def pull(self, extd: Extd, seconds: float = 10.0) -> None:
        """As after a notification, and long enough for reports to be sent."""
        extd.poke()
        await self.clock.advance(seconds=seconds)
        await self.quiet()

    async def quiet(self) -> None:
        """Let what was set in motion by the last turn of the loop come to rest."""
        await self.turns()
        await self.clock.settled()

    @staticmethod
    async def turns() -> None:
        """Let the loop turn a little."""
        for _ in range(10):
            await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, no time
