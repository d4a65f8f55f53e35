"""ManagedIdentityCredential on an onboarded machine, in a mount and network namespace of its own.

The SDK insists on /var/opt/azcmagent/tokens and on the port it is told, which may belong to others here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSIDE = Path(__file__).with_name("inside_machine.py")


def namespaces_are_allowed() -> bool:
    """Whether this host lets us have a mount and a network namespace, as root on a machine or VM does."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    trial = ["unshare", "--mount", "--net", "ip", "link", "set", "lo", "up"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(
    not namespaces_are_allowed(), reason="needs root, util-linux, iproute2, and the right to make namespaces"
)
def test_managed_identity_credential_works_unmodified_on_an_onboarded_machine(tmp_path):
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--fork", sys.executable, str(INSIDE), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": str(INSIDE.parents[1] / "support")},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["claims"]["xms_mirid"].lower() == found["machineId"].lower()
    assert found["claims"]["oid"] == found["principalId"]
    assert found["claims"]["aud"] == "https://management.azure.com"
    assert found["status"] == "Connected"
    assert found["stored"] == {"status": "Connected", "principalId": found["principalId"]}
    assert found["keysLeft"] == []
