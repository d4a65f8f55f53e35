"""The assignments on disk: one folder and one file for each, and the last contact with the service.

Every change is one rename, so that a kill at any point leaves the state before or after it. A folder is
published by two: the old one steps aside and the new one takes its place; `load` finishes what was cut short.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from arcbed_agent.files import flush_folder, make_folder, remove_durably, sweep, write_durably
from arcbed_agent.gcad.records import Assignment, Sync
from arcbed_agent.host.layout import Layout

_NAME_BYTES: Final = 200
_NEW: Final = ".new"
_OLD: Final = ".old"
_GONE: Final = ".gone"


def usable(name: str) -> bool:
    """Whether an assignment of that name can have a folder."""
    return (
        bool(name)
        and not name.startswith(".")
        and name.isprintable()
        and "/" not in name
        and len(name.encode()) <= _NAME_BYTES
    )


class Store:
    """Everything of the assignments that survives a restart."""

    def __init__(self, layout: Layout) -> None:
        self._folders = layout["configurations"]
        self._files = layout["assignments"]
        self._packages = layout["packages"]
        self._sync_file = layout["policy_sync"]
        self._root = layout["guest_config"]
        self._reports = layout["policy_reports"]
        self._kept: dict[str, Assignment] = {}
        self.sync = Sync()

    def load(self) -> None:
        """Read what is there and finish what a kill has interrupted; what cannot be read is fetched again."""
        for folder in (self._folders, self._files, self._packages, self._reports):
            make_folder(folder, mode=0o700)
        for folder in (self._root, self._files, self._packages):
            sweep(folder)
        self._recover_folders()
        self.sync = Sync()
        with suppress(OSError, ValueError, TypeError):
            self.sync = Sync.from_json(json.loads(self._sync_file.read_bytes()))
        self._kept = {item.name: item for item in self._read()}
        for path in self._folders.iterdir():
            if path.name not in self._kept:
                shutil.rmtree(path, ignore_errors=True)
        self.tidy()

    def _read(self) -> Iterator[Assignment]:
        for path in sorted(self._files.glob("*.json")):
            try:
                found = Assignment.from_json(json.loads(path.read_bytes()))
            except (OSError, ValueError, TypeError):
                logging.getLogger("gcad").warning("%s cannot be read and is forgotten", path.name)
                path.unlink(missing_ok=True)
                self.sync = replace(self.sync, etag="")
                continue
            if found.published and not self.folder(found.name).is_dir():
                found = replace(found, published=None, stale=True)
            yield found

    def _recover_folders(self) -> None:
        for path in list(self._folders.glob(".*")):
            name, suffix = path.name[1:].removesuffix(path.suffix), path.suffix
            if suffix == _OLD and not self.folder(name).exists():
                os.replace(path, self.folder(name))  # noqa: PTH105 - back to what was there
                continue
            shutil.rmtree(path, ignore_errors=True)

    # -- assignments -----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Assignment]:
        return iter([self._kept[name] for name in sorted(self._kept)])

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: str) -> Assignment | None:
        """The assignment called `name`."""
        return self._kept.get(name)

    def put(self, assignment: Assignment, *, power_loss: bool = False) -> Assignment:
        """Keep `assignment`."""
        path = self._files / f"{assignment.name}.json"
        text = json.dumps(assignment.to_json(), separators=(",", ":"))
        write_durably(path, text, mode=0o600, power_loss=power_loss)
        self._kept[assignment.name] = assignment
        return assignment

    def remove(self, name: str) -> None:
        """Forget an assignment and delete its folder, results included."""
        before = self._kept.pop(name, None)
        folder = self.folder(name)
        aside = self._hidden(name, _GONE)
        with suppress(FileNotFoundError):
            os.replace(folder, aside)  # noqa: PTH105 - gone in one step, whatever it holds
        remove_durably(self._files / f"{name}.json")
        shutil.rmtree(aside, ignore_errors=True)
        if before and before.published:
            for path in self._reports.glob(f"{glob.escape(before.published.configuration)}_*.json"):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all assignments, packages and results."""
        for name in list(self._kept):
            self.remove(name)
        for folder in (self._packages, self._reports):
            for path in folder.iterdir():
                path.unlink(missing_ok=True)

    def keep_sync(self, sync: Sync) -> None:
        """Keep the last contact."""
        write_durably(self._sync_file, json.dumps(sync.to_json()), mode=0o600, power_loss=False)
        self.sync = sync

    # -- folders and packages --------------------------------------------------------------------------------

    def folder(self, name: str) -> Path:
        """Where the assignment's package is, unpacked."""
        return self._folders / name

    def staging(self, name: str) -> Path:
        """An empty place to unpack a package of `name`; nobody evaluates what is there."""
        path = self._hidden(name, _NEW)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def publish(self, assignment: Assignment, staged: Path) -> None:
        """Put `staged` in the place of the assignment's folder, and keep `assignment`.

        The record that says what the folder holds is taken away first: after a kill in between, the package
        is published once more.
        """
        name = assignment.name
        before = self._kept.get(name)
        if before and before.published:
            self.put(replace(before, published=None, stale=True), power_loss=True)
        folder, aside = self.folder(name), self._hidden(name, _OLD)
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            os.replace(folder, aside)  # noqa: PTH105 - `load` brings it back if the next step is missing
        os.replace(staged, folder)  # noqa: PTH105 - the step that publishes
        flush_folder(self._folders)
        self.put(assignment, power_loss=True)
        shutil.rmtree(aside, ignore_errors=True)

    def _hidden(self, name: str, suffix: str) -> Path:
        return self._folders / f".{name}{suffix}"

    def package(self, key: str) -> Path:
        """Where the zip called `key` is kept."""
        return self._packages / f"{key}.zip"

    def part(self, key: str) -> Path:
        """Where the zip called `key` grows while it is downloaded."""
        return self._packages / f"{key}.part"

    def tidy(self) -> None:
        """Delete zips that no assignment names."""
        wanted = {package_key(item.guest_configuration) for item in self}
        wanted |= {
            package_key(item.published.item.get("guestConfiguration") or {})
            for item in self
            if item.published
        }
        for path in self._packages.iterdir():
            if path.name.partition(".")[0] not in wanted:
                path.unlink(missing_ok=True)


def package_key(guest: dict[str, object]) -> str:
    """What the package of `guestConfiguration` is called on disk: its hash, or one of its address."""
    stated = str(guest.get("contentHash") or "").lower()
    if stated and all(char in "0123456789abcdef" for char in stated):
        return stated
    address = str(guest.get("contentUri") or "").partition("?")[0]
    return f"uri-{hashlib.sha256(address.encode()).hexdigest()}"
