"""The gallery: extension packages that publishers have put into this bed, and what is known of each."""

from __future__ import annotations

from arcbed_cloud.services.extensions.depots import Account, DepotError
from arcbed_cloud.services.extensions.gallery import Gallery, Published
from arcbed_cloud.services.extensions.manifest import ExtensionPackageError

__all__ = ["Account", "DepotError", "ExtensionPackageError", "Gallery", "Published"]
