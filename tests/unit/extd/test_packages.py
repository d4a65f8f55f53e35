"""Getting packages: hash, catalogue, addresses that expire, zips that attack."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import zipfile

import httpx
import pytest
from extensions import SUCCEED

from arcbed_agent.archives import ArchiveLimits
from arcbed_cloud.services.packages.signing import SigningKey

SPLIT = 700
FILE = "Arcbed.Test.Sample__1.0.0.zip"


def message(bed):
    (final,) = bed.service.finals()
    assert final["state"] == "Failed"
    return final["instanceView"]["code"], final["instanceView"]["message"]


async def pulled(bed, seconds=10.0):
    async with bed.running() as extd:
        await bed.pull(extd, seconds)


def zipped(members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def linked():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("bin/link")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return made.getvalue()


def damaged():
    """Whole to look at; what it holds no longer unpacks."""
    whole = zipped({"HandlerManifest.json": "{}", "payload": bytes(range(256)) * 40})
    at = whole.index(b"payload") + len("payload")
    return whole[:at] + b"\xff" * 8 + whole[at + 8 :]


BAD = {
    "a member that leaves the folder": (zipped({"../../evil": "x"}), "1005", "PackageUnsafePath"),
    "an absolute member": (zipped({"/etc/evil": "x"}), "1005", "PackageUnsafePath"),
    "a link": (linked(), "1005", "PackageUnsafePath"),
    "more than it may hold": (zipped({"zeros": b"\0" * 3_000_000}), "1005", "PackageTooLarge"),
    "no zip": (b"this is no zip", "1005", "PackageNotZip"),
    "a zip whose content is damaged": (damaged(), "1005", "PackageNotZip"),
    "no manifest": (zipped({"readme": "x"}), "1002", "HandlerManifest.json was not found"),
    "a manifest that is no JSON": (zipped({"HandlerManifest.json": "{"}), "1003", "HandlerManifest.json"),
    "a manifest without commands": (
        zipped({"HandlerManifest.json": json.dumps([{"handlerManifest": {}}])}),
        "1003",
        "installCommand",
    ),
}


@pytest.mark.rule("package.unsafe")
@pytest.mark.rule("package.manifest-found")
@pytest.mark.parametrize("case", BAD)
async def test_a_package_that_cannot_be_used_fails_and_leaves_nothing(bed, case):
    content, code, said = BAD[case]
    bed.limits = ArchiveLimits(1_000_000, 2_000_000)
    bed.service.put(content)
    await pulled(bed)
    found = message(bed)
    assert found[0] == code
    assert said in found[1]
    assert bed.runs == []
    assert not bed.folder().exists()
    assert sorted(path.suffix for path in bed.layout["extensions"].iterdir()) == [".crt", ".prv"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "PackageHashMismatch"),
        ({"catalogSha256": "0" * 64}, "CatalogMismatch"),
        ({"uri": "https://169.254.169.254/x.zip"}, "InvalidContentUri"),
        ({"uri": "http://packages.test/x.zip"}, "InvalidContentUri"),
        ({"sha256": ""}, "no package"),
    ],
)
async def test_a_package_that_is_not_what_was_published_is_not_unpacked(bed, change, said):
    bed.service.put(bed.handler())
    bed.service.items["sample"]["package"] |= change
    await pulled(bed)
    assert message(bed)[0] == "1004"
    assert said in message(bed)[1]
    assert bed.runs == []


@pytest.mark.rule("package.catalogue")
async def test_a_catalogue_that_names_another_package_is_refused(bed):
    bed.service.put(bed.handler())
    package = bed.service.items["sample"]["package"]
    other = b"0" * 64 + b"  Arcbed.Test.Sample__1.0.0.zip\n"
    bed.service.files["/Arcbed.Test.Sample__1.0.0.zip.cat"] = other
    package["catalogSha256"] = hashlib.sha256(other).hexdigest()
    await pulled(bed)
    assert "is not what the catalog says" in message(bed)[1]


@pytest.fixture
def signing(bed, tmp_path):
    """Puts a catalogue that is signed as told, on a machine that has the publisher's key."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    publisher, stranger = SigningKey(tmp_path / "publisher"), SigningKey(tmp_path / "stranger")
    key = tmp_path / "publisher.asc"
    key.write_bytes(publisher.public_armored)
    bed.configure(**{"extd.catalogKey": str(key)})

    def put(sign):
        bed.service.put(bed.handler())
        package = bed.service.items["sample"]["package"]
        catalogue = sign({"publisher": publisher, "stranger": stranger}, f"{package['sha256']}  {FILE}\n")
        bed.service.files[f"/{FILE}.cat"] = catalogue
        package["catalogSha256"] = hashlib.sha256(catalogue).hexdigest()

    return put


