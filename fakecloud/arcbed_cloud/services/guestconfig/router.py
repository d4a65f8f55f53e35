"""The service's routes. No logic: parse, call the domain, answer.

The global and the regional hosts serve the same, as the regions of a bed are one process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from arcbed_cloud.services.blob.errors import BlobError
from arcbed_cloud.services.blob.serving import answer
from arcbed_cloud.services.guestconfig import extension_reports, findings
from arcbed_cloud.services.guestconfig.addresses import Address
from arcbed_cloud.services.guestconfig.limits import Rate
from arcbed_cloud.services.guestconfig.pulls import Continued, PullAnswer
from arcbed_cloud.services.guestconfig.service import AgentService
from arcbed_cloud.services.his.errors import HisError, invalid_request
from arcbed_cloud.services.his.gate import App, Gate
from arcbed_cloud.services.his.regions import CONTRACT
from arcbed_cloud.services.his.requests import bearer, body, refusal, version

Handler = Callable[[Request], Awaitable[Response]]
Pull = Callable[..., Awaitable[PullAnswer]]
_CODES = {404: "NotFound", 405: "MethodNotAllowed"}


def gas_app(service: AgentService) -> App:
    """The service as an ASGI app. Every error has the service's shape."""
    routes = _Routes(service)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/discovery", routes.discovery),
        ("GET", "/virtualMachines/{vm_id}/assignments", routes.assignments),
        ("PUT", "/virtualMachines/{vm_id}/assignments/{name}/reports/{report_id}", routes.report),
        ("GET", "/virtualMachines/{vm_id}/packages/{sha256}", routes.package),
        ("GET", "/virtualMachines/{vm_id}/extensions", routes.extensions),
        ("PUT", "/virtualMachines/{vm_id}/extensions/{name}/operations/{operation_id}", routes.extension),
        ("PUT", "/virtualMachines/{vm_id}/extensions/{name}/status", routes.extension),
    ]
    app = Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in table],
        exception_handlers={HisError: _refused, HTTPException: _unknown},
    )
    app.router.redirect_slashes = False
    return Gate(app, service.plane, "gas")


class _Routes:
    def __init__(self, service: AgentService) -> None:
        self._service = service

    async def discovery(self, request: Request) -> Response:
        """G1."""
        version(request, (CONTRACT,))
        return _json({"endpoint": _address(request).regional(request.query_params.get("location", ""))})

    async def assignments(self, request: Request) -> Response:
        """G2."""
        return await self._pull(request, self._service.pulls.pull, self._service.pull_rate)

    async def extensions(self, request: Request) -> Response:
        """G4."""
        return await self._pull(request, self._service.goal_states.pull)

    async def extension(self, request: Request) -> Response:
        """G5 and G6."""
        version(request, (CONTRACT,))
        names = request.path_params
        machine = self._service.machine(names["vm_id"], bearer(request))
        content = await body(request, extension_reports.CAP)
        take = self._service.extension_reports.take
        return _json({"accepted": await take(machine, names["name"], names.get("operation_id"), content)})

    async def _pull(self, request: Request, pull: Pull, rate: Rate | None = None) -> Response:
        version(request, (CONTRACT,))
        machine = self._service.machine(request.path_params["vm_id"], bearer(request))
        continued = _continued(request)
        if rate is not None and continued is None:
            rate.admit(machine.key)
        tags = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        found = await pull(machine, known_tags=tags, address=_address(request), continued=continued)
        headers = {"ETag": found.etag, "x-arc-next-seconds": str(found.next_seconds)}
        if found.body is None:
            return Response(status_code=304, headers=headers)
        return Response(found.body, media_type="application/json", headers=headers)

    async def report(self, request: Request) -> Response:
        """G3."""
        version(request, (CONTRACT,))
        names = request.path_params
        machine = self._service.machine(names["vm_id"], bearer(request))
        self._service.report_rate.admit(machine.key)
        content = await body(request, findings.CAP)
        taken = await self._service.report(machine, names["name"], names["report_id"], content)
        document = {"reportId": names["report_id"], "applied": taken.applied}
        return _json(document, 201 if taken.new else 200)

    async def package(self, request: Request) -> Response:
        """G7."""
        version(request, (CONTRACT,))
        machine = self._service.machine(request.path_params["vm_id"], bearer(request))
        blob = self._service.package(machine, request.path_params["sha256"])
        file = self._service.blobs.file(blob)
        try:
            return answer(blob, file, request.headers, head=request.method == "HEAD", extra={})
        except BlobError as error:
            raise HisError(error.status, error.code, error.message, headers=error.headers) from error


def _address(request: Request) -> Address:
    return Address(str(request.base_url).rstrip("/"))


def _continued(request: Request) -> Continued | None:
    query = request.query_params
    if "after" not in query:
        return None
    generation = query.get("generation", "")
    if not (generation.isascii() and generation.isdecimal() and len(generation) < 16):
        raise invalid_request("'generation' must be a whole number.", "generation")
    return Continued(int(generation), query["after"])


def _json(document: object, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HisError):
        raise error
    return refusal(request, error)


async def _unknown(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _CODES.get(error.status_code, "InvalidRequest")
    return refusal(request, HisError(error.status_code, code, str(error.detail)))
