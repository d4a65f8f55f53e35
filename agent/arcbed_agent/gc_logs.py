"""gc_agent.log, gc_worker.log and gc_ext.log in the form that field scripts match on.

``[2026-01-31 12:00:00.000] [PID 1] [TID 1] [Pull Client] [INFO] [<activity>] text``, in local time. Form and
texts: as seen in published logs of the product.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.logging import Redactor, open_log

NO_ACTIVITY: Final = "00000000-0000-0000-0000-000000000000"
#: Documented: up to ten files are kept.
ARCHIVES: Final = 9
PULL: Final = "Pull Client"
METADATA: Final = "METADATA_INFO"
DISPATCHER: Final = "DISPATCHER"
VALIDATOR: Final = "PACKAGE_VALIDATOR"


def local(moment: datetime) -> str:
    """`moment` in the machine's time zone, to the millisecond."""
    there = moment.astimezone()
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03d}"


class PolicyFormatter(logging.Formatter):
    """One record, one line; a record without a component is a line of the engine, without a prefix."""

    def __init__(self, clock: Clock, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text} {self.formatException(record.exc_info)}"
        text = self._redactor.clean(text).replace("\n", "\\n")
        component = getattr(record, "component", None)
        if component is None:
            return text
        level = "WARN" if record.levelname == "WARNING" else record.levelname
        where = ""
        if record.levelno >= logging.ERROR:
            where = f"[{Path(record.pathname).parent.name}/{record.filename}:{record.lineno}] "
        return (
            f"[{local(self._clock.now())}] [PID {record.process}] [TID {threading.get_native_id()}] "
            f"[{component}] [{level}] [{getattr(record, 'activity', NO_ACTIVITY)}] {where}{text}"
        )


def by(component: str, activity: str = NO_ACTIVITY) -> dict[str, Any]:
    """`log.info(text, extra=by(PULL))`: who says it, and in the course of what."""
    return {"component": component, "activity": activity}


def open_policy_log(path: Path, clock: Clock) -> logging.Handler:
    """A handler that appends to `path`; up to ten files are kept.

    Raises:
        OSError: the file or its folder cannot be written.
    """
    return open_log(path, clock, formatter=PolicyFormatter(clock), archives=ARCHIVES)


def telemetry(path: Path, clock: Clock, name: str, **properties: Any) -> None:
    """Append an event to a telemetry file: one JSON object a line."""
    event = {"time": clock.now().isoformat(), "name": name, **properties}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(event, separators=(",", ":")) + "\n")
