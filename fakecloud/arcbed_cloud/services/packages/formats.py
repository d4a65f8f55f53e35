"""What a package file says of itself, and the small .deb that tells apt where the repository is."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_VERSION = re.compile(r"\d+\.\d+\.\d+\.\d+")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*\.(deb|rpm)")


class PackageError(ValueError):
    """A file is not what it should be; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Described:
    """See `shelf.Package`."""

    name: str
    version: str
    architecture: str
    kind: str
    control: str = ""


def describe(file: Path) -> Described:
    """What is in a .deb or .rpm.

    Raises:
        PackageError: it is neither, is damaged, or its version is not four numbers.
        OSError: it cannot be read.
    """
    if not (found := _FILE.fullmatch(file.name)):
        raise PackageError(f"'{file.name}' is not the name of a .deb or .rpm.")
    if not file.is_file():
        raise PackageError(f"There is no file {file}.")
    described = _deb(file) if found[1] == "deb" else _rpm(file)
    if not _VERSION.fullmatch(described.version):
        raise PackageError(f"{file} has version '{described.version}'; the agent's are four numbers.")
    return described


def _deb(file: Path) -> Described:
    from debian.arfile import ArError
    from debian.debfile import DebFile

    try:
        with DebFile(str(file)) as package:
            control = package.debcontrol()
            return Described(
                control["Package"], control["Version"], control["Architecture"], "deb", control.dump() or ""
            )
    except (ArError, KeyError, ValueError, EOFError, tarfile.TarError) as error:
        raise PackageError(f"{file} is no .deb: {error}") from error


def _rpm(file: Path) -> Described:
    try:
        import createrepo_c
    except ImportError as error:
        raise PackageError("An .rpm needs createrepo-c, which is there on Linux only.") from error
    try:
        package = createrepo_c.package_from_rpm(str(file))
    except createrepo_c.CreaterepoCError as error:
        raise PackageError(f"{file} is no .rpm: {error}") from error
    return Described(package.name, f"{package.version}.{package.release}", package.arch, "rpm")


def write_deb(control: str, files: Mapping[str, bytes]) -> bytes:
    """A .deb without scripts; the same input gives the same bytes.

    Args:
        control: the control file.
        files: content by absolute path; each is owned by root, 0644.
    """
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control.encode()}),
        "data.tar.gz": _tar({f".{path}": content for path, content in files.items()}),
    }
    archive = b"!<arch>\n"
    for name, content in parts.items():
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        archive += content + b"\n" * (len(content) % 2)
    return archive


def _tar(files: Mapping[str, bytes]) -> bytes:
    import gzip

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in sorted({str(parent) for path in files for parent in Path(path).parents} - {"."}):
            entry = tarfile.TarInfo(f"./{folder}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)
