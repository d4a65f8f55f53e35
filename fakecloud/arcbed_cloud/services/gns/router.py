"""The routes of the notification service: ``docs/wire.md``, section 13.1.

``GET /urls/allowlist`` says which relay names stand behind the wildcard of the network requirements
(Microsoft's article "Connected Machine agent network requirements", subset of endpoints for the notification
service).
"""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from arcbed_cloud.plane import Plane
from arcbed_cloud.services.gns import channels
from arcbed_cloud.services.his import HisService
from arcbed_cloud.services.his.errors import HisError, invalid_request, unsupported_version
from arcbed_cloud.services.his.gate import App, Gate
from arcbed_cloud.services.his.regions import CONTRACT, region
from arcbed_cloud.services.his.requests import bearer, body, version
from arcbed_cloud.services.relay import Relay

VERSIONS = ("2020-01-01",)
CAP = 8_192


def gns_app(plane: Plane, his: HisService, relay: Relay) -> App:
    """The service as an ASGI app. Nobody signs in for the list; a channel is for the machine itself."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    @app.get("/urls/allowlist")
    async def allow_list(request: Request) -> Response:
        asked = request.query_params.get("api-version", "")
        if asked not in VERSIONS:
            raise unsupported_version(asked, VERSIONS)
        if request.query_params.get("location") is None:
            raise invalid_request("The query parameter 'location' is required.", "location")
        found = channels.names(region(request.query_params["location"]), request.headers.get("host", ""))
        return Response(orjson.dumps(found), media_type="application/json")

    @app.post("/machine/{vm_id}/channel")
    async def channel(request: Request, vm_id: str) -> Response:
        version(request, (CONTRACT,))
        machine = his.machine(vm_id)
        his.check_caller(machine, his.caller(bearer(request)))
        if his.identities.expired(vm_id):
            raise HisError(403, "IdentityExpired", "The machine's identity has expired.")
        _check(await body(request, CAP))
        found = channels.answer(relay, machine, request.headers.get("host", ""))
        return Response(orjson.dumps(found), media_type="application/json")

    @app.exception_handler(HisError)
    async def refused(request: Request, error: HisError) -> Response:
        body = error.body(request.state.request_id)
        return Response(body, error.status, {"x-ms-error-code": error.code}, "application/json")

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        code = "MethodNotAllowed" if error.status_code == 405 else "NotFound"
        return await refused(request, HisError(error.status_code, code, str(error.detail)))

    return Gate(app, plane)


def _check(content: bytes) -> None:
    """The body says who listens: ``{"instanceId", "features"}``.

    Raises:
        HisError: 400.
    """
    try:
        document = orjson.loads(content)
    except ValueError as error:
        raise invalid_request("The body is no JSON.") from error
    if not isinstance(document, dict) or not isinstance(document.get("instanceId"), str):
        raise invalid_request("'instanceId' is required.", "instanceId")
    features = document.get("features", [])
    if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
        raise invalid_request("'features' must be a list of texts.", "features")
