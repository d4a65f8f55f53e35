"""The authority over real HTTP requests, in process: what clients of Entra see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from arcbed_cloud.app import Cloud, build
from arcbed_cloud.settings import Settings

HOST = "localhost:8443"


@dataclass
class Authority:
    """A whole control plane behind its dispatcher, and a client of it."""

    cloud: Cloud
    client: httpx.AsyncClient

    @property
    def tenant(self) -> str:
        return self.cloud.estate.tenant_id

    def at(self, host: str) -> httpx.AsyncClient:
        """The same control plane under another host name."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.cloud.asgi), base_url=f"https://{host}")

    async def token(self, path: str = "oauth2/v2.0/token", **form: str) -> httpx.Response:
        return await self.client.post(f"/{self.tenant}/{path}", data=form)

    async def with_secret(self, **changes: str) -> httpx.Response:
        owner = self.cloud.estate.owner
        form = {
            "grant_type": "client_credentials",
            "client_id": owner.clientId,
            "client_secret": owner.clientSecret,
            "scope": "https://management.azure.com/.default",
        }
        return await self.token(**{name: value for name, value in {**form, **changes}.items() if value})


@pytest.fixture(scope="session")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys take time to make, so all tests of this folder start from one state folder's keys."""
    return tmp_path_factory.mktemp("authority") / "state"


@pytest.fixture
async def authority(_state: Path) -> AsyncIterator[Authority]:
    cloud = build(Settings(state=_state))
    await cloud.startup()
    await cloud.bed.reset()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(cloud.asgi), base_url=f"https://{HOST}"
    ) as client:
        yield Authority(cloud, client)
    await cloud.shutdown()
