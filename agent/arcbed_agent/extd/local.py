"""Extensions of this machine without the service: what ``azcmagent extension`` does while extd is stopped.

Documented ("azcmagent extension"): it works while the machine is disconnected, and interrupts what is going
on, since the service has to be stopped for it. What Azure still wants comes back with the next contact.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from arcbed_agent.clock import Clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.extd.daemon import Extd
from arcbed_agent.extd.records import SUCCEEDED, Extension, Handler
from arcbed_agent.extd.store import Store
from arcbed_agent.host.layout import Layout
from arcbed_agent.host.lock import take_lock


@dataclass(frozen=True)
class Installed:
    """One extension as people see it.

    Args:
        name: of the resource in ARM.
        publisher: of the handler.
        kind: ARM's `type`.
        version: that is installed.
        state: of the handler, such as ``Enabled``.
        status: how the last operation ended; empty before.
    """

    name: str
    publisher: str
    kind: str
    version: str
    state: str
    status: str

    @classmethod
    def of(cls, extension: Extension, handler: Handler) -> Installed:
        """What the records say."""
        goal = extension.wanted
        return cls(
            goal.name,
            goal.publisher,
            goal.kind,
            handler.version or goal.version,
            handler.state,
            str(extension.result.get("state") or ""),
        )


def installed(layout: Layout) -> list[Installed]:
    """The extensions of this machine, by name.

    Raises:
        AgentError: 6, extd runs.
    """
    with take_lock(layout, "extd"):
        store = Store(layout)
        store.load()
        return [
            Installed.of(one, store.handler(one.wanted.handler)) for one in store if not one.wanted.removal
        ]


async def remove(
    layout: Layout,
    clock: Clock,
    config: LocalConfig,
    names: Sequence[str],
    *,
    log: logging.Logger,
    told: Callable[[str, bool], None],
) -> None:
    """Disable and uninstall the extensions called `names`; names that are not there are left out.

    Args:
        layout: the machine's files.
        clock: for time limits of commands.
        config: how handlers are run.
        names: of resources in ARM.
        log: gets what extd would log.
        told: called after each with its name and whether it is gone.

    Raises:
        AgentError: 6, extd runs.
    """
    extd = Extd(layout=layout, clock=clock, config=config, log=log)
    await extd.open()
    try:
        for name in names:
            gone = await extd.operator.remove_now(name)
            if gone is not None:
                told(name, gone.result.get("state") == SUCCEEDED)
        # The next answer of the service counts as new, whatever it is.
        extd.store.keep_sync(replace(extd.store.sync, etag=""))
    finally:
        await extd.stop()
