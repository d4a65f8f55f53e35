"""What machines of a bed are handed: the authority to trust and the principal that may onboard them.

A folder that machines mount read-only. No private key and no owner's secret goes there.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import orjson

from arcbed_cloud.estate import Estate
from arcbed_cloud.files import write_atomic

#: Names in the folder.
AUTHORITY, ONBOARDING, CLOCK = "ca.pem", "onboarding.json", "clock.token"


def hand_over(folder: Path, ca_file: Path, estate: Estate, clock_token: str) -> None:
    """Write ``ca.pem``, ``onboarding.json`` and ``clock.token``, readable by all who see the folder.

    ``onboarding.json`` has the members of ``fakecloud env --json`` that a machine needs: tenantId,
    subscriptionId, and clientId, clientSecret and objectId of ``onboarding``.

    Raises:
        OSError: the folder cannot be written.
    """
    principal = asdict(estate.onboarding)
    del principal["certificateFile"]
    document = {
        "apiVersion": 1,
        "tenantId": estate.tenant_id,
        "subscriptionId": estate.subscription_id,
        "onboarding": principal,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / AUTHORITY, ca_file.read_bytes(), mode=0o644)
    write_atomic(folder / CLOCK, clock_token + "\n", mode=0o644)
    write_atomic(folder / ONBOARDING, orjson.dumps(document, option=orjson.OPT_INDENT_2), mode=0o644)
