"""Files that survive a crash: written to a temporary name, flushed, renamed, and the folder flushed.

After a kill at any instruction a reader finds the whole old content or the whole new one.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = re.compile(r"^\..+\.(\d+)-\d+\.new$")
_counter = itertools.count()


def write_durably(path: Path, content: bytes | str, *, mode: int = 0o600, power_loss: bool = True) -> None:
    """Replace the content of `path` in one step.

    Args:
        path: the file; its folder must exist.
        content: text is written as UTF-8.
        mode: permission bits of the file, whatever the umask says.
        power_loss: flush to the disk as well; without it the file survives a kill, not a power cut.

    Raises:
        OSError: nothing was changed.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_counter)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            if power_loss:
                os.fsync(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - one rename is the point of this function
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if power_loss:
        flush_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove `path`; a file that is not there is fine."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make renames and removals in `folder` survive a power cut."""
    with _folder(folder) as descriptor:
        os.fsync(descriptor)


def make_folder(path: Path, *, mode: int = 0o755) -> Path:
    """Make `path` and its parents; `mode` is applied to `path` only, and only when it is made."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    return path


def sweep(folder: Path) -> None:
    """Remove temporary files in `folder` whose writer was killed."""
    if not folder.is_dir():
        return
    for entry in list(folder.iterdir()):
        match = _TEMPORARY.match(entry.name)
        if match and not Path(f"/proc/{match.group(1)}").exists():
            with suppress(OSError):
                entry.unlink()


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
