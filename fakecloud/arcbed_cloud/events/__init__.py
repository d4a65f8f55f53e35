"""The event log: what programs on the bed's clock asked for, byte for byte the same in each run of a seed."""

from arcbed_cloud.events.log import EventLog
from arcbed_cloud.events.witness import Witness

__all__ = ["EventLog", "Witness"]
