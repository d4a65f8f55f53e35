"""The package hosts over HTTP: what apt and yum read fits together and is signed by the bed's key."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
from xml.etree import ElementTree as ET

import httpx
import pytest
from debian.deb822 import Packages, Release
from debian.debfile import DebFile

from arcbed_cloud.app import build
from arcbed_cloud.services.packages import PackageError, Shelf
from arcbed_cloud.services.packages.formats import write_deb
from arcbed_cloud.settings import Settings

HOST = "https://packages.microsoft.com"
APT = f"{HOST}/debian/12/prod/dists/bookworm"
NOW = "2026-01-01T00:00:00Z"


def deb(folder, version="1.67.0.0", name="azcmagent"):
    file = folder / f"{name}_{version}_amd64.deb"
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: agent\n of the bed\n"
    file.write_bytes(write_deb(control, {"/opt/azcmagent/bin/azcmagent": version.encode()}))
    return file


@pytest.fixture
async def cloud(tmp_path):
    cloud = build(Settings(state=tmp_path / "state"))
    yield cloud
    cloud.plane.store.close()


@pytest.fixture
async def http(cloud):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.asgi)) as client:
        yield client


@pytest.fixture
def shelf(cloud):
    return Shelf(cloud.settings.state)


async def good(http, url):
    answer = await http.get(url)
    assert answer.status_code == 200, f"{url}: {answer.text}"
    return answer.content


async def test_apt_finds_each_published_package_with_its_digest(http, shelf, tmp_path):
    for version in ("1.67.0.0", "1.68.0.0"):
        shelf.publish(deb(tmp_path, version), released=NOW)
    release = Release((await good(http, f"{APT}/Release")).decode())
    listing = await good(http, f"{APT}/main/binary-amd64/Packages")
    named = {entry["name"]: entry["sha256"] for entry in release["SHA256"]}
    assert named["main/binary-amd64/Packages"] == hashlib.sha256(listing).hexdigest()
    packed = await good(http, f"{APT}/main/binary-amd64/Packages.gz")
    assert gzip.decompress(packed) == listing

    found = list(Packages.iter_paragraphs(listing.decode(), use_apt_pkg=False))
    assert [one["Version"] for one in found] == ["1.67.0.0", "1.68.0.0"]
    for one in found:
        content = await good(http, f"{HOST}/debian/12/prod/{one['Filename']}")
        assert (str(len(content)), hashlib.sha256(content).hexdigest()) == (one["Size"], one["SHA256"])
    assert await good(http, f"{APT}/main/binary-arm64/Packages") == b""


async def test_index_follows_what_is_published_while_it_is_served(http, shelf, tmp_path):
    assert await good(http, f"{APT}/main/binary-amd64/Packages") == b""
    Shelf(shelf.folder.parent).publish(deb(tmp_path), released=NOW)
    assert b"1.67.0.0" in await good(http, f"{APT}/main/binary-amd64/Packages")


@pytest.mark.skipif(not shutil.which("gpgv"), reason="gpgv is not installed")
async def test_release_is_signed_by_the_key_in_the_repository_package(http, shelf, tmp_path):
    shelf.publish(deb(tmp_path), released=NOW)
    package = await good(http, f"{HOST}/config/debian/12/packages-microsoft-prod.deb")
    with DebFile(fileobj=io.BytesIO(package)) as opened:
        keyring = opened.data.get_content("/usr/share/keyrings/microsoft-prod.gpg")
        listed = opened.data.get_content("/etc/apt/sources.list.d/microsoft-prod.list").decode()
    assert f" {HOST}/debian/12/prod bookworm main" in listed
    for name in ("key", "InRelease", "Release", "Release.gpg"):
        content = keyring if name == "key" else await good(http, f"{APT}/{name}")
        (tmp_path / name).write_bytes(content)
    gpgv = ["gpgv", "--keyring", str(tmp_path / "key")]
    for files in (["InRelease"], ["Release.gpg", "Release"]):
        subprocess.run([*gpgv, *(str(tmp_path / file) for file in files)], check=True, capture_output=True)
    (tmp_path / "Release").write_bytes(b"Origin: somebody else\n")
    forged = subprocess.run([*gpgv, str(tmp_path / "Release.gpg"), str(tmp_path / "Release")], check=False)
    assert forged.returncode != 0


async def test_key_stays_the_same_over_a_restart_and_is_nobody_elses_to_read(cloud, http):
    before = await good(http, f"{HOST}/keys/microsoft.asc")
    file = cloud.settings.state / "packages/signing.key"
    assert file.stat().st_mode & 0o777 == 0o600
    again = build(Settings(state=cloud.settings.state))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=again.asgi)) as other:
        assert await good(other, f"{HOST}/keys/microsoft.asc") == before
    again.plane.store.close()


async def test_short_link_leads_to_the_install_script(http):
    link = await http.get("https://aka.ms/azcmagent")
    assert link.status_code == 301
    script = await good(http, link.headers["location"])
    assert script == await good(http, "https://gbl.his.arc.azure.com/azcmagent-linux")
    assert script == await good(http, "https://localhost:8443/packages/azcmagent")
    subprocess.run(["bash", "-n"], input=script, check=True)


@pytest.mark.parametrize(
    "path",
    [
        "/debian/12/prod/dists/jammy/InRelease",
        "/debian/9/prod/dists/stretch/InRelease",
        "/debian/12/prod/dists/bookworm/main/binary-riscv64/Packages",
        "/debian/12/prod/pool/main/a/azcmagent/index.json",
        "/debian/12/prod/pool/main/a/azcmagent/..%2fsigning.key",
        "/debian/12/prod/pool/main/a/azcmagent/signing.key",
        "/config/gentoo/1/packages-microsoft-prod.deb",
        "/config/rhel/5/prod.repo",
        "/",
    ],
)
async def test_what_is_not_there_is_not_found_in_azures_shape(http, path):
    answer = await http.get(HOST + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")


@pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpmbuild is not installed")
async def test_yum_finds_the_rpm_with_its_digest(http, shelf, tmp_path):
    pytest.importorskip("createrepo_c")
    shelf.publish(rpm(tmp_path), released=NOW)
    configuration = (await good(http, f"{HOST}/config/rhel/9/prod.repo")).decode()
    assert f"baseurl={HOST}/rhel/9/prod/\n" in configuration
    base = f"{HOST}/rhel/9/prod"
    index = ET.fromstring(await good(http, f"{base}/repodata/repomd.xml"))
    spaces = {"r": "http://linux.duke.edu/metadata/repo", "c": "http://linux.duke.edu/metadata/common"}
    location = index.find("r:data[@type='primary']/r:location", spaces).get("href")
    packed = await good(http, f"{base}/{location}")
    plain = subprocess.run(decompressor(location), input=packed, capture_output=True, check=True).stdout
    entry = ET.fromstring(plain).find("c:package", spaces)
    content = await good(http, f"{base}/{entry.find('c:location', spaces).get('href')}")
    assert entry.find("c:name", spaces).text == "azcmagent"
    assert entry.find("c:checksum", spaces).text == hashlib.sha256(content).hexdigest()
    assert b"PGP SIGNATURE" in await good(http, f"{base}/repodata/repomd.xml.asc")


def decompressor(name):
    return ["zstd", "-dc"] if name.endswith(".zst") else ["gzip", "-dc"]


def rpm(folder):
    spec = folder / "azcmagent.spec"
    spec.write_text(
        "Name: azcmagent\nVersion: 1.67.0\nRelease: 0\nSummary: agent\nLicense: MIT\nBuildArch: noarch\n"
        "%description\nagent\n%files\n"
    )
    command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", str(spec)]
    subprocess.run(
        command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    )
    return next((folder / "RPMS").rglob("*.rpm"))


async def test_damaged_index_says_what_to_do(shelf):
    shelf.folder.mkdir(parents=True, exist_ok=True)
    (shelf.folder / "index.json").write_text("{")
    with pytest.raises(PackageError, match="publish again"):
        shelf.index()


def test_publishing_again_replaces_and_the_first_is_the_latest(shelf, tmp_path):
    for version in ("1.68.0.0", "1.67.0.0", "1.68.0.0"):
        shelf.publish(deb(tmp_path, version), released=NOW)
    index = shelf.index()
    assert [package.version for package in index.packages] == ["1.67.0.0", "1.68.0.0"]
    assert index.latest == "1.68.0.0"
    shelf.publish(deb(tmp_path, "1.67.0.0"), released=NOW, as_latest=True)
    assert shelf.index().latest == "1.67.0.0"
