"""The loop that works: one operation at a time, deletions first, then in the order of their creation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.extd import outcome, policy
from arcbed_agent.extd.failure import UNKNOWN
from arcbed_agent.extd.goal import Goal
from arcbed_agent.extd.lifecycle import Waiting, carry_out
from arcbed_agent.extd.operation import MANAGER, Operation, SupersededError, Tools
from arcbed_agent.extd.outbox import Outbox
from arcbed_agent.extd.outcome import Outcome
from arcbed_agent.extd.records import Extension, Work
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.extd.watch import Watch
from arcbed_agent.gc_logs import by


class Operator:
    """Carries out what the store says is wanted.

    Args:
        name: of the clock task, ``machine/extd/operation``.
        tools: what operations work with.
        service: for the local configuration.
        outbox: told of progress and results.
        active: whether the manager may do anything.
        changed: told when an operation has ended.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        tools: Tools,
        service: ExtensionService,
        outbox: Outbox,
        active: Callable[[], bool],
        changed: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        self._name = name
        self._clock = clock
        self._task = clock.task(name)
        self._tools = tools
        self._store = tools.store
        self._service = service
        self._outbox = outbox
        self._active = active
        self._changed = changed
        self._log = log
        self._wake = asyncio.Event()
        self._waiting: dict[str, Watch] = {}
        self._deferred: set[str] = set()
        self.busy = ""

    def wake(self) -> None:
        """Something may be wanted."""
        self._wake.set()

    def pulled(self) -> None:
        """The service has been reached: what could not be picked up is tried again."""
        self._deferred.clear()
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with self._task as task:
            try:
                while True:
                    self._wake.clear()
                    found = self._next()
                    if found is None:
                        ends = [watch.until for watch in self._waiting.values() if watch.until]
                        soonest = min(ends, default=None)
                        await task.sleep_until(soonest, self._wake)
                    else:
                        await self._guarded(task, found)
            finally:
                for watch in self._waiting.values():
                    await watch.close()

    def _next(self) -> Extension | None:
        if not self._active():
            return None
        now = self._clock.now()
        unsettled = [one for one in self._store if not one.settled and one.name not in self._deferred]
        for extension in sorted(unsettled, key=_order):
            watch = self._waiting.get(extension.name)
            if watch is None or watch.due(now, extension.goal):
                return extension
            # One operation at a time: what comes after an unfinished one waits.
            return None
        return None

    async def _guarded(self, task: ClockTask, extension: Extension) -> None:
        self.busy = extension.name
        try:
            await self._advance(task, extension)
        except SupersededError:
            await self._unwatch(extension.name)
            self._forget(extension.name)
        except Exception as error:  # noqa: BLE001 - one extension must not end the loop
            self._log.exception("Operation of '%s' failed", extension.name, extra=by(MANAGER))
            text = self._tools.redactor.clean(f"{type(error).__name__}: {error}")
            self._finish(
                extension.name, Outcome(state="Failed", code=str(UNKNOWN), level="Error", message=text)
            )
        finally:
            self.busy = ""

    async def _advance(self, task: ClockTask, extension: Extension) -> None:
        watch = self._waiting.get(extension.name)
        if watch is not None:
            await watch.release()
        if extension.work is not None and extension.work["goal"] != extension.goal:
            await self._unwatch(extension.name)
            await self._abandon(task, extension)
            return
        if extension.work is None and not await self._begin(extension):
            return
        try:
            found = await carry_out(Operation(self._tools, task, extension.name))
        except Waiting as waiting:
            if watch is None:
                watch = Watch(self._clock, f"{self._name}/status", waiting.folder, self._wake)
                self._waiting[extension.name] = watch
            await watch.hold(waiting.until, extension.goal)
            return
        await self._unwatch(extension.name)
        self._finish(extension.name, found)

    async def _unwatch(self, name: str) -> None:
        watch = self._waiting.pop(name, None)
        if watch is not None:
            await watch.close()

    async def remove_now(self, name: str) -> Extension | None:
        """Remove one extension without regard to what else is wanted, and tell nobody; its last record.

        What is kept of it are the protected settings, which the service does not have any more.
        """
        async with self._task as task:
            extension = self._store.get(name)
            if extension is None:
                return None
            self._store.put(replace(extension, goal=extension.wanted.removed().to_json(), report=None))
            while (found := self._store.get(name)) is not None and not found.settled:
                await self._guarded(task, found)
            return found

    # -- beginning -------------------------------------------------------------------------------------------

    async def _begin(self, extension: Extension) -> bool:
        """Whether the operation is to be carried out now."""
        goal = extension.wanted
        refused = policy.refusal(self._service.config, goal)
        if refused:
            self._log.error("%s", refused, extra=by(MANAGER))
            self._refuse(extension, refused)
            return False
        if not await self._picked_up(extension):
            return False
        now = self._store.get(extension.name)
        if now is None or now.goal != extension.goal:
            return False
        work = Work(goal=extension.goal)
        self._store.put(replace(now, work=work.to_json()), power_loss=True)
        text = "Operation %s of '%s' (%s %s) begins: sequence number %d, %s"
        self._log.info(
            text,
            goal.operation_id or "-",
            goal.name,
            goal.handler,
            goal.version,
            goal.sequence,
            goal.desired,
            extra=by(MANAGER),
        )
        return True

    async def _picked_up(self, extension: Extension) -> bool:
        """Tell the service; it may say that the operation is over."""
        goal = extension.wanted
        if not goal.operation_id:
            return True
        try:
            await self._outbox.pick_up(extension)
        except CloudError as error:
            self._log.error("Operation of '%s': %s", goal.name, error, extra=by(MANAGER))
            if error.status in {404, 409, 410}:
                # It is over for the service, which lists something else by now.
                self._deferred.add(goal.name)
                return False
            return self._despite(goal)
        except (UnreachableError, AgentError) as error:
            self._log.warning("Operation of '%s': %s", goal.name, error, extra=by(MANAGER))
            return self._despite(goal)
        return True

    def _despite(self, goal: Goal) -> bool:
        """The service could not be told: go on if the operation cannot have run out."""
        if goal.expired(self._clock.now()):
            self._deferred.add(goal.name)
            return False
        return True

    def _refuse(self, extension: Extension, message: str) -> None:
        now = self._store.get(extension.name)
        if now is None or now.goal != extension.goal:
            return
        work = Work(goal=extension.goal)
        self._store.put(replace(now, work=work.to_json()))
        version = self._store.handler(extension.wanted.handler).version
        found = Outcome(state="Failed", code=str(UNKNOWN), level="Error", message=message, version=version)
        self._finish(extension.name, found)

    # -- ending ----------------------------------------------------------------------------------------------

    def _finish(self, name: str, found: Outcome) -> None:
        """Keep the end of an operation: what it has reached, and the report, in one write."""
        extension = self._store.get(name)
        if extension is None or extension.work is None:
            return
        goal = Goal.from_json(extension.work["goal"])
        result = found.document(goal, self._clock.now())
        handler = self._store.handler(goal.handler)
        current = replace(extension, goal=extension.work["goal"])
        report = outcome.final(current, handler, result) | {"operationId": goal.operation_id}
        self._store.put(
            replace(
                extension,
                work=None,
                done=list(goal.target),
                result=result,
                report=report if goal.operation_id and extension.goal == current.goal else extension.report,
                enabled=extension.enabled and not goal.removal,
            ),
            power_loss=True,
        )
        outcome.write_report(self._tools.layout, goal, result)
        text = "Operation of '%s' has ended: %s, %s"
        self._log.info(text, name, found.state, found.message.splitlines()[0], extra=by(MANAGER))
        self._outbox.wake()
        self._changed(name)

    async def _abandon(self, task: ClockTask, extension: Extension) -> None:
        """Something else is wanted: what has begun ends and has its consequences, nothing more begins.

        Raises:
            SupersededError: there would be more to do.
        """
        operation = Operation(self._tools, task, extension.name)
        await operation.settle()
        if not operation.plan:
            raise SupersededError
        self._finish(extension.name, await carry_out(operation))

    def _forget(self, name: str) -> None:
        extension = self._store.get(name)
        if extension is not None and extension.work is not None and extension.work["goal"] != extension.goal:
            self._store.put(replace(extension, work=None), power_loss=True)
            self._log.info("Operation of '%s' is superseded", name, extra=by(MANAGER))


def _order(extension: Extension) -> tuple[bool, bool, str, str]:
    """What an earlier start has begun comes first, since one command runs at a time."""
    goal, work = extension.wanted, extension.current
    runs = work.runs.values() if work else ()
    begun = any("file" in run and "ended" not in run for run in runs)
    return (not begun, not goal.removal, goal.created_at, goal.name)
