"""Processors, memory and firmware, from /proc and the SMBIOS tables in /sys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arcbed_agent.host.sources import Sources

_DMI = "sys/class/dmi/id"
#: What boards say when nobody filled the field in.
_PLACEHOLDERS = {"none", "not specified", "to be filled by o.e.m.", "default string", "system serial number"}


@dataclass(frozen=True)
class Socket:
    """One processor package."""

    name: str
    cores: int


@dataclass(frozen=True)
class Firmware:
    """What SMBIOS says; empty strings where it says nothing (containers, small virtual machines)."""

    manufacturer: str
    model: str
    uuid: str
    serial_number: str
    asset_tag: str
    type: str


def firmware(sources: Sources) -> Firmware:
    """Read the SMBIOS tables; the UUID and serial number are readable by root only."""
    model = _dmi(sources, "product_name", "system-product-name")
    return Firmware(
        manufacturer=_dmi(sources, "sys_vendor", "system-manufacturer"),
        model=model or sources.read("sys/firmware/devicetree/base/model"),
        uuid=_dmi(sources, "product_uuid", "system-uuid").lower(),
        serial_number=_dmi(sources, "product_serial", "system-serial-number"),
        asset_tag=_dmi(sources, "chassis_asset_tag", "chassis-asset-tag"),
        type="UEFI" if sources.exists("sys/firmware/efi") else "BIOS",
    )


def _dmi(sources: Sources, file: str, keyword: str) -> str:
    value = sources.read(f"{_DMI}/{file}") or sources.run(["dmidecode", "-s", keyword])
    last = value.splitlines()[-1].strip() if value else ""
    return "" if last.lower() in _PLACEHOLDERS or last.startswith("#") else last


def sockets(sources: Sources) -> tuple[list[Socket], int]:
    """The processor packages, and the number of logical processors."""
    blocks = [_pairs(block) for block in sources.read("proc/cpuinfo").split("\n\n")]
    processors = [block for block in blocks if "processor" in block]
    cores: dict[str, set[str]] = defaultdict(set)
    names: dict[str, str] = {}
    for block in processors:
        package = block.get("physical id", "0")
        cores[package].add(block.get("core id", block["processor"]))
        names.setdefault(package, block.get("model name") or block.get("CPU part", ""))
    return [Socket(names[package], len(cores[package])) for package in sorted(cores)], len(processors)


def _pairs(block: str) -> dict[str, str]:
    lines = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def memory_bytes(sources: Sources) -> int:
    """``MemTotal`` of /proc/meminfo in bytes."""
    for line in sources.read("proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True)
class Hardware:
    """What one look at the machine has found.

    Args:
        packages: its processor packages.
        logical: how many logical processors they have.
        memory: bytes.
        board: what SMBIOS says.
        architecture: as ``uname -m`` prints it.
    """

    packages: Sequence[Socket]
    logical: int
    memory: int
    board: Firmware
    architecture: str

    @classmethod
    def of(cls, sources: Sources) -> Hardware:
        """Look."""
        packages, logical = sockets(sources)
        return cls(packages, logical, memory_bytes(sources), firmware(sources), sources.architecture)

    def profiles(self) -> dict[str, Any]:
        """ARM's hardwareProfile and firmwareProfile."""
        return {
            "hardwareProfile": {
                "totalPhysicalMemoryInBytes": self.memory,
                "numberOfCpuSockets": len(self.packages),
                "processors": [
                    {"name": package.name, "numberOfCores": package.cores} for package in self.packages
                ],
            },
            "firmwareProfile": {"serialNumber": self.board.serial_number, "type": self.board.type},
        }

    def detected(self) -> dict[str, str]:
        """The hardware part of detectedProperties: all values are strings."""
        architectures = {"x86_64": "amd64", "aarch64": "arm64"}
        return {
            "manufacturer": self.board.manufacturer,
            "model": self.board.model,
            "serialNumber": self.board.serial_number,
            "smbiosAssetTag": self.board.asset_tag,
            "architecture": architectures.get(self.architecture, self.architecture),
            "processorCount": str(len(self.packages)),
            "coreCount": str(sum(package.cores for package in self.packages)),
            "logicalCoreCount": str(self.logical),
            "processorNames": ",".join(package.name for package in self.packages),
            "totalPhysicalMemoryInBytes": str(self.memory),
            "totalPhysicalMemoryInGigabytes": str(self.memory // 2**30),
        }
