"""The himds process: ``himds``, or ``python -m arcbed_agent.himds``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from setproctitle import setproctitle

from arcbed_agent.clock import BedClock, SystemClock, open_clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.daemon import Himds
from arcbed_agent.host import Layout, open_host
from arcbed_agent.logging import FATAL, Redactor, fields, open_log


async def _serve(
    layout: Layout, clock: SystemClock | BedClock, config: LocalConfig, redactor: Redactor
) -> None:
    async with clock:
        himds = Himds(
            layout=layout,
            clock=clock,
            host=open_host(layout, config.values),
            config=config,
            chance=clock.chance,
            name=clock.machine,
            redactor=redactor,
        )
        await _until_stopped(himds)


async def _until_stopped(himds: Himds) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await himds.start()
    print(f"himds is ready on port {himds.server.port}", flush=True)
    try:
        await stopped.wait()
    finally:
        await himds.stop()


USAGE = """Usage: himds

The Azure Connected Machine agent service: keeps this machine's identity, sends heartbeats, and answers
programs on http://localhost:40342. It takes no options; settings are those of `azcmagent config`, and all
paths are below $ARC_ROOT.
"""


def main() -> None:
    """Run until SIGTERM. Leaves with the number of the error that kept it from starting."""
    if sys.argv[1:]:
        asked = sys.argv[1:] in (["--help"], ["-h"])
        print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 101)
    setproctitle("himds")
    os.umask(0o027)
    layout, redactor = Layout.from_environment(), Redactor()
    clock: SystemClock | BedClock = SystemClock()
    log = logging.getLogger("himds")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        try:
            config = LocalConfig.load(layout)
            clock = open_clock(config.values, "himds")
        finally:
            log.addHandler(open_log(layout["himds_log"], clock, redactor=redactor))
        asyncio.run(_serve(layout, clock, config, redactor))
    except (AgentError, OSError) as error:
        refused = error if isinstance(error, AgentError) else AgentError(5, str(error))
        log.log(FATAL, str(refused), extra=fields({"Exit Code": refused.code}))
        print(refused, file=sys.stderr)
        sys.exit(refused.number)


if __name__ == "__main__":
    main()
