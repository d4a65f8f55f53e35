"""The two networks of a bed, with addresses that are known before anything is attached.

`azure` is all that lies between a machine and Azure; it leads nowhere else. `control` carries what a testbed
needs besides (resolver, admin API, published ports), and faults leave it alone. Neither is masqueraded: what
runs in a bed cannot reach the world by accident.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from arcbed.harness.containers.engine import Engine
from arcbed.harness.errors import BedError

ATTEMPTS = 5
#: .1 is the engine's gateway.
FIRST_ADDRESS = 2
UNMASQUERADED = {"com.docker.network.bridge.enable_ip_masquerade": "false"}


@dataclass(frozen=True)
class Network:
    """A network of the bed."""

    id: str
    name: str
    subnet: IPv4Network
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_ADDRESS), repr=False)

    def address(self) -> str:
        """The next free address; none is given twice."""
        return str(self.subnet[next(self._numbers)])


def make(engine: Engine, role: str, *, internal: bool) -> Network:
    """Make a network whose addresses are ours to give.

    The engine takes addresses from us only on a network whose subnet we name, and knows best which subnets
    are free. So it is asked for one, which is then named.

    Raises:
        BedError: it could not be had.
    """
    name = engine.name(role)
    for _ in range(ATTEMPTS):
        subnet = _free_subnet(engine, name)
        try:
            made = engine.client.networks.create(
                name,
                driver="bridge",
                internal=internal,
                options=UNMASQUERADED,
                labels=engine.labels(role),
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
            )
        except APIError as error:
            if "overlap" not in str(error).lower():
                raise
            continue  # another bed was faster
        return Network(str(made.id), name, subnet)
    raise BedError(f"no free subnet for the network {name}: too many networks? `arcbed down --all` helps")


def _free_subnet(engine: Engine, name: str) -> IPv4Network:
    probe = engine.client.networks.create(
        f"{name}-probe", driver="bridge", internal=True, labels=engine.labels("probe")
    )
    try:
        probe.reload()
        return IPv4Network(probe.attrs["IPAM"]["Config"][0]["Subnet"])
    finally:
        probe.remove()
