"""Azurite in place of the bed's blob service: packages lie there, and machines download from there."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.support.packages import package

from arcbed_agent.cloud import blobs
from arcbed_agent.cloud.transport import CloudError, Transport
from arcbed_agent.config import LocalConfig
from arcbed_cloud.services.extensions import Gallery

ROOT = Path(__file__).parents[2]
# The account and key that Microsoft documents for Azurite.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Azurite from npm, as pinned for the image; the image's own copy if that was built here."""
    built = ROOT / "build/containers/azurite/packages"
    folder = Path(os.environ.get("ARCBED_AZURITE", built))
    if not (folder / "node_modules/azurite").is_dir():
        if shutil.which("npm") is None:
            pytest.skip("needs npm")
        folder = tmp_path_factory.mktemp("azurite")
        for file in (ROOT / "containers/azurite").glob("package*.json"):
            shutil.copy(file, folder)
        command = ["npm", "ci", "--prefix", str(folder), "--omit=dev", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, check=True, timeout=240)
    if shutil.which("node") is None:
        pytest.skip("needs node")
    return folder / "node_modules/azurite/dist/src/blob/main.js"


@pytest.fixture
def azurite(program, cloud, tmp_path):
    """Its endpoint, with a certificate that machines of the bed trust."""
    certificate = next(file for file in cloud.state.glob("server*.pem"))
    key = next(file for file in cloud.state.glob("server*.key"))
    options = ["--location", str(tmp_path / "azurite"), "--blobHost", "127.0.0.1", "--blobPort", "0"]
    process = subprocess.Popen(
        [
            *("node", str(program), *options, "--cert", str(certificate), "--key", str(key)),
            *("--disableTelemetry", "--skipApiVersionCheck"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = next(text for text in process.stdout if "listens on" in text)
    yield f"https://127.0.0.1:{line.strip().rstrip('/').rpartition(':')[2]}/{ACCOUNT}"
    process.terminate()
    process.wait(20)
    process.stdout.close()


@pytest.fixture
def cloud(start_cloud, tmp_path):
    cloud = start_cloud(tmp_path / "state")
    yield cloud
    cloud.stop()


def fakecloud(cloud, *arguments):
    """Run ``fakecloud extension``; what it prints."""
    command = [sys.executable, "-m", "arcbed_cloud.cli", "extension", *arguments, "--state", str(cloud.state)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


async def test_packages_lie_in_azurite_and_the_agents_own_download_gets_them(cloud, azurite, tmp_path):
    (tmp_path / "key").write_text(KEY)
    done = fakecloud(cloud, "storage", "--endpoint", azurite, "--key-file", str(tmp_path / "key"))
    assert done.returncode == 0, done.stderr
    source = package(tmp_path, files={"big": "x" * 100_000})
    done = fakecloud(cloud, "publish", str(source))
    assert done.returncode == 0, done.stderr

    gallery = Gallery(cloud.state)
    (entry,) = gallery.all()
    address = gallery.address(entry.file, time.time())  # noqa: TID251 - signatures carry real time
    assert address.startswith(f"{azurite}/packages/Contoso.Tools.Probe__1.0.0.zip?")
    # A whole signature in place of the true one: Azurite answers 500 to one that is cut within an escape.
    forged = address.partition("&sig=")[0] + "&sig=" + quote(base64.b64encode(bytes(32)), safe="")
    transport = Transport(LocalConfig({"tls.caBundle": cloud.ca}))
    part = tmp_path / "probe.part"
    try:
        await blobs.fetch(transport, address, part, limit=10_000_000)
        with pytest.raises(CloudError) as refused:
            await blobs.fetch(transport, forged, tmp_path / "no.part", limit=10_000_000)
    finally:
        await transport.close()
    assert refused.value.status == 403
    assert hashlib.sha256(part.read_bytes()).hexdigest() == entry.sha256

    refused_move = fakecloud(cloud, "storage")
    assert refused_move.returncode == 1
    assert "Unpublish everything first" in refused_move.stderr
    assert fakecloud(cloud, "unpublish", "Contoso.Tools", "Probe", "1.0.0").returncode == 0
    assert fakecloud(cloud, "storage").stdout == "packages lie in the blob service of the bed\n"


def test_storage_that_cannot_be_reached_or_refuses_is_said_and_nothing_changes(cloud, azurite, tmp_path):
    (tmp_path / "key").write_text("AAAA")
    given = ("--key-file", str(tmp_path / "key"))
    refused = fakecloud(cloud, "storage", "--endpoint", azurite, *given)
    assert (refused.returncode, "refused PUT: 403" in refused.stderr) == (1, True), refused.stderr
    gone = fakecloud(cloud, "storage", "--endpoint", "https://127.0.0.1:1/x", *given)
    assert (gone.returncode, "cannot be reached" in gone.stderr) == (1, True), gone.stderr
    plain = fakecloud(cloud, "storage", "--endpoint", "http://127.0.0.1:1/x", *given)
    assert (plain.returncode, "https://" in plain.stderr) == (1, True)
    assert fakecloud(cloud, "publish", str(package(tmp_path))).returncode == 0
    assert "arcbedextensions" in Gallery(cloud.state).address("x", 0)
