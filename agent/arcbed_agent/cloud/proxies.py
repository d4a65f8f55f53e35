"""Which proxy the agent goes through, and what goes past it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.request import getproxies_environment

from arcbed_agent.config import LocalConfig

#: Hosts behind the keywords of `proxy.bypass`. Source: Microsoft's article "Managing the Azure Connected
#: Machine agent".
BYPASS_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "aad": (
        "login.windows.net",
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "pas.windows.net",
    ),
    "arm": ("management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"),
    "arc": (
        "*his.arc.azure.com",
        "*his.arc.azure.us",
        "*his.arc.azure.cn",
        "*guestconfiguration.azure.com",
        "*guestconfiguration.azure.us",
        "*guestconfiguration.azure.cn",
    ),
}


def proxy_in_effect(config: LocalConfig, environ: Mapping[str, str] | None = None) -> str:
    """The proxy for https: `proxy.url`, else ``HTTPS_PROXY`` of the service's environment, else empty."""
    configured = config.text("proxy.url")
    if not configured:
        found = os.environ if environ is None else environ
        configured = found.get("https_proxy") or found.get("HTTPS_PROXY") or ""
    return configured if not configured or "://" in configured else f"http://{configured}"


def bypassed(config: LocalConfig) -> Iterator[str]:
    """What goes past the proxy: ``name``, ``*.name`` for all below it, ``*name`` for both."""
    for word in config.items("proxy.bypass"):
        yield from BYPASS_HOSTS.get(word.lower(), ())
    if not config.text("proxy.url"):
        listed = getproxies_environment().get("no", "")
        yield from (f"*{host.strip().lstrip('*')}" for host in listed.split(",") if host.strip())


def matches(host: str, pattern: str) -> bool:
    """Whether `pattern`, one of `bypassed`, names `host`."""
    name = pattern.lstrip("*").lower()
    if not name:
        return True
    if pattern.startswith("*."):
        return host.endswith(name)
    return host == name or (pattern.startswith("*") and host.endswith(f".{name}"))
