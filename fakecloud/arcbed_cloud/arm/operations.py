"""Long-running operations: a durable row, the two monitor URLs, and work that goes on after a restart.

An operation ends in one of three ways: the provider calls `succeed` or `fail` when it learns the outcome (an
agent reported), or the operation carries named work that runs at an instant of the bed's clock. Nothing ever
sleeps in a handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from arcbed_cloud.arm import times
from arcbed_cloud.arm.access import Access
from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.plane import Plane
from arcbed_cloud.store.contract import Change, Document, Unit

TERMINAL = frozenset({"Succeeded", "Failed", "Canceled"})
POLL_MILLISECONDS = 200
KEEP = timedelta(days=7)

Work = Callable[[Document], Awaitable[None]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `namespace` is None for ARM's own, which have a ``Location`` monitor only."""

    id: str
    subscription: str
    namespace: str | None
    location: str
    api_version: str

    def headers(self, request: ArmRequest) -> dict[str, str]:
        """The monitor headers, absolute and on the host that the client used.

        There is no ``Retry-After``: generated clients read it as an int on this first answer, and they poll
        at once anyway.
        """
        root = f"{request.base_url}/subscriptions/{self.subscription}"
        version = f"?api-version={self.api_version}"
        if self.namespace is None:
            return {"Location": f"{root}/operationresults/{self.id}{version}"}
        root += f"/providers/{self.namespace}/locations/{self.location}"
        return {
            "Azure-AsyncOperation": f"{root}/operationstatus/{self.id}{version}",
            "Location": f"{root}/operationresults/{self.id}{version}",
        }


def _operation(document: Document) -> Operation:
    return Operation(
        document["name"],
        document["subscriptionId"],
        document["namespace"],
        document["location"],
        document["apiVersion"],
    )


