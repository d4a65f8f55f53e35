"""Run a command within the limits of this machine's agent, and print its account.

    python -m arcbed_agent.governor -- COMMAND...
    python -m arcbed_agent.governor --extension AzureMonitorLinuxAgent --during install -- COMMAND...

One JSON object a line: first ``{"choice": {...}}``, then an account each ``--every`` seconds, at last
``{"exitCode": 0, "usage": {...}}``. An account has ``at`` (seconds), ``percent`` (of one core, since the
last), ``limitPercent`` (of one core, null without a limit) and ``usage``. A limit that is changed by
``azcmagent config set`` holds within ``--every`` seconds. Exit code 0, or 1 when the command cannot run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from arcbed_agent.clock import SystemClock
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.governor import Governed, Governor, Limit, Limits, Usage, announce, choose, retract, wishes
from arcbed_agent.host.layout import Layout

OWNER = "trial"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m arcbed_agent.governor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--extension", default="", help="its limit instead of the policy agent's")
    parser.add_argument("--during", default="", help="install, update, uninstall or enable")
    parser.add_argument("--no-limit", action="store_true", help="to see what the command takes then")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two accounts")
    parser.add_argument("--seconds", type=float, default=0.0, help="end it after so long; 0: wait for it")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


class Trial:
    """One command in its group, from start to end."""

    def __init__(self, options: argparse.Namespace, layout: Layout) -> None:
        self._options, self._layout, self._clock = options, layout, SystemClock()
        self._governor: Governor

    async def run(self) -> None:
        """Run it to its end.

        Raises:
            OSError: the program cannot be started.
            AgentError: the configuration cannot be read.
        """
        root = self._layout.root
        wished = wishes(LocalConfig.load(self._layout))
        self._governor = await choose(wished, owner=OWNER, root=root, clock=self._clock)
        try:
            _say({"choice": self._governor.choice.document()})
            announce(self._layout, OWNER, self._governor.choice)
            command = await self._governor.launch(self._options.command, name="command", limit=self._limit())
            await self._watch(command)
            _say({"exitCode": command.returncode, "usage": command.usage().document()})
        finally:
            retract(self._layout, OWNER)
            await self._governor.close()

    def _limit(self) -> Limit:
        if self._options.no_limit:
            return Limit(None, why="--no-limit")
        limits = Limits.here(LocalConfig.load(self._layout), self._clock)
        if self._options.extension:
            return limits.extension(self._options.extension, self._options.during)
        return limits.policy()

    async def _watch(self, command: Governed) -> None:
        """Account after account, until nothing is left in the group or the time is over."""
        begun, before = self._clock.monotonic(), command.usage()
        async with self._clock.task(f"{OWNER}/account") as task:
            while self._governor.usage("command") is not None:
                await task.sleep(self._options.every)
                await self._governor.limit("command", self._limit())
                now = command.usage()
                at = self._clock.monotonic() - begun
                _say(_account(at, before, now))
                before = now
                if 0 < self._options.seconds <= at:
                    await command.kill()
            await command.wait()


def _account(at: float, before: Usage, now: Usage) -> dict[str, Any]:
    seconds = now.wall_seconds - before.wall_seconds
    cores = now.limit.cores
    return {
        "at": round(at, 2),
        "percent": round(100 * (now.cpu_seconds - before.cpu_seconds) / seconds, 2) if seconds > 0 else 0.0,
        "limitPercent": None if cores is None else round(100 * cores, 2),
        "usage": now.document(),
    }


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trial; the exit code."""
    try:
        asyncio.run(Trial(_options(arguments), Layout.from_environment()).run())
    except (OSError, AgentError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
