"""nxEnvironment and nxSshAuthorizedKeys: single lines of well-known files.

Source: microsoft/PowerShell-DSC-for-Linux, nxEnvironment and nxSshAuthorizedKeys.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault

_ENVIRONMENT = "/etc/environment"
_PATH_FILE = "/etc/profile.d/DSCEnvironment.sh"


def _one_line(text: str, name: str) -> str:
    if "\n" in text or "\r" in text:
        raise ResourceFault("InvalidProperty", f"{name} may not hold a line break.")
    return text


class Environment(Resource):
    """A variable of /etc/environment, or an entry of PATH for login shells."""

    names: ClassVar[tuple[str, ...]] = ("nxEnvironment", "MSFT_nxEnvironmentResource")
    code: ClassVar = "nxEnvironment"
    keys: ClassVar = ("Name",)

    @property
    def _file(self) -> str:
        return _PATH_FILE if self.flag("Path") else _ENVIRONMENT

    def _is_mine(self, line: str) -> bool:
        if self.flag("Path"):
            return line.strip() == self._line
        return line.partition("=")[0].strip() == self.text("Name")

    @property
    def _line(self) -> str:
        name, value = _one_line(self.text("Name"), "Name"), _one_line(self.text("Value"), "Value")
        return f'export PATH="$PATH:{value}"' if self.flag("Path") else f"{name}={value}"

    def inspect(self) -> Current:
        """Look for the line."""
        mine = [line for line in (self.host.text(self._file) or "").splitlines() if self._is_mine(line)]
        current = Current({"Name": self.text("Name"), "Ensure": "Present" if mine else "Absent"})
        if mine:
            current.properties["Value"] = mine[-1].partition("=")[2]
        name = self.text("Name")
        if self.wanted and not mine:
            current.reasons.append(
                self.reason("Ensure", f"The variable '{name}' is not set in {self._file}.")
            )
        elif self.wanted and mine[-1].strip() != self._line:
            phrase = f"The variable '{name}' has the value '{current.properties['Value']}'."
            current.reasons.append(self.reason("Value", phrase))
        elif mine and not self.wanted:
            current.reasons.append(self.reason("Ensure", f"The variable '{name}' is set in {self._file}."))
        return current

    def enforce(self) -> None:
        """Rewrite the file with the line, or without it."""
        lines = [line for line in (self.host.text(self._file) or "").splitlines() if not self._is_mine(line)]
        if self.wanted:
            lines.append(self._line)
        self.host.replace(self._file, "".join(f"{line}\n" for line in lines))


class AuthorizedKey(Resource):
    """A key that opens an account over SSH, known by its comment."""

    names: ClassVar[tuple[str, ...]] = ("nxSshAuthorizedKeys", "MSFT_nxSshAuthorizedKeysResource")
    code: ClassVar = "nxSshAuthorizedKeys"
    keys: ClassVar = ("KeyComment", "UserName")

    def _home(self) -> str:
        account = self.host.account(self.text("UserName"))
        if account is None:
            raise ResourceFault("UserNotFound", f"The user '{self.text('UserName')}' was not found.")
        return account.home

    def _file(self) -> str:
        return f"{self._home()}/.ssh/authorized_keys"

    def _is_mine(self, line: str) -> bool:
        return line.strip().endswith(" " + self.text("KeyComment"))

    @property
    def _line(self) -> str:
        return _one_line(f"{self.text('Key').strip()} {self.text('KeyComment')}", "Key")

    def inspect(self) -> Current:
        """Look for the key."""
        mine = [line for line in (self.host.text(self._file()) or "").splitlines() if self._is_mine(line)]
        user, comment = self.text("UserName"), self.text("KeyComment")
        current = Current(
            {"KeyComment": comment, "UserName": user, "Ensure": "Present" if mine else "Absent"}
        )
        if self.wanted and [line.strip() for line in mine] != [self._line]:
            phrase = f"The key '{comment}' does not open the account '{user}'."
            current.reasons.append(self.reason("Ensure", phrase))
        elif mine and not self.wanted:
            current.reasons.append(self.reason("Ensure", f"The key '{comment}' opens the account '{user}'."))
        return current

    def enforce(self) -> None:
        """Rewrite authorized_keys; the folder and the file belong to the account."""
        file = self._file()
        lines = [line for line in (self.host.text(file) or "").splitlines() if not self._is_mine(line)]
        if self.wanted:
            lines.append(self._line)
        path = self.host.path(file)
        self.host.may_change(path)
        account = self.host.account(self.text("UserName"))
        made = [path] if not path.exists() else []
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700)
            made.append(path.parent)
        self.host.replace(file, "".join(f"{line}\n" for line in lines))
        for item in made:
            self._hand_over(item, account.uid if account else 0, account.gid if account else 0)

    @staticmethod
    def _hand_over(item: Path, uid: int, gid: int) -> None:
        item.chmod(0o700 if item.is_dir() else 0o600)
        if (uid, gid) != (os.geteuid(), os.getegid()):
            os.chown(item, uid, gid)
