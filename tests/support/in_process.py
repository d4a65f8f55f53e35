"""A control plane in the test's own process: its clock stands still, and its state needs no new keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from arcbed_cloud.app import Cloud, build
from arcbed_cloud.settings import Settings

BASE = "https://localhost:8443"


def plant(folder: Path, seed: str) -> Path:
    """A state after its first start, which makes keys for a second; tests begin with copies of it."""

    async def first_start() -> None:
        cloud = build(Settings(state=folder, clock="stepped", seed=seed))
        await cloud.startup()
        await cloud.shutdown()

    asyncio.run(first_start())
    return folder


def client(cloud: Cloud) -> httpx.AsyncClient:
    """Calls to `cloud` without a network."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.asgi))


@dataclass
class CloudBed:
    """A control plane with one resource group, ``servers``."""

    cloud: Cloud
    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, **more: Any) -> AsyncIterator[Self]:
        """Start a control plane; at the end stop it, or the one that `restart` has put in its place."""
        cloud = build(settings)
        await cloud.startup()
        bed = cls(cloud, client(cloud), **more)
        try:
            yield bed
        finally:
            await bed.http.aclose()
            await bed.cloud.shutdown()

    @property
    def clock(self):
        return self.cloud.plane.clock

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.cloud.estate.subscription_id}"

    @property
    def group(self) -> str:
        return f"{self.subscription}/resourceGroups/servers"

    def machine(self, name: str = "web-01") -> str:
        return f"{self.group}/providers/Microsoft.HybridCompute/machines/{name}"

    def token(self, object_id: str, audience: str = "https://management.azure.com/") -> str:
        """A token of a principal of the directory."""
        principal = self.cloud.directory.principal(object_id)
        assert principal is not None
        return self.cloud.tokens.issue_application(principal, audience, acr="1")[0]

    async def settle(self) -> None:
        """Wait for what goes on after answers."""
        await self.clock.advance()

    async def restart(self, *, later: timedelta = timedelta()) -> None:
        """End the process and start another on its state; `later` is how long the bed was away."""
        settings, now = self.cloud.settings, self.clock.now() + later
        await self.cloud.shutdown()
        await self.http.aclose()
        self.cloud = build(settings)
        self.clock.move_to(now)
        await self.cloud.startup()
        self.http = client(self.cloud)
