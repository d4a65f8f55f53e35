"""Run a program that dies with the process that started it: ``python leash.py PARENT PROGRAM ARGUMENT...``.

Linux tells the kernel once (PR_SET_PDEATHSIG) and then becomes the program, so nothing stays in between.
A ``preexec_fn`` would do the same, but forks a threaded interpreter. Runs isolated and without site-packages,
so its imports stay in the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Bind this process to `arguments[0]`, its parent, and become the rest of `arguments`."""
    parent, *command = arguments
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(parent):
        sys.exit(1)  # the parent died before the kernel was told
    os.execvp(command[0], command)  # noqa: S606 - becoming the program is the point


if __name__ == "__main__":
    main(sys.argv[1:])
