"""Print what this machine's daemons keep within limits, by their own accounts.

    python -m arcbed_agent.governor.watch --seconds 10

One JSON object a line, at once and then each ``--every`` seconds:
``{"at": 0.0, "groups": {"gcad/worker": {...}}}``. Each group has the members of a report's `governance`
(docs/wire.md, section 12.3), counted since it was made, and ``percent``: of one core, since the line before,
null in a group's first. Root sees it, and the user that the daemons run as. Exit code 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from arcbed_agent.clock import Clock, SystemClock
from arcbed_agent.himds.messages import LINE_LIMIT, dial
from arcbed_agent.host.layout import Layout

#: Daemons that limit, and where they listen.
SOCKETS: Final[Mapping[str, str]] = {"gcad": "gcad_socket", "extd": "extd_socket"}
_PATIENCE: Final = 10.0

#: By ``daemon/group``.
Accounts = Mapping[str, Mapping[str, Any]]


def accounts(layout: Layout) -> Accounts:
    """What the daemons say now; one that does not answer has nothing to say."""
    found: dict[str, Mapping[str, Any]] = {}
    for daemon, key in SOCKETS.items():
        with suppress(OSError, ValueError, KeyError):
            with dial(layout[key], _PATIENCE) as line, line.makefile("rwb") as stream:
                stream.write(b'{"method": "status", "parameters": {}}\n')
                stream.flush()
                said = json.loads(stream.readline(LINE_LIMIT))["result"].get("governance") or {}
            found.update((f"{daemon}/{name}", account) for name, account in said.items())
    return found


def percent(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> float | None:
    """Percent of one core between two accounts of a group; None if there is only one, or a new group."""
    if before is None or now["wallSeconds"] <= before["wallSeconds"]:
        return None
    used = now["cpuSecondsUsed"] - before["cpuSecondsUsed"]
    return round(100 * float(used) / float(now["wallSeconds"] - before["wallSeconds"]), 2)


async def watch(layout: Layout, clock: Clock, *, seconds: float, every: float) -> None:
    """Print accounts until `seconds` are over."""
    begun, before = clock.now(), dict[str, Mapping[str, Any]]()
    async with clock.task("watch") as task:
        while True:
            now = await asyncio.to_thread(accounts, layout)
            groups = {name: {**one, "percent": percent(before.get(name), one)} for name, one in now.items()}
            at = (clock.now() - begun).total_seconds()
            print(json.dumps({"at": round(at, 2), "groups": groups}), flush=True)
            if at >= seconds:
                return
            before = dict(now)
            await task.sleep(min(every, max(0.0, seconds - at)))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m arcbed_agent.governor.watch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two lines")
    options = parser.parse_args(words)
    watching = watch(Layout.from_environment(), SystemClock(), seconds=options.seconds, every=options.every)
    asyncio.run(watching)
    return 0


if __name__ == "__main__":
    sys.exit(main())
