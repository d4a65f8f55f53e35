"""The Hybrid Identity Service: discovery, machine identity, heartbeat."""

from arcbed_cloud.services.his.router import his_app
from arcbed_cloud.services.his.service import HisService

__all__ = ["HisService", "his_app"]
