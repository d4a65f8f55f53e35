"""What the control plane has acknowledged survives kill -9, whenever it comes."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from running import restart

WRITERS = 8
VERSION = "api-version=2024-07-10"


@dataclass
class Journal:
    """The clients' own record of what was acknowledged: id to the last acknowledged value, None if deleted.

    A write whose answer never came may or may not have happened; `open` holds what it would have made of it.
    """

    path: Path
    known: dict[str, str | None] = field(default_factory=dict)
    open: dict[str, str | None] = field(default_factory=dict)
    acknowledged: int = 0

    def starts(self, key: str, value: str | None) -> None:
        self.open[key] = value

    def ends(self, key: str, value: str | None) -> None:
        self.known[key] = value
        self.open.pop(key, None)
        self.acknowledged += 1
        with self.path.open("a") as file:
            file.write(json.dumps([key, value]) + "\n")


async def write(
    client: httpx.AsyncClient, base: str, writer: int, chance: random.Random, journal: Journal
) -> None:
    """Create, change and delete machines until the connection breaks."""
    while True:
        mine = [key for key in journal.known if f"/w{writer}-" in key and journal.known[key] is not None]
        what = chance.random()
        value = f"{chance.getrandbits(40):x}"
        if what < 0.5 or not mine:
            key = f"{base}/w{writer}-{chance.getrandbits(48):x}"
            call = client.put(
                f"{key}?{VERSION}",
                json={
                    "location": "westeurope",
                    "tags": {"value": value},
                    "properties": {"vmId": f"00000000-0000-4000-8000-{chance.getrandbits(48):012x}"},
                },
            )
        elif what < 0.85:
            key = chance.choice(mine)
            call = client.patch(f"{key}?{VERSION}", json={"tags": {"value": value}})
        else:
            key, value = chance.choice(mine), None
            call = client.delete(f"{key}?{VERSION}")
        journal.starts(key, value)
        try:
            answer = await call
        except httpx.HTTPError:
            return
        assert answer.status_code in {200, 202, 204}, answer.text
        journal.ends(key, value)


async def owner_client(cloud) -> httpx.AsyncClient:
    async with httpx.AsyncClient(verify=cloud.tls) as client:
        answer = await client.post(
            f"{cloud.env['authority']}/{cloud.env['tenantId']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": cloud.env["owner"]["clientId"],
                "client_secret": cloud.env["owner"]["clientSecret"],
                "scope": "https://management.azure.com/.default",
            },
        )
    return httpx.AsyncClient(
        verify=cloud.tls,
        base_url=cloud.url,
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        timeout=30,
    )


async def read_back(cloud, base: str, journal: Journal) -> None:
    """Every acknowledged id has its last acknowledged value, or the one under way when the kill came."""
    async with await owner_client(cloud) as client:
        url: str | None = f"{base}?{VERSION}"
        found: dict[str, str] = {}
        while url:
            page = (await client.get(url)).json()
            found |= {item["id"].lower(): item["tags"]["value"] for item in page["value"]}
            url = page.get("nextLink")
    for key, value in journal.known.items():
        allowed = {value, journal.open.get(key, value)}
        assert found.get(key.lower()) in allowed, f"{key}: {found.get(key.lower())} is not one of {allowed}"
    strangers = set(found) - {key.lower() for key in (*journal.known, *journal.open)}
    assert not strangers
    for key in journal.open:
        journal.known[key] = found.get(key.lower())
    journal.open.clear()


async def storm(cloud, base: str, seed: str, until: int, journal: Journal) -> None:
    """Eight writers; the kill comes while all are busy, after `until` further acknowledgements."""
    target = journal.acknowledged + until
    client = await owner_client(cloud)
    writers = [
        asyncio.create_task(write(client, base, number, random.Random(f"{seed}/{number}"), journal))
        for number in range(WRITERS)
    ]
    watching = asyncio.get_running_loop().create_task(_reached(journal, target))
    done, _ = await asyncio.wait([watching, *writers], return_when=asyncio.FIRST_COMPLETED)
    cloud.kill()
    watching.cancel()
    await asyncio.gather(*writers)
    await client.aclose()
    assert watching in done, "a writer stopped before the kill"


async def _reached(journal: Journal, target: int) -> None:
    while journal.acknowledged < target:
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def run_kills(start_cloud, tmp_path: Path, kills: int, seed: str) -> Journal:
    chance = random.Random(seed)
    journal = Journal(tmp_path / "journal.jsonl")
    state = tmp_path / "state"
    cloud = await asyncio.to_thread(start_cloud, state, "--no-tls", "--no-request-limits")
    subscription = cloud.env["subscriptionId"]
    group = f"/subscriptions/{subscription}/resourceGroups/killed"
    base = f"{group}/providers/Microsoft.HybridCompute/machines"
    async with await owner_client(cloud) as client:
        register = f"/subscriptions/{subscription}/providers/Microsoft.HybridCompute/register"
        await client.post(f"{register}?api-version=2022-09-01")
        made = await client.put(f"{group}?api-version=2022-09-01", json={"location": "westeurope"})
        assert made.status_code == 201
    for kill in range(kills):
        await storm(cloud, base, f"{seed}/{kill}", chance.randint(1, 60), journal)
        cloud = await asyncio.to_thread(restart, cloud, "--no-tls", "--no-request-limits")
        await read_back(cloud, base, journal)
    cloud.stop()
    return journal


async def test_acknowledged_writes_survive_a_few_kills(start_cloud, tmp_path):
    journal = await run_kills(start_cloud, tmp_path, 3, "quick")
    assert journal.acknowledged > 3


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_acknowledged_writes_survive_two_hundred_kills(start_cloud, tmp_path):
    journal = await run_kills(start_cloud, tmp_path, 200, "storm")
    assert journal.acknowledged > 2_000
