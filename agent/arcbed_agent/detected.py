"""More of a machine's `detectedProperties`: what a daemon has found out, in a file that himds reads.

The file is a JSON object of strings, which go into the metadata of the next heartbeat.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from arcbed_agent.files import remove_durably, write_durably
from arcbed_agent.host.layout import Layout

#: Who writes one: gcad about policies, extd about extensions.
FILES = ("policy_compliance", "extension_usage")


class DetectedFile:
    """The file of one daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: Mapping[str, str] | None = None

    def say(self, properties: Mapping[str, str]) -> None:
        """Write the properties where they have changed; nothing to say is no file."""
        if properties == self._written:
            return
        if properties:
            write_durably(self._path, json.dumps(properties), mode=0o640, power_loss=False)
        else:
            remove_durably(self._path)
        self._written = properties


def detected(layout: Layout) -> dict[str, str]:
    """What all daemons have said last."""
    found: dict[str, str] = {}
    for key in FILES:
        with suppress(OSError, ValueError):
            document = json.loads(layout[key].read_bytes())
            if isinstance(document, Mapping):
                found.update((str(name), str(value)) for name, value in document.items())
    return found
