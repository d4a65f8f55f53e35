"""HandlerManifest.json: what a handler brings and how it wants to be treated.

Source: Azure/WALinuxAgent, `HandlerManifest` in `exthandlers.py`; the fields that real handlers ship.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from arcbed_agent.extd.failure import MANIFEST_BAD, MANIFEST_MISSING

FILE: Final = "HandlerManifest.json"
COMMANDS: Final = ("install", "enable", "disable", "update", "uninstall")


class ManifestError(Exception):
    """A manifest that cannot be used; `code` is 1002 (missing) or 1003 (bad)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A handler's manifest.

    Args:
        commands: shell lines by command, relative to the handler's folder.
        update_with_install: the new version's install runs in an upgrade.
        report_heartbeat: the handler must keep a heartbeat file.
        continue_on_update_failure: an upgrade goes on when a command of the old version fails.
        multi: several configurations of the handler may be enabled.
    """

    commands: Mapping[str, str]
    update_with_install: bool = True
    report_heartbeat: bool = False
    continue_on_update_failure: bool = False
    multi: bool = False

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest at the top of `folder`.

        Raises:
            ManifestError: it is missing or cannot be used.
        """
        try:
            data = (folder / FILE).read_bytes()
        except OSError as error:
            raise ManifestError(
                MANIFEST_MISSING, f"{FILE} file does not exist for extension {folder.name}: {error.strerror}"
            ) from None
        return cls.parse(data)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The manifest in `data`: an array with one object; a byte order mark is ignored.

        Raises:
            ManifestError: 1003.
        """
        try:
            document = json.loads(data.decode("utf-8-sig"))
            inner: dict[str, Any] = document[0]["handlerManifest"]
            commands = {name: _line(inner[f"{name}Command"]) for name in COMMANDS}
        except (ValueError, KeyError, IndexError, TypeError) as error:
            text = f"{FILE} cannot be used: {type(error).__name__} {error}"
            raise ManifestError(MANIFEST_BAD, text) from None
        return cls(
            commands=commands,
            update_with_install=_lower(inner.get("updateMode")) != "updatewithoutinstall",
            report_heartbeat=_flag(inner.get("reportHeartbeat")),
            continue_on_update_failure=_flag(inner.get("continueOnUpdateFailure")),
            multi=_flag(inner.get("supportsMultipleExtensions")),
        )


def _line(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a command is empty or no text")
    return value.strip().lstrip("/")


def _lower(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _flag(value: object) -> bool:
    """Real booleans, or the text "true" in any case: real handlers ship both."""
    return value is True or _lower(value) == "true"


def find(tree: Path) -> Path:
    """The manifest anywhere in an unpacked package; the one nearest to the top.

    Raises:
        ManifestError: 1002.
    """
    found = sorted(tree.rglob(FILE), key=lambda path: (len(path.parts), str(path)))
    if not found:
        raise ManifestError(MANIFEST_MISSING, f"{FILE} was not found in the extension package")
    return found[0]
