"""What tests inside gcad and extd share: a scripted service, what himds would say, a machine's folder."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx

from arcbed_agent.cloud.transport import UnreachableError
from arcbed_agent.config import AgentConfig, LocalConfig
from arcbed_agent.host.layout import Layout
from arcbed_cloud.clock import Keeper

START = datetime(2026, 1, 1, tzinfo=UTC)
VM_ID = "99999999-9999-4999-8999-999999999999"
GAS = "https://weu-gas.test"
BLOBS = "https://packages.test"


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "no"}}, headers=headers)


@dataclass
class ScriptedService(ABC):
    """Global and regional service, and a place for packages; `script` puts answers before the real ones."""

    KIND: ClassVar[str]
    clock: Keeper
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[datetime, httpx.Request]] = field(default_factory=list)
    scripted: list[tuple[str, Any]] = field(default_factory=list)
    generation: int = 1
    away: bool = False

    def script(self, word: str, *answers: Any) -> None:
        self.scripted.extend((word, answer) for answer in answers)

    def asked(self, method: str, word: str) -> list[tuple[datetime, httpx.Request]]:
        return [one for one in self.requests if one[1].method == method and word in str(one[1].url)]

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
        assert path.startswith(f"/virtualMachines/{VM_ID}/{self.KIND}")
        return self.pull(request) if request.method == "GET" else self.take(request)

    def blob(self, request: httpx.Request) -> httpx.Response:
        """A package, or what is left of it."""
        assert "authorization" not in request.headers
        content = self.content(request.url.path)
        if content is None:
            return httpx.Response(404, headers={"x-ms-error-code": "BlobNotFound"})
        etag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        start = 0
        if (wanted := request.headers.get("range")) and request.headers.get("if-range") == etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        headers = {"etag": etag}
        if start:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return httpx.Response(206 if start else 200, content=content[start:], headers=headers)

    def pull(self, request: httpx.Request) -> httpx.Response:
        """What is wanted, unless the machine knows it."""
        etag = f'"{self.KIND}.{self.generation}"'
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304, headers={"x-arc-next-seconds": "300"})
        document = {"generation": self.generation, "nextSeconds": 300, "value": list(self.items.values())}
        return httpx.Response(200, json=document | self.more_wanted(), headers={"etag": etag})

    def more_wanted(self) -> Mapping[str, Any]:
        """Further members of the answer to a pull."""
        return {}

    @abstractmethod
    def content(self, path: str) -> bytes | None:
        """What lies at a path of the host of packages."""

    @abstractmethod
    def take(self, request: httpx.Request) -> httpx.Response:
        """A report."""


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
class Home:
    """A machine's folder."""

    LOG: ClassVar[str]
    root: Path
    clock: Keeper

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def configure(self, **values: Any) -> None:
        config = LocalConfig.load(self.layout)
        for name, value in {"endpoints.gas": "https://gas.test", **values}.items():
            config = config.with_value(name, value)
        config.save(self.layout)

    def log_text(self, key: str = "") -> str:
        """The daemon's log, or the one called `key`."""
        path = self.layout[key or self.LOG]
        return path.read_text() if path.exists() else ""
