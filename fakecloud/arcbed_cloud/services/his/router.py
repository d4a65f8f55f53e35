"""The service's routes. No logic: parse, call the domain, render."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from arcbed_cloud.services.his.errors import HisError, invalid_request
from arcbed_cloud.services.his.gate import App, Gate, Receive, Scope, Send
from arcbed_cloud.services.his.identities import IdentityRequest
from arcbed_cloud.services.his.regions import CONTRACT, Address, region
from arcbed_cloud.services.his.requests import authorization, bearer, body, refusal, version
from arcbed_cloud.services.his.service import HisService
from arcbed_cloud.services.packages.router import package_response, script_response

BODY_CAP = 65_536
# Answers above this many bytes are compressed for those who ask: certificates are, heartbeats are not.
COMPRESSED_FROM = 2_048
TEXT_VERSIONS = ("1.0-preview", "1.1-preview", "2.1")
_HEARTBEAT = re.compile(r"/machine/([^/]+)/heartbeat")
_CODES = {404: "NotFound", 405: "MethodNotAllowed"}


def his_app(service: HisService) -> App:
    """The service as an ASGI app. Every error has the service's shape."""
    app = FastAPI(
        title="Hybrid Identity Service",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _anonymous_routes(app, service)
    _machine_routes(app, service)

    @app.exception_handler(HisError)
    async def refused(request: Request, error: HisError) -> Response:
        return refusal(request, error)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "InvalidRequest")
        found = HisError(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))
        return refusal(request, found)

    return Gate(_Ahead(service, GZipMiddleware(app, minimum_size=COMPRESSED_FROM)), service.plane)


class _Ahead:
    """Heartbeats, which are nearly all of the service's requests, pass by what would double their cost."""

    def __init__(self, service: HisService, app: App) -> None:
        self._service = service
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a heartbeat; leave everything else, other methods included, to the routes."""
        found = _HEARTBEAT.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await _heartbeat(self._service, request, found[1])
        except HisError as error:
            response = refusal(request, error)
        await response(scope, receive, send)


def _anonymous_routes(app: FastAPI, service: HisService) -> None:
    @app.get("/discovery")
    async def discovery(request: Request) -> Response:
        asked = version(request, (*TEXT_VERSIONS, CONTRACT))
        place = region(request.query_params.get("location", ""))
        address = _address(request)
        return _json(address.services(place) if asked == CONTRACT else address.his(place))

    @app.put("/log")
    async def log(request: Request) -> Response:
        await service.log(await body(request, BODY_CAP), request.headers.get("content-type", ""))
        return Response(b"{}", media_type="application/json")

    @app.get("/agent/versions")
    async def versions(request: Request) -> Response:
        os_type = request.query_params.get("osType", "")
        return _json(service.versions(os_type, _address(request).base))

    @app.get("/azcmagent-linux")
    async def script() -> Response:
        return script_response()

    @app.get("/azcmagent/{version}/{file}")
    async def package(version: str, file: str) -> Response:
        return package_response(service.package(version, file))

    @app.get("/healthz")
    @app.get("/.well-known/arc-sim")
    async def health() -> Response:
        return _json(service.health())

    @app.get("/connectivitytest")
    async def connectivity_test() -> Response:
        return Response(status_code=200)

    @app.get("/")
    async def root() -> Response:
        raise invalid_request("There is nothing at this address.")


def _machine_routes(app: FastAPI, service: HisService) -> None:
    @app.post("/machine/{vm_id}/heartbeat")
    async def heartbeat(request: Request, vm_id: str) -> Response:
        return await _heartbeat(service, request, vm_id)

    @app.api_route("/machine/{vm_id}/identity", methods=["GET", "POST"])
    async def identity(request: Request, vm_id: str) -> Response:
        version(request, (CONTRACT,))
        service.machine(vm_id)
        scheme, token = authorization(request)
        wish = IdentityRequest(
            method=request.method,
            url=_url(request),
            body=await body(request, BODY_CAP),
            proof=token if scheme == "pop" else request.headers.get("x-arc-proof", ""),
            request_id=request.headers.get("repeatability-request-id", ""),
            address=_address(request),
        )
        answer = await service.identity(vm_id, wish, token if scheme == "bearer" else None)
        return _json(answer.document, headers=_repeated(repeated=answer.repeated))

    @app.get("/machine/{vm_id}/config")
    async def config(request: Request, vm_id: str) -> Response:
        version(request, (CONTRACT,))
        service.machine(vm_id)
        found = service.config(vm_id, service.caller(bearer(request)), _address(request))
        wanted = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        if found.etag in wanted or "*" in wanted:
            return Response(status_code=304, headers={"ETag": found.etag})
        return Response(found.body, media_type="application/json", headers={"ETag": found.etag})


async def _heartbeat(service: HisService, request: Request, vm_id: str) -> Response:
    version(request, (CONTRACT,))
    service.machine(vm_id)
    caller = service.caller(bearer(request))
    answer = await service.heartbeat(
        vm_id,
        caller,
        await body(request, BODY_CAP),
        instance=request.headers.get("x-arc-instance", ""),
        request_id=request.headers.get("repeatability-request-id", ""),
    )
    headers = _repeated(repeated=answer.repeated)
    return Response(answer.body, media_type="application/json", headers=headers)


def _address(request: Request) -> Address:
    return Address(str(request.base_url).rstrip("/"))


def _url(request: Request) -> str:
    """The URL as the client sees it, without its query; a path prefix may or may not be part of the path."""
    root, path = request.scope.get("root_path", ""), request.scope["path"]
    return f"{_address(request).base}{path.removeprefix(root)}"


def _repeated(*, repeated: bool) -> dict[str, str]:
    return {"Repeatability-Result": "accepted"} if repeated else {}


def _json(document: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(document), media_type="application/json", headers=dict(headers) if headers else None
    )
