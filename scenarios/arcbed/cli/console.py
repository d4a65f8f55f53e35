"""What every command shares: the terminal, the state folder, and how a coroutine is run to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from arcbed.harness.detached import Running

T = TypeVar("T")
BROKEN = 2
INTERRUPTED = 130
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ALL_STOPPED = "everything that was started has been stopped"

StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="ARCBED_STATE",
        help="Folder of the control plane's state.",
        file_okay=False,
    ),
]
#: The same as fakecloud's.
STATE = Path(".arcbed/state")


def console(*, record: bool = False) -> Console:
    """The terminal; plain lines where it is none."""
    return Console(highlight=False, soft_wrap=False, record=record)


def short(text: str) -> str:
    """`text` with an ellipsis for each GUID, for lines that only say what is going on."""
    return GUID.sub("…", text)


def me() -> str:
    """How a person calls this program from here: by its name where the shell finds it, else by its path."""
    if shutil.which("arcbed"):
        return "arcbed"
    return min(os.path.relpath(sys.argv[0]), sys.argv[0], key=len)


def fail(message: str, code: int = BROKEN) -> NoReturn:
    """Say on standard error what is wrong, and leave."""
    Console(stderr=True, highlight=False).print(f"[bold red]arcbed:[/] {_plain(message)}", soft_wrap=True)
    raise typer.Exit(code)


def _plain(message: str) -> str:
    from rich.markup import escape

    return escape(message)


def running(state: Path) -> Running:
    """The control plane on `state`; where none runs, say how to start one, and leave."""
    from arcbed.harness import detached

    found = detached.find(state)
    if found is None:
        fail(not_running(state))
    return found


def not_running(state: Path) -> str:
    """That no control plane runs on `state`, and how to start one."""
    place = "" if state == STATE else f" --state {shlex.quote(str(state))}"
    return f"no control plane runs on {state}; `arcbed start{place}` starts one"


def report_folder(folder: Path) -> Path:
    """`folder`, made where needed: a run of minutes should not find out at its end that it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(f"reports cannot be written to {folder}: {error.strerror}; choose another --report")
    return folder


def complete(work: Coroutine[Any, Any, T], *, interrupted: str = ALL_STOPPED) -> T:
    """Run `work`; Ctrl+C and SIGTERM cancel it, which ends every process that it has started.

    `interrupted` is what a person is told then.
    """

    async def watched() -> T:
        task = asyncio.current_task()
        if task is not None:
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(watched())
    except (KeyboardInterrupt, asyncio.CancelledError):
        fail(f"interrupted; {interrupted}", INTERRUPTED)


def become(program: str, arguments: list[str], environment: dict[str, str] | None = None) -> NoReturn:
    """Turn into another program."""
    os.execve(program, [program, *arguments], environment or dict(os.environ))  # noqa: S606 - on purpose
