"""Graph's routes. No logic: authenticate, call the domain, render."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from arcbed_cloud.arm.request import Caller
from arcbed_cloud.services.entra import TokenError, Tokens
from arcbed_cloud.services.entra.audiences import GRAPH, GRAPH_APP_ID
from arcbed_cloud.services.graph import errors
from arcbed_cloud.services.graph.errors import GraphError
from arcbed_cloud.services.graph.service import COLLECTIONS, Graph

BODY_CAP = 256 * 1024
PUBLIC = frozenset({GRAPH, f"{GRAPH}/", GRAPH_APP_ID})
Authenticate = Callable[[Request], Caller]
_SAFE = re.compile(r"[\x20-\x7e]{1,128}")


def graph_app(graph: Graph, tokens: Tokens) -> FastAPI:
    """Graph as an ASGI app."""
    app = FastAPI(
        title="Microsoft Graph", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )

    def caller(request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.unauthenticated("Access token is empty.")
        own = str(request.base_url).rstrip("/")
        try:
            return tokens.verify(token.strip(), PUBLIC | {own, f"{own}/"})
        except (TokenError, UnicodeError) as error:
            raise errors.unauthenticated(str(error)) from error

    for collection in COLLECTIONS:
        _read_routes(app, graph, caller, collection)
    _write_routes(app, graph, caller)

    @app.get("/v1.0/me")
    async def me(request: Request) -> Response:
        return _json(graph.me(caller(request)), context="users/$entity")

    @app.post("/v1.0/directoryObjects/getByIds")
    async def by_ids(request: Request) -> Response:
        caller(request)
        body = await _body(request)
        ids = body.get("ids")
        if not isinstance(ids, list) or len(ids) > 1000:
            raise errors.bad_request("'ids' must be a list of at most 1000 ids.")
        types = body.get("types")
        found = graph.by_ids(ids, types if isinstance(types, list) else ())
        return _json({"value": found}, context="directoryObjects")

    @app.exception_handler(GraphError)
    async def refused(request: Request, error: GraphError) -> Response:
        request_id = graph.plane.ids.request_guid(request.method)
        given = request.headers.get("client-request-id", "")
        date = f"{datetime.fromtimestamp(graph.plane.clock.wall(), UTC):%Y-%m-%dT%H:%M:%S}"
        body = error.body(
            date=date,
            request_id=request_id,
            client_request_id=given if _SAFE.fullmatch(given) else request_id,
        )
        return _json(body, status=error.status)

    @app.exception_handler(404)
    async def unknown(request: Request, _error: Exception) -> Response:
        segment = request.url.path.rstrip("/").rpartition("/")[2]
        return await refused(
            request, GraphError(404, "BadRequest", f"Resource not found for the segment '{segment}'.")
        )

    return app


def _read_routes(app: FastAPI, graph: Graph, caller: Authenticate, collection: str) -> None:
    @app.get(f"/v1.0/{collection}")
    async def listed(request: Request) -> Response:
        caller(request)
        return _json(
            {"value": graph.listed(collection, request.query_params.get("$filter"))}, context=collection
        )

    @app.get(f"/v1.0/{collection}/{{name}}")
    async def one(request: Request, name: str) -> Response:
        caller(request)
        return _json(graph.one(collection, name), context=f"{collection}/$entity")


def _write_routes(app: FastAPI, graph: Graph, caller: Authenticate) -> None:
    @app.post("/v1.0/applications")
    async def create_application(request: Request) -> Response:
        made = await graph.create_application(caller(request), await _body(request))
        return _json(made, status=201, context="applications/$entity")

    @app.post("/v1.0/servicePrincipals")
    async def create_service_principal(request: Request) -> Response:
        made = await graph.create_service_principal(caller(request), await _body(request))
        return _json(made, status=201, context="servicePrincipals/$entity")

    for collection in ("applications", "servicePrincipals"):
        _credential_routes(app, graph, caller, collection)


def _credential_routes(app: FastAPI, graph: Graph, caller: Authenticate, collection: str) -> None:
    @app.post(f"/v1.0/{collection}/{{name}}/addPassword")
    async def add_password(request: Request, name: str) -> Response:
        made = await graph.add_password(caller(request), collection, name, await _body(request))
        return _json(made, context="microsoft.graph.passwordCredential")

    @app.delete(f"/v1.0/{collection}/{{name}}")
    async def delete(request: Request, name: str) -> Response:
        await graph.delete(caller(request), collection, name)
        return Response(status_code=204)


async def _body(request: Request) -> dict[str, Any]:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_CAP:
            raise GraphError(413, "RequestEntityTooLarge", "The request body is too large.")
    try:
        document = orjson.loads(content or b"{}")
    except ValueError as error:
        raise errors.bad_request("Unable to read JSON request payload.") from error
    if not isinstance(document, dict):
        raise errors.bad_request("The request payload must be a JSON object.")
    return document


def _json(document: dict[str, Any], *, status: int = 200, context: str = "") -> Response:
    if context:
        document = {"@odata.context": f"{GRAPH}/v1.0/$metadata#{context}", **document}
    return Response(
        orjson.dumps(document), status, {"Cache-Control": "no-cache"}, "application/json; charset=utf-8"
    )
