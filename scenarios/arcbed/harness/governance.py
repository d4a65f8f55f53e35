"""What a machine's daemons keep within CPU limits, by their own accounts, which are the kernel's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from arcbed.harness.checks import eventually
from arcbed.harness.errors import BedError
from arcbed.harness.machine import Machine
from arcbed.harness.recorder import Chart, Curve

#: The group of the policy agent; an extension's is ``extd/<Publisher.Type>``.
POLICIES: Final = "gcad/worker"
_NOTICED: Final = 0.01

#: A report's `governance` by group: docs/wire.md, section 12.3.
Accounts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Watched:
    """Accounts over some time.

    Args:
        lines: ``(seconds since the beginning, accounts)``.
    """

    lines: tuple[tuple[float, Accounts], ...]

    def mean(self, *groups: str, after: float = 1.0) -> float:
        """Percent of one core that `groups` used together, from `after` seconds on.

        Raises:
            BedError: one of them was not there all the time.
        """
        return sum(self._mean(group, after) for group in groups)

    def _mean(self, group: str, after: float) -> float:
        try:
            found = [accounts[group] for at, accounts in self.lines if at >= after]
        except KeyError:
            raise BedError(f"{group} was not there all the time") from None
        first, last = found[0], found[-1]
        seconds = float(last["wallSeconds"]) - float(first["wallSeconds"])
        return 100 * (float(last["cpuSecondsUsed"]) - float(first["cpuSecondsUsed"])) / seconds

    def last(self, group: str) -> Mapping[str, Any]:
        """The last account of a group."""
        return self.lines[-1][1][group]

    def chart(self, title: str, names: Mapping[str, str], limit: float | None) -> Chart:
        """A curve for each group of `names`, with label and mean, and one of their sum if there are several.

        Raises:
            BedError: one of them was not there all the time.
        """
        curves = [self._curve(label, group) for group, label in names.items()]
        if len(names) > 1:
            curves.append(self._curve("together", *names))
        return Chart(title, "%", tuple(curves), ((0.0, limit),))

    def _curve(self, label: str, *groups: str) -> Curve:
        return Curve(f"{label}; {self.mean(*groups):.2f} % on average", self._points(*groups))

    def _points(self, *groups: str) -> tuple[tuple[float, float], ...]:
        return tuple(
            (at, sum(float(accounts[group]["percent"]) for group in groups))
            for at, accounts in self.lines
            if all(accounts.get(group, {}).get("percent") is not None for group in groups)
        )


async def watch(machine: Machine, seconds: float) -> Watched:
    """Look at a machine's accounts each second for so long; root sees them.

    Raises:
        BedError: they cannot be read.
    """
    words = ("python3", "-m", "arcbed_agent.governor.watch", "--seconds", f"{seconds:g}")
    command = ("env", "PYTHONPATH=/opt/azcmagent/lib", *words)
    done = await machine.command(*command, limit=seconds + 60)
    if done.exit_code:
        raise BedError(f"the accounts cannot be read: {done.output.strip()}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Watched(tuple((float(line["at"]), line["groups"]) for line in lines))


async def busy(machine: Machine, group: str, *, within: float = 120.0) -> None:
    """Wait until a group uses CPU time under a limit; `within` real seconds.

    Raises:
        CheckError: it does not.
    """

    async def used() -> bool:
        (_, before), *_, (_, now) = (await watch(machine, 1.0)).lines
        if group not in before or group not in now or now[group]["cpuLimitPercent"] is None:
            return False
        return float(now[group]["cpuSecondsUsed"]) - float(before[group]["cpuSecondsUsed"]) >= _NOTICED

    await eventually(f"{group} uses CPU time", used, within=within)
