"""The testbed's API for extensions: what is published, publishing from another computer, taking away."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from arcbed_cloud.admin.health import failure
from arcbed_cloud.arm.validation import normalised
from arcbed_cloud.clock import Keeper
from arcbed_cloud.services.extensions import DepotError, ExtensionPackageError, Gallery
from arcbed_cloud.services.extensions.manifest import LARGEST_ZIP

Several = Annotated[list[str] | None, Query()]


def extension_routes(router: APIRouter, gallery: Gallery, clock: Keeper) -> None:
    """``/extensions``: list, key of catalogues, publish by PUT (the zip is the body), take away by DELETE."""

    @router.get("/extensions")
    async def listed() -> Response:
        return _json({"extensions": [asdict(entry) for entry in gallery.all()]})

    @router.get("/extensions/key")
    async def key() -> Response:
        armored = await run_in_threadpool(lambda: gallery.key.public_armored)
        return Response(armored, media_type="application/pgp-keys")

    @router.put("/extensions/{file}")
    async def publish(
        request: Request,
        file: str,
        publisher: str | None = None,
        type: str | None = None,  # noqa: A002 - as the query has it
        version: str | None = None,
        region: Several = None,
        architecture: Several = None,
    ) -> Response:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / Path(file).name
            if not await _save(request, source):
                return _json(failure("RequestEntityTooLarge", f"More than {LARGEST_ZIP} bytes."), 413)
            try:
                entry = await run_in_threadpool(
                    gallery.publish,
                    source,
                    now=clock.wall(),
                    publisher=publisher,
                    kind=type,
                    version=version,
                    regions=tuple(normalised(name) for name in region or ()),
                    architectures=tuple(architecture or ()),
                )
            except ExtensionPackageError as error:
                return _json(failure("InvalidPackage", str(error)), 400)
            except DepotError as error:
                return _json(failure("StorageUnavailable", str(error)), 502)
        return _json(asdict(entry), 201)

    @router.delete("/extensions/{publisher}/{kind}/{version}")
    async def unpublish(publisher: str, kind: str, version: str) -> Response:
        try:
            await run_in_threadpool(gallery.unpublish, publisher, kind, version)
        except ExtensionPackageError as error:
            return _json(failure("NotFound", str(error)), 404)
        return Response(status_code=204)


async def _save(request: Request, target: Path) -> bool:
    """Write the body; False if it is too large."""
    size = 0
    with target.open("wb") as stream:
        async for chunk in request.stream():
            size += len(chunk)
            if size > LARGEST_ZIP:
                return False
            stream.write(chunk)
    return True


def _json(document: dict[str, Any], status: int = 200) -> Response:
    body = orjson.dumps({"apiVersion": 1, **document}, option=orjson.OPT_INDENT_2)
    return Response(body, status, media_type="application/json")
