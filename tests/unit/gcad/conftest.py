"""A gcad inside the test: stepped clock, own folder, real worker processes, and a scripted service."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import random
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripted import BLOBS, START, FakeIdentity, Home, ScriptedService, refusal

from arcbed_agent.config import LocalConfig
from arcbed_agent.gc_logs import open_policy_log
from arcbed_agent.gcad.daemon import Gcad
from arcbed_agent.gcad.governed import GovernedProcesses
from arcbed_agent.gcad.package import Limits
from arcbed_cloud.clock import Keeper


def mof(path: Path, contents: str = "wanted\n", name: str = "FilePolicy") -> str:
    """A configuration with one file."""
    return f"""instance of MSFT_nxFileResource as $File
{{
 ResourceID = "[nxFile]motd";
 SourceInfo = "::1::1::nxFile";
 DestinationPath = "{path}";
 Ensure = "Present";
 Type = "File";
 Contents = "{contents.replace(chr(10), chr(92) + "n")}";
 ModuleName = "nx";
 ModuleVersion = "1.0";
 ConfigurationName = "{name}";
}};
instance of OMI_ConfigurationDocument
{{
 Version = "2.0.0";
 MinimumCompatibleVersion = "1.0.0";
 CompatibleVersionAdditionalProperties = {{"Omi_BaseResource:ConfigurationName"}};
 Author = "test";
 Name = "{name}";
}};
"""


def package(document: str, name: str = "FilePolicy", kind: str = "AuditAndSet", minutes: int = 15) -> bytes:
    """A zip as New-GuestConfigurationPackage makes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{name}.mof", document)
        settings = {"Type": kind, "Version": "1.2.0", "configurationModeFrequencyMins": minutes}
        archive.writestr(f"{name}.metaconfig.json", json.dumps(settings))
    return made.getvalue()


@dataclass
class FakeService(ScriptedService):
    """The service as gcad sees it."""

    KIND = "assignments"
    dropped: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, content: bytes, *, mode: str = "ApplyAndAutoCorrect", **guest: Any) -> None:
        """As a PUT of the assignment in ARM."""
        before = self.items.get(name, {})
        self.files[name] = content
        self.items[name] = {
            "name": name,
            "itemGeneration": before.get("itemGeneration", 0) + 1,
            "assignmentHash": f"{hashlib.sha256(content).hexdigest().upper()}.E3B0",
            "parameterHash": "",
            "guestConfiguration": {
                "kind": "DSC",
                "name": "FilePolicy",
                "version": "1.*",
                "contentUri": f"{BLOBS}/{name}.zip?sig=secret",
                "contentHash": hashlib.sha256(content).hexdigest().upper(),
                "contentType": "Custom",
                "assignmentType": mode,
                "configurationParameter": [],
                **guest,
            },
        }
        self.generation += 1

    def delete(self, name: str) -> None:
        del self.items[name]
        self.generation += 1

    @property
    def pulls(self) -> list[tuple[datetime, httpx.Request]]:
        return self.asked("GET", "/assignments")

    def content(self, path: str) -> bytes | None:
        return self.files.get(path.strip("/").removesuffix(".zip"))

    def more_wanted(self) -> Mapping[str, Any]:
        return {"retentionSeconds": 1_209_600, "dropped": self.dropped, **self.more}

    def take(self, request: httpx.Request) -> httpx.Response:
        words = request.url.path.split("/")
        name, report_id = words[4], words[6]
        if name not in self.items:
            return refusal(404, "AssignmentNotFound")
        report = json.loads(request.content)
        assert (report["assignmentName"], report["jobId"]) == (name, report_id)
        seen = [one for one in self.reports if one["jobId"] == report_id]
        if seen:
            return httpx.Response(200 if seen == [report] else 409, json={"applied": True})
        self.reports.append(report)
        applied = report["itemGeneration"] == self.items[name]["itemGeneration"]
        return httpx.Response(201, json={"applied": applied})


@dataclass
class GcadBed(Home):
    """A machine's folder, its service, and as many starts of gcad as the test makes."""

    LOG = "gc_agent_log"
    service: FakeService
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    chance: random.Random = field(default_factory=lambda: random.Random("gcad"))
    limits: Limits = field(default_factory=Limits)
    governed: bool = False

    @property
    def target(self) -> Path:
        return self.root / "etc/motd"

    def folder(self, name: str) -> Path:
        return self.layout["configurations"] / name

    def make(self) -> Gcad:
        log = logging.getLogger("test.gcad")
        log.handlers.clear()
        log.propagate = False
        log.setLevel(logging.INFO)
        log.addHandler(open_policy_log(self.layout["gc_agent_log"], self.clock))
        config = LocalConfig.load(self.layout)
        runner = GovernedProcesses(self.layout, self.clock, config, log) if self.governed else None
        return Gcad(
            layout=self.layout,
            clock=self.clock,
            identity=self.identity,
            chance=self.chance,
            network=lambda: httpx.MockTransport(self.service),
            limits=self.limits,
            runner=runner,
            name="web-01",
            log=log,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gcad]:
        gcad = self.make()
        await gcad.start()
        try:
            yield gcad
        finally:
            await gcad.stop()
            for handler in gcad.log.handlers:
                handler.close()

    async def pass_time(self, **span: float) -> None:
        await self.clock.advance(**span)

    def statuses(self, name: str = "motd") -> list[str]:
        return [one["complianceStatus"] for one in self.service.reports if one["assignmentName"] == name]


@pytest.fixture
def bed(tmp_path: Path) -> GcadBed:
    clock = Keeper("stepped", start=START)
    made = GcadBed(tmp_path / "root", clock, FakeService(clock))
    made.target.parent.mkdir(parents=True)
    made.configure()
    return made


@pytest.fixture
def content(bed: GcadBed) -> Callable[..., bytes]:
    """A package whose one file is below the machine's root."""

    def make(contents: str = "wanted\n", **settings: Any) -> bytes:
        return package(mof(bed.target, contents), **settings)

    return make
