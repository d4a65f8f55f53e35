"""The storage hosts: signatures as Microsoft's own library makes them, ranges, conditions, errors."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl
from xml.etree import ElementTree as ET

import httpx
import pytest
from azure.storage.blob import generate_account_sas, generate_blob_sas, generate_container_sas
from hypothesis import given, settings
from hypothesis import strategies as st

from arcbed_cloud.clock import Keeper
from arcbed_cloud.ids import Ids
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.blob import BlobNameError, BlobStore, sas
from arcbed_cloud.services.blob.errors import BlobError
from arcbed_cloud.services.blob.router import blob_app
from arcbed_cloud.services.blob.store import BlobIndexError
from arcbed_cloud.settings import Settings
from arcbed_cloud.store import SqliteStore

CONTENT = bytes(range(256)) * 40
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "configs/Motd 1.zip"


class Clock(Keeper):
    """A clock whose real time is given."""

    def wall(self) -> float:
        return NOW.timestamp()


@dataclass
class Storage:
    store: BlobStore
    http: httpx.AsyncClient

    @property
    def key(self) -> str:
        return base64.b64encode(self.store.key("acme") or b"").decode()

    def sas(self, **more) -> str:
        wanted = {"permission": "r", "expiry": NOW + timedelta(hours=1), **more}
        return generate_blob_sas("acme", "packages", NAME, account_key=self.key, **wanted)

    async def get(self, query: str = "", *, method: str = "GET", path: str = f"/packages/{NAME}", **headers):
        url = f"https://acme.blob.core.windows.net{path}"
        return await self.http.request(method, f"{url}?{query}" if query else url, headers=headers)


@pytest.fixture
async def storage(tmp_path):
    store = BlobStore(tmp_path)
    store.put("acme", "packages", NAME, io.BytesIO(CONTENT), modified=NOW.timestamp())
    store.put("acme", "packages", "open.txt", io.BytesIO(b"hello"), modified=0, public=True)
    plane = Plane(Settings(state=tmp_path), Clock(), SqliteStore(None), Ids("blob"), None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(blob_app(plane, store))) as http:
        yield Storage(store, http)
    plane.store.close()


def refused(answer: httpx.Response) -> tuple[int, str]:
    code = ET.fromstring(answer.content).findtext("Code")
    assert answer.headers["x-ms-error-code"] == code
    assert answer.headers["content-type"].startswith("application/xml")
    return answer.status_code, code


async def test_signed_blob_is_served_whole_with_the_headers_of_azure(storage):
    answer = await storage.get(
        storage.sas(), **{"x-ms-client-request-id": "mine", "x-ms-version": "2019-02-02"}
    )
    assert (answer.status_code, answer.content) == (200, CONTENT)
    headers = answer.headers
    assert headers["content-length"] == str(len(CONTENT))
    assert headers["content-md5"] == base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    assert headers["etag"].startswith('"0x8D')
    assert headers["last-modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert headers["x-ms-blob-type"] == "BlockBlob"
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-ms-version"] == "2019-02-02"
    assert headers["x-ms-client-request-id"] == "mine"
    assert headers["x-ms-request-id"]


async def test_head_has_the_headers_alone(storage):
    answer = await storage.get(storage.sas(), method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


async def test_path_stands_for_the_host_where_there_is_no_dns(storage):
    url = f"https://localhost:8443/acme/packages/{NAME}?{storage.sas()}"
    assert (await storage.http.get(url)).content == CONTENT


async def test_signatures_of_container_and_account_hold_too(storage):
    end = NOW + timedelta(hours=1)
    container = generate_container_sas(
        "acme", "packages", account_key=storage.key, permission="rl", expiry=end
    )
    account = generate_account_sas("acme", storage.key, "o", "r", end)
    assert (await storage.get(container)).status_code == 200
    assert (await storage.get(account)).status_code == 200
    other = generate_account_sas("acme", storage.key, "c", "r", end)
    assert refused(await storage.get(other)) == (403, "AuthorizationResourceTypeMismatch")


async def test_signature_sets_headers_of_the_answer(storage):
    query = storage.sas(content_disposition="attachment; filename=x.zip", content_type="application/zip")
    answer = await storage.get(query)
    assert answer.headers["content-disposition"] == "attachment; filename=x.zip"
    assert answer.headers["content-type"] == "application/zip"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expiry": NOW}, "AuthenticationFailed"),
        ({"expiry": NOW - timedelta(days=1)}, "AuthenticationFailed"),
        ({"start": NOW + timedelta(minutes=1)}, "AuthenticationFailed"),
        ({"permission": "w"}, "AuthorizationPermissionMismatch"),
        ({"ip": "10.0.0.1-10.0.0.9"}, "AuthorizationSourceIPMismatch"),
        ({"policy_id": "p", "permission": None, "expiry": None}, "AuthenticationFailed"),
    ],
)
async def test_signature_that_does_not_allow_it_is_refused_with_azures_code(storage, change, code):
    assert refused(await storage.get(storage.sas(**change))) == (403, code)


async def test_expired_signature_says_when(storage):
    answer = await storage.get(storage.sas(expiry=NOW - timedelta(minutes=1)))
    detail = ET.fromstring(answer.content).findtext("AuthenticationErrorDetail")
    assert "Expiry [Sun, 01 Mar 2026 11:59:00 GMT] - Current [Sun, 01 Mar 2026 12:00:00 GMT]" in detail


async def test_signature_for_https_is_refused_on_http(storage):
    url = f"http://acme.blob.core.windows.net/packages/{NAME}?{storage.sas(protocol='https')}"
    assert refused(await storage.http.get(url)) == (403, "AuthorizationProtocolMismatch")


async def test_signature_of_another_key_or_for_another_blob_is_refused(storage):
    foreign = generate_blob_sas(
        "acme",
        "packages",
        NAME,
        account_key=base64.b64encode(b"x" * 64).decode(),
        permission="r",
        expiry=NOW + timedelta(hours=1),
    )
    assert refused(await storage.get(foreign)) == (403, "AuthenticationFailed")
    assert refused(await storage.get(storage.sas(), path="/packages/open2.txt")) == (
        403,
        "AuthenticationFailed",
    )


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10_000), letter=st.sampled_from("aZ09%&=+/"))
def test_changed_query_never_lets_anybody_in(position, letter):
    """Whatever letter of a good query is changed: either it still says the same, or it is refused."""
    key = b"k" * 64
    asked = sas.Asked("acme", "packages", NAME, NOW.timestamp(), secure=True, client="127.0.0.1")
    good = sas.signed(key, "acme", "packages", NAME, expiry=NOW.timestamp() + 60)
    at = position % len(good)
    changed = good[:at] + letter + good[at + 1 :]
    query = dict(parse_qsl(changed, keep_blank_values=True))
    try:
        sas.check(query, key, asked)
    except BlobError as error:
        assert error.status == 403
    else:
        signed = {name: value for name, value in parse_qsl(good) if name in query}
        assert {name: query[name] for name in signed} == signed


async def test_another_key_for_the_account_ends_what_was_signed_with_the_old_one(storage):
    signed = storage.sas()
    assert (await storage.get(signed)).status_code == 200
    assert storage.store.regenerate_key("acme")
    refused = await storage.get(signed)
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    assert (await storage.get(storage.sas())).status_code == 200
    assert not storage.store.regenerate_key("nobody")


async def test_own_signature_is_the_one_that_microsofts_library_makes(storage):
    version = parse_qs(storage.sas())["sv"][0]
    own = parse_qs(
        sas.signed(storage.store.key("acme"), "acme", "packages", NAME, expiry=NOW.timestamp() + 60)
    )
    theirs = parse_qs(storage.sas(expiry=NOW + timedelta(seconds=60), protocol="https"))
    assert set(own) == set(theirs)
    if version == sas.VERSION:
        assert own == theirs


async def test_blob_without_a_signature_is_served_only_if_it_is_public(storage):
    assert (await storage.get(path="/packages/open.txt")).content == b"hello"
    assert refused(await storage.get()) == (409, "PublicAccessNotPermitted")
    shared_key = {"authorization": "SharedKey acme:xyz"}
    assert refused(await storage.get(**shared_key)) == (403, "AuthenticationFailed")


async def test_what_is_not_there_is_not_found(storage):
    end = NOW + timedelta(hours=1)
    account = generate_account_sas("acme", storage.key, "o", "r", end)
    assert refused(await storage.get(account, path="/packages/other.zip")) == (404, "BlobNotFound")
    assert refused(await storage.get(account, path="/nothing/other.zip")) == (404, "ContainerNotFound")
    stranger = await storage.http.get("https://nobody.blob.core.windows.net/packages/x.zip")
    assert refused(stranger) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("PUT", "/packages/x.zip", "comp=block"),
        ("PUT", "/packages", "restype=container"),
        ("GET", "/packages", "restype=container&comp=list"),
        ("DELETE", "/packages/x", ""),
    ],
)
async def test_operation_that_is_not_there_says_so(storage, method, path, query):
    assert refused(await storage.get(query, method=method, path=path)) == (501, "NotImplemented")


@pytest.mark.parametrize("header", ["range", "x-ms-range"])
@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=10000-", 10_000, 10_239),
        ("bytes=5-99999", 5, 10_239),
    ],
)
async def test_range_is_served_as_a_part(storage, header, asked, begin, end):
    answer = await storage.get(storage.sas(), **{header: asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[begin : end + 1]
    assert answer.headers["content-range"] == f"bytes {begin}-{end}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(end - begin + 1)


async def test_range_behind_the_end_is_416(storage):
    answer = await storage.get(storage.sas(), range="bytes=10240-")
    assert refused(answer) == (416, "InvalidRange")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=-5", "lines=1-2", "bytes=0-1,4-5", "bytes=x-"])
async def test_range_of_another_kind_asks_for_the_whole(storage, asked):
    assert (await storage.get(storage.sas(), range=asked)).status_code == 200


async def test_download_goes_on_only_if_the_blob_is_the_same(storage):
    etag = (await storage.get(storage.sas(), method="HEAD")).headers["etag"]
    part = {"range": "bytes=100-", "if-range": etag}
    assert (await storage.get(storage.sas(), **part)).content == CONTENT[100:]
    storage.store.put("acme", "packages", NAME, io.BytesIO(b"new content"), modified=NOW.timestamp() + 5)
    answer = await storage.get(storage.sas(), **part)
    assert (answer.status_code, answer.content) == (200, b"new content")
    assert answer.headers["etag"] != etag


async def test_conditions_decide_by_tag_and_by_time(storage):
    etag = (await storage.get(storage.sas(), method="HEAD")).headers["etag"]
    before, after = "Sun, 01 Mar 2026 11:00:00 GMT", "Sun, 01 Mar 2026 13:00:00 GMT"

    async def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await storage.get(storage.sas(), **named)).status_code

    assert await status(if_none_match=etag) == 304
    assert await status(if_none_match='"other"') == 200
    assert await status(if_match=etag) == 200
    assert await status(if_match='"other"') == 412
    assert await status(if_modified_since=after) == 304
    assert await status(if_modified_since=before) == 200
    assert await status(if_unmodified_since=before) == 412
    assert await status(if_unmodified_since=after) == 200
    assert await status(if_modified_since="soon") == 400


# -- the files -----------------------------------------------------------------------------------------------


def test_blobs_are_there_for_the_next_process_and_content_goes_with_its_last_blob(tmp_path):
    store = BlobStore(tmp_path)
    for name in ("a", "b"):
        store.put("acme", "packages", name, io.BytesIO(b"same"), modified=1)
    again = BlobStore(tmp_path)
    assert again.file(again.get("acme", "packages", "a")).read_bytes() == b"same"
    assert again.key("acme") == store.key("acme")
    assert again.delete("acme", "packages", "a")
    assert store.get("acme", "packages", "a") is None
    assert store.file(store.get("acme", "packages", "b")).read_bytes() == b"same"
    assert again.delete("acme", "packages", "b")
    assert not again.delete("acme", "packages", "b")
    assert list((tmp_path / "blobs" / "content").iterdir()) == []


def test_keys_are_for_the_owner_alone(tmp_path):
    BlobStore(tmp_path).put("acme", "packages", "a", io.BytesIO(b"x"), modified=1)
    assert (tmp_path / "blobs" / "index.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "names",
    [
        ("Acme", "packages", "a"),
        ("ac", "packages", "a"),
        ("acme", "Pack", "a"),
        ("acme", "a--b", "a"),
        ("acme", "packages", ""),
        ("acme", "packages", "a\n"),
        ("../x", "packages", "a"),
    ],
)
def test_name_that_azure_would_not_allow_is_refused_and_nothing_is_written(tmp_path, names):
    with pytest.raises(BlobNameError):
        BlobStore(tmp_path).put(*names, io.BytesIO(b"x"), modified=1)
    assert not (tmp_path / "blobs").exists()


def test_damaged_index_is_said(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "index.json").write_text("{")
    with pytest.raises(BlobIndexError, match=r"index\.json is damaged"):
        BlobStore(tmp_path).index()


def test_upload_that_breaks_off_leaves_what_was_there(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 0:
                raise OSError("disk full")
            return super().read(2)

    store = BlobStore(tmp_path)
    store.put("acme", "packages", "a", io.BytesIO(b"old"), modified=1)
    with pytest.raises(OSError, match="disk full"):
        store.put("acme", "packages", "a", Broken(b"newer"), modified=2)
    blob = store.get("acme", "packages", "a")
    assert store.file(blob).read_bytes() == b"old"
    assert [file.name for file in Path(tmp_path, "blobs", "content").iterdir()] == [blob.sha256]