@pytest.mark.rule("package.catalogue-signed")
async def test_a_catalogue_that_the_publisher_signed_is_taken(bed, signing):
    signing(lambda keys, line: keys["publisher"].clear(line.encode()))
    await pulled(bed)
    assert bed.service.finals()[0]["state"] == "Succeeded"


UNSIGNED = {
    "a stranger's signature": lambda keys, line: keys["stranger"].clear(line.encode()),
    "no signature": lambda _keys, line: line.encode(),
    "the signature of another text": lambda keys, line: (
        keys["publisher"].clear(b"0" * 64 + line[64:].encode()).replace(b"0" * 64, line[:64].encode())
    ),
    "the line outside of what is signed": lambda keys, line: (
        keys["publisher"].clear(b"nothing\n") + line.encode()
    ),
}


@pytest.mark.rule("package.catalogue-signed")
@pytest.mark.parametrize("case", UNSIGNED)
async def test_a_catalogue_that_the_publisher_did_not_sign_is_refused(bed, signing, case):
    signing(UNSIGNED[case])
    await pulled(bed)
    assert message(bed)[0] == "1004"
    assert "Catalog" in message(bed)[1]
    assert bed.runs == []


async def test_a_key_that_is_not_there_is_named(bed, signing, tmp_path):
    signing(lambda keys, line: keys["publisher"].clear(line.encode()))
    bed.configure(**{"extd.catalogKey": str(tmp_path / "nowhere.asc")})
    await pulled(bed)
    assert f"is not signed with {tmp_path / 'nowhere.asc'}" in message(bed)[1]


async def test_an_address_that_has_expired_is_asked_for_again(bed):
    bed.service.put(bed.handler())
    bed.service.script("1.0.0.zip?", httpx.Response(403, headers={"x-ms-error-code": "AuthenticationFailed"}))
    await pulled(bed)
    assert bed.service.finals()[0]["state"] == "Succeeded"
    pulls = [request for _, request in bed.service.asked("GET", "/extensions")]
    assert ["if-none-match" in request.headers for request in pulls] == [False, False]


async def test_an_address_that_stays_forbidden_fails_after_three_fresh_ones(bed):
    bed.service.put(bed.handler())
    bed.service.script("1.0.0.zip?", *(httpx.Response(403) for _ in range(20)))
    await pulled(bed, 600)
    assert message(bed)[0] == "1004"
    assert len(bed.service.asked("GET", "1.0.0.zip?")) == 4


async def test_a_download_that_breaks_off_goes_on_where_it_was(bed):
    bed.service.put(bed.handler())

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield bed.service.files["/Arcbed.Test.Sample__1.0.0.zip"][:SPLIT]
            raise httpx.ReadError("connection reset")

    import hashlib

    content = bed.service.files["/Arcbed.Test.Sample__1.0.0.zip"]
    headers = {
        "etag": f'"{hashlib.sha256(content).hexdigest()[:8]}"',
        "content-length": str(len(content)),
    }
    bed.service.script("1.0.0.zip?", httpx.Response(200, headers=headers, stream=Broken()))
    await pulled(bed, 120)
    assert bed.service.finals()[0]["state"] == "Succeeded"
    second = bed.service.asked("GET", "1.0.0.zip?")[1][1]
    assert second.headers["range"] == f"bytes={SPLIT}-"


async def test_ten_failed_downloads_end_the_operation(bed):
    bed.service.put(bed.handler())
    bed.service.script("1.0.0.zip?", *(httpx.Response(503) for _ in range(20)))
    await pulled(bed, 1_200)
    assert message(bed)[0] == "1004"
    assert len(bed.service.asked("GET", "1.0.0.zip?")) == 10


@pytest.mark.rule("package.manifest-found")
async def test_every_file_can_be_executed_and_a_manifest_below_the_top_is_found(bed):
    content = zipped({
        "HandlerManifest.json.bak": "x",
        "inner/HandlerManifest.json": b"\xef\xbb\xbf"
        + json.dumps(
            [{"handlerManifest": {f"{name}Command": f"/inner/{name}.sh  x  y" for name in
              ("install", "enable", "disable", "update", "uninstall")}}]
        ).encode(),
        **{f"inner/{name}.sh": f"#!/bin/sh\necho {name} $# > {name}.ran\n" for name in
           ("install", "disable", "update", "uninstall")},
        "inner/enable.sh": f"#!/bin/sh\n{SUCCEED}",
    })  # fmt: skip
    bed.service.put(content)
    await pulled(bed)
    assert bed.service.finals()[0]["state"] == "Succeeded"
    assert (bed.folder() / "install.ran").read_text() == "install 2\n"
    assert (bed.folder() / "inner/enable.sh").stat().st_mode & 0o100
