"""Extensions and handlers on disk: one file for each, every change one rename.

These are the manager's own files. What lies in a handler's folder belongs to the handler, which may change
it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from arcbed_agent.extd.records import Extension, Handler, Sync
from arcbed_agent.files import make_folder, remove_durably, sweep, write_durably
from arcbed_agent.host.layout import Layout


def file_name(name: str) -> str:
    """The file of an extension: names may hold blanks and differ in case only."""
    plain = "".join(char if char.isalnum() or char in "-_" else "_" for char in name)[:60]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"


class Store:
    """Everything that survives a restart."""

    def __init__(self, layout: Layout, log: logging.Logger | None = None) -> None:
        self._folder = layout["extension_state"]
        self._reports = layout["extension_reports"]
        self._usage = layout["extension_usage"]
        self._log = log or logging.getLogger("extd")
        self._kept: dict[str, Extension] = {}
        self._handlers: dict[str, Handler] = {}
        self.sync = Sync()

    @property
    def runs(self) -> Path:
        """Where commands leave their exit codes."""
        return self._folder / "runs"

    def load(self) -> None:
        """Read what is there; what cannot be read is asked for again."""
        for name in ("", "items", "handlers", "runs"):
            sweep(make_folder(self._folder / name, mode=0o700))
        for folder in (self._reports, self._usage.parent):
            sweep(folder)
        self.sync = Sync()
        with suppress(OSError, ValueError, TypeError):
            self.sync = Sync.from_json(json.loads((self._folder / "sync.json").read_bytes()))
        self._kept = {}
        self._handlers = {}
        for document in self._documents("items"):
            extension = Extension.from_json(document)
            self._kept[extension.wanted.name] = extension
        for document in self._documents("handlers"):
            handler = Handler.from_json(document)
            self._handlers[handler.name] = handler
        self._sweep_runs()

    def _sweep_runs(self) -> None:
        """Remove what runs have left whose end is kept: a kill may have come in between."""
        open_runs = {
            Path(run["file"]).name
            for extension in self._kept.values()
            if extension.work is not None
            for run in extension.work.get("runs", {}).values()
            if "file" in run and "ended" not in run
        }
        for path in self.runs.iterdir():
            if path.stem not in open_runs:
                path.unlink(missing_ok=True)

    def _documents(self, kind: str) -> Iterator[dict[str, Any]]:
        for path in sorted((self._folder / kind).glob("*.json")):
            try:
                document = json.loads(path.read_bytes())
                (Extension if kind == "items" else Handler).from_json(document)
            except (OSError, ValueError, TypeError, AttributeError):
                self._log.warning("%s cannot be read and is forgotten", path.name)
                path.unlink(missing_ok=True)
                self.sync = replace(self.sync, etag="")
                continue
            yield document

    # -- extensions ------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Extension]:
        return iter([self._kept[name] for name in sorted(self._kept)])

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: str) -> Extension | None:
        """The extension called `name`."""
        return self._kept.get(name)

    def put(self, extension: Extension, *, power_loss: bool = False) -> Extension:
        """Keep `extension`."""
        path = self._folder / "items" / file_name(extension.name)
        text = json.dumps(extension.to_json(), separators=(",", ":"))
        write_durably(path, text, power_loss=power_loss)
        self._kept[extension.name] = extension
        return extension

    def remove(self, name: str) -> None:
        """Forget an extension."""
        if self._kept.pop(name, None) is not None:
            remove_durably(self._folder / "items" / file_name(name))

    def of_handler(self, handler: str) -> list[Extension]:
        """The extensions of a handler, by name."""
        return [item for item in self if item.wanted.handler == handler]

    # -- handlers --------------------------------------------------------------------------------------------

    def handler(self, name: str) -> Handler:
        """What is known of a handler; a fresh record if nothing is."""
        return self._handlers.get(name) or Handler(name=name)

    @property
    def handlers(self) -> list[Handler]:
        """All handlers, by name."""
        return [self._handlers[name] for name in sorted(self._handlers)]

    def put_handler(self, handler: Handler) -> Handler:
        """Keep `handler`, if it differs from what is known."""
        if self._handlers.get(handler.name) != handler:
            path = self._folder / "handlers" / file_name(handler.name)
            write_durably(path, json.dumps(handler.to_json(), separators=(",", ":")), power_loss=False)
            self._handlers[handler.name] = handler
        return handler

    def remove_handler(self, name: str) -> None:
        """Forget a handler."""
        if self._handlers.pop(name, None) is not None:
            remove_durably(self._folder / "handlers" / file_name(name))

    # -- contact ---------------------------------------------------------------------------------------------

    def keep_sync(self, sync: Sync) -> None:
        """Keep the last contact."""
        if sync != self.sync:
            write_durably(self._folder / "sync.json", json.dumps(sync.to_json()), power_loss=False)
            self.sync = sync

    def next_report(self) -> int:
        """The number of the next report; no number is ever used twice."""
        self.keep_sync(replace(self.sync, report_seq=self.sync.report_seq + 1))
        return self.sync.report_seq

    def clear(self) -> None:
        """Forget everything: the machine is not what it was in Azure."""
        for extension in list(self):
            self.remove(extension.name)
        for handler in self.handlers:
            self.remove_handler(handler.name)
        self.keep_sync(Sync())
