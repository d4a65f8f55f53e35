"""A handler's folder: what the manager writes into it, in the form that real handlers read.

Source: Azure/WALinuxAgent `exthandlers.py`; the handlers in Azure/azure-linux-extensions and the shell shims
of CustomScript, which cut HandlerEnvironment.json with patterns: `logFolder` first, ``": "`` and ``", "``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arcbed_agent.extd import manifest
from arcbed_agent.extd.manifest import Manifest
from arcbed_agent.files import flush_folder, make_folder, write_durably
from arcbed_agent.host.layout import Layout

HEARTBEAT: Final = "heartbeat.log"


@dataclass(frozen=True)
class Folder:
    """The folder of one version of a handler.

    Args:
        layout: the machine's files.
        handler: ``Publisher.Type``.
        version: of it.
    """

    layout: Layout
    handler: str
    version: str

    @property
    def name(self) -> str:
        """``Publisher.Type-version``."""
        return f"{self.handler}-{self.version}"

    @property
    def path(self) -> Path:
        """The folder."""
        return self.layout["extensions"] / self.name

    @property
    def archive(self) -> Path:
        """The zip that it was made from."""
        return self.layout["extension_downloads"] / f"{self.handler}__{self.version}.zip"

    @property
    def logs(self) -> Path:
        """Where the handler logs."""
        return self.layout["extension_logs"] / self.name

    @property
    def events(self) -> Path:
        """Where the handler leaves telemetry events."""
        return self.logs / "events"

    @property
    def config(self) -> Path:
        """Where its settings are."""
        return self.path / "config"

    @property
    def status(self) -> Path:
        """Where it writes its status."""
        return self.path / "status"

    @property
    def manifest(self) -> Manifest:
        """Its manifest.

        Raises:
            ManifestError: it is missing or cannot be used.
        """
        return Manifest.read(self.path)

    def exists(self) -> bool:
        """Whether the version is unpacked."""
        return self.path.is_dir()

    # -- making ----------------------------------------------------------------------------------------------

    def adopt(self, staged: Path) -> None:
        """Put an unpacked package in place: the manifest at the top, everything executable.

        Raises:
            ManifestError: there is none, or it cannot be used.
            OSError: it cannot be put in place.
        """
        found = manifest.find(staged)
        text = found.read_bytes().removeprefix(b"\xef\xbb\xbf")
        Manifest.parse(text)
        (staged / manifest.FILE).write_bytes(text)
        for path in staged.rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IXUSR)
        shutil.rmtree(self.path, ignore_errors=True)
        os.replace(staged, self.path)  # noqa: PTH105 - the step that makes the version exist
        flush_folder(self.path.parent)

    def initialise(self, seen: Mapping[str, str]) -> None:
        """Make what the contract promises to be there before a command runs.

        Args:
            seen: paths as the handler sees them: logs, config, status, heartbeat, events.
        """
        make_folder(self.status, mode=0o700)
        make_folder(self.config, mode=0o700)
        make_folder(self.logs, mode=0o755)
        make_folder(self.events, mode=0o700)
        document = [
            {
                "name": self.handler,
                "version": 1.0,
                "handlerEnvironment": {
                    "logFolder": seen["logs"],
                    "configFolder": seen["config"],
                    "statusFolder": seen["status"],
                    "heartbeatFile": seen["heartbeat"],
                    "eventsFolder": seen["events"],
                    "eventsFolder_preview": seen["events"],
                },
            }
        ]
        text = json.dumps(document, separators=(", ", ": "))
        write_durably(self.path / "HandlerEnvironment.json", text, mode=0o600)

    # -- settings --------------------------------------------------------------------------------------------

    def settings_file(self, sequence: int, extension: str = "") -> Path:
        """``config/<seq>.settings`` or ``config/<ext>.<seq>.settings``."""
        return self.config / _numbered(sequence, extension, "settings")

    def status_file(self, sequence: int, extension: str = "") -> Path:
        """``status/<seq>.status`` or ``status/<ext>.<seq>.status``."""
        return self.status / _numbered(sequence, extension, "status")

    def write_settings(self, sequence: int, extension: str, settings: Mapping[str, Any] | None) -> None:
        """Write the settings file; None makes an empty one. Older files are the handler's and stay."""
        text = "" if settings is None else json.dumps(settings)
        write_durably(self.settings_file(sequence, extension), text, mode=0o600)

    def forget_configuration(self, extension: str) -> None:
        """Remove settings, status and state of one configuration of several."""
        for folder in (self.config, self.status):
            for path in folder.glob(f"{extension}.*"):
                path.unlink(missing_ok=True)

    # -- state files that others read ------------------------------------------------------------------------

    def write_state(self, state: str, status: Mapping[str, Any]) -> None:
        """``config/HandlerState`` and ``config/HandlerStatus``, as the Azure Linux agent keeps them."""
        if self.config.is_dir():
            write_durably(self.config / "HandlerState", state, power_loss=False)
            write_durably(self.config / "HandlerStatus", json.dumps(status), power_loss=False)

    def write_configuration_state(self, extension: str, state: str) -> None:
        """``config/<ext>.HandlerState``: ``enabled`` or ``disabled``."""
        if self.config.is_dir():
            write_durably(self.config / f"{extension}.HandlerState", state, power_loss=False)

    # -- change of version, removal --------------------------------------------------------------------------

    def take_over(self, old: Folder) -> None:
        """Copy what an old version has processed and reported: `mrseq` and the status folder."""
        if not old.exists():
            return
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(old.path / "mrseq", self.path / "mrseq", follow_symlinks=False)
        if old.status.is_dir():
            for path in old.status.iterdir():
                if path.is_file() and not path.is_symlink():
                    shutil.copy2(path, self.status / path.name)

    def write_status(self, path: Path, element: Mapping[str, Any]) -> None:
        """Write a status file in the handler's place."""
        write_durably(path, json.dumps([element]), mode=0o600)

    def remove(self, *, keep_archive: bool = False) -> None:
        """Delete zip and folder, in this order: a folder without its zip is not brought back by a restart.

        Some handlers delete at the same time.
        """
        if not keep_archive:
            self.archive.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def remove_others(self) -> None:
        """Delete zips and folders of all other versions of the handler: nobody wants them any more."""
        for path in self.path.parent.glob(f"{self.handler}-*"):
            if path.is_dir() and path.name != self.name:
                shutil.rmtree(path, ignore_errors=True)
        for path in self.archive.parent.glob(f"{self.handler}__*.zip"):
            if path.name != self.archive.name:
                path.unlink(missing_ok=True)

    def collect_events(self) -> int:
        """Delete the telemetry events that are there; answers how many there were.

        Older handlers leave theirs in a folder beside all handlers, and fail once a thousand lie there.
        """
        older = self.path.parent / "events"
        found = [*self.events.glob("*.json"), *older.glob("*.tld")]
        for path in found:
            with contextlib.suppress(OSError):
                path.unlink()
        return len(found)


def _numbered(sequence: int, extension: str, kind: str) -> str:
    return f"{extension}.{sequence}.{kind}" if extension else f"{sequence}.{kind}"
