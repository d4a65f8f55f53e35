"""What commands print: kept in files, shortened for messages.

Files and not pipes: what a command leaves running keeps the descriptors, and dies of a closed pipe.
Lengths and layout: Azure/WALinuxAgent, `extensionprocessutil.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from arcbed_agent.logging import Redactor

#: Bytes of each stream that are read for a message.
KEPT: Final = 3_200
#: Bytes of the tails in a report.
TAIL: Final = 4_096
#: What is left of a character that was cut through.
_HALF: Final = "\ufffd"
_LAYOUT: Final = "[stdout]\n{}\n\n[stderr]\n{}"


@dataclass(frozen=True)
class Output:
    """What a command has printed.

    Args:
        stdout, stderr: their beginnings.
        stdout_tail, stderr_tail: their ends.
    """

    stdout: str = ""
    stderr: str = ""
    stdout_tail: str = ""
    stderr_tail: str = ""

    @property
    def text(self) -> str:
        """Both streams in at most `KEPT` characters and the layout."""
        return laid_out(self.stdout, self.stderr)


def laid_out(stdout: str, stderr: str, longest: int = KEPT) -> str:
    """The ends of both streams; the shorter one gives what it does not need to the longer."""
    if len(stdout) + len(stderr) > longest:
        half = longest // 2
        first = min(len(stdout), max(half, longest - len(stderr)))
        second = min(len(stderr), longest - first)
        stdout, stderr = stdout[len(stdout) - first :], stderr[len(stderr) - second :]
    return _LAYOUT.format(stdout, stderr)


@contextmanager
def captured(folder: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Two files in `folder` that have no name.

    Raises:
        OSError: they cannot be made there.
    """
    with _nameless(folder) as stdout, _nameless(folder) as stderr:
        yield stdout, stderr


def _nameless(folder: Path) -> BinaryIO:
    """A file to append to: handlers that open /dev/stdout anew truncate it, and would leave a hole."""
    how = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, how | os.O_TMPFILE, 0o600)
    except OSError:
        path = folder / f".output-{os.getpid()}"
        descriptor = os.open(path, how | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        path.unlink()
    return os.fdopen(descriptor, "r+b", buffering=0)


def writers(*files: BinaryIO) -> list[int]:
    """The processes whose standard output or error is one of `files`."""
    sought = {(found.st_dev, found.st_ino) for found in (os.fstat(one.fileno()) for one in files)}
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _has(path, sought)]


def _has(process: Path, sought: set[tuple[int, int]]) -> bool:
    for number in ("1", "2"):
        with suppress(OSError):
            found = (process / "fd" / number).stat()
            if (found.st_dev, found.st_ino) in sought:
                return True
    return False


def read(stdout: BinaryIO, stderr: BinaryIO, redactor: Redactor) -> Output:
    """What is in the two files now, without secrets."""
    return Output(
        _head(stdout, redactor), _head(stderr, redactor), _tail(stdout, redactor), _tail(stderr, redactor)
    )


def _head(stream: BinaryIO, redactor: Redactor) -> str:
    text = os.pread(stream.fileno(), KEPT, 0).decode(errors="replace")
    goes_on = os.fstat(stream.fileno()).st_size > KEPT
    return redactor.clean_piece(text.rstrip(_HALF) if goes_on else text, goes_on=goes_on)


def _tail(stream: BinaryIO, redactor: Redactor) -> str:
    before = max(0, os.fstat(stream.fileno()).st_size - TAIL)
    text = os.pread(stream.fileno(), TAIL, before).decode(errors="replace")
    return redactor.clean_piece(text.lstrip(_HALF) if before else text, begun=before > 0)
