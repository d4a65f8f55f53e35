"""The testbed's API for agent packages: what is published, and publishing from another computer."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Request, Response

from arcbed_cloud.admin.bodies import answer, receive
from arcbed_cloud.admin.health import failure
from arcbed_cloud.clock import Keeper
from arcbed_cloud.services.packages import PackageError, Shelf

#: Bytes; a package of the agent has some six million.
LARGEST = 64 * 1024 * 1024


def package_routes(router: APIRouter, shelf: Shelf, clock: Keeper) -> None:
    """``/packages``: list, and publish by PUT with the file as the body."""

    @router.get("/packages")
    async def listed() -> Response:
        index = shelf.index()
        names = ("file", "version", "architecture", "kind", "sha256", "size", "released")
        packages = [{name: getattr(entry, name) for name in names} for entry in index.packages]
        return answer({"packages": packages, "latest": index.latest})

    @router.put("/packages/{file}")
    async def publish(request: Request, file: str, latest: bool = False) -> Response:
        released = datetime.fromtimestamp(int(clock.wall()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / Path(file).name
            with source.open("wb") as stream:
                whole = await receive(request, stream, LARGEST)
            if not whole:
                return answer(failure("RequestEntityTooLarge", f"More than {LARGEST} bytes."), 413)
            try:
                package = shelf.publish(source, released=released, as_latest=latest)
            except PackageError as error:
                return answer(failure("InvalidPackage", str(error)), 400)
        return answer({"file": package.file, "version": package.version, "sha256": package.sha256}, 201)
