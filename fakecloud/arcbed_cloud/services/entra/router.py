"""The authority's routes. No logic: parse, call the domain, render."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import orjson
from fastapi import FastAPI, Request, Response

from arcbed_cloud.services.entra import claims, errors, metadata, pages
from arcbed_cloud.services.entra.errors import EntraError
from arcbed_cloud.services.entra.signin import SHARED_TENANTS, Call, SignIn

FORM_CAP = 64 * 1024
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def entra_app(signin: SignIn) -> FastAPI:
    """The authority as an ASGI app. Unknown paths get Entra's 404."""
    app = FastAPI(title="Entra ID", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _discovery_routes(app, signin)
    _token_routes(app, signin)
    _page_routes(app, signin)

    @app.exception_handler(EntraError)
    async def refused(request: Request, error: EntraError) -> Response:
        plane = signin.plane
        trace_id = plane.ids.request_guid(request.method)
        body = error.body(
            trace_id=trace_id,
            correlation_id=_correlation(request) or plane.ids.request_guid(request.method),
            wall=plane.clock.wall(),
            base=base_of(request),
        )
        answer = _json(request, body, error.status)
        answer.headers["x-ms-request-id"] = trace_id
        return answer

    @app.exception_handler(405)
    async def wrong_method(request: Request, _error: Exception) -> Response:
        answer = await refused(request, errors.wrong_method(request.method))
        answer.status_code = 405
        return answer

    @app.exception_handler(404)
    async def unknown_path(request: Request, _error: Exception) -> Response:
        text = f"There is nothing at {request.url.path}."
        return _json(request, {"error": "invalid_request", "error_description": text}, 404)

    return app


def _discovery_routes(app: FastAPI, signin: SignIn) -> None:
    @app.get("/{_tenant}/discovery/instance")
    async def instance(
        request: Request, authorization_endpoint: str = "", _tenant: str = "common"
    ) -> Response:
        if not authorization_endpoint:
            raise errors.missing_parameter("authorization_endpoint")
        base = base_of(request)
        known = frozenset(host.lower() for host in signin.plane.settings.extra_hosts)
        return _json(
            request,
            metadata.instance_discovery(base, authorization_endpoint, port=_port(request, base), known=known),
        )

    @app.get("/{tenant}/.well-known/openid-configuration")
    async def configuration_v1(request: Request, tenant: str) -> Response:
        return _configuration(request, tenant, 1)

    @app.get("/{tenant}/v2.0/.well-known/openid-configuration")
    async def configuration_v2(request: Request, tenant: str) -> Response:
        return _configuration(request, tenant, 2)

    def _configuration(request: Request, tenant: str, version: int) -> Response:
        found = signin.tenant(tenant, metadata=True)
        return _json(
            request,
            metadata.openid_configuration(
                base_of(request), found, shared=found in SHARED_TENANTS, version=version
            ),
        )

    @app.get("/{tenant}/discovery/keys")
    @app.get("/{tenant}/discovery/v2.0/keys")
    async def keys(request: Request, tenant: str) -> Response:
        found = signin.tenant(tenant, metadata=True)
        owner = "{tenantid}" if found in SHARED_TENANTS else found
        v2 = request.url.path.endswith("/v2.0/keys")
        issuer = f"{base_of(request)}/{owner}/v2.0" if v2 else claims.issuer_v1(owner)
        return _json(request, {"keys": [key.jwk(issuer) for key in signin.tokens.keys.published]})


def _token_routes(app: FastAPI, signin: SignIn) -> None:
    @app.post("/{tenant}/oauth2/token")
    async def token_v1(request: Request, tenant: str) -> Response:
        return _json(request, await signin.token(await _call(request, tenant, 1)))

    @app.post("/{tenant}/oauth2/v2.0/token")
    async def token_v2(request: Request, tenant: str) -> Response:
        return _json(request, await signin.token(await _call(request, tenant, 2)))

    @app.post("/{tenant}/oauth2/devicecode")
    async def device_v1(request: Request, tenant: str) -> Response:
        return _json(request, await signin.device_code(await _call(request, tenant, 1)))

    @app.post("/{tenant}/oauth2/v2.0/devicecode")
    async def device_v2(request: Request, tenant: str) -> Response:
        return _json(request, await signin.device_code(await _call(request, tenant, 2)))


def _page_routes(app: FastAPI, signin: SignIn) -> None:
    @app.get("/devicelogin")
    @app.get("/common/oauth2/deviceauth")
    async def device_page(otc: str = "") -> Response:
        return _html(pages.entry(signin.directory.search(kind="User"), code=otc[:20]))

    @app.post("/devicelogin")
    async def device_answer(request: Request) -> Response:
        people = signin.directory.search(kind="User")
        if not _same_origin(request):
            return _html(pages.entry(people, problem="The form was sent from another site."), 403)
        form = await _form(request)
        code = form.get("code", "").strip()
        person = next((entry for entry in people if entry.object_id == form.get("user")), None)
        approved = form.get("answer") != "deny"
        if approved and person is None:
            return _html(pages.entry(people, code=code, problem="Choose who signs in."), 400)
        try:
            decided = await signin.grants.decide(
                code, user_id=person.object_id if approved and person else None
            )
        except EntraError:
            problem = "That code did not work. Check it, or get a new one from your app or device."
            return _html(pages.entry(people, code=code, problem=problem), 400)
        return _html(pages.done(decided, person if approved else None))


# -- reading ---


def base_of(request: Request) -> str:
    """The authority as the client spelled it, without a closing slash."""
    return str(request.base_url).rstrip("/")


def _port(request: Request, base: str) -> int:
    spelled = urlsplit(base).port
    server = request.scope.get("server")
    return spelled or (server[1] if server and server[1] else 443)


async def _call(request: Request, tenant: str, version: Literal[1, 2]) -> Call:
    return Call(
        base=base_of(request),
        tenant=tenant,
        version=version,
        form=await _form(request),
        client_ip=request.client.host if request.client else "127.0.0.1",
    )


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_CAP:
            raise EntraError(413, "invalid_request", 90100, "The request body is too large.")
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200))
    except ValueError as error:
        raise EntraError(
            400, "invalid_request", 9002313, "Invalid request. Request is malformed or invalid."
        ) from error
    return {**_basic(request), **form}


def _basic(request: Request) -> dict[str, str]:
    """Client id and secret from a Basic header, where a client prefers that to the body."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


def _same_origin(request: Request) -> bool:
    """Forms of other sites (``null`` in a sandbox) are told by their Origin; who sends none is no browser."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _correlation(request: Request) -> str:
    given = request.headers.get("client-request-id") or request.query_params.get("client-request-id") or ""
    return given if len(given) <= 64 and given.isascii() and given.isprintable() else ""


# -- answering ---


def _json(request: Request, document: Any, status: int = 200) -> Response:
    headers = {
        "Cache-Control": "no-store, no-cache",
        "Pragma": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if given := _correlation(request):
        headers["client-request-id"] = given
    return Response(orjson.dumps(document), status, headers, "application/json; charset=utf-8")


def _html(page: str, status: int = 200) -> Response:
    return Response(page, status, SECURITY_HEADERS, "text/html; charset=utf-8")
