"""Guest assignments and reports as ARM answers them; bytes are made once a row, api-version and place."""

from __future__ import annotations

from typing import Any

import orjson

from arcbed_cloud.store.contract import Document, Row

# The one member that came with an api-version of its own.
IDENTITY_SINCE = "2024-04-05"


def assignment(row: Row, version: str) -> bytes:
    """One assignment."""
    return _ready(row, version, {})


def created(row: Row, version: str) -> bytes:
    """The answer to the PUT that made it."""
    return _ready(row, version, {"provisioningState": "Created"})


def listed(row: Row, version: str) -> bytes:
    """An assignment in a list, where recorded answers have no ``provisioningState``."""
    return _ready(row, version, {"provisioningState": None})


def report(row: Row) -> bytes:
    """One report with its details."""
    return orjson.dumps(row.document["report"])


def listed_report(row: Row) -> bytes:
    """A report in a list, without details."""
    ready = row.rendered.get("listed")
    if ready is None:
        found: Document = row.document["report"]
        shown = {**found, "properties": {**found["properties"], "details": None}}
        ready = row.rendered["listed"] = orjson.dumps(shown)
    return ready


def _ready(row: Row, version: str, instead: dict[str, Any]) -> bytes:
    slot = f"{version}+{instead}" if instead else version
    ready = row.rendered.get(slot)
    if ready is None:
        ready = row.rendered[slot] = orjson.dumps(_shaped(row.document, version, instead))
    return ready


def _shaped(document: Document, version: str, instead: dict[str, Any]) -> Document:
    shown = {name: value for name, value in document.items() if name != "agent"}
    shown["properties"] = {**document["properties"], **instead}
    if version < IDENTITY_SINCE:
        configuration = dict(shown["properties"]["guestConfiguration"])
        del configuration["contentManagedIdentity"]
        shown["properties"]["guestConfiguration"] = configuration
    return shown
