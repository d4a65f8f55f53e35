"""What this machine is: operating system, hardware, cloud provider; and where the agent's files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcbed_agent.host.contract import CloudProvider, Host
from arcbed_agent.host.layout import Layout

__all__ = ["CloudProvider", "Host", "Layout", "open_host"]


def open_host(layout: Layout, settings: Mapping[str, Any]) -> Host:
    """This machine, as the settings of localconfig.json want it described.

    Keys (all ours): ``host.imdsAddress`` is the ``host:port`` of a metadata service that plays a cloud.
    Without it a production layout (root ``/``) asks the documented addresses and any other asks nobody: a
    bed on a cloud's virtual machine must not mistake the developer's cloud for the machine's.
    ``host.root`` is a folder whose files (``etc/os-release``, ``etc/hostname``, ``sys/class/dmi/id/...``)
    go before the machine's own. ``host.supportTable`` is ``current`` or ``2022``;
    ``host.clusterResourceId`` the ARM id of a cluster.
    """
    from arcbed_agent.host.linux import LinuxHost
    from arcbed_agent.host.provider import MetadataAddresses
    from arcbed_agent.host.sources import this_machine
    from arcbed_agent.host.support import CURRENT, SEED

    if address := settings.get("host.imdsAddress"):
        addresses = MetadataAddresses.all_at(str(address))
    elif layout.root == Path("/"):
        addresses = MetadataAddresses.documented()
    else:
        addresses = MetadataAddresses()
    default_table = SEED if settings.get("agent.profile") == "seed" else CURRENT
    shadow = settings.get("host.root")
    return LinuxHost(
        this_machine(Path(shadow) if shadow else None),
        addresses,
        support_table=str(settings.get("host.supportTable") or default_table),
        cluster_resource_id=str(settings.get("host.clusterResourceId") or ""),
    )
