"""azure-mgmt-hybridcompute 8.x, which cannot be installed beside the current one, against the same bed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venvs" / "hybridcompute-8" / "bin" / "python"
VM_ID = "8a0d1c9e-2f10-4d53-9d5e-000000000001"


@pytest.mark.long
def test_machine_is_read_listed_and_deleted_by_the_sdk_of_2022(
    running_cloud, hybridcompute, resources, registered
):
    assert PYTHON.exists(), "run it with `make test-long`, which sets up the older SDK"
    registered("Microsoft.HybridCompute")
    resources.resource_groups.create_or_update("old-sdk", {"location": "westeurope"})
    body = {
        "location": "westeurope",
        "tags": {"era": "2022"},
        "identity": {"type": "SystemAssigned"},
        "properties": {"vmId": VM_ID, "osType": "linux"},
    }
    made = hybridcompute.machines.create_or_update("old-sdk", "old-01", body)
    done = subprocess.run(
        [str(PYTHON), str(HERE / "with_hybridcompute8.py")],
        input=json.dumps(running_cloud.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert seen["version"].startswith("8.")
    assert (seen["id"], seen["vmId"], seen["tags"]) == (made.id, VM_ID, {"era": "2022"})
    assert seen["principalId"] == made.identity.principal_id
    assert seen["osType"] == "linux"
    assert seen["byGroup"] == ["old-01"]
    assert "old-01" in seen["bySubscription"]
    assert seen["operations"] > 5
    assert seen["afterwards"] == "ResourceNotFound"
    assert running_cloud.stored("resources", made.id) is None