class Operations:
    """All operations of the bed; rows of the table ``operations`` keyed by the operation's id."""

    def __init__(self, plane: Plane, activity: ActivityLog, access: Access) -> None:
        self._plane = plane
        self._access = access
        self._activity = activity
        self._work: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self._started = False
        plane.store.subscribe(self._changed)

    # -- for providers -------------------------------------------------------------------------------------

    def begin(
        self,
        unit: Unit,
        request: ArmRequest,
        *,
        namespace: str | None,
        location: str,
        work: str | None = None,
        after: float = 0.0,
        arguments: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Start an operation whose id is the request's id, as HybridCompute does.

        Args:
            unit: where the operation row is written, together with the change that it is about.
            request: the call that starts it.
            namespace: the provider; None for ARM's own operations (deleting a resource group).
            location: region in the monitor URLs, normalised.
            work: a name given to `perform`; runs `after` seconds of the bed's time.
            after: see `work`.
            arguments: JSON for the work.
        """
        now = self._plane.clock.now()
        document: Document = {
            "name": request.request_id,
            "namespace": namespace,
            "location": location,
            "subscriptionId": request.target.subscription,
            "apiVersion": request.api_version,
            "status": "Queued",
            "startTime": times.iso7(now),
            "objectId": request.caller.object_id,
            "resourceId": str(request.target),
            "event": self._activity.describe(request),
        }
        if work is not None:
            document["work"] = {
                "name": work,
                "due": times.iso7(now + timedelta(seconds=after)),
                "arguments": dict(arguments or {}),
            }
        self._write(unit, document)
        return _operation(document)

    def perform(self, name: str, work: Work) -> None:
        """Say what runs for operations begun with ``work=name``; it gets the operation's document.

        The work ends with `succeed` or `fail` and may run again after a crash, so it must bear repetition.
        """
        self._work[name] = work

    def progress(self, unit: Unit, operation_id: str) -> None:
        """Queued becomes InProgress."""
        if document := self._pending(operation_id):
            self._write(unit, {**document, "status": "InProgress"})

    def succeed(self, unit: Unit, operation_id: str, properties: Any = None, *, result: Any = None) -> None:
        """End it well.

        Args:
            unit: of the change that ends it.
            operation_id: which.
            properties: what the status body carries: the whole resource for a PUT.
            result: the body behind ``Location``, for a POST that answers with something.
        """
        ended = {} if properties is None else {"properties": properties}
        if result is not None:
            ended["result"] = result
        self._end(unit, operation_id, "Succeeded", ended)

    def fail(self, unit: Unit, operation_id: str, code: str, message: str) -> None:
        """End it badly, with the ``error`` of the status body."""
        self._end(unit, operation_id, "Failed", {"error": {"code": code, "message": message}})

    def cancel(self, unit: Unit, operation_id: str, message: str) -> None:
        """End it because something else took its place."""
        self._end(
            unit, operation_id, "Canceled", {"error": {"code": "OperationCanceled", "message": message}}
        )

    def status(self, operation_id: str) -> str | None:
        """``Queued``, ``InProgress``, ``Succeeded``, ``Failed``, ``Canceled``, or None for an unknown id."""
        row = self._plane.store.get("operations", operation_id.lower())
        return row.document["status"] if row else None

    def resource_types(
        self, namespace: str, api_versions: Sequence[str], locations: Sequence[str] = ()
    ) -> list[ResourceType]:
        """The two rows by which a provider's operations are polled."""

        def row(
            path: str, operation_id: str, handler: Callable[[ArmRequest], Awaitable[ArmResponse]]
        ) -> ResourceType:
            verb = Verb(
                operation_id=operation_id,
                method="GET",
                on=On.ITEM,
                handler=handler,
                success=(200, 202) if path.endswith("results") else (200,),
                permission="",
            )
            return ResourceType(
                namespace=namespace,
                path=path,
                scope=Scope.SUBSCRIPTION,
                api_versions=api_versions,
                locations=locations,
                verbs=(verb,),
                name_parameter="operationId",
            )

        return [
            row("locations/operationstatus", "OperationStatus_Get", self.get_status),
            row("locations/operationresults", "OperationResults_Get", self.get_result),
        ]

    # -- polling -------------------------------------------------------------------------------------------

    async def get_status(self, request: ArmRequest) -> ArmResponse:
        """Name, status, startTime, and properties or error; while pending with the monitor headers."""
        document = self._visible(request)
        body = {key: document[key] for key in ("name", "status", "startTime")}
        body.update({key: document[key] for key in ("properties", "error") if key in document})
        return ArmResponse(200, body, headers=self._pace(document, request))

    async def get_result(self, request: ArmRequest) -> ArmResponse:
        """202 while pending, then 200 with the result if there is one, or the error that ended it."""
        document = self._visible(request)
        if document["status"] not in TERMINAL:
            return ArmResponse(202, headers=self._pace(document, request))
        if error := document.get("error"):
            raise ArmError(409, error["code"], error["message"], cause="service")
        return ArmResponse(200, document.get("result"))

    def _visible(self, request: ArmRequest) -> Document:
        target = request.target
        row = self._plane.store.get("operations", request.parameters["operationId"].lower())
        document = row.document if row else None
        if (
            document is None
            or (document["namespace"] or "").lower() != (target.namespace or "").lower()
            or document["subscriptionId"].lower() != (target.subscription or "").lower()
        ):
            name = request.parameters["operationId"]
            raise ArmError(404, "OperationNotFound", f"The operation '{name}' could not be found.")
        if request.caller.object_id != document["objectId"]:
            namespace = document["namespace"] or "Microsoft.Resources/subscriptions"
            action = f"{namespace}/locations/operationstatus/read"
            self._access.check(request.caller, action, f"/subscriptions/{target.subscription}")
        return document

    @staticmethod
    def _pace(document: Document, request: ArmRequest) -> dict[str, str]:
        if document["status"] in TERMINAL:
            return {}
        return {**_operation(document).headers(request), "x-ms-retry-after-ms": str(POLL_MILLISECONDS)}

    # -- running -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what an earlier process left; call it in the running event loop."""
        self._started = True
        self._changed([Change("operations", row.key, row) for row in self._plane.store.rows("operations")])
        self._hold(asyncio.get_running_loop().create_task(self.prune()))

    async def stop(self) -> None:
        """Let running work go; it starts again with the next process."""
        self._started = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def prune(self) -> None:
        """Delete operations that ended more than a week ago."""
        horizon = times.iso7(self._plane.clock.now() - KEEP)
        old = [
            row.key
            for row in self._plane.store.rows("operations")
            if row.document["status"] in TERMINAL and row.document["startTime"] < horizon
        ]
        async with self._plane.store.unit() as unit:
            for key in old:
                unit.delete("operations", key)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.table != "operations":
                continue
            timer = f"arm/operations/{change.key}"
            document = change.row.document if change.row else None
            if document is None or document["status"] in TERMINAL or "work" not in document:
                self._plane.clock.cancel(timer)
            elif self._started:
                self._schedule(timer, change.key, document)

    def _schedule(self, timer: str, key: str, document: Document) -> None:
        due = times.read(document["work"]["due"])
        if due > self._plane.clock.now():
            self._plane.clock.call_at(due, timer, lambda: self._run(timer, key))
        elif key not in self._busy:
            self._spawn(timer, key)

    def _spawn(self, timer: str, key: str) -> None:
        """Work that is due runs as a task which holds time from this instant on."""
        hold = self._plane.clock.task(timer)
        self._busy.add(key)

        async def held() -> None:
            try:
                async with hold:
                    await self._run(timer, key)
            finally:
                self._busy.discard(key)

        self._hold(asyncio.get_running_loop().create_task(held()))

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, timer: str, key: str) -> None:
        document = self._pending(key)
        work = self._work.get(document["work"]["name"]) if document else None
        if document is None or work is None:
            return
        due = times.read(document["work"]["due"])
        if due > self._plane.clock.now():  # a restored state has taken the clock back meanwhile
            self._plane.clock.call_at(due, timer, lambda: self._run(timer, key))
            return
        try:
            await work(document)
        except Exception:  # noqa: BLE001 - an operation always ends
            _log.exception("operation_failed", operation=key, work=timer)
            async with self._plane.store.unit() as unit:
                self.fail(unit, key, "InternalServerError", "The operation could not be completed.")

    def _pending(self, operation_id: str) -> Document | None:
        row = self._plane.store.get("operations", operation_id.lower())
        return row.document if row and row.document["status"] not in TERMINAL else None

    def _end(self, unit: Unit, operation_id: str, status: str, more: Document) -> None:
        document = self._pending(operation_id)
        if document is None:
            return
        ended = {**document, **more, "status": status, "endTime": times.iso7(self._plane.clock.now())}
        self._activity.completed(unit, document["event"], status)
        self._write(unit, ended)

    @staticmethod
    def _write(unit: Unit, document: Document) -> None:
        unit.put(
            "operations",
            document["name"].lower(),
            document,
            kind=(document["namespace"] or "").lower(),
            scope=document["subscriptionId"].lower(),
        )
