"""The CPU seconds of a process tree for which the kernel keeps no account."""

from __future__ import annotations

from collections.abc import Mapping

from arcbed_agent.governor.processes import Member, cpu_seconds

#: A process for ever: its pid and when it started.
Key = tuple[int, int]


class Account:
    """CPU seconds of a tree whose processes come and go; `busy`: what those read before have used since.

    A process that has ended counts with its last reading until its parent's account of waited-for children
    grows by it, which the kernel shows in steps of a tick, or until this daemon waits for it.
    """

    def __init__(self) -> None:
        self._alive: dict[Key, tuple[float, float]] = {}
        self._ended: dict[Key, float] = {}
        self._waited_for = 0.0
        self._to_pay = 0.0
        self.busy: dict[Key, float] = {}
        self.total = 0.0

    def read(self, members: Mapping[int, Member]) -> float:
        """The total with the members of now; it never falls."""
        before, self._alive = self._alive, {}
        for pid, member in members.items():
            self._alive[pid, member.started] = (cpu_seconds(pid), member.waited)
        self.busy = {key: self._alive[key][0] - own for key, (own, _) in before.items() if key in self._alive}
        for key, (own, waited) in before.items():
            if key not in self._alive:
                self._ended[key] = own + waited
        self._pay(self._to_pay)
        self._to_pay = 0.0
        for key, (_, waited) in self._alive.items():
            self._pay(waited - before.get(key, (0.0, 0.0))[1])
        alive = sum(own + waited for own, waited in self._alive.values())
        self.total = max(self.total, alive + sum(self._ended.values()) + self._waited_for)
        return self.total

    def _pay(self, seconds: float) -> None:
        """Parents waited for this much: those that ended count there now."""
        for key in list(self._ended):
            if seconds <= 0:
                return
            paid = min(seconds, self._ended[key])
            seconds -= paid
            self._ended[key] -= paid
            if self._ended[key] <= 0:
                del self._ended[key]

    def waited_for(self, pid: int, seconds: float, children: float) -> None:
        """This daemon has waited for `pid`, which used so much in all, and its children so much of it."""
        self._waited_for += seconds
        self._to_pay += children - sum(
            waited for (known, _), (_, waited) in self._alive.items() if known == pid
        )
        for key in [key for key in (*self._alive, *self._ended) if key[0] == pid]:
            self._alive.pop(key, None)
            self._ended.pop(key, None)
