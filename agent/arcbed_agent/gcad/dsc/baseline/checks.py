"""The primitive checks: files, packages, services, mounts, folders of settings, lines, kernel settings.

A check takes the machine and the desired value of the rule and says why it fails, or nothing. A missing file
passes checks of mode, of mount options and of what must not be there; it fails what must be there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from arcbed_agent.gcad.dsc.families.package import Package
from arcbed_agent.gcad.dsc.host import DscHost
from arcbed_agent.gcad.dsc.mof import Instance

#: Says why the machine is not as it should be; None when it is.
Check: TypeAlias = Callable[[DscHost, str], str | None]

#: In place of a mode: the desired value of the rule, in octal.
DESIRED = -1


@runtime_checkable
class Correctable(Protocol):
    """A check that can also make it so."""

    def correct(self, host: DscHost, desired: str) -> None:
        """Make it so."""


@dataclass(frozen=True)
class All:
    """All of them, in order; the first failure is the finding."""

    checks: tuple[Check, ...]

    def __call__(self, host: DscHost, desired: str) -> str | None:
        """Say what fails first."""
        return next((failure for one in self.checks if (failure := one(host, desired))), None)

    def correct(self, host: DscHost, desired: str) -> None:
        """Correct those that fail, as far as they can be."""
        for one in self.checks:
            if one(host, desired) and isinstance(one, Correctable):
                one.correct(host, desired)


def every(*checks: Check) -> All:
    """All of the checks hold."""
    return All(checks)


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


@dataclass(frozen=True)
class FileAccess:
    """Exact mode, owner and group; group ``shadow`` means root where there is no such group."""

    path: str
    mode: int
    owner: str
    group: str

    def __call__(self, host: DscHost, desired: str) -> str | None:
        """Say what differs."""
        status = host.status(self.path)
        if status is None:
            return None
        wanted, found = self._wanted(desired), stat.S_IMODE(status.st_mode)
        if found != wanted:
            return f"Access to '{self.path}' is {found:04o} instead of {wanted:04o}"
        return _ownership(host, self.path, (status.st_uid, status.st_gid), (self.owner, self.group))

    def _wanted(self, desired: str) -> int:
        return int(desired, 8) if self.mode == DESIRED else self.mode

    def correct(self, host: DscHost, desired: str) -> None:
        """Chown and chmod."""
        if host.status(self.path) is None:
            return
        path = host.path(self.path).resolve()
        host.may_change(path)
        os.chown(path, *_ids(host, self.owner, self.group))
        path.chmod(self._wanted(desired))


def file(path: str, mode: int = DESIRED, owner: str = "root", group: str = "root") -> FileAccess:
    """Exact mode, owner and group of a file."""
    return FileAccess(path, mode, owner, group)


def _ids(host: DscHost, owner: str, group: str) -> tuple[int, int]:
    account, found = host.account(owner), host.group(group) or host.group("root")
    return account.uid if account else 0, found.gid if found else 0


def _ownership(host: DscHost, path: str, found: tuple[int, int], wanted: tuple[str, str]) -> str | None:
    uid, gid = _ids(host, *wanted)
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


@dataclass(frozen=True)
class AbsentPackages:
    """None of the packages is installed; ``*`` stands for anything."""

    names: tuple[str, ...]

    def __call__(self, host: DscHost, _desired: str) -> str | None:
        """Name one that is."""
        found = next((name for name in self.names if host.software.any(name)), None)
        return f"Package '{found}' is installed" if found else None

    def correct(self, host: DscHost, _desired: str) -> None:
        """Remove them."""
        for pattern in self.names:
            for name in host.software.matching(pattern):
                Package(
                    Instance("nxPackage", None, {"Name": name, "Ensure": "Absent"}), host, host.root
                ).enforce()
        host.forget()


def absent_package(*names: str) -> AbsentPackages:
    """None of the packages is installed."""
    return AbsentPackages(names)


def active(name: str) -> Check:
    """The unit runs."""
    return lambda host, _desired: None if host.active(name) else f"Service '{name}' is not active"


@dataclass(frozen=True)
class InactiveUnits:
    """None of the units runs."""

    names: tuple[str, ...]

    def __call__(self, host: DscHost, _desired: str) -> str | None:
        """Name one that does."""
        found = next((name for name in self.names if host.active(name)), None)
        return f"Service '{found}' is active" if found else None

    def correct(self, host: DscHost, _desired: str) -> None:
        """Stop and disable those that run."""
        host.may_change_machine("Services")
        for name in self.names:
            if host.active(name):
                host.run("systemctl", "stop", "--", name)
                host.run("systemctl", "disable", "--", name)
        host.forget()


def inactive(*names: str) -> InactiveUnits:
    """None of the units runs."""
    return InactiveUnits(names)


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
