"""How the values of a rule are compared: as numbers, as text, by pattern."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_ORDER: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def compared(found: str, word: str, wanted: str) -> bool:
    """Compare as numbers where both are, as text otherwise.

    Raises:
        ValueError: `word` is no comparison, or `wanted` no pattern.
    """
    if word == "match":
        return matches(wanted, found)
    if word not in _ORDER:
        raise ValueError(f"'{word}' is not a comparison")
    try:
        return _ORDER[word](int(found), int(wanted))
    except ValueError:
        if word in {"eq", "ne"}:
            return (found == wanted) is (word == "eq")
        return False


def matches(pattern: str, text: str, flags: int = 0) -> bool:
    """Whether a pattern is found in a text.

    Raises:
        ValueError: it is not a pattern.
    """
    try:
        return re.search(_posix(pattern), text, flags) is not None
    except re.error as problem:
        raise ValueError(f"'{pattern}' is not a pattern: {problem}") from problem


def _posix(pattern: str) -> str:
    """Character classes of POSIX, which Python does not know."""
    for name, members in (("space", r"\s"), ("digit", r"\d"), ("alpha", "a-zA-Z"), ("alnum", "a-zA-Z0-9")):
        pattern = pattern.replace(f"[:{name}:]", members)
    return pattern
