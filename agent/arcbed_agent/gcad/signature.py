"""Signed packages: ``<Name>.sha256sums`` lists the files, ``<Name>.asc`` signs that list.

Source: Microsoft's article "How to sign machine configuration packages"; the public key lies in
``/usr/local/share/ca-certificates/gc``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from arcbed_agent.openpgp import SignatureError, check_detached

#: Where the public keys of those whose packages are trusted lie, below the root.
KEYS = "usr/local/share/ca-certificates/gc"
_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](.+)")


def keys_in(folder: Path) -> list[Path]:
    """The public keys in a folder; none when it does not exist."""
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def check_signature(folder: Path, name: str, keys: Sequence[Path]) -> None:
    """Check that the unpacked package in `folder` is what the owner of one of `keys` signed.

    Raises:
        SignatureError: it is not, or that cannot be told.
    """
    sums, signature = folder / f"{name}.sha256sums", folder / f"{name}.asc"
    if not sums.is_file() or not signature.is_file():
        raise SignatureError(f"The package is not signed: {name}.sha256sums and {name}.asc are needed.")
    _check_sums(folder, sums, signature)
    try:
        check_detached(sums, signature, keys)
    except SignatureError as error:
        raise SignatureError(f"The signature of {name}.sha256sums is not valid: {error}") from error


def _check_sums(folder: Path, sums: Path, signature: Path) -> None:
    """Every file is in the list and hashes to what the list says."""
    listed = {}
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _LINE.fullmatch(line.strip()):
            listed[match.group(2).removeprefix("./").replace("\\", "/")] = match.group(1).casefold()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for path in sorted(files.keys() | listed.keys()):
        if path in {sums.name, signature.name}:
            continue
        if path not in listed:
            raise SignatureError(f"'{path}' is not among the signed files.")
        if path not in files:
            raise SignatureError(f"'{path}' is signed but not in the package.")
        with files[path].open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != listed[path]:
            raise SignatureError(f"'{path}' is not what was signed.")
