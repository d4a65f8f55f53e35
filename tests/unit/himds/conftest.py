"""A himds inside the test: stepped clock, own folder, and a scripted Azure behind an in-memory network."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.scripted_azure import ARM, SUBSCRIPTION, TENANT, FakeAzure, error, oauth_error

from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.daemon import Himds
from arcbed_agent.himds.messages import ConnectParameters, Progress
from arcbed_agent.host.contract import CloudProvider
from arcbed_agent.host.layout import Layout
from arcbed_cloud.clock import Keeper

START = datetime(2026, 1, 1, tzinfo=UTC)


class StaticHost:
    """A machine that tells what the test wants."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {
            "osName": "linux",
            "osType": "linux",
            "osSku": "Ubuntu 22.04.4 LTS",
            "osVersion": "5.15.0-101-generic",
            "osProfile": {"computerName": "web-01"},
            "detectedProperties": {"coreCount": "4"},
        }

    def hostname(self) -> str:
        return "web-01"

    def metadata(self) -> dict[str, Any]:
        return dict(self.facts)

    def cloud(self) -> CloudProvider:
        return CloudProvider()

    def refusal(self) -> AgentError | None:
        return None


@dataclass
class HimdsBed:
    """A machine's folder, its Azure, and as many starts of himds as the test makes."""

    root: Path
    clock: Keeper
    azure: FakeAzure
    host: StaticHost = field(default_factory=StaticHost)
    chance: random.Random = field(default_factory=lambda: random.Random("himds"))
    progress: list[Progress] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def configure(self, **values: Any) -> None:
        config = LocalConfig()
        for name, value in {"endpoints.arm": ARM, "himds.port": 0, **values}.items():
            config = config.with_value(name, value)
        config.save(self.layout)

    def make(self) -> Himds:
        return Himds(
            layout=self.layout,
            clock=self.clock,
            host=self.host,
            chance=self.chance,
            network=lambda: httpx.MockTransport(self.azure),
            services=dict,
            name="web-01",
            log=logging.getLogger("test.himds"),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Himds]:
        himds = self.make()
        await himds.start()
        try:
            yield himds
        finally:
            await himds.stop()

    def wanted(self, **changes: Any) -> ConnectParameters:
        parameters = {
            "subscription_id": SUBSCRIPTION,
            "resource_group": "arc",
            "resource_name": "web-01",
            "location": "westeurope",
            "tenant_id": TENANT,
            "access_token": "person",
            "correlation_id": "55555555-5555-4555-8555-555555555555",
            "tags": {"City": "Oslo"},
        }
        return ConnectParameters(**{**parameters, **changes})

    async def report(self, progress: Progress) -> None:
        self.progress.append(progress)

    async def connect(self, himds: Himds, **changes: Any) -> Any:
        return await self.settle(himds.control.connect(self.wanted(**changes), self.report))

    async def settle(self, work: Awaitable[Any], limit: timedelta = timedelta(minutes=15)) -> Any:
        """Let the bed's time pass until `work` is done."""
        task = asyncio.ensure_future(work)
        end = self.clock.now() + limit
        while not task.done() and self.clock.now() < end:
            await asyncio.wait({task}, timeout=0.005)
            if not task.done() and not self.clock.running:
                await self.clock.advance(seconds=0.5)
        return await asyncio.wait_for(task, 5)


@pytest.fixture
def bed(tmp_path: Path) -> HimdsBed:
    clock = Keeper("stepped", start=START)
    made = HimdsBed(tmp_path / "root", clock, FakeAzure(clock))
    made.configure()
    return made


@dataclass
class Spoken:
    """An answer on the wire."""

    status: int
    raw_head: str
    headers: dict[str, str]
    document: Any


async def speak(port: int, raw: str | bytes, family: int = socket.AF_INET) -> Spoken:
    """Send bytes to the local endpoint and read one answer."""
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(raw.encode() if isinstance(raw, str) else raw)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        return Spoken(int(lines[0].split()[1]), head, headers, json.loads(body))
    finally:
        writer.close()


async def get(port: int, target: str, **headers: str) -> Spoken:
    """GET as a program on the machine would, unless `headers` say otherwise."""
    sent = {
        "Host": f"localhost:{port}",
        "Metadata": "true",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value), "", ""]
    return await speak(port, "\r\n".join(lines))


@pytest.fixture(name="speak")
def speak_fixture() -> Callable[..., Awaitable[Spoken]]:
    return speak


@pytest.fixture(name="get")
def get_fixture() -> Callable[..., Awaitable[Spoken]]:
    return get


@pytest.fixture(name="refusal")
def refusal_fixture() -> Callable[..., httpx.Response]:
    return error


@pytest.fixture(name="oauth_refusal")
def oauth_refusal_fixture() -> Callable[..., httpx.Response]:
    return oauth_error
