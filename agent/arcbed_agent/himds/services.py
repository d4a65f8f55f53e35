"""The agent's other services on this machine, as systemd has them.

Read from files, without starting a process.
"""

from __future__ import annotations

from pathlib import Path

#: Member of ARM's `serviceStatuses` to systemd unit.
UNITS = {"guestConfigurationService": "gcad.service", "extensionService": "extd.service"}
_UNIT_FOLDERS = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
_WANTS = "etc/systemd/system/multi-user.target.wants"
_CGROUPS = ("sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice")


def service_statuses(root: Path = Path("/")) -> dict[str, dict[str, str]]:
    """ARM's `serviceStatuses`: `status` is ``active``, ``inactive`` or ``not installed``."""
    return {member: _status(root, unit) for member, unit in UNITS.items()}


def _status(root: Path, unit: str) -> dict[str, str]:
    if not any((root / folder / unit).exists() for folder in _UNIT_FOLDERS):
        return {"status": "not installed", "startupType": "not installed"}
    active = any((root / folder / unit).is_dir() for folder in _CGROUPS)
    enabled = (root / _WANTS / unit).is_symlink()
    return {
        "status": "active" if active else "inactive",
        "startupType": "enabled" if enabled else "disabled",
    }
