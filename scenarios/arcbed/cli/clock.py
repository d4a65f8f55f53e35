"""``arcbed clock``: look at the bed's time, and move it."""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from arcbed.cli.console import STATE, StateOption, complete, console, fail, running

app = typer.Typer(help="Look at the bed's time, move it, stop it and let it go.", no_args_is_help=True)

SHOWN = 12
GOES_ON = "the control plane goes on with what it was asked for"
UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def duration(text: str) -> timedelta:
    """``2w``, ``14d``, ``1h30m``, ``90`` (seconds).

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return timedelta(seconds=float(text))
    parts = re.findall(r"(\d+(?:\.\d+)?)([wdhms])", text.lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.lower():
        raise ValueError(f"'{text}' is no duration; write 2w, 14d, 12h, 1h30m, 90s or seconds.")
    return timedelta(**{UNITS[unit]: sum(float(n) for n, u in parts if u == unit) for _, unit in parts})


@app.command("show")
def show(state: StateOption = STATE, as_json: JsonOption = False) -> None:
    """Show the time, who keeps it from moving, and who waits until when."""
    _print(_call(state, "GET", "clock"), as_json=as_json)


@app.command("advance")
def advance(
    by: Annotated[str, typer.Argument(metavar="DURATION", help="2w, 14d, 12h, 1h30m, 90s, or seconds.")],
    state: StateOption = STATE,
    as_json: JsonOption = False,
) -> None:
    """Move the time; whatever is due on the way happens, in its order."""
    try:
        seconds = duration(by) / timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        fail(str(error))
    _print(
        _call(state, "POST", "clock/advance", {"seconds": seconds}, doing=f"moving the bed's time by {by}"),
        as_json=as_json,
    )


@app.command("freeze")
def freeze(state: StateOption = STATE, as_json: JsonOption = False) -> None:
    """Let time stand still until it is advanced."""
    _print(_call(state, "POST", "clock/freeze"), as_json=as_json)


@app.command("resume")
def resume(state: StateOption = STATE, as_json: JsonOption = False) -> None:
    """Let time flow again, also without machines that did not come back after a restart."""
    _print(_call(state, "POST", "clock/resume"), as_json=as_json)


def _call(state: Path, method: str, path: str, body: Any = None, *, doing: str = "") -> dict[str, Any]:
    from arcbed.harness.admin import Admin
    from arcbed.harness.errors import BedError

    running(state)
    try:
        with Console(stderr=True).status(f"[dim]{doing}[/]") if doing else nullcontext():
            found: dict[str, Any] = complete(
                Admin(state).call(method, path, body, limit=None), interrupted=GOES_ON
            )
    except BedError as error:
        fail(str(error))
    return found


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(found))
        return
    out = console()
    out.print(f"[bold]{found['now']}[/]  {found['mode']}")
    if found["running"]:
        out.print(f"  running   {', '.join(found['running'])}")
    if found["missing"]:
        out.print(f"  missing   {', '.join(found['missing'])}  (arcbed clock resume goes on without)")
    for entry in found["waiting"][:SHOWN]:
        out.print(f"  {entry['until'] or 'until it is woken':<30}{entry['task']}")
    if (more := len(found["waiting"]) - SHOWN) > 0:
        out.print(f"  and {more} more")
