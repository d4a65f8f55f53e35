"""Where the agent's files are: data, so that another platform is another table.

Paths: Microsoft's articles "Overview of the Azure Connected Machine agent" and "Agent security"; names that
Microsoft does not publish are marked *ours*. All are below a movable root (`ARC_ROOT`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LINUX: Mapping[str, str] = {
    "programs": "opt/azcmagent/bin",
    "home": "var/opt/azcmagent",
    "agent_config": "var/opt/azcmagent/agentconfig.json",
    "local_config": "var/opt/azcmagent/localconfig.json",
    "certificates": "var/opt/azcmagent/certs",
    "machine_key": "var/opt/azcmagent/certs/private.pem",  # ours
    "machine_certificate": "var/opt/azcmagent/certs/public.pem",  # ours
    "registration": "var/opt/azcmagent/registration.json",  # ours: the journal of an unfinished connect
    "state": "var/opt/azcmagent/state.json",  # ours: last heartbeat, sequence, tags
    "upgrade": "var/opt/azcmagent/upgrade.json",  # ours: the newest attempt to upgrade
    "tokens": "var/opt/azcmagent/tokens",
    "sockets": "var/opt/azcmagent/socks",
    "himds_socket": "var/opt/azcmagent/socks/himds.sock",
    "logs": "var/opt/azcmagent/log",
    "himds_log": "var/opt/azcmagent/log/himds.log",
    "cli_log": "var/opt/azcmagent/log/azcmagent.log",
    "environment": "lib/systemd/system.conf.d/azcmagent.conf",
    "guest_config": "var/lib/GuestConfig",
    "configurations": "var/lib/GuestConfig/Configuration",
    "assignments": "var/lib/GuestConfig/assignments",  # ours: what is known of each assignment
    "packages": "var/lib/GuestConfig/packages",  # ours: zips, so that a reconnect needs no download
    "policy_reports": "var/lib/GuestConfig/reports",
    "policy_sync": "var/lib/GuestConfig/sync.json",  # ours: the last contact with the service
    "policy_compliance": "var/lib/GuestConfig/compliance.json",  # ours: for the machine's metadata
    "gcad_socket": "var/opt/azcmagent/socks/gcad.sock",  # ours
    "policy_logs": "var/lib/GuestConfig/arc_policy_logs",
    "gc_agent_log": "var/lib/GuestConfig/arc_policy_logs/gc_agent.log",
    "gc_worker_log": "var/lib/GuestConfig/arc_policy_logs/gc_worker.log",
    "gc_agent_telemetry": "var/lib/GuestConfig/arc_policy_logs/gc_agent_telemetry.txt",
    "gc_worker_telemetry": "var/lib/GuestConfig/arc_policy_logs/gc_worker_telemetry.txt",
    "extension_manager_logs": "var/lib/GuestConfig/ext_mgr_logs",
    "gc_ext_log": "var/lib/GuestConfig/ext_mgr_logs/gc_ext.log",
    "extension_logs": "var/lib/GuestConfig/extension_logs",
    "extension_reports": "var/lib/GuestConfig/extension_reports",
    "extension_usage": "var/lib/GuestConfig/extension_usage.json",  # ours: for the machine's metadata
    "extension_state": "var/lib/GuestConfig/extensions",  # ours: what is known of each extension
    "extd_socket": "var/opt/azcmagent/socks/extd.sock",  # ours
    "extensions": "var/lib/waagent",
    "extension_downloads": "opt/GC_Ext/downloads",
    "policy_service": "opt/GC_Service",
}


@dataclass(frozen=True)
class Layout:
    """The agent's paths below `root`; attributes are the keys of the platform's table."""

    root: Path = Path("/")
    table: Mapping[str, str] = field(default_factory=lambda: LINUX)

    @classmethod
    def from_environment(cls) -> Layout:
        """The layout below ``ARC_ROOT``, or below ``/``."""
        return cls(Path(os.environ.get("ARC_ROOT") or "/").absolute())

    def __getitem__(self, name: str) -> Path:
        """The path called `name`.

        Raises:
            KeyError: the platform has no such path.
        """
        return self.root / self.table[name]

    def shown(self, path: Path) -> str:
        """`path` as it reads on a machine whose root is ``/``."""
        return "/" + str(path.relative_to(self.root))
