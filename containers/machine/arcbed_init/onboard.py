"""Connect this machine with the onboarding principal that the control plane has handed over.

Run by arcbed-onboard.service, which repeats it until it has worked.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from arcbed_init.start import CONNECT

SOCKET = "/var/opt/azcmagent/socks/himds.sock"
CONFIG = Path("/var/opt/azcmagent/agentconfig.json")
FLAGS = Path("/run/arcbed/onboard.json")
PATIENCE = 20.0


def wait_for_himds() -> None:
    """Until the daemon takes connections; gives up after 20 seconds."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(SOCKET)
            return
        time.sleep(0.1)
    sys.exit("arcbed-onboard: himds does not answer")


def is_connected() -> bool:
    """Whether the machine has been connected before."""
    with suppress(OSError, ValueError):
        return bool(json.loads(CONFIG.read_bytes()).get("vmId"))
    return False


def main() -> None:
    """Connect unless that has been done."""
    wait_for_himds()
    if is_connected():
        return
    wanted = json.loads(CONNECT.read_text())
    handed = json.loads(Path(wanted["onboarding"]).read_text())
    flags = {
        "tenant-id": handed["tenantId"],
        "subscription-id": handed["subscriptionId"],
        "service-principal-id": handed["onboarding"]["clientId"],
        "service-principal-secret": handed["onboarding"]["clientSecret"],
        **wanted["flags"],
    }
    os.umask(0o077)
    FLAGS.parent.mkdir(exist_ok=True)
    FLAGS.write_text(json.dumps(flags))
    try:
        sys.exit(subprocess.run(["azcmagent", "connect", "--config", FLAGS], check=False).returncode)
    finally:
        FLAGS.unlink()


if __name__ == "__main__":
    main()
