"""A real himds and a real control plane in one process, on one stepped clock: weeks in seconds."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.daemon import Himds
from arcbed_agent.himds.messages import ConnectParameters, Progress
from arcbed_agent.host.contract import CloudProvider
from arcbed_agent.host.layout import Layout
from arcbed_cloud.app import Cloud, build
from arcbed_cloud.settings import Settings

ORIGIN = "https://localhost:8443"


class StaticHost:
    """A machine that does not change."""

    def hostname(self) -> str:
        return "web-01"

    def metadata(self) -> dict[str, Any]:
        return {"osName": "linux", "osType": "linux", "osSku": "Ubuntu 22.04.4 LTS", "osVersion": "5.15.0"}

    def cloud(self) -> CloudProvider:
        return CloudProvider()

    def refusal(self) -> AgentError | None:
        return None


@dataclass
class Bed:
    """One cloud, one machine."""

    cloud: Cloud
    himds: Himds
    client: httpx.AsyncClient
    beats: list[datetime]

    @property
    def clock(self):
        return self.cloud.plane.clock

    async def token(self) -> str:
        owner = self.cloud.estate.owner
        answer = await self.client.post(
            f"{ORIGIN}/{self.cloud.estate.tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": owner.clientId,
                "client_secret": owner.clientSecret,
                "scope": "https://management.azure.com/.default",
            },
        )
        return answer.raise_for_status().json()["access_token"]

    async def connect(self) -> None:
        async def report(_progress: Progress) -> None:
            return None

        estate = self.cloud.estate
        await self.himds.control.connect(
            ConnectParameters(
                subscription_id=estate.subscription_id,
                resource_group="arc",
                resource_name="web-01",
                location="westeurope",
                tenant_id=estate.tenant_id,
                access_token=await self.token(),
                correlation_id="55555555-5555-4555-8555-555555555555",
            ),
            report,
        )

    async def pace(self, seconds: int) -> None:
        """Set the heartbeat period as `azcmagent config set` does."""
        config = LocalConfig.load(self.himds.layout).with_value("himds.heartbeatSeconds", seconds)
        config.save(self.himds.layout)
        await self.himds.control.reload()

    async def machine(self) -> dict[str, Any]:
        answer = await self.client.get(
            f"{ORIGIN}{self.himds.control.config.resource_id}",
            params={"api-version": "2024-07-10"},
            headers={"Authorization": f"Bearer {await self.token()}"},
        )
        return answer.raise_for_status().json()


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    cloud = build(Settings(state=tmp_path / "state", clock="stepped", seed="weeks"))
    await cloud.startup()
    layout = Layout(tmp_path / "root")
    config = LocalConfig().with_value("endpoints.arm", ORIGIN).with_value("himds.port", 0)
    config.save(layout)
    beats: list[datetime] = []

    async def asgi(scope, receive, send):
        if scope["path"].endswith("/heartbeat"):
            beats.append(cloud.plane.clock.now())
        await cloud.asgi(scope, receive, send)

    himds = Himds(
        layout=layout,
        clock=cloud.plane.clock,
        host=StaticHost(),
        chance=random.Random("weeks"),
        network=lambda: httpx.ASGITransport(asgi),
        services=dict,
        name="web-01",
        log=logging.getLogger("weeks"),
    )
    await himds.start()
    client = httpx.AsyncClient(transport=httpx.ASGITransport(cloud.asgi))
    try:
        yield Bed(cloud, himds, client, beats)
    finally:
        await client.aclose()
        await himds.stop()
        await cloud.shutdown()


async def test_an_hour_is_twelve_heartbeats_five_minutes_apart(bed):
    await bed.connect()
    await bed.clock.advance(hours=1)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(bed.beats)]
    assert 11 <= len(gaps) <= 14
    assert all(270 <= gap <= 330 for gap in gaps)
    document = await bed.machine()
    assert document["properties"]["status"] == "Connected"
    assert bed.himds.status().status == "Connected"


async def test_forty_seven_days_bring_one_new_certificate(bed):
    await bed.pace(14_400)
    await bed.connect()
    first = bed.himds.status().certificate_thumbprint
    began = bed.clock.now()
    await bed.clock.advance(days=44)
    assert bed.himds.status().certificate_thumbprint == first
    await bed.pace(840)
    await bed.clock.advance(days=3)
    second = bed.himds.status()
    assert second.certificate_thumbprint != first
    assert second.status == "Connected"
    renewed_at = datetime.fromisoformat(second.certificate_not_after) - timedelta(days=90)
    assert timedelta(days=45) <= renewed_at - began <= timedelta(days=46, hours=1)
    assert (await bed.machine())["properties"]["status"] == "Connected"


async def test_a_machine_cut_off_for_longer_than_its_certificate_is_expired_on_both_sides(bed, monkeypatch):
    await bed.connect()

    async def cut(*_args: Any, **_named: Any) -> httpx.Response:
        raise httpx.ConnectError("network is unreachable")

    network = httpx.ASGITransport.handle_async_request
    monkeypatch.setattr(httpx.ASGITransport, "handle_async_request", cut)
    await bed.pace(21_600)
    await bed.clock.advance(days=1)
    assert bed.himds.status().status == "Disconnected"
    await bed.clock.advance(days=90)
    assert bed.himds.status().status == "Expired"
    monkeypatch.setattr(httpx.ASGITransport, "handle_async_request", network)
    await bed.clock.advance(hours=2)
    assert bed.himds.status().status == "Expired"
    assert (await bed.machine())["properties"]["status"] == "Expired"
