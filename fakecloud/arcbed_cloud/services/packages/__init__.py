"""Where machines get the agent from: packages.microsoft.com, download.microsoft.com, aka.ms, HIS's copies."""

from arcbed_cloud.services.packages.shelf import Package, PackageError, Shelf

__all__ = ["Package", "PackageError", "Shelf"]
