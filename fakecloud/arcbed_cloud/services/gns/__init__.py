"""The guest notification service: so far the list of relay names that a firewall must let through."""

from arcbed_cloud.services.gns.router import gns_app

__all__ = ["gns_app"]
