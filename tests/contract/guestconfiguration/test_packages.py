"""Packages: built-in content from the bed's storage, and the download through the service (G7)."""

from __future__ import annotations

import hashlib
import io

import pytest

from arcbed_cloud.services.blob import BlobStore

ACCOUNT, CONTAINER = "oaasguestconfigwcuss1", "builtinconfig"
HOST = f"https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}"


@pytest.fixture
def storage(bed):
    return BlobStore(bed.cloud.settings.state)


def built_in(storage: BlobStore, name: str, version: str) -> str:
    content = f"{name} {version}".encode()
    storage.put(
        ACCOUNT, CONTAINER, f"{name}/{name}_{version}.zip", io.BytesIO(content), modified=1, public=True
    )
    return hashlib.sha256(content).hexdigest().upper()


async def test_assignment_without_an_address_gets_the_newest_built_in_content_that_fits(bed, storage):
    for version in ("1.2.0.0", "1.10.0.0", "2.0.0.0"):
        built_in(storage, "Baseline", version)
    digest = built_in(storage, "Baseline", "1.10.0.0")
    await bed.assign("Baseline", version="1.*")
    shown = await bed.shown("Baseline")
    configuration = shown["guestConfiguration"]
    assert configuration["version"] == "1.*"
    assert configuration["contentUri"] == f"{HOST}/Baseline/Baseline_1.10.0.0.zip"
    assert configuration["contentHash"] == digest
    assert configuration["contentType"] == "Builtin"
    assert shown["assignmentHash"].startswith(f"{digest}.E3B0C442")
    given = (await bed.pull()).json()["value"][0]["guestConfiguration"]
    assert given["version"] == "1.10.0.0"
    path = f"https://localhost:8443/blob/{ACCOUNT}/{CONTAINER}/Baseline/Baseline_1.10.0.0.zip"
    assert given["contentUri"] == path
    assert (await bed.http.get(path)).content == b"Baseline 1.10.0.0"


@pytest.mark.parametrize(("version", "found"), [("2.0.0.0", "2.0.0.0"), (None, "2.0.0.0"), ("3.*", None)])
async def test_version_of_built_in_content_is_exact_or_a_pattern(bed, storage, version, found):
    for there in ("1.2.0.0", "2.0.0.0"):
        built_in(storage, "Baseline", there)
    await bed.assign("Baseline", version=version)
    configuration = (await bed.shown("Baseline"))["guestConfiguration"]
    uri = f"{HOST}/Baseline/Baseline_{found}.zip" if found else None
    assert configuration["contentUri"] == uri
    assert configuration["contentType"] == "Builtin"


async def test_configuration_that_the_bed_does_not_have_has_no_content(bed):
    await bed.assign("Unheard")
    given = (await bed.pull()).json()["value"][0]
    assert given["guestConfiguration"]["contentUri"] is None
    assert given["assignmentHash"].startswith(".E3B0C442")


async def test_package_is_downloaded_through_the_service_in_parts_too(bed, storage):
    blob = storage.put("acme", "packages", "Motd.zip", io.BytesIO(b"0123456789"), modified=1)
    await bed.assign(
        "Motd",
        contentUri="https://acme.blob.core.windows.net/packages/Motd.zip",
        contentHash=blob.sha256.upper(),
    )
    whole = await bed.gas("GET", f"/packages/{blob.sha256}")
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert "x-sim-now" in whole.headers
    part = await bed.gas("GET", f"/packages/{blob.sha256.upper()}", headers={"Range": "bytes=4-6"})
    assert (part.status_code, part.content) == (206, b"456")
    same = await bed.gas("GET", f"/packages/{blob.sha256}", headers={"If-None-Match": whole.headers["etag"]})
    assert same.status_code == 304
    behind = await bed.gas("GET", f"/packages/{blob.sha256}", headers={"Range": "bytes=10-"})
    assert (behind.status_code, behind.json()["error"]["code"]) == (416, "InvalidRange")


async def test_package_of_nobodys_or_of_another_machines_assignment_is_not_found(bed, storage):
    blob = storage.put("acme", "packages", "Motd.zip", io.BytesIO(b"0123456789"), modified=1)
    await bed.assign("Motd", "web-02", contentUri="https://x.test/a.zip", contentHash=blob.sha256)
    assert (await bed.gas("GET", f"/packages/{blob.sha256}", machine="web-02")).status_code == 200
    for digest in (blob.sha256, "00" * 32):
        answer = await bed.gas("GET", f"/packages/{digest}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    stranger = await bed.gas("GET", f"/packages/{blob.sha256}", machine="web-02", who="web-01")
    assert stranger.status_code == 403
