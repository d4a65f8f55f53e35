"""The back ends in the order in which they are tried, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from arcbed_agent.governor.contract import Choice, GovernorError, Mode
from arcbed_agent.governor.group import BackEnd

#: Finds out whether a back end works here; raises GovernorError with the reason when it does not.
Probe = Callable[[], BackEnd]


class Candidates:
    """Back ends by name, best first.

    Args:
        probes: their probes; the last one should always succeed.
        mode: for the choice.
        wanted: the one that was asked for, ``auto`` for the first that works.
    """

    def __init__(self, probes: Sequence[tuple[str, Probe]], mode: Mode, wanted: str = "auto") -> None:
        self._mode, self._wanted = mode, wanted
        self._refused: list[tuple[str, str]] = []
        first = [item for item in probes if item[0] == wanted]
        self._left = first + [item for item in probes if item[0] == "none" and item not in first]
        if wanted == "auto":
            self._left = list(probes)

    def pick(self) -> tuple[BackEnd, Choice]:
        """The next one that works.

        Raises:
            GovernorError: none is left.
        """
        while self._left:
            name, probe = self._left.pop(0)
            try:
                found = probe()
            except GovernorError as error:
                self.reject(name, str(error))
                continue
            reason = found.reason if self._wanted == "auto" else f"asked for; {found.reason}"
            return found, Choice(name, self._mode, reason, tuple(self._refused))
        raise GovernorError("no back end works here")

    def reject(self, name: str, why: str) -> None:
        """It did not work."""
        self._refused.append((name, why))
