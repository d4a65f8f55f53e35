"""The event log: what is masked, how paths become routes, and in which order lines stand."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arcbed_cloud.clock import Keeper
from arcbed_cloud.events import EventLog, Witness
from arcbed_cloud.events.masks import MASKED, Digest
from arcbed_cloud.events.routes import template

START = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "event-log.md"
GUID = "0f2c6b9e-5d3a-4d0b-9a8e-1f2e3d4c5b6a"
GROUP = f"/subscriptions/{GUID}/resourceGroups/rg"


def digest(document: object, content_type: str = "application/json", encoding: str = "") -> str:
    made = Digest(content_type, encoding)
    made.add(document if isinstance(document, bytes) else json.dumps(document).encode())
    return made.text()


def test_page_lists_exactly_the_members_that_are_masked() -> None:
    listed = PAGE.read_text().partition("## What is masked")[2].partition("In texts,")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == MASKED


@pytest.mark.parametrize("name", sorted(MASKED))
def test_masked_member_makes_no_difference_at_any_depth(name: str) -> None:
    assert digest({"a": [{name: "one", "b": 1}]}) == digest({"a": [{name: "other", "b": 1}]})


def test_every_other_member_makes_a_difference_and_its_place_does_not() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": 1}) == digest(gzip.compress(b'{"a":1}'), encoding="gzip")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://localhost:4711/his", "https://localhost:8443/his"),
        ("Bearer eyJhbGciOi.eyJpc3Mi.c2ln", "Bearer eyJhbGciOi.eyJzdWIi.b3RoZXI"),
        (
            "https://x.blob.core.windows.net/p.zip?se=1&sig=a",
            "https://x.blob.core.windows.net/p.zip?se=2&sig=b",
        ),
    ],
)
def test_ports_tokens_and_signatures_inside_texts_make_no_difference(one: str, other: str) -> None:
    assert digest({"url": one}) == digest({"url": other})


def test_signature_of_a_catalogue_makes_no_difference_and_what_it_lists_does() -> None:
    def digest(listed: bytes, signature: bytes) -> str:
        made = Digest("application/octet-stream")
        made.add(b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + listed)
        made.add(b"\n-----BEGIN PGP SIGNATURE-----\n" + signature)
        return made.text()

    assert digest(b"a package.zip", b"one") == digest(b"a package.zip", b"other")
    assert digest(b"a package.zip", b"one") != digest(b"b package.zip", b"one")


def test_form_is_masked_and_other_bodies_count_as_they_are() -> None:
    form = "application/x-www-form-urlencoded"
    assert digest(b"client_id=a&client_assertion=x", form) == digest(b"client_id=a&client_assertion=y", form)
    assert digest(b"client_id=a", form) != digest(b"client_id=b", form)
    assert digest(b"\x00zip", "application/zip") != digest(b"\x00zap", "application/zip")
    assert digest(b"{broken", "application/json") != ""
    assert digest(b"") == ""


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (f"/machine/{GUID}/heartbeat", "/machine/{id}/heartbeat"),
        (GROUP, "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"),
        (
            f"{GROUP}/providers/Microsoft.HybridCompute/machines/web-01/extensions/x",
            (
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
                "/providers/Microsoft.HybridCompute/machines/{name}/extensions/{name}"
            ),
        ),
        (
            f"{GROUP}/providers/Microsoft.HybridCompute/machines/m/providers/Microsoft.GuestConfiguration/a/b",
            (
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers"
                "/Microsoft.HybridCompute/machines/{name}/providers/Microsoft.GuestConfiguration/a/{name}"
            ),
        ),
        ("/", "/"),
    ],
)
def test_path_becomes_a_route(path: str, route: str) -> None:
    assert template(path) == route


class Scene:
    """A witness before an app that answers everything with its path."""

    def __init__(self, folder: Path) -> None:
        self.keeper = Keeper("stepped", start=START, grace=0.2)
        self.file = folder / "events.log"
        self.log = EventLog(self.file, self.keeper)
        self.witness = Witness(self._app, self.keeper, self.log, lambda method, *_: f"Op_{method}")
        self.held: list[list[str]] = []

    async def _app(self, scope, receive, send) -> None:
        self.held.append(self.keeper.running)
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def ask(self, method: str, path: str, component: str = "") -> None:
        headers = [(b"x-arc-agent", component.encode())] if component else []

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(_message) -> None:
            return None

        scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
        await self.witness(scope, receive, send)

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        read = [json.loads(line) for line in self.file.read_bytes().splitlines()]
        return [
            (line.get("task", line.get("note")), line.get("method", ""), line.get("route", ""))
            for line in read
        ]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.log.close()


async def test_writes_of_outsiders_are_logged_and_their_reads_are_not(scene: Scene) -> None:
    await scene.ask("GET", "/a")
    await scene.ask("PUT", "/b")
    assert scene.lines == [("outside", "PUT", "/b")]


async def test_request_holds_time_while_it_is_served(scene: Scene) -> None:
    await scene.ask("GET", "/a")
    assert scene.held == [["request GET /a"]]
    assert scene.keeper.running == []


async def test_reads_side_by_side_are_in_one_order_and_stand_before_the_next_write(scene: Scene) -> None:
    async with scene.keeper.task("m/himds/beat"):
        await asyncio.gather(*(scene.ask("GET", path) for path in ("/c", "/a", "/b")))
        assert scene.lines == []
        await scene.ask("POST", "/w")
    assert [route for _, _, route in scene.lines] == ["/a", "/b", "/c", "/w"]


async def test_reads_reach_the_file_when_time_has_moved(scene: Scene) -> None:
    async with scene.keeper.task("m/himds/beat"):
        await scene.ask("GET", "/a")
    await scene.keeper.advance(seconds=1)
    assert scene.lines == [("m/himds/beat", "GET", "/a")]


async def test_agent_is_told_from_what_runs_beside_it_by_its_header(scene: Scene) -> None:
    async with scene.keeper.task("m/himds/connect"), scene.keeper.task("m/azcmagent/connect"):
        await scene.ask("POST", "/a", "himds/1.61 (linux; x86_64)")
        await scene.ask("POST", "/b")
    assert [task for task, _, _ in scene.lines] == ["m/himds/connect", "m/azcmagent/connect+m/himds/connect"]


async def test_first_reason_why_a_run_cannot_be_repeated_is_noted_once(scene: Scene) -> None:
    scene.log.not_repeatable("one")
    scene.log.not_repeatable("other")
    scene.log.close()
    assert scene.lines == [("not repeatable: one", "", "")]
