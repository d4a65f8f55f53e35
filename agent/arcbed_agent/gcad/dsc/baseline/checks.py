"""The primitive checks: files, packages, services, mounts, folders of settings, lines, kernel settings.

A check takes the machine and the desired value of the rule and says why it fails, or nothing. A missing file
passes checks of mode, of mount options and of what must not be there; it fails what must be there.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from typing import TypeAlias

from arcbed_agent.gcad.dsc.host import DscHost

#: Says why the machine is not as it should be; None when it is.
Check: TypeAlias = Callable[[DscHost, str], str | None]

#: In place of a mode: the desired value of the rule, in octal.
DESIRED = -1


def every(*checks: Check) -> Check:
    """All of them, in order; the first failure is the finding."""

    def check(host: DscHost, desired: str) -> str | None:
        return next((failure for one in checks if (failure := one(host, desired))), None)

    return check


def some(*checks: Check) -> Check:
    """At least one of them; when none holds, all findings are chained."""

    def check(host: DscHost, desired: str) -> str | None:
        failures = []
        for one in checks:
            failure = one(host, desired)
            if failure is None:
                return None
            failures.append(failure)
        return "; also ".join(failures)

    return check


def file(path: str, mode: int = DESIRED, owner: str = "root", group: str = "root") -> Check:
    """Exact mode, owner and group; group ``shadow`` means root where there is no such group."""

    def check(host: DscHost, desired: str) -> str | None:
        status = host.status(path)
        if status is None:
            return None
        wanted = int(desired, 8) if mode == DESIRED else mode
        found = stat.S_IMODE(status.st_mode)
        if found != wanted:
            return f"Access to '{path}' is {found:04o} instead of {wanted:04o}"
        return _ownership(host, path, (status.st_uid, status.st_gid), (owner, group))

    return check


def _ownership(host: DscHost, path: str, found: tuple[int, int], wanted: tuple[str, str]) -> str | None:
    account = host.account(wanted[0])
    owner = host.group(wanted[1]) or host.group("root")
    uid, gid = account.uid if account else 0, owner.gid if owner else 0
    if found[0] != uid:
        return f"Owner of '{path}' is {found[0]} instead of {uid} ({wanted[0]})"
    if found[1] != gid:
        return f"Group of '{path}' is {found[1]} instead of {gid} ({wanted[1]})"
    return None


def installed(*names: str) -> Check:
    """Any of the packages is installed."""

    def check(host: DscHost, _desired: str) -> str | None:
        if any(host.software.any(name) for name in names):
            return None
        return f"Package '{' or '.join(names)}' is not installed"

    return check


def absent_package(*names: str) -> Check:
    """None of the packages is installed; ``*`` stands for anything."""

    def check(host: DscHost, _desired: str) -> str | None:
        found = next((name for name in names if host.software.any(name)), None)
        return f"Package '{found}' is installed" if found else None

    return check


def active(name: str) -> Check:
    """The unit runs."""
    return lambda host, _desired: None if host.active(name) else f"Service '{name}' is not active"


def inactive(*names: str) -> Check:
    """None of the units runs."""

    def check(host: DscHost, _desired: str) -> str | None:
        found = next((name for name in names if host.active(name)), None)
        return f"Service '{found}' is active" if found else None

    return check


def mounted(option: str, *, folder: str = "", kind: str = "") -> Check:
    """Every entry of /etc/fstab for a folder, or of a type, has an option."""

    def check(host: DscHost, _desired: str) -> str | None:
        for line in (host.text("/etc/fstab") or "").splitlines():
            fields = line.split()
            if len(fields) < 4 or line.lstrip().startswith("#"):
                continue
            about_it = folder in fields[1] if folder else kind in fields[2]
            if about_it and option not in fields[3].split(","):
                return f"Option '{option}' is not set for '{fields[1]}' in /etc/fstab"
        return None

    return check


def folder_has(folder: str, text: str) -> Check:
    """Any ``.conf`` file below a folder holds a text."""

    def check(host: DscHost, _desired: str) -> str | None:
        path = host.path(folder)
        for one in sorted(path.rglob("*.conf")) if path.is_dir() else []:
            if one.is_file() and text in one.read_text(encoding="utf-8", errors="replace"):
                return None
        return f"'{text}' is not found in any .conf file below '{folder}'"

    return check


def _uncommented(content: str, marks: str) -> list[str]:
    return [line for line in content.splitlines() if not line.lstrip().startswith(tuple(marks))]


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def line(path: str, text: str, *, marks: str = "#") -> Check:
    """Some uncommented line holds a text; runs of blanks count as one."""

    def check(host: DscHost, _desired: str) -> str | None:
        content = host.text(path)
        if content is None:
            return f"'{path}' does not exist"
        if any(text in _folded(one) for one in _uncommented(content, marks)):
            return None
        return f"'{text}' is not found in '{path}'"

    return check


def no_line(path: str, text: str) -> Check:
    """No uncommented line holds a text."""

    def check(host: DscHost, _desired: str) -> str | None:
        if any(text in _folded(one) for one in _uncommented(host.text(path) or "", "#")):
            return f"'{text}' is found in '{path}'"
        return None

    return check


def text_in(path: str, text: str) -> Check:
    """A file holds a text, comments included."""

    def check(host: DscHost, _desired: str) -> str | None:
        content = host.text(path)
        if content is None:
            return f"'{path}' does not exist"
        return None if text in content else f"'{text}' is not found in '{path}'"

    return check


def text_not_in(path: str, *texts: str) -> Check:
    """A file holds none of the texts, comments included."""

    def check(host: DscHost, _desired: str) -> str | None:
        content = host.text(path) or ""
        found = next((text for text in texts if text in content), None)
        return f"'{found}' is found in '{path}'" if found else None

    return check


def exists(path: str) -> Check:
    """A file is there."""
    return lambda host, _desired: None if host.status(path) else f"'{path}' does not exist"


def missing(path: str) -> Check:
    """A file is not there."""
    return lambda host, _desired: f"'{path}' exists" if host.status(path) else None


def kernel(name: str, *values: str) -> Check:
    """A kernel setting, as sysctl prints it, has one of the values."""
    path = "/proc/sys/" + name.replace(".", "/")

    def check(host: DscHost, _desired: str) -> str | None:
        found = (host.text(path) or "").strip()
        if found in values:
            return None
        state = f"is {found}" if found else "is not set"
        return f"'{name}' {state} instead of {' or '.join(values)}"

    return check


def prints(words: Sequence[str], *texts: str) -> Check:
    """A program prints all the texts, each on a line of its own."""

    def check(host: DscHost, _desired: str) -> str | None:
        lines = [_folded(one) for one in host.run(*words).out.splitlines()]
        absent = next((text for text in texts if not any(text in one for one in lines)), None)
        return f"'{absent}' is not printed by '{' '.join(words)}'" if absent else None

    return check
