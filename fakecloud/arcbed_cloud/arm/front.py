"""ARM's front door: a raw ASGI application that checks a call, finds its handler in the table and answers.

The order of checks: request ids, whether there is an api-version, authentication, api-version and type,
subscription, method, request limits, role, provider registration, resource group, parent, body, handler.
A call without api-version is told so even where it has no token, as anybody sees who opens
https://management.azure.com/ in a browser.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog

from arcbed_cloud.arm import openapi, times, versions, wire
from arcbed_cloud.arm.access import Access
from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.arm.authentication import Authentication
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, group_not_found, parent_not_found
from arcbed_cloud.arm.operations import Operations
from arcbed_cloud.arm.registration import Registrations
from arcbed_cloud.arm.request import ArmRequest, ArmResponse, Caller
from arcbed_cloud.arm.routing import Plan, Route, Router
from arcbed_cloud.arm.table import On, ResourceType, Verb
from arcbed_cloud.arm.throttle import Throttle
from arcbed_cloud.arm.wire import Call
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers import authorization, insights, resources
from arcbed_cloud.providers.authorization.roles import BUILTIN
from arcbed_cloud.providers.resources import metadata
from arcbed_cloud.services.entra import Directory, Tokens

_WRITES = frozenset({"PUT", "PATCH", "POST", "DELETE"})
_BODIES = frozenset({"PUT", "PATCH", "POST"})
_GROUPS = "subscriptions/resourceGroups"

_log = structlog.get_logger(__name__)


class _NotSupported(Exception):  # noqa: N818 - answered in a shape of its own
    """405 has no error envelope in ARM."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.body = f'{{"Message":"The requested resource does not support http method \'{method}\'."}}'


