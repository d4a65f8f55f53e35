"""The bed's resolver: Azure's host names lead to the control plane, wherever a machine asks it."""

from arcbed_cloud.services.dns.resolver import Resolver
from arcbed_cloud.services.dns.server import DnsServer

__all__ = ["DnsServer", "Resolver"]
