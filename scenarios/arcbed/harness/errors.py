"""What can go wrong while a scenario runs.

Exception
 ├─ AssertionError
 │   └─ CheckError        a documented behaviour was not met: exit code 1
 ├─ NotCoveredError       the place where the bed runs cannot do what a step needs: no verdict
 └─ BedError              the testbed itself did not work: exit code 2
     ├─ ProcessDiedError  a process of the bed ended without being asked to
     └─ NotReadyError     a process of the bed did not become ready in time
"""

from __future__ import annotations


class CheckError(AssertionError):
    """A check did not hold.

    Args:
        what: what was looked at, as a noun phrase.
        expected: what the documentation promises.
        actual: what was seen.
    """

    def __init__(self, what: str, expected: object, actual: object) -> None:
        super().__init__(f"{what}: expected {expected}, got {actual}")
        self.what = what
        self.expected = str(expected)
        self.actual = str(actual)


class NotCoveredError(Exception):
    """The place where the bed runs cannot do what a step needs; the message is the reason. No verdict."""


class BedError(RuntimeError):
    """The testbed itself did not work; nothing is said about the product."""


class ProcessDiedError(BedError):
    """A process of the bed ended without being asked to; the message carries the end of its log."""


class NotReadyError(BedError):
    """A process of the bed did not become ready in time; the message carries the end of its log."""
