"""Disks and network interfaces."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any

from arcbed_agent.host.sources import InterfaceAddress, Sources

_SECTOR = 512  # /sys/block/*/size counts these, whatever the device's own sector size


def storage_profile(sources: Sources) -> dict[str, Any]:
    """ARM's storageProfile: disks with a device behind them, not loops, optical drives or mapped volumes."""
    present = [
        name for name in sources.names("sys/block") if not re.match(r"loop|ram|sr\d|fd\d|dm-|md\d|zram", name)
    ]
    return {"disks": [_disk(sources, name) for name in present]}


def _disk(sources: Sources, name: str) -> dict[str, Any]:
    block = f"sys/block/{name}"
    identity = next(
        filter(
            None,
            (sources.read(f"{block}/{file}") for file in ("wwid", "device/wwid", "serial", "device/serial")),
        ),
        name,
    )
    return {
        "path": f"/dev/{name}",
        "diskType": "HDD" if sources.read(f"{block}/queue/rotational") == "1" else "SSD",
        "generatedId": identity,
        "id": identity,
        "name": name,
        "maxSizeInBytes": int(sources.read(f"{block}/size") or 0) * _SECTOR,
        "usedSpaceInBytes": _used(sources, name),
    }


def _used(sources: Sources, disk: str) -> int:
    """Bytes used on the file systems of `disk` and its partitions; bind mounts count once."""
    mounts: dict[str, str] = {}
    for line in sources.read("proc/self/mounts").splitlines():
        device, mount_point, *_ = line.split()
        if re.fullmatch(rf"/dev/{re.escape(disk)}(p?\d+)?", device):
            mounts.setdefault(device, mount_point.encode().decode("unicode_escape"))
    return sum(sources.used_bytes(mount_point) for mount_point in mounts.values())


def network_profile(sources: Sources) -> dict[str, Any]:
    """ARM's networkProfile: every interface with an address but loopback."""
    interfaces: dict[str, list[dict[str, Any]]] = {}
    for entry in sources.addresses():
        if not _interface(entry).ip.is_loopback:
            interfaces.setdefault(entry.interface, []).append(_address(entry))
    return {
        "networkInterfaces": [
            {
                "name": name,
                "id": name,
                "macAddress": sources.read(f"sys/class/net/{name}/address"),
                "ipAddresses": addresses,
            }
            for name, addresses in sorted(interfaces.items())
        ]
    }


@lru_cache(maxsize=256)
def _interface(entry: InterfaceAddress) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    return ipaddress.ip_interface(f"{entry.address}/{entry.prefix_length}")


def _address(entry: InterfaceAddress) -> dict[str, Any]:
    interface = _interface(entry)
    return {
        "address": entry.address,
        "ipAddressVersion": f"IPv{interface.version}",
        "subnet": {"addressPrefix": str(interface.network)},
    }
