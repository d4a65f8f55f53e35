"""Extension packages for tests: real zips, made on the spot."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

COMMANDS = {
    "installCommand": "handler.sh install",
    "enableCommand": "handler.sh enable",
    "disableCommand": "handler.sh disable",
    "updateCommand": "handler.sh update",
    "uninstallCommand": "handler.sh uninstall",
}


def manifest(**handler: Any) -> str:
    """The text of a HandlerManifest.json."""
    return json.dumps([{"version": "1.0", "handlerManifest": {**COMMANDS, **handler}}])


def package(
    folder: Path,
    name: str = "Contoso.Tools.Probe",
    version: str = "1.0.0",
    files: dict[str, str] | None = None,
    **handler: Any,
) -> Path:
    """``Contoso.Tools.Probe__1.0.0.zip`` in `folder`, with a handler that does nothing."""
    path = folder / f"{name}__{version}.zip"
    content = {
        "HandlerManifest.json": manifest(**handler),
        "handler.sh": "#!/bin/sh\nexit 0\n",
        **(files or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in content.items():
            archive.writestr(file, text)
    return path
