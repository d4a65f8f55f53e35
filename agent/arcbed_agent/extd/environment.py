"""The environment of a handler's commands.

Source: Azure/WALinuxAgent, `exthandlers.py`; on Arc, where Azure/azure-extension-foundation and the monitor
agent look for the local endpoint.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NOT_RUN: Final = "NOT_RUN"
_FEATURES: Final = json.dumps([{"Key": "ExtensionTelemetryPipeline", "Value": "1.0"}])
#: Of this process only.
_OWN: Final = frozenset({"NOTIFY_SOCKET", "ARCBED_CLOCK_CHILD", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})


def environment(
    *,
    path: str,
    version: str,
    sequence: int,
    endpoint: str,
    extension: str = "",
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The whole environment of a command.

    Args:
        path: the handler's folder as the handler sees it.
        version: of the handler.
        sequence: of the settings.
        endpoint: of the machine's local metadata and token endpoint.
        extension: name of the configuration, for handlers with several; of commands about the handler itself,
            of the one that they are run for.
        extra: what belongs to this command.
    """
    found = {
        "AZURE_GUEST_AGENT_EXTENSION_PATH": path,
        "AZURE_GUEST_AGENT_EXTENSION_VERSION": version,
        "AZURE_GUEST_AGENT_WIRE_PROTOCOL_ADDRESS": "127.0.0.1",
        "ConfigSequenceNumber": str(sequence),
        "AZURE_GUEST_AGENT_EXTENSION_SUPPORTED_FEATURES": _FEATURES,
        "IDENTITY_ENDPOINT": f"{endpoint}/metadata/identity/oauth2/token",
        "IMDS_ENDPOINT": endpoint,
        **(extra or {}),
    }
    if extension:
        found["ConfigExtensionName"] = extension
    own = {key: value for key, value in os.environ.items() if key not in _OWN}
    own["PATH"] = _path(own.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
    return {**found, **own}


def _path(given: str) -> str:
    """The machine's programs before those of the virtual environment that the manager itself may run from.

    A handler's `python` is the machine's, with what is installed there.
    """
    ours = str(Path(sys.executable).parent)
    folders = given.split(os.pathsep)
    if sys.prefix == sys.base_prefix or ours not in folders:
        return given
    return os.pathsep.join([*(folder for folder in folders if folder != ours), ours])


def after_uninstall(code: str) -> dict[str, str]:
    """For install and enable: how the old version's uninstall ended."""
    return {"AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE": code}


def of_update(old: str, new: str, *, newer: bool, codes: Mapping[str, str], multi: bool) -> dict[str, str]:
    """For update.

    Args:
        old: version.
        new: version.
        newer: `new` is the higher one; on the way down the variable names the new version, as upstream does.
        codes: exit codes of the old version's disable by configuration, as texts; "" for a handler with one.
        multi: the handler takes several configurations.
    """
    found = {"VERSION": new, "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": old if newer else new}
    if multi:
        listed = [{"extensionName": name, "exitCode": code} for name, code in codes.items()]
        found["AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODES_MULTIPLE_EXTENSIONS"] = json.dumps(listed)
    else:
        found["AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE"] = codes.get("", NOT_RUN)
    return found