class ArmFront:
    """Everything under ARM.

    Args:
        plane: clock, state and chance.
        tokens: verifies access tokens.
        directory: the tenant's principals.
    """

    def __init__(self, plane: Plane, tokens: Tokens, directory: Directory) -> None:
        self._plane = plane
        self._router = Router()
        self._authentication = Authentication(tokens, directory)
        self._throttle = Throttle(plane.clock.monotonic, enforced=plane.settings.request_limits)
        self._routing = (0, "")
        self.activity = ActivityLog(plane)
        self.access = Access(plane, BUILTIN)
        self.registrations = Registrations(plane)
        self.operations = Operations(plane, self.activity, self.access)
        self.context = ProviderContext(
            plane=plane,
            directory=directory,
            operations=self.operations,
            access=self.access,
            registrations=self.registrations,
            table=self._router.types,
        )
        for provider in (resources, authorization, insights):
            self.register(provider.resource_types(self.context))

    def register(self, types: Iterable[ResourceType]) -> None:
        """Add a provider's rows; a namespace new to the table also gets its ``operations`` list."""
        rows = list(types)
        new = {row.namespace for row in rows if row.namespace.lower() not in self._router.namespaces}
        self._router.register(rows)
        for namespace in sorted(new):
            self._router.register([resources.operations_type(self.context, namespace)])

    def startup(self) -> None:
        """Take up the operations that an earlier process left; call it in the running event loop."""
        self.operations.start()

    async def shutdown(self) -> None:
        """Let go of what still runs."""
        await self.operations.stop()

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.0 document of every operation in the table."""
        return openapi.document(self._router.types)

    def operation_id(self, method: str, path: str, version: str) -> str:
        """The swagger operation id of a call; empty where it means nothing."""
        try:
            plan = self._router.find(path.removeprefix("/arm"), version).plan(method, version)
        except ArmError:
            return ""
        return plan.verb.operation_id if plan else ""

    # -- one call ------------------------------------------------------------------------------------------

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        call = wire.read(scope, self._plane.ids.request_guid(scope["method"]))
        headers = wire.own_headers(call, self._region_and_second())
        try:
            status, content = await self._answer(call, receive, headers)
        except wire.ClientGone:
            return
        except ArmError as error:
            status, content = error.status, error.body()
            headers.append((b"x-ms-failure-cause", error.cause.encode()))
            headers += wire.encoded(error.headers.items())
        except _NotSupported as error:
            status, content = 405, error.body.encode()
            headers.append((b"x-ms-failure-cause", b"gateway"))
        except Exception:  # noqa: BLE001 - no input may end in a traceback for the client
            _log.exception("arm_call_failed", method=call.method, path=call.path, request_id=call.request_id)
            status, content = 500, self._unexpected(call).body()
            headers.append((b"x-ms-failure-cause", b"gateway"))
        if call.method == "HEAD":
            content = b""
        await wire.respond(send, status, headers, content)

    async def _answer(
        self, call: Call, receive: wire.Receive, headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, bytes]:
        if metadata.is_asked(call.path):
            return 200, metadata.answer(call)
        version = versions.read(call.query)
        caller = self._authentication.caller(call)
        route = self._router.find(call.path, version)
        if version not in route.row.api_versions:
            raise versions.unsupported(route.row, version, self._location(route))
        self._check_subscription(route)
        plan = route.plan(call.method, version)
        if plan is None:
            raise _NotSupported(call.method)
        headers += self._throttle.count(route.subscription or "", caller.object_id, call.method, call.path)
        request = self._request(call, caller, route, plan, version)
        logged = call.method in _WRITES and plan.verb.logged and route.subscription is not None
        handle = self._write if logged else self._handle
        response = await handle(call, receive, route, plan.verb, request)
        if response.headers:
            headers += wire.encoded(response.headers.items())
        if call.method == "HEAD" and response.status == 200 and route.on is On.ITEM:
            return 204, b""
        return response.status, response.content()

    async def _write(
        self, call: Call, receive: wire.Receive, route: Route, verb: Verb, request: ArmRequest
    ) -> ArmResponse:
        """Handle a write and log it: one commit holds both, and comes before the answer."""
        async with self._plane.store.together() as unit:
            try:
                answer: ArmResponse | ArmError = await self._handle(call, receive, route, verb, request)
            except ArmError as error:
                answer = error
            self.activity.answered(unit, request, answer.status)
        if isinstance(answer, ArmError):
            raise answer
        return answer

    async def _handle(
        self, call: Call, receive: wire.Receive, route: Route, verb: Verb, request: ArmRequest
    ) -> ArmResponse:
        if request.action:
            self.access.check(request.caller, request.action, route.scope)
        self._check_registration(call, route)
        self._check_group(call, route)
        if call.method in _BODIES:
            request.body = await wire.body(call, receive)
        return await verb.handler(request)

    @staticmethod
    def _request(call: Call, caller: Caller, route: Route, plan: Plan, version: str) -> ArmRequest:
        return ArmRequest(
            method=call.method,
            path=call.path,
            query=call.query,
            headers=call.headers,
            body=b"",
            base_url=call.base_url,
            caller=caller,
            target=route.target,
            api_version=version,
            request_id=call.request_id,
            correlation_id=call.correlation_id,
            client_ip=call.client_ip,
            action=plan.action,
            parameters=route.parameters,
        )

    # -- checks --------------------------------------------------------------------------------------------

    def _check_subscription(self, route: Route) -> None:
        if route.subscription is None or self._plane.store.get("resources", route.subscription) is not None:
            return
        subscription = route.target.subscription or ""
        try:
            UUID(subscription)
        except ValueError:
            raise ArmError(
                400,
                "InvalidSubscriptionId",
                f"The provided subscription identifier '{subscription}' is malformed or invalid.",
            ) from None
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")

    def _location(self, route: Route) -> str:
        """What NoRegisteredProviderFound names: where the resource is, else its group."""
        target = route.target
        for key in (target.key, route.group or ""):
            row = self._plane.store.get("resources", key)
            if row is not None and "location" in row.document:
                return str(row.document["location"])
        return "global"

    def _check_registration(self, call: Call, route: Route) -> None:
        row, subscription = route.row, route.target.subscription
        if call.method in _WRITES and not row.root and subscription is not None:
            self.registrations.require(subscription, row.namespace)

    def _check_group(self, call: Call, route: Route) -> None:
        if route.group is None or route.row.path == _GROUPS:
            return
        name = route.target.group or ""
        group = self._plane.store.get("resources", route.group)
        if group is None:
            raise group_not_found(name)
        if call.method in _BODIES and (group.document["properties"]["provisioningState"] == "Deleting"):
            raise ArmError(
                409,
                "ResourceGroupBeingDeleted",
                f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
            )
        if route.parent is not None and self._plane.store.get("resources", route.parent.key) is None:
            raise parent_not_found(route.row.type, str(route.parent))

    # -- answers -------------------------------------------------------------------------------------------

    def _region_and_second(self) -> str:
        now = self._plane.clock.now()
        second = int(now.timestamp())
        if self._routing[0] != second:
            self._routing = (second, f"WESTEUROPE:{times.compact(now)}")
        return self._routing[1]

    def _unexpected(self, call: Call) -> ArmError:
        return ArmError(
            500,
            "InternalServerError",
            "Encountered internal server error. Diagnostic information: timestamp "
            f"'{times.compact(self._plane.clock.now())}', tracking id '{call.correlation_id}', "
            f"request correlation id '{call.request_id}'.",
        )
