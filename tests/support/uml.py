"""A kernel of its own, as a process: User-Mode Linux, for what this machine's kernel is not set up for.

Source: the kernel's documentation, "UML HowTo". The kernel sees the files of the host, read-only.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KERNEL: Final = "linux.uml"
ROOT: Final = Path(__file__).parents[2]
INIT: Final = ROOT / "tests/uml/init"
_GRACE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Ended:
    """What a script left.

    Args:
        code: its exit code; None: the kernel ended before it.
        output: of the script.
        console: what the kernel said.
        folder: the script's /run/job, with the files it left there.
    """

    code: int | None
    output: str
    console: str
    folder: Path

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.output}\nconsole:\n{self.console}"


def missing() -> str:
    """What is missing here for `run`; empty: nothing."""
    if not sys.platform.startswith("linux"):
        return "User-Mode Linux runs on Linux only"
    if shutil.which(KERNEL) is None:
        return f"{KERNEL} is missing (on Debian: apt-get install user-mode-linux)"
    return ""


def run(command: Sequence[str], *, place: str, folder: Path, seconds: float) -> Ended:
    """Boot, run a command in the checkout, and wait until the kernel has ended.

    Args:
        command: without blanks in its words' way: they are quoted. /run/job is `folder`.
        place: what it finds of cgroups: see tests/uml/init.
        folder: an empty one, for what it writes.
        seconds: of real time for all of it, after which it is killed.
    """
    (folder / "script").write_text(f"cd {shlex.quote(str(ROOT))}\nexec {shlex.join(command)}\n")
    with tempfile.TemporaryDirectory(prefix="uml-") as own:
        process = subprocess.Popen(
            _kernel(place, folder, own),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=own,
        )
        try:
            console, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            console = _kill(process)
    code = folder / "code"
    output = folder / "output"
    return Ended(
        int(code.read_text()) if code.exists() else None,
        output.read_text(errors="replace") if output.exists() else "",
        console.decode(errors="replace"),
        folder,
    )


def _kernel(place: str, folder: Path, own: str) -> list[str]:
    """The command line; what the kernel does not know becomes the environment of its first process."""
    return [
        KERNEL,
        "mem=1G",
        "root=none",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"init={INIT}",
        "con=null",
        "con0=null,fd:1",
        "quiet",
        f"uml_dir={own}",
        f"ARCBED_JOB={folder}",
        f"ARCBED_PLACE={place}",
        f"ARCBED_PYTHON={sys.executable}",
    ]


def _kill(process: subprocess.Popen[bytes]) -> bytes:
    """SIGTERM, with which the kernel ends its processes; then what is left of the session."""
    process.terminate()
    try:
        return process.communicate(timeout=_GRACE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]
