"""JSON files with a backup copy beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder, write_durably


def backup(path: Path) -> Path:
    """Where the copy of `path` is."""
    return path.with_name(f"{path.name}.bak")


def save(path: Path, document: Mapping[str, Any], *, mode: int) -> None:
    """Write `document` and its copy with the permissions `mode`.

    Raises:
        OSError: they cannot be written.
    """
    make_folder(path.parent)
    text = json.dumps(document, indent=2) + "\n"
    write_durably(path, text, mode=mode)
    write_durably(backup(path), text, mode=mode)


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None when the file is lost or broken."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def load(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or in its copy if the file is lost or broken; empty where neither is there.

    Raises:
        AgentError: 70, neither can be read.
    """
    try:
        document = _read(path)
        if document is None:
            document = _read(backup(path))
        present = path.exists()
    except OSError as error:
        raise AgentError(70, f"cannot read {path}: {error.strerror}") from error
    if document is not None:
        return document
    if present and path.stat().st_size:
        raise AgentError(70, f"{path} is not a JSON object and there is no backup of it")
    return {}
