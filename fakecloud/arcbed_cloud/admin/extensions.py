"""The testbed's API for extensions: what is published, publishing from another computer, taking away."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from arcbed_cloud.admin.bodies import answer, receive
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
        return answer({"extensions": [asdict(entry) for entry in gallery.all()]})

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
            with source.open("wb") as stream:
                whole = await receive(request, stream, LARGEST_ZIP)
            if not whole:
                return answer(failure("RequestEntityTooLarge", f"More than {LARGEST_ZIP} bytes."), 413)
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
                return answer(failure("InvalidPackage", str(error)), 400)
            except DepotError as error:
                return answer(failure("StorageUnavailable", str(error)), 502)
        return answer(asdict(entry), 201)

    @router.delete("/extensions/{publisher}/{kind}/{version}")
    async def unpublish(publisher: str, kind: str, version: str) -> Response:
        try:
            await run_in_threadpool(gallery.unpublish, publisher, kind, version)
        except ExtensionPackageError as error:
            return answer(failure("NotFound", str(error)), 404)
        return Response(status_code=204)
