"""Extensions for stories: sample packages, PUTs, and what became of them in ARM and on the machine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from arcbed import handlers
from arcbed.harness.arm import ENDED, Answer
from arcbed.harness.bed import Bed
from arcbed.harness.checks import equal, eventually
from arcbed.harness.contract import MachinePath
from arcbed.harness.errors import BedError
from arcbed.harness.machine import Machine
from arcbed.harness.process import Completed

VERSION: Final = "2024-07-10"
#: The type of the sample whose commands can be held.
WAITING: Final = handlers.kind_of("waiting")


@dataclass(frozen=True, order=True)
class Ran:
    """One run of a command, as a sample handler has written it down itself.

    Args:
        at: seconds of the Unix epoch, real time.
        version: of the handler.
        command: install, enable, disable, update or uninstall.
        sequence: number of the settings.
    """

    at: float
    version: str
    command: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.version} {self.command} {self.sequence}"


async def publish(bed: Bed, sample: str, *versions: str) -> str:
    """Publish versions of a sample handler, ``1.0.0`` by default; the extension's type."""
    with tempfile.TemporaryDirectory() as folder:
        for version in versions or ("1.0.0",):
            made = await asyncio.to_thread(handlers.build, sample, Path(folder), version=version)
            await bed.cloud.publish_extension(made)
    return handlers.kind_of(sample)


async def unpublish(bed: Bed, kind: str, version: str) -> None:
    """Take a version of a sample handler away."""
    await bed.cloud.admin.call("DELETE", f"extensions/{handlers.PUBLISHER}/{kind}/{version}")


def extension_id(bed: Bed, machine: Machine, name: str) -> str:
    """The ARM id of a machine's extension."""
    return f"{bed.cloud.arm.machine_id(machine.resource_group, machine.name)}/extensions/{name}"


async def put(bed: Bed, machine: Machine, name: str, kind: str, **properties: Any) -> Answer:
    """PUT an extension of the samples' publisher.

    Args:
        bed: with the package.
        machine: that is to have it.
        name: of the resource.
        kind: the extension's type.
        properties: more of the resource's, such as `settings`, `protectedSettings`, `typeHandlerVersion`.
    """
    body = {
        "location": "westeurope",
        "properties": {"publisher": handlers.PUBLISHER, "type": kind, **properties},
    }
    return await bed.cloud.arm.put(extension_id(bed, machine, name), body, VERSION)


async def patch(bed: Bed, machine: Machine, name: str, **properties: Any) -> Answer:
    """PATCH `properties` of an extension."""
    body = {"properties": properties}
    return await bed.cloud.arm.patch(extension_id(bed, machine, name), body, VERSION)


async def get(bed: Bed, machine: Machine, name: str) -> Answer:
    """GET an extension."""
    return await bed.cloud.arm.get(extension_id(bed, machine, name), VERSION)


async def delete(bed: Bed, machine: Machine, name: str) -> Answer:
    """DELETE an extension."""
    return await bed.cloud.arm.delete(extension_id(bed, machine, name), VERSION)


async def view(bed: Bed, machine: Machine, name: str) -> Mapping[str, Any]:
    """The properties of an extension in ARM.

    Raises:
        BedError: there is none.
    """
    found: Mapping[str, Any] = (await get(bed, machine, name)).expect_ok().body["properties"]
    return found


async def state(bed: Bed, machine: Machine, name: str) -> str:
    """`provisioningState` of an extension; empty where ARM has none of that name.

    Raises:
        BedError: ARM refuses to say.
    """
    answer = await get(bed, machine, name)
    return "" if answer.status == 404 else str(answer.expect_ok().body["properties"]["provisioningState"])


async def message(bed: Bed, machine: Machine, name: str) -> str:
    """`instanceView.status.message` of an extension; empty while there is none."""
    found = (await view(bed, machine, name)).get("instanceView") or {}
    return str((found.get("status") or {}).get("message", ""))


async def settled(bed: Bed, machine: Machine, name: str, *, minutes: int = 10) -> str:
    """Let the bed's time go on, minute by minute, until an operation has ended; its `provisioningState`.

    Raises:
        BedError: it has not after so many minutes of the bed's time.
    """
    for _ in range(minutes + 1):
        found = await state(bed, machine, name)
        if not found or found in ENDED:
            return found
        await bed.advance(minutes=1)
    raise BedError(f"the extension {name} is {found} after {minutes} minutes of the bed's time")


