"""What a back end gives the runtime: groups that can be made, limited, joined, read and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Counters:
    """A reading of a group's account; seconds, and numbers of periods."""

    cpu: float = 0.0
    throttled: float = 0.0
    periods: int = 0
    throttled_periods: int = 0

    def since(self, earlier: Counters) -> Counters:
        """What came on top of `earlier`."""
        return Counters(
            max(0.0, self.cpu - earlier.cpu),
            max(0.0, self.throttled - earlier.throttled),
            max(0, self.periods - earlier.periods),
            max(0, self.throttled_periods - earlier.throttled_periods),
        )


class Group(Protocol):
    """A set of processes limited together. All calls block, none for long; called from any thread.

    Every method raises GovernorError when the operating system refuses.
    """

    @property
    def where(self) -> str:
        """Where it is, for people."""

    def make(self) -> None:
        """Make it, or take over what an earlier process of this daemon left."""

    def hold(self, cores: float | None) -> None:
        """Limit it to `cores` CPU seconds a second; None: no limit."""

    def command(self, command: Sequence[str]) -> list[str]:
        """`command` as it has to be started."""

    def admit(self, pid: int) -> None:
        """Bring a process in that has not begun its work; returns when it is inside."""

    def take_back(self, pid: int) -> None:
        """Bring a process back that has left."""

    def counters(self) -> Counters:
        """The account so far; after the end the last one."""

    def pids(self) -> set[int]:
        """The processes in it, threads not counted."""

    def holds(self, pid: int) -> bool:
        """Whether the process is inside; True for one that has ended."""

    def waited_for(self, pid: int, seconds: float, children: float) -> None:
        """This daemon has waited for a process of it.

        Args:
            pid: which.
            seconds: of CPU that it and the children it had waited for have used.
            children: of that, those of its children.
        """

    def kill(self) -> None:
        """SIGKILL every process in it once."""

    def remove(self) -> bool:
        """Remove it; False while something is in it."""


class BackEnd(Protocol):
    """One way of limiting."""

    @property
    def name(self) -> str:
        """One of `contract.BACK_ENDS`."""

    @property
    def reason(self) -> str:
        """What was found that makes it work here."""

    def group(self, name: str) -> Group:
        """The group called `name`, not made yet."""

    def close(self) -> None:
        """Remove what was made for all groups."""
