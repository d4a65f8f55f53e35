"""What azcmagent and himds say to each other: one JSON object per line on a Unix socket.

Request ``{"method", "parameters"}``; the answer is any number of ``{"progress": {...}}`` lines and then one
line with ``result`` or ``error``. The product's own protocol is not published; this one is ours.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from arcbed_agent.errors import AgentError

#: No line of either side is longer.
LINE_LIMIT = 1024 * 1024


class _Document:
    """A dataclass that travels as a JSON object; members that are not known are ignored."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read `document`.

        Raises:
            AgentError: 2, a member is missing.
        """
        names = {item.name for item in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        try:
            return cls(**{key: value for key, value in document.items() if key in names})
        except TypeError as error:
            raise AgentError(2, f"malformed message: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # subclasses are dataclasses


@dataclass(frozen=True, kw_only=True)
class ConnectParameters(_Document):
    """Everything `connect` needs besides the machine itself.

    Args:
        access_token: bearer token for ARM; used, never stored.
        correlation_id: names the onboarding in logs and in ``x-ms-correlation-request-id``.
        tags: ARM tags of the machine.
        location_data: ARM `locationData`, when the person gave a physical location.
        automatic_upgrade: ARM `agentUpgrade.enableAutomaticUpgrade`; None leaves it out.
    """

    subscription_id: str
    resource_group: str
    resource_name: str
    location: str
    tenant_id: str
    access_token: str = field(repr=False)
    correlation_id: str
    cloud: str = "AzureCloud"
    tags: dict[str, str] = field(default_factory=dict)
    location_data: dict[str, str] | None = None
    private_link_scope: str = ""
    automatic_upgrade: bool | None = None
    identity_key_store: str = "Default"


@dataclass(frozen=True)
class Progress(_Document):
    """How far a `connect` or `disconnect` is."""

    percent: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Status(_Document):
    """What himds knows. Times are RFC 3339 UTC or empty.

    Args:
        status: ``Connected``, ``Disconnected`` or ``Expired``.
        registration: ``none``, ``connecting`` (a `connect` has not been completed) or ``connected``.
        https_proxy: the proxy in effect.
        port: where the local endpoint listens.
    """

    status: str
    registration: str = "none"
    resource_name: str = ""
    resource_group: str = ""
    subscription_id: str = ""
    tenant_id: str = ""
    resource_id: str = ""
    location: str = ""
    cloud: str = ""
    vm_id: str = ""
    correlation_id: str = ""
    identity_key_store: str = ""
    agent_version: str = ""
    last_heartbeat: str = ""
    error_code: str = ""
    error_details: str = ""
    error_timestamp: str = ""
    certificate_thumbprint: str = ""
    certificate_not_after: str = ""
    https_proxy: str = ""
    proxy_bypass: list[str] = field(default_factory=list)
    cloud_provider: str = ""
    port: int = 0
    pid: int = 0
    instance_id: str = ""


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """`path` as an address of a Unix socket.

    One too long for the kernel goes through its folder's descriptor.
    """
    if len(os.fsencode(path)) < 108:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def dial(path: Path, timeout: float) -> socket.socket:
    """Connect to the Unix socket at `path`; `timeout` in real seconds.

    Raises:
        OSError: nobody listens.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(timeout)
    try:
        with socket_address(path) as address:
            line.connect(address)
    except BaseException:
        line.close()
        raise
    return line
