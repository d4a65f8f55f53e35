"""Blobs through the admin API: how packages get onto the storage hosts of a running control plane."""

from __future__ import annotations

import tempfile
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from arcbed_cloud.admin.bodies import answer, receive
from arcbed_cloud.admin.health import failure
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.blob import Blob, BlobNameError, BlobStore
from arcbed_cloud.services.blob.links import PERMISSIONS, READ, place_of, signed_url_of
from arcbed_cloud.services.blob.store import OCTETS

#: Bytes; what an agent of this product accepts at most.
LARGEST = 2 * 1024 * 1024 * 1024
HOUR = 3_600
Permissions = Annotated[str, Query(pattern=f"^[{PERMISSIONS}]+$")]
Hours = Annotated[float, Query(gt=0, le=24 * 365 * 10)]


def blob_routes(router: APIRouter, store: BlobStore, plane: Plane) -> None:
    """``/blobs``: list, upload by PUT with the file as the body, read, sign, delete; another key."""
    folder = plane.settings.state

    def shown(blob: Blob, hours: float, permissions: str = READ) -> dict[str, Any]:
        expiry = plane.clock.wall() + hours * HOUR
        url = signed_url_of(store, blob, folder, expiry=expiry, permissions=permissions)
        return described(blob) | {"url": url}

    @router.get("/blobs")
    async def listed() -> Response:
        return answer({"blobs": [described(blob) for blob in store.index().blobs.values()]})

    @router.put("/blobs/{account}/{container}/{name:path}")
    async def upload(
        request: Request, account: str, container: str, name: str, hours: Hours = 24, public: bool = False
    ) -> Response:
        with tempfile.TemporaryFile() as scratch:
            if not await receive(request, scratch, LARGEST):
                return answer(failure("RequestEntityTooLarge", f"More than {LARGEST} bytes."), 413)
            scratch.seek(0)
            try:
                blob = await run_in_threadpool(
                    store.put,
                    account,
                    container,
                    name,
                    scratch,
                    modified=plane.clock.wall(),
                    content_type=request.headers.get("content-type", OCTETS),
                    public=public,
                )
            except BlobNameError as error:
                return answer(failure("InvalidBlobName", str(error)), 400)
        return answer(shown(blob, hours), 201)

    @router.get("/blobs/{account}/{container}/{name:path}")
    async def content(account: str, container: str, name: str) -> Response:
        blob = store.get(account, container, name)
        if blob is None:
            return answer(failure("NotFound", f"There is no blob {account}/{container}/{name}."), 404)
        return FileResponse(store.file(blob), media_type=blob.content_type)

    @router.post("/blobs/{account}/{container}/{name:path}")
    async def sign(
        account: str, container: str, name: str, hours: Hours = 24, permissions: Permissions = READ
    ) -> Response:
        try:
            blob = await run_in_threadpool(place_of, store, account, container, name, permissions)
        except BlobNameError as error:
            return answer(failure("InvalidBlobName", str(error)), 400)
        if blob is None:
            return answer(failure("NotFound", f"There is no blob {account}/{container}/{name}."), 404)
        return answer(shown(blob, hours, permissions))

    @router.delete("/blobs/{account}/{container}/{name:path}")
    async def delete(account: str, container: str, name: str) -> Response:
        if not await run_in_threadpool(store.delete, account, container, name):
            return answer(failure("NotFound", f"There is no blob {account}/{container}/{name}."), 404)
        return Response(status_code=204)

    @router.post("/blobs/{account}/regenerateKey")
    async def regenerate(account: str) -> Response:
        if not await run_in_threadpool(store.regenerate_key, account):
            return answer(failure("NotFound", f"There is no storage account {account}."), 404)
        return Response(status_code=204)


def described(blob: Blob) -> dict[str, Any]:
    """What is told of a blob; `contentHash` is what a guest assignment wants."""
    return {
        "account": blob.account,
        "container": blob.container,
        "name": blob.name,
        "size": blob.size,
        "contentHash": blob.sha256.upper(),
        "etag": blob.etag,
        "public": blob.public,
    }
