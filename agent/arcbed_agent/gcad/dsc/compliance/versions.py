"""Which of two package versions is older: Debian policy 5.6.12; rpm's rules differ in rare cases only."""

from __future__ import annotations

import re

_PART = re.compile(r"(\D*)(\d*)")


def compare(left: str, right: str) -> int:
    """Negative when `left` is older, 0 when they are equal, positive when it is newer."""
    ours, theirs = _split(left), _split(right)
    if ours[0] != theirs[0]:
        return ours[0] - theirs[0]
    return _compared(ours[1], theirs[1]) or _compared(ours[2], theirs[2])


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-")
    return int(epoch), upstream or revision, revision if upstream else ""


def _compared(left: str, right: str) -> int:
    while left or right:
        ours, theirs = _PART.match(left), _PART.match(right)
        mine, other = ours.groups() if ours else ("", ""), theirs.groups() if theirs else ("", "")
        words = [(_rank(text), text) for text in (mine[0], other[0])]
        if words[0] != words[1]:
            return -1 if words[0] < words[1] else 1
        numbers = int(mine[1] or 0) - int(other[1] or 0)
        if numbers:
            return numbers
        left, right = left[len("".join(mine)) :], right[len("".join(other)) :]
    return 0


def _rank(text: str) -> list[int]:
    """A tilde sorts before the end, letters before everything else."""
    ranks = [-1 if mark == "~" else ord(mark) if mark.isalpha() else ord(mark) + 256 for mark in text]
    return [*ranks, 0]
