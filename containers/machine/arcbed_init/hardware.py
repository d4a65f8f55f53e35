"""Firmware that a machine of the bed shows: drawn from a seed, so that the same seed is the same machine.

A container sees its host's SMBIOS tables or none at all. The agent reads these files first (`host.root`).
Processors and memory stay the host's: they are read from /proc, and programs measure them.
"""

from __future__ import annotations

import random
import uuid
from pathlib import Path

#: Vendor, models and how the vendor writes serial numbers: ``?`` is a letter or digit, ``#`` a digit.
VENDORS = (
    ("Dell Inc.", ("PowerEdge R640", "PowerEdge R740", "PowerEdge R650"), "???????"),
    ("HPE", ("ProLiant DL360 Gen10", "ProLiant DL380 Gen10", "ProLiant DL380 Gen11"), "CZ########"),
    ("Lenovo", ("ThinkSystem SR630 V2", "ThinkSystem SR650"), "J?######"),
    ("Supermicro", ("SYS-1029P-WTR", "SYS-6019P-WT"), "S###########"),
    ("VMware, Inc.", ("VMware Virtual Platform", "VMware20,1"), ""),
)
LETTERS = "BCDFGHJKLMNPQRSTVWXYZ0123456789"


def firmware(seed: str) -> dict[str, str]:
    """Files below /sys/class/dmi/id with their content."""
    chance = random.Random(seed)  # noqa: S311 - a likeness, no secret
    vendor, models, pattern = chance.choice(VENDORS)
    identity = uuid.UUID(int=chance.getrandbits(128), version=4)
    serial = "".join(_drawn(chance, sign) for sign in pattern) or _vmware(identity)
    return {
        "sys_vendor": vendor,
        "product_name": chance.choice(models),
        "product_serial": serial,
        "product_uuid": str(identity),
        "chassis_asset_tag": f"AT-{chance.randrange(100_000):05d}",
    }


def install(seed: str, root: Path) -> None:
    """Write the files below `root`."""
    folder = root / "sys/class/dmi/id"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in firmware(seed).items():
        (folder / name).write_text(text + "\n")


def _drawn(chance: random.Random, sign: str) -> str:
    if sign == "?":
        return chance.choice(LETTERS)
    return str(chance.randrange(10)) if sign == "#" else sign


def _vmware(identity: uuid.UUID) -> str:
    """VMware's serial numbers are the UUID in bytes."""
    text = [f"{byte:02x}" for byte in identity.bytes]
    return f"VMware-{' '.join(text[:8])}-{' '.join(text[8:])}"
