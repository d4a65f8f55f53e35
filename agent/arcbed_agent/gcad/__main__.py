"""The gcad process: ``gc_linux_service``, or ``python -m arcbed_agent.gcad``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from setproctitle import setproctitle

from arcbed_agent.clock import BedClock, SystemClock, open_clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.gc_logs import DISPATCHER, by, open_policy_log
from arcbed_agent.gcad.daemon import Gcad
from arcbed_agent.gcad.governed import GovernedProcesses
from arcbed_agent.host.layout import Layout

USAGE = """Usage: gc_linux_service

The guest configuration agent: pulls assignments, evaluates their packages every 15 minutes and reports.
It takes no options; settings are those of `azcmagent config`, and all paths are below $ARC_ROOT.
"""


async def _serve(layout: Layout, clock: SystemClock | BedClock, config: LocalConfig) -> None:
    async with clock:
        runner = GovernedProcesses(layout, clock, config, logging.getLogger("gc_agent"))
        gcad = Gcad(
            layout=layout, clock=clock, config=config, chance=clock.chance, name=clock.machine, runner=runner
        )
        await gcad.serve()


def main() -> None:
    """Run until SIGTERM. Leaves with the number of the error that kept it from starting."""
    if sys.argv[1:]:
        asked = sys.argv[1:] in (["--help"], ["-h"])
        print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 101)
    setproctitle("gc_linux_service")
    os.umask(0o027)
    layout = Layout.from_environment()
    log = logging.getLogger("gc_agent")
    log.setLevel(logging.INFO)
    log.propagate = False
    clock: SystemClock | BedClock = SystemClock()
    try:
        try:
            config = LocalConfig.load(layout)
            clock = open_clock(config.values, "gcad")
        finally:
            log.addHandler(open_policy_log(layout["gc_agent_log"], clock))
        asyncio.run(_serve(layout, clock, config))
    except (AgentError, OSError) as error:
        refused = error if isinstance(error, AgentError) else AgentError(5, str(error))
        log.critical("%s", refused, extra=by(DISPATCHER))
        print(refused, file=sys.stderr)
        sys.exit(refused.number)


if __name__ == "__main__":
    main()
