"""A guest configuration service inside the process, for one extension: goals out, reports in, no network."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from arcbed_agent.config import AgentConfig

HOST: Final = "https://offline.invalid"
NAME: Final = "tested"
VM_ID: Final = "00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True)
class Offered:
    """A package that can be wanted."""

    publisher: str
    kind: str
    version: str
    content: bytes = field(repr=False)

    @property
    def file(self) -> str:
        """As publishers call it."""
        return f"{self.publisher}.{self.kind}__{self.version}.zip"


class OfflineService:
    """What the manager asks, answered."""

    def __init__(self) -> None:
        self.item: dict[str, Any] | None = None
        self.ended = asyncio.Event()
        self.final: dict[str, Any] = {}
        self._offered: dict[str, Offered] = {}
        self._generation = 0

    def want(
        self,
        package: Offered,
        *,
        kind: str,
        sequence: int,
        desired: str,
        settings: Mapping[str, Any] | None,
        protected: Mapping[str, Any] | None,
    ) -> None:
        """Make this the goal."""
        self._generation += 1
        self._offered[f"/{package.file}"] = package
        self.ended.clear()
        self.final = {}
        self.item = {
            "name": NAME,
            "publisher": package.publisher,
            "type": package.kind,
            "typeHandlerVersion": package.version,
            "desiredState": desired,
            "sequenceNumber": sequence,
            "operation": {"operationId": f"operation-{self._generation}", "kind": kind},
            "package": {
                "uri": f"{HOST}/{package.file}",
                "sha256": hashlib.sha256(package.content).hexdigest(),
                "sizeBytes": len(package.content),
            },
            "settings": settings,
            "protectedSettings": None if protected is None else {"scheme": "plain-tls", "value": protected},
        }

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the manager."""
        path = request.url.path
        if path == "/discovery":
            return httpx.Response(200, json={"endpoint": HOST})
        if path in self._offered:
            return httpx.Response(200, content=self._offered[path].content)
        if request.method == "GET":
            items = [self.item] if self.item else []
            tag = {"etag": f'"extensions.{self._generation}"'}
            return httpx.Response(200, json={"nextSeconds": 300, "value": items}, headers=tag)
        report = json.loads(request.content)
        if "/operations/" in path and report["state"] != "InProgress":
            self.final = report
            self.ended.set()
        return httpx.Response(200, json={"accepted": True})


class OfflineIdentity:
    """A machine that is connected to nothing."""

    def config(self) -> AgentConfig:
        """What it is."""
        return AgentConfig(
            subscription_id="offline",
            resource_group="offline",
            resource_name="offline",
            tenant_id="offline",
            location="offline",
            cloud="AzureCloud",
            vm_id=VM_ID,
        )

    async def token(self, resource: str = "", *, bypass_cache: bool = False) -> str:  # noqa: ARG002 - no cloud
        """A text that nobody checks."""
        return "offline"

    async def tags(self) -> Mapping[str, str]:
        """None."""
        return {}

    async def close(self) -> None:
        """Nothing to close."""
