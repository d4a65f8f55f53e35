"""What gcad and extd exchange with the guest configuration service: the desired state down, reports up."""

from arcbed_agent.exchange.contact import Contact
from arcbed_agent.exchange.outbox import Outbox
from arcbed_agent.exchange.pulls import Pulls

__all__ = ["Contact", "Outbox", "Pulls"]
