"""Accounts and groups, read from the machine's own files: passwd(5), group(5), shadow(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NO_LOGIN = frozenset({"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/true"})


#: What may be handed to programs as the name of an account or group: never anything like an option.
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?")


@dataclass(frozen=True)
class Account:
    """One line of /etc/passwd."""

    name: str
    password: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str

    @property
    def logs_in(self) -> bool:
        """Whether its shell is one."""
        return self.shell not in NO_LOGIN


@dataclass(frozen=True)
class Group:
    """One line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Shadow:
    """One line of /etc/shadow; numbers are days, None where the field is empty."""

    name: str
    password: str
    changed: int | None
    minimum: int | None
    maximum: int | None
    warning: int | None
    inactive: int | None
    expires: int | None

    @property
    def hashed(self) -> bool:
        """Whether there is a password that opens the account."""
        return self.password.startswith("$") or (
            bool(self.password) and self.password[0] not in "!*" and len(self.password) >= 13
        )

    @property
    def locked(self) -> bool:
        """Whether no password opens the account."""
        return self.password.startswith(("!", "*"))


def accounts(text: str) -> Iterator[Account]:
    """The accounts of /etc/passwd; lines that are none are left out."""
    for fields in _rows(text, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            yield Account(fields[0], fields[1], uid, gid, fields[4], fields[5], fields[6])


def groups(text: str) -> Iterator[Group]:
    """The groups of /etc/group."""
    for fields in _rows(text, 4):
        gid = _number(fields[2])
        if gid is not None:
            yield Group(fields[0], gid, tuple(name for name in fields[3].split(",") if name))


def shadows(text: str) -> Iterator[Shadow]:
    """The entries of /etc/shadow."""
    for fields in _rows(text, 9):
        changed, minimum, maximum, warning, inactive, expires = map(_number, fields[2:8])
        yield Shadow(fields[0], fields[1], changed, minimum, maximum, warning, inactive, expires)


def _rows(text: str, size: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == size and fields[0] and not line.startswith(("#", "+", "-")):
            yield fields


def _number(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdecimal() else None
