"""Microsoft Graph, as far as the Azure CLI needs it to name and make principals."""

from arcbed_cloud.services.graph.service import Graph

__all__ = ["Graph"]
