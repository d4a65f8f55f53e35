"""How a machine is to open its channel: ``docs/wire.md``, section 13.1."""

from __future__ import annotations

from arcbed_cloud import hosts
from arcbed_cloud.services.his.regions import RELAYS, SHARDS
from arcbed_cloud.services.relay import Relay
from arcbed_cloud.store.contract import Document, Row

#: Names for each region; Azure has some per data centre.
NAMES = 2
TOKEN_SECONDS = 12 * 3_600
PING_SECONDS = 60
#: Real clouds are bigger: the whole of a region comes back within this.
SPREAD_SECONDS = 180


def names(location: str, host: str) -> list[str]:
    """The relay names of a normalised region, in the cloud whose host was asked."""
    top = hosts.bare(host).rpartition(".")[2]
    suffix = RELAYS.get(top, RELAYS["com"])
    shard = SHARDS[location]
    return [f"azgn-{location}-public-{number}p-{shard}-001.{suffix}" for number in range(1, NAMES + 1)]


def path_of(vm_id: str) -> str:
    """The name of a machine's hybrid connection."""
    return f"m-{vm_id.lower()}"


def vm_id_of(path: str) -> str:
    """The machine that a hybrid connection belongs to, or empty."""
    return path[2:] if path.startswith("m-") else ""


def answer(relay: Relay, machine: Row, host: str) -> Document:
    """What the machine is told.

    Args:
        relay: signs.
        machine: whose channel.
        host: of the request, with its port. Where it is not one of Azure's there is no namespace of its own:
            the suffix is the whole address.
    """
    path = path_of(machine.document["properties"]["vmId"])
    namespace, suffix = "", f"{host}/relay"
    if hosts.service_of(host) == "gns":
        namespace, _, suffix = names(machine.document["location"], host)[0].partition(".")
        port = host.strip().rpartition(":")[2]
        suffix += f":{port}" if port.isdigit() else ""
    address = f"{namespace}.{suffix}" if namespace else suffix
    token, expires = relay.token(address, path, "listener", TOKEN_SECONDS)
    return {
        "relay": {
            "namespaceName": namespace,
            "namespaceNameSuffix": suffix,
            "hybridConnectionName": path,
            "accessKey": token,
            "expiresOn": expires,
        },
        "pingSeconds": PING_SECONDS,
        "reconnectSpreadSeconds": SPREAD_SECONDS,
    }
