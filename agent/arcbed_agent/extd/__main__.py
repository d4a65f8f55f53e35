"""The extd process: ``gc_linux_service``, or ``python -m arcbed_agent.extd``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from setproctitle import setproctitle

from arcbed_agent.clock import BedClock, SystemClock, open_clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.extd.daemon import Extd
from arcbed_agent.extd.operation import MANAGER
from arcbed_agent.gc_logs import ARCHIVES, PolicyFormatter, by
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import Redactor, open_log

USAGE = """Usage: gc_linux_service [--end-handlers]

The extension manager: installs VM extensions as Azure wants them and reports how that went. Settings are
those of `azcmagent config`, and all paths are below $ARC_ROOT.

Options:
  --end-handlers   end what extensions have started, and leave; the service must be stopped
"""


async def _serve(
    layout: Layout, clock: SystemClock | BedClock, config: LocalConfig, redactor: Redactor
) -> None:
    async with clock:
        extd = Extd(
            layout=layout,
            clock=clock,
            config=config,
            chance=clock.chance,
            name=clock.machine,
            redactor=redactor,
        )
        await extd.serve()


def main() -> None:
    """Run until SIGTERM. Leaves with the number of the error that kept it from starting."""
    ending = sys.argv[1:] == ["--end-handlers"]
    if sys.argv[1:] and not ending:
        asked = sys.argv[1:] in (["--help"], ["-h"])
        print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 101)
    setproctitle("gc_linux_service")
    os.umask(0o022)
    layout = Layout.from_environment()
    log = logging.getLogger("gc_ext")
    log.setLevel(logging.INFO)
    log.propagate = False
    clock: SystemClock | BedClock = SystemClock()
    redactor = Redactor()
    try:
        try:
            config = LocalConfig.load(layout)
            clock = SystemClock() if ending else open_clock(config.values, "extd")
        finally:
            formatter = PolicyFormatter(clock, redactor)
            log.addHandler(open_log(layout["gc_ext_log"], clock, formatter=formatter, archives=ARCHIVES))
        asyncio.run(end_handlers(layout, config) if ending else _serve(layout, clock, config, redactor))
    except (AgentError, OSError) as error:
        refused = error if isinstance(error, AgentError) else AgentError(5, str(error))
        log.critical("%s", refused, extra=by(MANAGER))
        print(refused, file=sys.stderr)
        sys.exit(refused.number)


async def end_handlers(layout: Layout, config: LocalConfig) -> None:
    """End what extensions have started on this machine; extd must not be running.

    Raises:
        AgentError: 6, it is.
    """
    extd = Extd(layout=layout, clock=SystemClock(), config=config)
    await extd.open()
    try:
        await extd.end_handlers()
    finally:
        await extd.stop()


if __name__ == "__main__":
    main()
