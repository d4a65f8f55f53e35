"""A ``systemctl`` for machines without systemd: the verbs that agents, scripts and extension handlers use.

Words and exit codes are systemd 252's, systemctl(1): 0 done or active, 3 not active, 4 no such unit, 5 not
loaded.
Where systemd does run, the real program takes over.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from arcbed_init.supervisor import SOCKET
from arcbed_init.units import UnitFiles, full_name

REAL = "/usr/bin/systemctl.systemd"
#: Offline, as in an image build, these are left for the next start, as systemctl does in a chroot.
_LATER = {
    "start",
    "stop",
    "restart",
    "try-restart",
    "reload",
    "reload-or-restart",
    "daemon-reload",
    "daemon-reexec",
    "set-environment",
    "unset-environment",
    "reset-failed",
    "isolate",
}
_DOTS = {"active": "●", "failed": "×"}  # noqa: RUF001 - systemd's own sign
_NOT_BOOTED = "System has not been booted with systemd as init system (PID 1). Can't operate.\n"


class Refused(Exception):  # noqa: N818 - an answer rather than an error
    """What to print on standard error, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def ask(**request: Any) -> dict[str, Any]:
    """One question to the supervisor.

    Raises:
        Refused: it does not run, or there is no such unit.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(SOCKET))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline() or "{}")
    except OSError as error:
        raise Refused(_NOT_BOOTED + f"Failed to connect to bus: {error.strerror}", 1) from error
    if answer.get("error") == "bad-request":
        raise Refused(f"Unknown operation {request['verb']}.", 1)
    return answer


def running() -> bool:
    """Whether a supervisor answers."""
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.connect(str(SOCKET))
        return True
    return False


# -- verbs -------------------------------------------------------------------------------------------------


def act(verb: str, names: list[str]) -> int:
    """start, stop, restart and their kin."""
    tried = {"try-restart": "restart", "reload-or-restart": "restart", "force-reload": "restart"}
    worst = 0
    for name in names:
        if verb == "try-restart" and ask(verb="show", unit=name).get("ActiveState") != "active":
            continue
        answer = ask(verb=tried.get(verb, verb), unit=name)
        if answer.get("error"):
            missing = "loaded" if verb == "stop" else "found"
            print(
                f"Failed to {verb} {full_name(name)}: Unit {full_name(name)} not {missing}.", file=sys.stderr
            )
            worst = 5
        elif not answer["ok"]:
            print(
                f"Job for {full_name(name)} failed.\n"
                f'See "systemctl status {full_name(name)}" and the container\'s log for details.',
                file=sys.stderr,
            )
            worst = worst or 1
    return worst


def is_active(names: list[str], *, quiet: bool, wanted: tuple[str, ...] = ("active",)) -> int:
    """0 if any is; 3 if none."""
    states = [ask(verb="show", unit=name).get("ActiveState", "inactive") for name in names]
    if not quiet:
        print("\n".join(states))
    return 0 if any(state in wanted for state in states) else 3


def is_enabled(names: list[str], *, quiet: bool) -> int:
    """0 if any is; 1 if none."""
    files, found = UnitFiles(), []
    for name in names:
        unit = files.find(name)
        if unit is None:
            print(
                f"Failed to get unit file state for {full_name(name)}: No such file or directory",
                file=sys.stderr,
            )
        else:
            found.append(files.state(unit))
    if found and not quiet:
        print("\n".join(found))
    return 0 if any(state in {"enabled", "static"} for state in found) else 1


def hook(verb: str, names: list[str], *, now: bool, quiet: bool) -> int:
    """Enable and disable."""
    files = UnitFiles()
    for name in names:
        unit = files.find(name)
        if unit is None:
            print(f"Failed to {verb} unit: Unit file {full_name(name)} does not exist.", file=sys.stderr)
            return 1
        for link in files.enable(unit) if verb == "enable" else files.disable(unit):
            if not quiet:
                line = f"Created symlink {link} → {unit.path}." if verb == "enable" else f"Removed {link}."
                print(line, file=sys.stderr)
    if now and running():
        return act("start" if verb == "enable" else "stop", names)
    return 0


def show(names: list[str], properties: list[str], *, value: bool) -> int:
    """Properties as ``Name=value`` lines."""
    blocks = []
    for name in names or [""]:
        found: dict[str, Any] = (
            ask(verb="show", unit=name) if name else {"Version": "252", "SystemState": "running"}
        )
        if found.get("error"):
            found = {
                "Id": full_name(name),
                "LoadState": "not-found",
                "ActiveState": "inactive",
                "SubState": "dead",
                "MainPID": 0,
            }
        moment = found.pop("since", 0)
        found["ActiveEnterTimestamp"] = (
            _stamp(moment) if moment and found.get("ActiveState") == "active" else ""
        )
        chosen = {key: found.get(key, "") for key in properties} if properties else found
        blocks.append("\n".join(str(text) if value else f"{key}={text}" for key, text in chosen.items()))
    print("\n\n".join(blocks))
    return 0


def status(names: list[str]) -> int:
    """As people read it."""
    if not names:
        print(f"● {socket.gethostname()}\n    State: running\n     Jobs: 0 queued\n   Failed: 0 units")
        return 0
    worst = 0
    for name in names:
        found = ask(verb="show", unit=name)
        if found.get("error"):
            print(f"Unit {full_name(name)} could not be found.", file=sys.stderr)
            worst = 4
            continue
        print(_described(found))
        worst = worst or (0 if found["ActiveState"] in {"active", "reloading"} else 3)
    return worst


def _described(found: dict[str, Any]) -> str:
    state = f"{found['ActiveState']} ({found['SubState']})"
    if found["ActiveState"] == "failed":
        state = f"failed (Result: {found['Result']})"
    since = f" since {_stamp(found['since'])}" if found["since"] else ""
    dot = _DOTS.get(found["ActiveState"], "○")
    lines = [
        f"{dot} {found['Id']} - {found['Description']}",
        f"     Loaded: loaded ({found['FragmentPath']}; {found['UnitFileState']}; preset: enabled)",
    ]
    if found["DropInPaths"]:
        lines.append(f"    Drop-In: {found['DropInPaths']}")
    lines.append(f"     Active: {state}{since}")
    if found["MainPID"]:
        comm = ""
        with suppress(OSError):
            comm = Path(f"/proc/{found['MainPID']}/comm").read_text().strip()
        lines.append(f"   Main PID: {found['MainPID']} ({comm})")
    return "\n".join(lines)


def _stamp(moment: float) -> str:
    return time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(moment))


def environment() -> int:
    """The manager's environment."""
    for name, value in sorted(ask(verb="environment")["environment"].items()):
        print(f"{name}={value}")
    return 0


