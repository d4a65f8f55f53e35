"""The guest configuration agent service: what a machine is to have, and what it found."""

from __future__ import annotations

from arcbed_cloud.services.guestconfig.router import gas_app
from arcbed_cloud.services.guestconfig.service import AgentService

__all__ = ["AgentService", "gas_app"]
