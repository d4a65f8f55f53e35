"""What the values of single properties must be: each raises ValueError with a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

GOVERNOR_BACK_ENDS: Final = ("systemd", "cgroup2", "cgroup1", "signals", "none")
BYPASS_KEYWORDS: Final = ("AAD", "ARM", "Arc", "ArcData", "AMA")


def one_of(*words: str) -> Callable[[str], None]:
    """One of `words`."""

    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")

    return check


def within(least: int, most: int, what: str) -> Callable[[int], None]:
    """A number from `least` to `most`, which `what` says in words."""

    def check(value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"expected {what}")

    return check


def ports(value: tuple[str, ...]) -> None:
    """Numbers of ports."""
    if bad := [item for item in value if not (item.isdigit() and 0 < int(item) < 65_536)]:
        raise ValueError(f"'{bad[0]}' is not a port")


def proxy(value: str) -> None:
    """Empty, or the URL of an HTTP proxy without credentials."""
    if not value:
        return
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http":
        raise ValueError("only http proxies are supported")
    if parts.username or parts.password:
        raise ValueError("authenticated proxies are not supported")
    if not parts.hostname:
        raise ValueError("expected a URL such as http://proxy:8080")
    _ = parts.port  # raises ValueError when out of range


def bypass(value: tuple[str, ...]) -> None:
    """Services that the documentation names."""
    known = {word.lower() for word in BYPASS_KEYWORDS}
    if bad := [item for item in value if item.lower() not in known]:
        raise ValueError(f"'{bad[0]}' is not one of {', '.join(BYPASS_KEYWORDS)}")


def extensions(value: tuple[str, ...]) -> None:
    """Extensions as ``Publisher/Type``."""
    if bad := [item for item in value if not re.fullmatch(r"[^/\s]+/[^/\s]+", item)]:
        raise ValueError(f"'{bad[0]}' is not of the form Publisher/Type")


def endpoint(value: str) -> None:
    """Empty, or an https URL."""
    parts = urlsplit(value)
    if value and (parts.scheme != "https" or not parts.hostname):
        raise ValueError("expected an https URL")


PERCENT: Final = within(1, 100, "a percentage from 1 to 100")
SPREAD: Final = within(0, 50, "a percentage from 0 to 50")
PORT: Final = within(0, 65_535, "a port from 0 to 65535")
SECONDS: Final = within(1, 86_400, "seconds from 1 to 86400")
#: 0 leaves it to the service.
PACE: Final = within(0, 86_400, "seconds from 1 to 86400, or 0 for the server's pace")
