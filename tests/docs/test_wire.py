"""The wire contract says of each route whether it is served, and the code cites sections that exist."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from arcbed_cloud.app import build
from arcbed_cloud.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", PAGE, re.MULTILINE))
ROW = re.compile(r"^\| H\d+ \| (.*?) \|.*\| (now|later) \|$", re.MULTILINE)
GAS_ROW = re.compile(r"^\| G\d+ \| `(\w+) (\S+)` \|.*\| (now|later) \|$", re.MULTILINE)
VM_ID = "00000000-0000-4000-8000-000000000000"


def _routes():
    """(method, path, state) of each route of section 9.1; GET where a path has no verb."""
    for cell, state in ROW.findall(PAGE):
        for words in re.findall(r"`([^`]*/[^`]*)`", cell):
            verb, _, path = words.rpartition(" ")
            method = verb or "GET"
            path = path.partition("?")[0].replace("<vmId>", VM_ID).replace("<v>/<file>", "1.67/x.deb")
            yield pytest.param(method, path, state, id=f"{method} {path.replace(VM_ID, 'vmId')}")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = build(Settings(state=tmp_path_factory.mktemp("state"), port=0))
    yield made
    made.plane.store.close()


@pytest.mark.parametrize(("method", "path", "state"), list(_routes()))
async def test_route_of_the_identity_service_is_served_as_the_contract_says(cloud, method, path, state):
    transport = httpx.ASGITransport(cloud.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost/his") as client:
        answer = await client.request(method, path, params={"api-version": "sim-1", "location": "westeurope"})
    unknown = answer.status_code in {404, 405} and answer.json()["error"]["code"] in {
        "NotFound",
        "MethodNotAllowed",
    }
    assert unknown == (state == "later"), answer.text


@pytest.mark.parametrize(("method", "path", "state"), GAS_ROW.findall(PAGE))
async def test_route_of_the_guest_configuration_service_is_served_as_the_contract_says(
    cloud, method, path, state
):
    path = path.removeprefix("<gasGlobal>").partition("?")[0].replace("<vmId>", VM_ID)
    transport = httpx.ASGITransport(cloud.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost/gas") as client:
        answer = await client.request(method, re.sub(r"<\w+>", "x", path), params={"api-version": "sim-1"})
    code = answer.json()["error"]["code"]
    assert code == {"now": "InvalidRequest" if "discovery" in path else "MachineNotFound"}.get(
        state, "NotFound"
    )


def test_sections_that_the_code_cites_exist():
    cited = re.compile(r"wire\.md`{0,2},? (?:sections? )?(\d+(?:\.\d+)?)")
    missing = [
        f"{path.relative_to(ROOT)}: {number}"
        for folder in ("agent", "fakecloud", "scenarios", "tests", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".toml", ".md"}
        for number in cited.findall(path.read_text(encoding="utf-8"))
        if number not in SECTIONS
    ]
    assert SECTIONS
    assert not missing