# -- on the machine ------------------------------------------------------------------------------------------


def folder(machine: Machine, kind: str, version: str = "1.0.0") -> MachinePath:
    """The folder of a version of a sample handler."""
    return machine.path("extensions") / f"{handlers.PUBLISHER}.{kind}-{version}"


def runs(machine: Machine, kind: str) -> list[Ran]:
    """What a sample handler says of the runs of its commands, in their order."""
    path = machine.path("extension_logs") / f"{handlers.PUBLISHER}.{kind}.runs"
    found = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        at, version, command, sequence, *_ = line.split()
        found.append(Ran(float(at), version, command, int(sequence)))
    return found


def commands(machine: Machine, kind: str, skip: int = 0) -> list[str]:
    """Those runs as ``version command number``, without the first `skip`."""
    return [str(one) for one in runs(machine, kind)[skip:]]


def verbs(machine: Machine, kind: str) -> list[str]:
    """The commands of those runs, without versions and numbers."""
    return [one.command for one in runs(machine, kind)]


@dataclass
class Stage:
    """One machine of a bed and its extensions, as the acts of a story look at them."""

    bed: Bed
    web: Machine
    seen: dict[str, int] = field(default_factory=dict)

    async def put(self, name: str, kind: str, **properties: object) -> Answer:
        """PUT, accepted as a long-running operation."""
        answer = (await put(self.bed, self.web, name, kind, **properties)).expect_ok()
        equal(f"PUT {name}", answer.status, 202)
        return answer

    async def settled(self, name: str) -> str:
        """`provisioningState` at the end of the operation."""
        return await settled(self.bed, self.web, name)

    async def view(self, name: str) -> dict[str, object]:
        """What ARM shows of it."""
        return dict(await view(self.bed, self.web, name))

    async def message(self, name: str) -> str:
        """The message of its status in ARM."""
        return await message(self.bed, self.web, name)

    def ran(self, kind: str) -> list[str]:
        """What the handler did since this was asked last, as it says itself."""
        found = commands(self.web, kind, self.seen.get(kind, 0))
        self.seen[kind] = self.seen.get(kind, 0) + len(found)
        return found

    def installed(self, kind: str) -> list[str]:
        """The versions whose folder with its manifest is on the machine."""
        versions = ("1.0.0", "1.1.0", "1.2.0")
        return [one for one in versions if (folder(self.web, kind, one) / "HandlerManifest.json").is_file()]

    def log(self) -> str:
        """gc_ext.log."""
        return self.web.path("gc_ext_log").read_text()


class Gate:
    """Holds a command of the sample ``waiting`` until it is opened. Commands that come later do not wait.

    Args:
        bed: with the machine.
        machine: that has the handler, or is going to.
        command: which.
    """

    def __init__(self, bed: Bed, machine: Machine, command: str) -> None:
        self._bed = bed
        self._machine = machine
        self._command = command
        self._before = 0
        self._moving: asyncio.Task[Any] | None = None
        self._pipe = str(machine.path("extension_logs") / f"{handlers.PUBLISHER}.{WAITING}.{command}.gate")

    async def __aenter__(self) -> Self:
        self._before = len(runs(self._machine, WAITING))
        made = await self._shell('mkdir -p "$(dirname "$0")" && mkfifo "$0"')
        if made.exit_code:
            raise BedError(f"{self._pipe} cannot be made: {made.output}")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._shell('rm -f "$0"')
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)

    async def reached(self) -> Ran:
        """Let the bed's time go on, minute by minute, until the command waits.

        Raises:
            CheckError: nothing of the kind happens.
        """

        async def waits() -> Ran | None:
            found = runs(self._machine, WAITING)[self._before :]
            if not found or found[-1].command != self._command:
                if self._moving is None or self._moving.done():
                    self._moving = asyncio.create_task(self._bed.advance(minutes=1))
                return None
            return found[-1]

        return await eventually(f"{self._command} runs", waits)

    async def open(self) -> None:
        """Let the command go on."""
        await self._shell('echo > "$0" && rm "$0"')
        if self._moving is not None:
            await self._moving
            self._moving = None

    async def _shell(self, script: str) -> Completed:
        return await self._machine.command("sh", "-c", script, self._pipe)
