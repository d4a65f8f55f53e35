"""Options that several commands share, and how commands fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="State folder. [default: $ARCBED_STATE, else .arcbed/state]",
        show_default=False,
    ),
]


def state_folder(given: Path | None) -> Path:
    """The state folder: the option, else ``$ARCBED_STATE``, else ``.arcbed/state``."""
    return given or Path(os.environ.get("ARCBED_STATE") or ".arcbed/state")


def reason(error: Exception) -> str:
    """What went wrong; of files which one, and why, without the number that Python puts in front."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say on standard error what is wrong and what to do, and end."""
    print(f"fakecloud: {message}", file=sys.stderr)
    raise typer.Exit(code)
