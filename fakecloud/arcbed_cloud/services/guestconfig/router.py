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

from arcbed_cloud.services.guestconfig import findings
from arcbed_cloud.services.guestconfig.addresses import Address
from arcbed_cloud.services.guestconfig.pulls import Continued
from arcbed_cloud.services.guestconfig.service import AgentService
from arcbed_cloud.services.his.errors import HisError, invalid_request
from arcbed_cloud.services.his.gate import App, Gate
from arcbed_cloud.services.his.regions import CONTRACT
from arcbed_cloud.services.his.requests import bearer, body, refusal, version

Handler = Callable[[Request], Awaitable[Response]]
_CODES = {404: "NotFound", 405: "MethodNotAllowed"}


def gas_app(service: AgentService) -> App:
    """The service as an ASGI app. Every error has the service's shape."""
    routes = _Routes(service)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/discovery", routes.discovery),
        ("GET", "/virtualMachines/{vm_id}/assignments", routes.assignments),
        ("PUT", "/virtualMachines/{vm_id}/assignments/{name}/reports/{report_id}", routes.report),
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
        version(request, (CONTRACT,))
        machine = self._service.machine(request.path_params["vm_id"], bearer(request))
        tags = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        found = await self._service.pulls.pull(
            machine, known_tags=tags, address=_address(request), continued=_continued(request)
        )
        headers = {"ETag": found.etag, "x-arc-next-seconds": str(found.next_seconds)}
        if found.body is None:
            return Response(status_code=304, headers=headers)
        return Response(found.body, media_type="application/json", headers=headers)

    async def report(self, request: Request) -> Response:
        """G3."""
        version(request, (CONTRACT,))
        names = request.path_params
        machine = self._service.machine(names["vm_id"], bearer(request))
        content = await body(request, findings.CAP)
        taken = await self._service.report(machine, names["name"], names["report_id"], content)
        document = {"reportId": names["report_id"], "applied": taken.applied}
        return _json(document, 201 if taken.new else 200)


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
