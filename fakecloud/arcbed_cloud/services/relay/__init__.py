"""Azure Relay's hybrid connections: listeners hold a WebSocket open, senders reach them through it."""

from arcbed_cloud.services.relay.connections import Answer, Asked, Relay
from arcbed_cloud.services.relay.errors import RelayError
from arcbed_cloud.services.relay.router import relay_app

__all__ = ["Answer", "Asked", "Relay", "RelayError", "relay_app"]
