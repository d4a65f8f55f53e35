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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from arcbed_agent.cloud.transport import UnreachableError
from arcbed_agent.config import AgentConfig, LocalConfig
from arcbed_agent.gc_logs import open_policy_log
from arcbed_agent.gcad.daemon import Gcad
from arcbed_agent.gcad.governed import GovernedProcesses
from arcbed_agent.gcad.package import Limits
from arcbed_agent.host.layout import Layout
from arcbed_cloud.clock import Keeper

START = datetime(2026, 1, 1, tzinfo=UTC)
VM_ID = "99999999-9999-4999-8999-999999999999"
GAS = "https://weu-gas.test"
BLOBS = "https://packages.test"


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


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "no"}}, headers=headers)


@dataclass
class FakeService:
    """Global and regional service, and a place for packages; `script` puts answers before the real ones."""

    clock: Keeper
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[datetime, httpx.Request]] = field(default_factory=list)
    scripted: list[tuple[str, Any]] = field(default_factory=list)
    generation: int = 1
    away: bool = False
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

    def script(self, word: str, *answers: Any) -> None:
        self.scripted.extend((word, answer) for answer in answers)

    def asked(self, method: str, word: str) -> list[tuple[datetime, httpx.Request]]:
        return [one for one in self.requests if one[1].method == method and word in str(one[1].url)]

    @property
    def pulls(self) -> list[tuple[datetime, httpx.Request]]:
        return self.asked("GET", "/assignments")

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((self.clock.now(), request))
        if self.away:
            raise httpx.ConnectError("network is unreachable")
        for entry in self.scripted:
            if entry[0] in str(request.url):
                self.scripted.remove(entry)
                if isinstance(entry[1], Exception):
                    raise entry[1]
                return entry[1]
        return self.real(request)

    def real(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/discovery":
            return httpx.Response(200, json={"endpoint": GAS})
        if request.url.host == "packages.test":
            return self.blob(request)
        assert request.headers["authorization"] == "Bearer machine"
        assert path.startswith(f"/virtualMachines/{VM_ID}/")
        if path.endswith("/assignments"):
            return self.pull(request)
        return self.take(request)

    def blob(self, request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        content = self.files[request.url.path.strip("/").removesuffix(".zip")]
        etag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        start = 0
        if (wanted := request.headers.get("range")) and request.headers.get("if-range") == etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        headers = {"etag": etag}
        if start:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return httpx.Response(206 if start else 200, content=content[start:], headers=headers)

    def pull(self, request: httpx.Request) -> httpx.Response:
        etag = f'"assignments.{self.generation}"'
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304, headers={"x-arc-next-seconds": "300"})
        document = {
            "generation": self.generation,
            "nextSeconds": 300,
            "retentionSeconds": 1_209_600,
            "value": list(self.items.values()),
            "dropped": self.dropped,
        }
        return httpx.Response(200, json=document | self.more, headers={"etag": etag})

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


class FakeIdentity:
    """What himds would say."""

    def __init__(self) -> None:
        self.machine = AgentConfig(
            subscription_id="s", resource_group="g", resource_name="web-01", tenant_id="t",
            location="westeurope", cloud="AzureCloud", vm_id=VM_ID,
        )  # fmt: skip
        self.named: dict[str, str] = {}
        self.tokens: list[tuple[str, bool]] = []
        self.lost = False

    def config(self) -> AgentConfig:
        return self.machine

    async def token(self, resource: str = "", *, bypass_cache: bool = False) -> str:
        self.tokens.append((resource, bypass_cache))
        if self.lost:
            raise UnreachableError("http://localhost:40342", "himds does not answer")
        return "machine"

    async def tags(self) -> Mapping[str, str]:
        return self.named

    async def close(self) -> None:
        return None


@dataclass
class GcadBed:
    """A machine's folder, its service, and as many starts of gcad as the test makes."""

    root: Path
    clock: Keeper
    service: FakeService
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    chance: random.Random = field(default_factory=lambda: random.Random("gcad"))
    limits: Limits = field(default_factory=Limits)
    governed: bool = False

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def target(self) -> Path:
        return self.root / "etc/motd"

    def configure(self, **values: Any) -> None:
        config = LocalConfig.load(self.layout)
        for name, value in {"endpoints.gas": "https://gas.test", **values}.items():
            config = config.with_value(name, value)
        config.save(self.layout)

    def folder(self, name: str) -> Path:
        return self.layout["configurations"] / name

    def log_text(self, key: str = "gc_agent_log") -> str:
        path = self.layout[key]
        return path.read_text() if path.exists() else ""

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
