"""Version numbers of extensions: compared number by number, chosen by their beginning."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,3}", re.ASCII)


def numbers(version: str) -> tuple[int, ...]:
    """``2.1.10`` as (2, 1, 10).

    Raises:
        ValueError: it is not one to four numbers with dots between them.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"'{version}' is no version: one to four numbers with dots between them")
    return tuple(int(part) for part in version.split("."))


def newest(known: Iterable[str], wanted: str | None = None, *, minor: bool = False) -> str | None:
    """The newest version that a request for `wanted` may be answered with, or None.

    Args:
        known: what there is.
        wanted: the beginning of a version (``2``, ``2.1``, ``2.1.10``); None takes any.
        minor: also take a newer minor version of the same major one, as ``autoUpgradeMinorVersion`` asks.

    Raises:
        ValueError: `wanted` is no version.
    """
    prefix = numbers(wanted) if wanted is not None else ()

    def fits(version: tuple[int, ...]) -> bool:
        if version[: len(prefix)] == prefix:
            return True
        return minor and version[:1] == prefix[:1] and version > prefix

    fitting = [version for version in known if fits(numbers(version))]
    return max(fitting, key=numbers, default=None)
