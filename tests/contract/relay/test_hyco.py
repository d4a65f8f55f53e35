"""Microsoft's own listener, the npm package hyco-https, unmodified: it listens and is notified."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).with_name("hyco")
KIND = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
ASSIGNMENT = {
    "location": "westeurope",
    "properties": {"guestConfiguration": {"name": "Probe", "version": "1.0.0"}},
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The listener with its package; ``ARCBED_HYCO`` names a folder where that is installed."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    if kept := os.environ.get("ARCBED_HYCO"):
        return Path(kept) / "listener.js"
    folder = tmp_path_factory.mktemp("npm") / "hyco"
    shutil.copytree(FOLDER, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=folder, check=True, timeout=150)
    return folder / "listener.js"


def test_microsofts_listener_is_notified_of_an_assignment(program, machine, world):
    relay = machine.channel().json()["relay"]
    server = f"wss://{relay['namespaceNameSuffix']}/$hc/{relay['hybridConnectionName']}?sb-hc-action=listen"
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": world.cloud.ca}
    process = subprocess.Popen(
        ["node", program, server, relay["accessKey"]], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"listening": True}
        url = f"{machine.path}/{KIND}/Probe?api-version=2022-01-25"
        world.client.put(url, json=ASSIGNMENT).raise_for_status()
        heard = json.loads(process.stdout.readline())
        assert (heard["method"], json.loads(heard["body"])["kind"]) == ("POST", "assignments")

        sent = machine.send("POST", "/hello", content=b"from a sender")
        assert sent.status_code == 202
        assert json.loads(process.stdout.readline())["body"] == "from a sender"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
