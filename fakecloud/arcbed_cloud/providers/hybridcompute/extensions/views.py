"""How an extension shows in ARM, by api-version, and what an agent's report changes in it."""

from __future__ import annotations

from arcbed_cloud.providers.hybridcompute.manifest import NAMESPACE
from arcbed_cloud.providers.hybridcompute.versions import at_least
from arcbed_cloud.store.contract import Document

TYPE = f"{NAMESPACE}/machines/extensions"
KIND = TYPE.lower()
AUTOMATIC_SINCE = "2021-12-10-preview"


class ExtensionView:
    """See `items.View`."""

    kind = KIND

    def shown(self, document: Document, version: str | None = None) -> Document:
        """The resource as ARM answers it; `version` None shows the newest shape."""
        found = {name: value for name, value in document.items() if name != "agent"}
        if version is not None and not at_least(version, AUTOMATIC_SINCE):
            found["properties"] = {
                name: value for name, value in found["properties"].items() if name != "enableAutomaticUpgrade"
            }
        return found

    def amend(self, document: Document, report: Document) -> None:
        """Version and instance view."""
        properties = document["properties"]
        if installed := report.get("typeHandlerVersion"):
            properties["typeHandlerVersion"] = installed
        if (status := report.get("instanceView")) is not None:
            properties["instanceView"] = {
                "name": document["name"],
                "type": properties["type"],
                "typeHandlerVersion": properties["typeHandlerVersion"],
                "status": status,
            }
