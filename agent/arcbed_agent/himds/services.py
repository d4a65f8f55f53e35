"""The agent's other services on this machine, as systemd has them.

Read from files, without starting a process. A daemon that runs without systemd holds its lock.
"""

from __future__ import annotations

from pathlib import Path

from arcbed_agent.host.lock import is_held

#: Member of ARM's `serviceStatuses` to systemd unit.
UNITS = {"guestConfigurationService": "gcad.service", "extensionService": "extd.service"}
_UNIT_FOLDERS = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
_WANTS = "etc/systemd/system/multi-user.target.wants"
_CGROUPS = ("sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice")


def service_statuses(root: Path = Path("/"), locks: Path | None = None) -> dict[str, dict[str, str]]:
    """ARM's `serviceStatuses`: `status` is ``active``, ``inactive`` or ``not installed``.

    Args:
        root: where systemd's folders are.
        locks: where the machine's daemons keep their locks.
    """
    return {member: unit_status(root, unit, locks) for member, unit in UNITS.items()}


def unit_status(root: Path, unit: str, locks: Path | None = None) -> dict[str, str]:
    """Status and start type of one unit, in the words of `azcmagent show`."""
    running = locks is not None and is_held(locks / unit.replace(".service", ".lock"))
    if not running and not any((root / folder / unit).exists() for folder in _UNIT_FOLDERS):
        return {"status": "not installed", "startupType": "not installed"}
    active = running or any((root / folder / unit).is_dir() for folder in _CGROUPS)
    enabled = (root / _WANTS / unit).is_symlink()
    return {
        "status": "active" if active else "inactive",
        "startupType": "enabled" if enabled else "disabled",
    }