def system_state() -> int:
    """0 and ``running``, or 1 and ``offline``."""
    up = running()
    print("running" if up else "offline")
    return 0 if up else 1


def list_units() -> int:
    """The services that were asked for since the start."""
    for unit in ask(verb="list")["units"]:
        print(
            f"  {unit['Id']:<28} loaded {unit['ActiveState']:<8} {unit['SubState']:<8} {unit['Description']}"
        )
    return 0


def cat(names: list[str]) -> int:
    """The unit's files."""
    for name in names:
        unit = UnitFiles().find(name)
        if unit is None:
            print(f"No files found for {full_name(name)}.", file=sys.stderr)
            return 1
        for path in (unit.path, *unit.drop_ins):
            print(f"# {path}\n{path.read_text()}")
    return 0


# -- command line ------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="systemctl", description=__doc__)
    parser.add_argument("verb", nargs="?", default="list-units")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("--now", action="store_true")
    parser.add_argument("-p", "--property", action="append", default=[])
    parser.add_argument("-P", dest="valued", action="append", default=[])
    parser.add_argument("--value", action="store_true")
    parser.add_argument("--user", action="store_true")
    parser.add_argument(
        "--version", action="version", version="systemd 252 (stand-in of the arcbed machine image)"
    )
    ignored = (
        "--no-pager",
        "--no-block",
        "--full",
        "-l",
        "--all",
        "-a",
        "--system",
        "--no-ask-password",
        "--no-reload",
        "--force",
        "-f",
        "--no-legend",
        "--plain",
    )
    for flag in ignored:
        parser.add_argument(flag, dest="ignored", action="store_true")
    for option in ("-n", "--lines", "-t", "--type", "--state", "-o", "--output"):
        parser.add_argument(option, dest="ignored_value")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; the exit code.

    Raises:
        Refused: no supervisor, no such verb.
    """
    verb, names = arguments.verb, arguments.names
    if arguments.user:
        raise Refused("Failed to connect to bus: No medium found", 1)
    if verb in _LATER and not running():
        if not arguments.quiet:
            print(f"Running in chroot, ignoring command '{verb}'", file=sys.stderr)
        return 0
    if verb in {"set-environment", "unset-environment", "daemon-reload", "daemon-reexec"}:
        return _manage(verb, names)
    if verb == "reset-failed":
        return act(verb, names or [unit["Id"] for unit in ask(verb="list")["units"]])
    if verb in {"start", "stop", "restart", "try-restart", "reload", "reload-or-restart", "force-reload"}:
        return act(verb, names)
    properties = [part for value in (*arguments.property, *arguments.valued) for part in value.split(",")]
    verbs: dict[str, Callable[[], int]] = {
        "is-active": lambda: is_active(names, quiet=arguments.quiet),
        "is-failed": lambda: is_active(names, quiet=arguments.quiet, wanted=("failed",)),
        "is-enabled": lambda: is_enabled(names, quiet=arguments.quiet),
        "is-system-running": system_state,
        "enable": lambda: hook("enable", names, now=arguments.now, quiet=arguments.quiet),
        "disable": lambda: hook("disable", names, now=arguments.now, quiet=arguments.quiet),
        "show": lambda: show(names, properties, value=arguments.value or bool(arguments.valued)),
        "status": lambda: status(names),
        "show-environment": environment,
        "list-units": list_units,
        "cat": lambda: cat(names),
    }
    if verb not in verbs:
        raise Refused(f"Unknown command verb {verb}.", 1)
    return verbs[verb]()


def _manage(verb: str, names: list[str]) -> int:
    if verb == "set-environment":
        ask(verb=verb, values=dict(name.split("=", 1) for name in names if "=" in name))
    elif verb == "unset-environment":
        ask(verb=verb, names=names)
    else:
        ask(verb="daemon-reload")
    return 0


def main() -> None:
    """Entry point of the program on PATH."""
    if Path("/run/systemd/system").is_dir() and Path(REAL).exists():
        os.execv(REAL, ["systemctl", *sys.argv[1:]])  # noqa: S606 - systemd's own program
    try:
        code = run(_parser().parse_intermixed_args())
    except Refused as refused:
        print(refused, file=sys.stderr)
        code = refused.code
    sys.exit(code)
