"""Checks that read as sentences and fail with what was expected and what was seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import Any, TypeVar

from arcbed.harness import clock
from arcbed.harness.errors import CheckError
from arcbed.harness.process import Completed

T = TypeVar("T")


def equal(what: str, actual: object, expected: object) -> None:
    """`actual` is `expected`.

    Raises:
        CheckError: it is not.
    """
    if actual != expected:
        raise CheckError(what, repr(expected), repr(actual))


def true(what: str, holds: object, seen: object = "otherwise") -> None:
    """`what`, a statement, holds.

    Raises:
        CheckError: it does not; `seen` says what was found instead.
    """
    if not holds:
        raise CheckError(what, "to hold", seen)


def contains(what: str, whole: Container[Any], part: object) -> None:
    """`part` is in `whole`.

    Raises:
        CheckError: it is not.
    """
    if part not in whole:
        raise CheckError(what, f"to contain {part!r}", whole)


def exited(done: Completed, code: int, *texts: str) -> None:
    """A command left with `code`, and its output contains each of `texts`.

    Raises:
        CheckError: it did not.
    """
    name = " ".join(done.arguments[:2])
    if done.exit_code != code:
        raise CheckError(f"exit code of {name}", code, f"{done.exit_code}\n{done.output.strip()}")
    for text in texts:
        contains(f"output of {name}", done.output, text)


async def eventually(what: str, probe: Callable[[], Awaitable[T | None]], *, within: float = 20.0) -> T:
    """What `probe` gives once it gives something other than None or False.

    Raises:
        CheckError: it did not within `within` real seconds.
    """

    async def once() -> T | None:
        return await probe() or None

    found = await clock.until(once, limit=within)
    if found is None:
        raise CheckError(what, f"within {within:g} s", "nothing of the kind")
    return found
