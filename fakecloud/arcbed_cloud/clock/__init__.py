"""The time keeper: the one owner of *now* in a bed."""

from arcbed_cloud.clock.channel import Channel, listening
from arcbed_cloud.clock.keeper import ClockStalledError, Keeper
from arcbed_cloud.clock.task import KeeperTask

__all__ = ["Channel", "ClockStalledError", "Keeper", "KeeperTask", "listening"]
