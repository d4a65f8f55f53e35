"""The testbed's API as an ASGI app. Shapes carry ``apiVersion``; see ``docs/reference/admin-api.md``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from arcbed_cloud.admin.bed import Bed, masked
from arcbed_cloud.admin.blobs import blob_routes
from arcbed_cloud.admin.bodies import answer
from arcbed_cloud.admin.clock import clock_routes
from arcbed_cloud.admin.extensions import extension_routes
from arcbed_cloud.admin.guard import Guard, load_or_make_token
from arcbed_cloud.admin.health import failure
from arcbed_cloud.admin.packages import package_routes
from arcbed_cloud.admin.principals import Principals, UnknownRoleError
from arcbed_cloud.arm.front import ArmFront
from arcbed_cloud.clock import ClockStalledError
from arcbed_cloud.dispatch import App
from arcbed_cloud.services.blob import BlobStore
from arcbed_cloud.services.entra import Tokens
from arcbed_cloud.services.entra.directory import UnknownPrincipalError
from arcbed_cloud.services.entra.errors import EntraError
from arcbed_cloud.services.entra.grants import DeviceCode
from arcbed_cloud.services.entra.signin import SignIn
from arcbed_cloud.services.extensions import Gallery
from arcbed_cloud.services.packages import Shelf
from arcbed_cloud.store import SnapshotError

Limit = Annotated[int, Query(ge=1, le=10_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPrincipal(_Body):
    """A principal to make; with `role`, a built-in one, at `scope` (default: the subscription)."""

    name: str = Field(min_length=1, max_length=256)
    kind: Literal["ServicePrincipal", "User"] = "ServicePrincipal"
    role: str | None = None
    scope: str | None = None
    secretSeconds: float = Field(default=365 * 86_400, gt=0)  # noqa: N815 - JSON's spelling


class Approval(_Body):
    """Who signs in: object id or principal name; the first user if left out."""

    user: str | None = None


class Rotation(_Body):
    """How many earlier keys go on being accepted."""

    keep: int = Field(default=1, ge=0, le=10)


def admin_app(bed: Bed, tokens: Tokens, signin: SignIn, front: ArmFront) -> App:
    """The whole API behind its guard."""
    app = FastAPI(title="fakecloud admin", openapi_url=None, docs_url=None, redoc_url=None)
    router = APIRouter(prefix="/_fakecloud")
    _state_routes(router, bed)
    clock_routes(router, bed)
    _principal_routes(router, Principals(bed.plane, bed.directory, bed.estate))
    _device_routes(router, signin)
    _cloud_routes(router, bed, tokens, front)
    package_routes(router, Shelf(bed.plane.settings.state), bed.plane.clock)
    extension_routes(router, Gallery(bed.plane.settings.state), bed.plane.clock)
    blob_routes(router, BlobStore(bed.plane.settings.state), bed.plane)
    app.include_router(router)
    _errors(app)
    names = frozenset(name.lower() for name in bed.plane.settings.admin_hosts)
    return Guard(app, bed, load_or_make_token(bed.plane.settings.state), names)


def _state_routes(router: APIRouter, bed: Bed) -> None:
    @router.get("/state")
    async def counts() -> Response:
        return answer(
            {
                "tables": bed.counts(),
                "resources": bed.resources(),
                "clock": bed.time(),
                "seed": bed.plane.ids.seed,
            }
        )

    @router.get("/state/{table}")
    async def rows(
        table: str, kind: str | None = None, scope: str | None = None, limit: Limit = 1000
    ) -> Response:
        try:
            return answer({"rows": bed.rows(table, kind=kind, scope=scope, limit=limit)})
        except KeyError:
            return answer(failure("NotFound", f"There is no table '{table}'."), 404)

    @router.post("/reset")
    async def reset() -> Response:
        await bed.reset()
        return answer({"reset": True})

    @router.get("/snapshots")
    async def snapshots() -> Response:
        return answer({"snapshots": bed.snapshots()})

    @router.put("/snapshots/{name}")
    async def snapshot(name: str) -> Response:
        return answer(await bed.snapshot(name), 201)

    @router.delete("/snapshots/{name}")
    async def forget(name: str) -> Response:
        bed.forget_snapshot(name)
        return Response(status_code=204)

    @router.post("/snapshots/{name}/restore")
    async def restore(name: str) -> Response:
        await bed.restore(name)
        return answer({"restored": name})


def _principal_routes(router: APIRouter, principals: Principals) -> None:
    @router.get("/principals")
    async def listed() -> Response:
        return answer({"principals": principals.listed()})

    @router.post("/principals")
    async def create(wanted: NewPrincipal) -> Response:
        made = await principals.create(
            name=wanted.name,
            kind=wanted.kind,
            role=wanted.role,
            scope=wanted.scope,
            secret_seconds=wanted.secretSeconds,
        )
        return answer(made, 201)

    @router.delete("/principals/{object_id}")
    async def delete(object_id: str) -> Response:
        await principals.delete(object_id)
        return Response(status_code=204)

    @router.post("/principals/{object_id}/secrets")
    async def add_secret(object_id: str) -> Response:
        return answer(await principals.add_secret(object_id), 201)

    @router.post("/principals/{object_id}/secrets/expire")
    async def expire(object_id: str) -> Response:
        await principals.expire_secrets(object_id)
        return answer({"objectId": object_id, "expired": True})


def _device_routes(router: APIRouter, signin: SignIn) -> None:
    @router.get("/devicecodes")
    async def listed() -> Response:
        return answer({"deviceCodes": [_code(code) for code in signin.grants.device_codes()]})

    @router.post("/devicecodes/{user_code}/approve")
    async def approve(user_code: str, approval: Approval | None = None) -> Response:
        people = signin.directory.search(kind="User")
        wanted = approval.user if approval else None
        chosen = next(
            (
                person
                for person in people
                if wanted is None or wanted.lower() in {person.object_id, person.user_principal_name.lower()}
            ),
            None,
        )
        if chosen is None:
            raise UnknownPrincipalError(f"There is no user '{wanted}'.")
        return answer(_code(await signin.grants.decide(user_code, user_id=chosen.object_id)))

    @router.post("/devicecodes/{user_code}/deny")
    async def deny(user_code: str) -> Response:
        return answer(_code(await signin.grants.decide(user_code, user_id=None)))


def _cloud_routes(router: APIRouter, bed: Bed, tokens: Tokens, front: ArmFront) -> None:
    @router.get("/routes")
    async def routes() -> Response:
        return answer({"resourceTypes": [_row(row) for row in front.context.table.values()]})

    @router.get("/openapi")
    async def openapi() -> Response:
        return Response(orjson.dumps(front.openapi()), media_type="application/json")

    @router.post("/keys/rotate")
    async def rotate(rotation: Rotation | None = None) -> Response:
        kid = tokens.rotate(keep=(rotation or Rotation()).keep)
        return answer({"kid": kid, "published": [key.kid for key in tokens.keys.published]})

    @router.get("/his/log")
    async def his_log(limit: Limit = 1000) -> Response:
        rows = bed.plane.store.tail("his_log", limit=limit)
        return answer({"entries": [masked(row.document) for row in rows]})


def _errors(app: FastAPI) -> None:
    known: tuple[tuple[type[Exception], int, str], ...] = (
        (SnapshotError, 400, "InvalidSnapshot"),
        (UnknownPrincipalError, 404, "PrincipalNotFound"),
        (UnknownRoleError, 400, "RoleNotFound"),
        (ClockStalledError, 409, "ClockStalled"),
        (EntraError, 400, "DeviceCodeNotPending"),
        (OverflowError, 400, "InvalidDuration"),
    )

    def register(kind: type[Exception], status: int, code: str) -> None:
        async def refused(_request: Request, error: Exception) -> Response:
            return answer(failure(code, str(error)), status)

        app.add_exception_handler(kind, refused)

    for kind, status, code in known:
        register(kind, status, code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        texts = "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors())
        return answer(failure("InvalidRequest", texts), 400)

    @app.exception_handler(404)
    async def unknown(request: Request, _error: Exception) -> Response:
        return answer(failure("NotFound", f"There is nothing at {request.url.path}."), 404)


def _code(code: DeviceCode) -> dict[str, Any]:
    return {
        "userCode": code.user_code,
        "clientId": code.client_id,
        "scope": code.scope,
        "state": code.state,
        "userId": code.user_id or None,
        "expires": code.expires,
    }


def _row(row: Any) -> dict[str, Any]:
    return {
        "type": row.type,
        "apiVersions": list(row.api_versions),
        "operations": [
            {
                "operationId": verb.operation_id,
                "method": verb.method,
                "on": verb.on.name,
                "permission": row.permission(verb),
                "success": list(verb.success),
            }
            for verb in row.verbs
        ],
    }
