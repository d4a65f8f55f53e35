"""``GET /urls/allowlist``: which relay names stand behind the wildcard of the network requirements.

Source: Microsoft's article "Connected Machine agent network requirements", subset of endpoints for the
notification service; the contract is ``docs/wire.md``, section 13.1.
"""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from arcbed_cloud import hosts
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.his.errors import HisError, invalid_request, unsupported_version
from arcbed_cloud.services.his.gate import App, Gate
from arcbed_cloud.services.his.regions import RELAYS, SHARDS, region

VERSIONS = ("2020-01-01",)
#: Names for each region; Azure has some per data centre.
NAMES = 2


def gns_app(plane: Plane) -> App:
    """The service as an ASGI app. Nobody signs in to it."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    @app.get("/urls/allowlist")
    async def allow_list(request: Request) -> Response:
        version = request.query_params.get("api-version", "")
        if version not in VERSIONS:
            raise unsupported_version(version, VERSIONS)
        if request.query_params.get("location") is None:
            raise invalid_request("The query parameter 'location' is required.", "location")
        found = names(region(request.query_params["location"]), request.headers.get("host", ""))
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


def names(location: str, host: str) -> list[str]:
    """The relay names of a normalised region, in the cloud whose host was asked."""
    top = hosts.bare(host).rpartition(".")[2]
    suffix = RELAYS.get(top, RELAYS["com"])
    shard = SHARDS[location]
    return [f"azgn-{location}-public-{number}p-{shard}-001.{suffix}" for number in range(1, NAMES + 1)]
