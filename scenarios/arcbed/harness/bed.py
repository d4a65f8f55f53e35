"""A bed: one control plane, any number of machines, and a record of what they did."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from arcbed.harness.bedtime import Time
from arcbed.harness.cloud import Cloud
from arcbed.harness.contract import Backend, CloudOptions, ProxyHost, ProxyKind
from arcbed.harness.errors import BedError, NotCoveredError
from arcbed.harness.machine import Machine
from arcbed.harness.places import PROCESS, Place
from arcbed.harness.recorder import Attachment, Chart, Recorder

T = TypeVar("T")
DEFAULT_GROUP = "rg-arcbed"
NOT_ENTERED = "the bed has not been entered"


class Bed:
    """A testbed, made when entered and gone when left.

    Args:
        options: how the control plane differs from the default.
        recorder: where steps, commands and calls are put on the record; None records nothing.
        folder: an empty folder for all state; by default a temporary one, deleted at the end.
        keep: leave the folder behind.
        place: what it is made of; by default processes on this machine.
        backend: replaces what `place` makes.
    """

    def __init__(
        self,
        options: CloudOptions | None = None,
        *,
        recorder: Recorder | None = None,
        folder: Path | None = None,
        keep: bool = False,
        place: Place = PROCESS,
        backend: Backend | None = None,
    ) -> None:
        self.options = options or CloudOptions()
        self.recorder = recorder
        self.keep = keep or folder is not None
        self.machines: list[Machine] = []
        self.place = place
        self.proxies: list[ProxyHost] = []
        self._folder = folder
        self._backend = backend
        self._cloud: Cloud | None = None
        self._time: Time | None = None
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="arcbed-"))
        try:
            if self._backend is None:
                self._backend = self.place.make(self._folder)
            self._cloud = cloud = Cloud(await self._backend.cloud(self.options), self.recorder)
            stepped = self.options.clock == "stepped"
            self._time = Time(cloud.admin, self.recorder, cloud.host.clock if stepped else None)
            await self._time.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        try:
            await asyncio.gather(
                *(machine.remove() for machine in self.machines),
                *(proxy.stop() for proxy in self.proxies),
                return_exceptions=True,
            )
            if self._time is not None:
                await self._time.close()
            if self._cloud is not None:
                await self._cloud.close()
                await self._cloud.host.stop()
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            if self._backend is not None:
                await self._backend.close(keep=self.keep)
        finally:
            self._forget()

    @property
    def folder(self) -> Path:
        """Where all state is.

        Raises:
            BedError: the bed has not been entered.
        """
        if self._folder is None:
            raise BedError(NOT_ENTERED)
        return self._folder

    @property
    def cloud(self) -> Cloud:
        """The control plane.

        Raises:
            BedError: the bed has not been entered.
        """
        if self._cloud is None:
            raise BedError(NOT_ENTERED)
        return self._cloud

    @property
    def time(self) -> Time:
        """The bed's time.

        Raises:
            BedError: the bed has not been entered.
        """
        if self._time is None:
            raise BedError(NOT_ENTERED)
        return self._time

    async def advance(self, delta: timedelta | None = None, **parts: float) -> datetime:
        """Move the bed's time by `delta` or ``days=``, ``hours=`` and so on; what is due on the way happens.

        Raises:
            BedError: a task does not come to rest; the message names it.
        """
        moved = await self.time.advance(delta, **parts)
        self.check()
        return moved

    async def until(self, work: Awaitable[T], *, limit: timedelta, what: str = "the story") -> T:
        """What `work` gives, while time goes on to the next deadline whenever everybody sleeps.

        Raises:
            BedError: it has not ended after `limit` of the bed's time; the message says who waits for what.
        """
        return await self.time.until(work, limit=limit, what=what)

    @asynccontextmanager
    async def let_time_pass(self, machine: Machine, command: str) -> AsyncIterator[None]:
        """Let time pass while `command` (``daemon/task``) of a machine runs, so that its time-outs come."""
        async with self.time.let_pass(f"{machine.name}/{command}"):
            yield

    async def machine(
        self,
        name: str | None = None,
        *,
        resource_group: str = DEFAULT_GROUP,
        heartbeat_seconds: int | None = None,
        started: bool = True,
        config: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        bare: bool = False,
        cuttable: bool = False,
        by_name: bool = False,
    ) -> Machine:
        """A machine with the agent installed and, unless told otherwise, running; it is not connected.

        Args:
            name: also the default of its resource name.
            resource_group: where it goes when it connects.
            heartbeat_seconds: its pace; None leaves it to the service (300).
            started: whether himds runs.
            config: more of its localconfig.json.
            environment: more variables of its daemons and shells, such as ``HTTPS_PROXY``.
            bare: leave the agent out: the machine is up, and somebody is going to install it.
            cuttable: `Machine.cut_off` works, also where machines have no network of their own.
            by_name: it goes by Azure's host names and `Machine.blocked` works, also where there is no DNS.

        Raises:
            BedError: the bed has a machine of that name, or its agent does not come up.
            NotCoveredError: `bare`, and the bed's place has no such machines.
        """
        if self._backend is None:
            raise BedError(NOT_ENTERED)
        settings = dict(self._backend.settings(self.cloud.env))
        if heartbeat_seconds is not None:
            settings["himds.heartbeatSeconds"] = heartbeat_seconds
        host = await self._backend.machine(
            name or f"machine-{next(self._numbers)}",
            settings | dict(config or {}),
            environment or {},
            bare=bare,
            cuttable=cuttable,
            by_name=by_name,
        )
        machine = Machine(host, self.cloud, resource_group, self.recorder, self.time)
        self.machines.append(machine)
        if bare:
            await host.boot()
        elif started:
            await machine.start()
        return machine

    async def proxy(self, kind: ProxyKind = "forward") -> ProxyHost:
        """An HTTP proxy that every machine of the bed can reach.

        Raises:
            BedError: it does not come up.
        """
        if self._backend is None:
            raise BedError(NOT_ENTERED)
        made = await self._backend.proxy(f"proxy-{len(self.proxies) + 1}", kind)
        self.proxies.append(made)
        return made

    def need(self, *needs: str) -> None:
        """Go on only where the bed's place has all of `needs`; see `arcbed.harness.places`.

        Raises:
            NotCoveredError: it lacks one; the message is the reason.
        """
        for need in needs:
            if need in self.place.lacks:
                raise NotCoveredError(self.place.lacks[need])

    @asynccontextmanager
    async def step(self, title: str, clauses: Iterable[str] = ()) -> AsyncIterator[None]:
        """One step of a story, citing the clauses of docs/clauses.toml that it proves.

        A step that the bed's place cannot do is recorded as not covered, and the story goes on after it.

        Raises:
            BedError: a clause is unknown, or a process of the bed has died meanwhile.
        """
        if self.recorder is None:
            yield
            self.check()
            return
        with suppress(NotCoveredError), self.recorder.step(title, clauses):
            yield
            self.check()

    def note(self, title: str, body: str = "") -> None:
        """Put something on the record of this step."""
        if self.recorder:
            self.recorder.event("note", title, body=body)

    def chart(self, chart: Chart) -> None:
        """Show a chart with this step in the report."""
        if self.recorder:
            self.recorder.chart(chart)

    def check(self) -> None:
        """Every process of the bed that should run does.

        Raises:
            ProcessDiedError: one ended by itself.
        """
        self.cloud.host.check()
        for machine in self.machines:
            machine.host.check()

    def attachments(self, *, logs: bool) -> list[Attachment]:
        """What a report shows of the bed: files of the machines, with `logs` all logs; no keys."""
        found: list[Attachment] = []
        if self._cloud is None:
            return found
        if logs:
            found += [
                Attachment("control plane", name, text) for name, text in self._cloud.host.logs().items()
            ]
        for machine in self.machines:
            listing = "\n".join(f"{mode}  {path}" for path, mode in machine.files().items())
            found.append(Attachment(machine.name, "files", listing))
            for key in ("agent_config", "local_config"):
                path = machine.path(key)
                if path.is_file():
                    found.append(Attachment(machine.name, path.name, path.read_text(errors="replace")))
            if logs:
                found += [Attachment(machine.name, name, text) for name, text in machine.host.logs().items()]
        return found

    def _forget(self) -> None:
        if not self.keep and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
