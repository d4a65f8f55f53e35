"""File modes as configurations write them: ``0644``, ``644``, ``rw-r--r--``, ``u=rwx,go-w``."""

from __future__ import annotations

import re
import stat

_RWX = re.compile(r"(?:[r-][w-][xsS-]){2}[r-][w-][xtT-]")
_CLAUSE = re.compile(r"([ugoa]*)([=+-])([rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


def symbolic(mode: int) -> str:
    """``rwxr-xr-x``."""
    return stat.filemode(mode | stat.S_IFREG)[1:]


def changed_mode(text: str, mode: int, *, folder: bool) -> int:
    """What chmod would make of `mode`.

    Args:
        text: octal with 3 or 4 digits, nine letters, or clauses as chmod takes them.
        mode: the permission bits that are there.
        folder: ``X`` means execute on folders, and on what is executable already.

    Raises:
        ValueError: `text` is none of them.
    """
    if re.fullmatch(r"[0-7]{3,4}", text):
        return int(text, 8)
    if _RWX.fullmatch(text):
        return _letters(text)
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ValueError(f"'{text}' is not a file mode")
        mode = _applied(mode, *match.groups(), folder=folder)
    return mode


def _letters(text: str) -> int:
    mode = 0
    for index, letter in enumerate(text):
        if letter in "rwxst":
            mode |= 0o400 >> index
        if letter in "sStT":
            mode |= {2: 0o4000, 5: 0o2000, 8: 0o1000}[index]
    return mode


def _applied(mode: int, who: str, sign: str, letters: str, *, folder: bool) -> int:
    mask = 0
    for one in "ugo" if not who or "a" in who else who:
        mask |= _WHO[one]
    bits = 0
    for letter in letters:
        if letter == "X":
            letter = "x" if folder or mode & 0o111 else ""  # noqa: PLW2901 - X becomes what it stands for
        bits |= _BITS.get(letter, 0)
    bits &= mask
    if sign == "+":
        return mode | bits
    if sign == "-":
        return mode & ~bits
    return (mode & ~mask) | bits
