"""What gcad and extd share: they pull the desired state, report up, and are daemons of one kind."""

from arcbed_agent.exchange.contact import Contact
from arcbed_agent.exchange.daemon import Daemon, Given, Loop
from arcbed_agent.exchange.outbox import Outbox
from arcbed_agent.exchange.pulls import Pulls

__all__ = ["Contact", "Daemon", "Given", "Loop", "Outbox", "Pulls"]
