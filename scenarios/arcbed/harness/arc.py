"""How most stories begin: a subscription ready for Azure Arc, with a machine in it; and what ARM shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from arcbed.harness import policies
from arcbed.harness.bed import Bed
from arcbed.harness.checks import exited
from arcbed.harness.contract import CloudOptions
from arcbed.harness.machine import Machine

#: The clock stands still until a story moves it, and begins on a day that is the same in every run.
STEPPED: Final = CloudOptions(clock="stepped", start="2026-03-01")
#: Of the bed's time, for a command that waits on it.
_LIMIT: Final = timedelta(minutes=10)


async def prepare(bed: Bed, group: str, *, with_policies: bool = False) -> None:
    """Register the subscription for Azure Arc, and make an empty resource group.

    Args:
        bed: whose control plane is fresh.
        group: name of the resource group.
        with_policies: register what policies on machines need, too.
    """
    await bed.cloud.register()
    if with_policies:
        await policies.register(bed)
    await bed.cloud.new_group(group)


async def connect(bed: Bed, machine: Machine) -> None:
    """Connect `machine` with the onboarding principal; where the clock stands still, time goes on for that.

    Raises:
        CheckError: azcmagent fails.
    """
    connecting = machine.connect()
    if bed.options.clock == "stepped":
        exited(await bed.until(connecting, limit=_LIMIT), 0)
    else:
        exited(await connecting, 0)


async def onboard(bed: Bed, name: str, group: str, *, with_policies: bool = False, **machine: Any) -> Machine:
    """`prepare`, and a machine that is connected.

    Args:
        bed: whose control plane is fresh.
        name: of the machine and of its resource.
        group: name of the resource group.
        with_policies: see `prepare`.
        machine: more arguments of `Bed.machine`.

    Raises:
        CheckError: it does not connect.
    """
    await prepare(bed, group, with_policies=with_policies)
    made = await bed.machine(name, resource_group=group, **machine)
    await connect(bed, made)
    return made


async def resource(machine: Machine) -> dict[str, Any]:
    """The resource of a machine in ARM.

    Raises:
        BedError: there is none.
    """
    answer = await machine.cloud.machine(machine.resource_group, machine.name)
    document: dict[str, Any] = answer.expect_ok().body
    return document


async def properties(machine: Machine) -> dict[str, Any]:
    """`properties` of the resource.

    Raises:
        BedError: there is none.
    """
    found: dict[str, Any] = (await resource(machine))["properties"]
    return found


async def status(machine: Machine) -> str:
    """The machine's status in ARM, such as ``Connected``.

    Raises:
        BedError: there is no such resource.
    """
    return str((await properties(machine))["status"])
