"""The time keeper: the one owner of *now* in a bed."""

from arcbed_cloud.clock.keeper import ClockStalledError, Keeper, KeeperTask

__all__ = ["ClockStalledError", "Keeper", "KeeperTask"]
