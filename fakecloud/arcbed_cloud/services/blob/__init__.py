"""Blob storage: what packages are downloaded from, with shared access signatures."""

from __future__ import annotations

from arcbed_cloud.services.blob.store import Blob, BlobNameError, BlobStore

__all__ = ["Blob", "BlobNameError", "BlobStore"]
