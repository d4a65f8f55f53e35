"""Durable state of the control plane."""

from arcbed_cloud.store.contract import Change, Row, SnapshotError, Store, Unit
from arcbed_cloud.store.sqlite import SqliteStore

__all__ = ["Change", "Row", "SnapshotError", "SqliteStore", "Store", "Unit"]
