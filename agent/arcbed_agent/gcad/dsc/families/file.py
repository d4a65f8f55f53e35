"""nxFile: a file, a folder or a link.

Source: Azure/nxtools, class nxFile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import ClassVar

from arcbed_agent.gcad.dsc.families.modes import changed_mode, symbolic
from arcbed_agent.gcad.dsc.host import write_whole
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault
from arcbed_agent.gcad.dsc.results import Reason

_TYPES = ("File", "Directory", "Link")
_TIMES = {"ctime": "st_ctime_ns", "mtime": "st_mtime_ns"}
_HASHES = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
#: Contents longer than this are shown cut in reasons.
_SHOWN = 200


class File(Resource):
    """A file, a folder or a link at DestinationPath."""

    names: ClassVar[tuple[str, ...]] = ("nxFile", "MSFT_nxFileResource")
    code: ClassVar = "nxFile"
    keys: ClassVar = ("DestinationPath",)

    @property
    def path(self) -> Path:
        """Where it is."""
        try:
            return self.host.path(self.text("DestinationPath"))
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", f"DestinationPath: {problem}.") from problem

    @property
    def kind(self) -> str:
        """File, Directory or Link."""
        return self.word("Type", _TYPES, "File")

    def inspect(self) -> Current:
        """Compare each property that is given."""
        name, path, kind = self.text("DestinationPath"), self.path, self.kind
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            absent = Current({"DestinationPath": name, "Ensure": "Absent"})
            if self.wanted:
                absent.reasons.append(self.reason("Ensure", f"The item '{name}' was not found."))
            return absent
        current = Current(self._described(name, status))
        if not self.wanted:
            if current.properties["Type"] == kind:
                current.reasons.append(
                    self.reason("Ensure", f"The item '{name}' is expected to be absent but is present.")
                )
            return current
        current.reasons += self._differences(current, status)
        return current

    def _described(self, name: str, status: os.stat_result) -> dict[str, str | None]:
        mode = stat.S_IMODE(status.st_mode)
        owner = next((one.name for one in self.host.accounts if one.uid == status.st_uid), None)
        group = next((one.name for one in self.host.groups if one.gid == status.st_gid), None)
        octal = not self.given("Mode") or self.text("Mode").isdecimal()
        return {
            "DestinationPath": name,
            "Ensure": "Present",
            "Type": _type(status),
            "Mode": f"{mode:04o}" if octal else symbolic(mode),
            "Owner": owner or str(status.st_uid),
            "Group": group or str(status.st_gid),
        }

    def _differences(self, current: Current, status: os.stat_result) -> list[Reason]:
        name, found = self.text("DestinationPath"), current.properties
        if found["Type"] != self.kind:
            phrase = f"The item '{name}' is expected to be a {self.kind} but is a {found['Type']}."
            return [self.reason("Type", phrase)]
        reasons = self._content_differences(current)
        if self.given("Mode") and stat.S_IMODE(status.st_mode) != self._mode(status):
            reasons.append(self._mismatch("Mode", found["Mode"]))
        for property_name, number in (("Owner", status.st_uid), ("Group", status.st_gid)):
            wanted = self.text(property_name)
            if wanted and wanted not in {found[property_name], str(number)}:
                reasons.append(self._mismatch(property_name, found[property_name]))
        return reasons

    def _mismatch(self, name: str, found: str | None) -> Reason:
        path = self.text("DestinationPath")
        return self.reason(name, f"The {name} of '{path}' should be '{self.text(name)}' but is '{found}'.")

    def _content_differences(self, current: Current) -> list[Reason]:
        """The checksum decides when there is one, else the source, else the contents."""
        name = self.text("DestinationPath")
        if self.kind == "Link":
            return self._link_differences(current)
        if self.kind == "Directory":
            return self._folder_differences()
        if self.given("Checksum"):
            found = self._checksum()
            current.properties["Checksum"] = found
            return [] if found is None else [self._mismatch("Checksum", found)]
        if self.given("Contents"):
            contents = self.path.read_bytes()
            current.properties["Contents"] = _shown(contents)
            if contents != self.text("Contents").encode("utf-8", "surrogateescape"):
                phrase = (
                    f"The contents of '{name}' should be '{self.text('Contents')[:_SHOWN]}' "
                    f"but are '{_shown(contents)}'."
                )
                return [self.reason("Contents", phrase)]
        return []

    def _checksum(self) -> str | None:
        """None when it agrees, else what was found."""
        wanted = self.text("Checksum")
        if wanted.casefold() in {*_TIMES, "md5"}:
            return self._differs_from_source(wanted.casefold())
        algorithm = _HASHES.get(len(wanted))
        if algorithm is None:
            raise ResourceFault("InvalidProperty", f"Checksum '{wanted}' is neither a method nor a hash.")
        found = _hash(self.path, algorithm)
        return None if found.casefold() == wanted.casefold() else found.upper()

    def _differs_from_source(self, method: str) -> str | None:
        source = self._source()
        if method in _TIMES:
            own, other = (getattr(path.stat(), _TIMES[method]) for path in (self.path, source))
            return None if own == other else str(own)
        own, other = _hash(self.path, "md5"), _hash(source, "md5")
        return None if own == other else own.upper()

    def _source(self) -> Path:
        try:
            source = self.host.path(self.text("SourcePath"))
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", f"SourcePath: {problem}.") from problem
        if not source.exists():
            raise ResourceFault(
                "SourcePathNotFound", f"The source '{self.text('SourcePath')}' was not found."
            )
        return source

    def _link_differences(self, current: Current) -> list[Reason]:
        target = self.path.readlink()
        current.properties["SourcePath"] = str(target)
        if self.given("SourcePath") and str(target) != self.text("SourcePath"):
            phrase = f"The link '{self.text('DestinationPath')}' leads to '{target}'."
            return [self.reason("SourcePath", phrase)]
        return []

    def _folder_differences(self) -> list[Reason]:
        """A folder that is copied from a source holds all that the source holds."""
        if not self.given("SourcePath") or not self.flag("Recurse"):
            return []
        source = self._source()
        for file in sorted(source.rglob("*")):
            own = self.path / file.relative_to(source)
            if not own.exists() or (file.is_file() and _hash(own, "md5") != _hash(file, "md5")):
                phrase = (
                    f"'{file.relative_to(source)}' is missing from the folder, or differs from its source."
                )
                return [self.reason("Contents", phrase)]
        return []

    def _mode(self, status: os.stat_result) -> int:
        try:
            return changed_mode(
                self.text("Mode"), stat.S_IMODE(status.st_mode), folder=stat.S_ISDIR(status.st_mode)
            )
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", str(problem)) from problem

    # -- Set -------------------------------------------------------------------------------------------------

    def enforce(self) -> None:
        """Create, write, copy, chmod and chown; an item of another type is never replaced."""
        path = self.path
        self.host.may_change(path)
        if path == self.host.root:
            raise ResourceFault("SetFailed", "The root of the machine is not set.")
        if not self.wanted:
            self._remove(path)
            return
        if any(reason.code.endswith(":Type") for reason in self.current.reasons):
            raise ResourceFault("SetFailed", f"'{self.text('DestinationPath')}' is an item of another type.")
        if not path.parent.is_dir():
            if not self.flag("Force"):
                raise ResourceFault(
                    "SetFailed", f"The folder of '{self.text('DestinationPath')}' does not exist."
                )
            path.parent.mkdir(parents=True)
        {"File": self._set_file, "Directory": self._set_folder, "Link": self._set_link}[self.kind](path)
        if self.kind != "Link":
            self._set_rights(path)

    def _remove(self, path: Path) -> None:
        if self.kind == "Directory":
            if self.flag("Force") or self.flag("Recurse"):
                shutil.rmtree(path)
            else:
                path.rmdir()
        else:
            path.unlink()

    def _set_file(self, path: Path) -> None:
        content: bytes | None = None
        if self.given("SourcePath"):
            content = self._source().read_bytes()
        elif self.given("Contents"):
            content = self.text("Contents").encode("utf-8", "surrogateescape")
        if not path.exists():
            write_whole(path, content or b"", mode=0o644)
        elif content is not None and path.read_bytes() != content:
            old = path.stat()
            write_whole(path, content, mode=stat.S_IMODE(old.st_mode))
            os.chown(path, old.st_uid, old.st_gid)
        if self.given("SourcePath") and self.text("Checksum").casefold() == "mtime":
            moment = self._source().stat().st_mtime_ns
            os.utime(path, ns=(moment, moment))

    def _set_folder(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        if self.given("SourcePath"):
            shutil.copytree(self._source(), path, symlinks=True, dirs_exist_ok=True)

    def _set_link(self, path: Path) -> None:
        if path.is_symlink():
            path.unlink()
        path.symlink_to(self.text("SourcePath"))

    def _set_rights(self, path: Path) -> None:
        items = [path]
        if self.kind == "Directory" and self.flag("Recurse"):
            items += [item for item in path.rglob("*") if not item.is_symlink()]
        uid, gid = self._number("Owner"), self._number("Group")
        for item in items:
            if uid != -1 or gid != -1:
                os.chown(item, uid, gid)
            if self.given("Mode"):
                item.chmod(self._mode(item.stat()))

    def _number(self, name: str) -> int:
        """Uid or gid; -1 leaves it as it is."""
        wanted = self.text(name)
        if not wanted:
            return -1
        if wanted.isdecimal():
            return int(wanted)
        if name == "Owner" and (account := self.host.account(wanted)):
            return account.uid
        if name == "Group" and (group := self.host.group(wanted)):
            return group.gid
        raise ResourceFault("SetFailed", f"{name} '{wanted}' does not exist on this machine.")


def _type(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "Link"
    if stat.S_ISDIR(status.st_mode):
        return "Directory"
    return "File" if stat.S_ISREG(status.st_mode) else "Other"


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _shown(contents: bytes) -> str:
    return contents[:_SHOWN].decode("utf-8", "replace")
