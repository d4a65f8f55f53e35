"""The handler that the agent brings along: Microsoft.CPlat.Core.RunCommandHandlerLinux (agent 1.33)."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Final

HANDLER: Final = "Microsoft.CPlat.Core.RunCommandHandlerLinux"
_SCRIPT: Final = Path(__file__).with_name("run_command.py")
_START: Final = '#!/bin/sh\nexec "{python}" -I "$(dirname "$0")/run_command.py" "$1"\n'


def archive(handler: str) -> bytes | None:
    """The package of a handler that is built in; None for any other.

    Args:
        handler: ``Publisher.Type``, case ignored.
    """
    if handler.lower() != HANDLER.lower():
        return None
    names = ("install", "enable", "disable", "update", "uninstall")
    inner = {f"{name}Command": f"start.sh {name}" for name in names}
    manifest = [{"version": 1.0, "handlerManifest": inner | {"supportsMultipleExtensions": True}}]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("HandlerManifest.json", json.dumps(manifest))
        packed.writestr("start.sh", _START.format(python=sys.executable))
        packed.writestr("run_command.py", _SCRIPT.read_bytes())
    return made.getvalue()
