"""Times as ARM writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH_TICKS = 621_355_968_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso7(moment: datetime) -> str:
    """``2024-11-12T00:21:23.3505470Z``: UTC with seven digits of fraction, as ARM writes it."""
    # Every write has one, and `strftime` would cost ten times as much.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "0Z")


def compact(moment: datetime) -> str:
    """``20241112T002123Z``, the form inside ``x-ms-routing-request-id``."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def ticks(moment: datetime) -> int:
    """Steps of 100 ns since year 1, as event ids of the activity log carry them."""
    return _EPOCH_TICKS + (moment - _EPOCH) // timedelta(microseconds=1) * 10


def read(text: str) -> datetime:
    """Parse an ISO 8601 time; without a zone it is UTC, and a fraction may have seven digits.

    Raises:
        ValueError: it is no time.
    """
    moment = datetime.fromisoformat(text.strip())
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
