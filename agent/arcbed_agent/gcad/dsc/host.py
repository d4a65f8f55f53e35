"""The machine that resources look at and change.

Nothing is changed outside the folders a host may write to unless the caller allowed it: `may_change` and
`may_change_machine` are asked before every change.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from arcbed_agent.files import write_durably
from arcbed_agent.gcad.dsc.accounts import Account, Group, Shadow, accounts, groups, shadows
from arcbed_agent.gcad.dsc.commands import COMMAND_SECONDS, Commands, Output, SystemCommands
from arcbed_agent.gcad.dsc.software import Software, installed

_T = TypeVar("_T")
#: Limit of a script that a configuration brings along, in real seconds.
SCRIPT_SECONDS = 600.0


class ChangeRefused(Exception):  # noqa: N818 - a decision rather than an error
    """A change that this host does not allow."""


class LinuxHost:
    """A Linux machine whose ``/`` is `root`.

    What is read once is remembered: the engine takes a fresh copy for each run (`for_run`).

    Args:
        root: a folder other than ``/`` stands for a whole machine; changes inside it are always allowed.
        writable: folders of the real machine that may be changed without leave (the agent's own root).
        commands: runs programs; by default the machine's own.
        script_seconds: how long a script of a configuration may take, in real seconds.
    """

    def __init__(
        self,
        root: str | Path = "/",
        *,
        writable: Sequence[Path] = (),
        commands: Commands | None = None,
        script_seconds: float = SCRIPT_SECONDS,
    ) -> None:
        self.root = Path(root).resolve()
        self.script_seconds = script_seconds
        self._writable = tuple(folder.resolve() for folder in writable)
        self._commands: Commands = commands or SystemCommands()
        self._changes_allowed = False
        self._memory: dict[str, Any] = {}
        self.now = datetime.fromtimestamp(0, UTC)

    def for_run(self, *, changes_allowed: bool, now: datetime) -> LinuxHost:
        """The same machine, seen afresh.

        Args:
            changes_allowed: whether anything outside `root` and `writable` may be changed.
            now: the time of the run, for rules about dates.
        """
        host = LinuxHost(
            self.root, writable=self._writable, commands=self._commands, script_seconds=self.script_seconds
        )
        host._changes_allowed = changes_allowed
        host.now = now
        return host

    @property
    def whole(self) -> bool:
        """Whether this is the real machine, and not a folder that stands for one."""
        return self.root == Path("/")

    # -- looking ---------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """Where the machine's path `name` is found.

        Raises:
            ValueError: `name` is not an absolute path.
        """
        if not name.startswith("/") or "\0" in name:
            raise ValueError(f"'{name}' is not an absolute path")
        return self.root / os.path.normpath(name).lstrip("/")

    def text(self, name: str) -> str | None:
        """The text of a file; None when it does not exist or is not one: a pipe would never end."""
        status = self.status(name)
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        return self.path(name).read_text(encoding="utf-8", errors="surrogateescape")

    def status(self, name: str) -> os.stat_result | None:
        """What `name` is, links followed; None when it does not exist."""
        try:
            return self.path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None

    @cached_property
    def accounts(self) -> list[Account]:
        """All of /etc/passwd."""
        return list(accounts(self.text("/etc/passwd") or ""))

    @cached_property
    def groups(self) -> list[Group]:
        """All of /etc/group."""
        return list(groups(self.text("/etc/group") or ""))

    @cached_property
    def shadows(self) -> list[Shadow]:
        """All of /etc/shadow."""
        return list(shadows(self.text("/etc/shadow") or ""))

    def account(self, name: str) -> Account | None:
        """The account of this name."""
        return next((account for account in self.accounts if account.name == name), None)

    def group(self, name: str) -> Group | None:
        """The group of this name."""
        return next((group for group in self.groups if group.name == name), None)

    def shadow(self, name: str) -> Shadow | None:
        """The shadow entry of this name."""
        return next((shadow for shadow in self.shadows if shadow.name == name), None)

    @cached_property
    def software(self) -> Software:
        """The installed packages."""
        return installed(self)

    def remembered(self, what: str, look: Callable[[], _T]) -> _T:
        """The answer of `look`, asked once until something is changed."""
        if what not in self._memory:
            self._memory[what] = look()
        answer: _T = self._memory[what]
        return answer

    def forget(self) -> None:
        """Look again next time: something was changed."""
        self._memory.clear()
        for name in ("accounts", "groups", "shadows", "software"):
            self.__dict__.pop(name, None)

    def run(
        self,
        *words: str,
        seconds: float = COMMAND_SECONDS,
        account: tuple[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a program; see `Commands.run`."""
        return self._commands.run(words, seconds=seconds, account=account, environment=environment)

    def active(self, unit: str) -> bool:
        """Whether a unit runs, as ``systemctl is-active``."""
        return self.remembered(
            f"unit {unit}", lambda: self.run("systemctl", "is-active", unit).out.strip() == "active"
        )

    # -- changing --------------------------------------------------------------------------------------------

    def may_change(self, path: Path) -> None:
        """Raise unless the file system entry at `path` may be changed.

        Raises:
            ChangeRefused: it lies outside what this host may write to.
        """
        if self._changes_allowed and self.whole:
            return
        real = path.parent.resolve() / path.name
        allowed = self._writable if self.whole else (*self._writable, self.root)
        if not any(real.is_relative_to(folder) for folder in allowed):
            raise ChangeRefused(
                f"{path} is outside the folders that may be changed here; allow host changes to set it."
            )

    def replace(self, name: str, content: str) -> None:
        """Write a file in one step, keeping its mode and owner; links are followed.

        Raises:
            ChangeRefused: it may not be changed.
            OSError: it cannot be.
        """
        path = self.path(name).resolve()
        self.may_change(path)
        try:
            old = path.stat()
        except FileNotFoundError:
            old = None
        mode = stat.S_IMODE(old.st_mode) if old else 0o644
        write_whole(path, content.encode("utf-8", "surrogateescape"), mode=mode)
        if old and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(path, old.st_uid, old.st_gid)

    def may_change_machine(self, what: str) -> None:
        """Raise unless accounts, packages, units and the like may be changed.

        Raises:
            ChangeRefused: this host does not allow it.
        """
        if not self.whole:
            raise ChangeRefused(f"{what} cannot be changed in a folder that stands for a machine.")
        if not self._changes_allowed:
            raise ChangeRefused(f"{what} may not be changed here; allow host changes to set it.")


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file in one step; in place where it is a mount of its own, as /etc/hosts of a container is.

    Raises:
        OSError: it cannot be written.
    """
    try:
        write_durably(path, content, mode=mode)
    except OSError as problem:
        if problem.errno != errno.EBUSY:
            raise
        path.write_bytes(content)
        path.chmod(mode)


#: The host that the engine is given.
DscHost: TypeAlias = LinuxHost
