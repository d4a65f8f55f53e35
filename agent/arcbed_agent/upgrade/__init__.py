"""Replacing the agent by another version of itself, through the system's package manager."""

from arcbed_agent.upgrade.attempt import Attempt
from arcbed_agent.upgrade.packages import PackageManager, find_package_manager, matches

__all__ = ["Attempt", "PackageManager", "find_package_manager", "matches"]
