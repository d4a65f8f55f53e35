"""Rules that bring their own check along, as the CIS packages do.

Source: Azure/azure-osconfig, src/modules/complianceengine (operators and the JSON schemas of procedures).
"""

from arcbed_agent.gcad.dsc.compliance.logic import Unsupported, audit

__all__ = ["Unsupported", "audit"]
