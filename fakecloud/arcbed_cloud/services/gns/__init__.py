"""The guest notification service: a channel to each machine, and what is said on it."""

from arcbed_cloud.services.gns.pushes import Pushes
from arcbed_cloud.services.gns.router import gns_app

__all__ = ["Pushes", "gns_app"]
