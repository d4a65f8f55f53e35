"""Put Blob and Append Block: what run commands and people's own clients need to leave something in storage.

Source: Microsoft's articles "Put Blob" and "Append Block". Containers come into being with the first blob.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from arcbed_cloud.services.blob.errors import (
    BlobError,
    already_exists,
    append_position_not_met,
    blob_not_found,
    condition_not_met,
    invalid_header,
    longest_not_met,
    md5_mismatch,
    missing_header,
    not_implemented,
    too_large,
    too_many_blocks,
    wrong_blob_type,
)
from arcbed_cloud.services.blob.serving import described
from arcbed_cloud.services.blob.store import APPEND, BLOCK, OCTETS, Blob, BlobNameError, BlobStore

#: Bytes of one request: of a whole blob, and of a block.
LARGEST_BLOB = 2 * 1024 * 1024 * 1024
LARGEST_BLOCK = 100 * 1024 * 1024
MOST_BLOCKS = 50_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is to be written, and what is there now."""

    account: str
    container: str
    name: str
    there: Blob | None

    @property
    def permissions(self) -> str:
        """One of these allows to put a blob here: create only where none is."""
        return "w" if self.there else "cw"


async def put_blob(store: BlobStore, place: Place, request: Request, now: float) -> Response:
    """Replace a block blob by the body, or an append blob by an empty one.

    Raises:
        BlobError: what Azure says.
    """
    kind = request.headers.get("x-ms-blob-type")
    if kind is None:
        raise missing_header("x-ms-blob-type")
    if kind == "PageBlob":
        raise not_implemented("Put Blob with x-ms-blob-type: PageBlob")
    if kind not in {BLOCK, APPEND}:
        raise invalid_header("x-ms-blob-type")
    _check_conditions(request.headers, place.there)
    with tempfile.TemporaryFile() as body:
        size = await _receive(request, body, LARGEST_BLOB)
        if kind == APPEND and size:
            raise invalid_header("Content-Length")
        content_type = request.headers.get("x-ms-blob-content-type") or request.headers.get("content-type")
        try:
            blob = await run_in_threadpool(
                store.put,
                place.account,
                place.container,
                place.name,
                body,
                modified=now,
                content_type=content_type or OCTETS,
                kind=kind,
            )
        except BlobNameError as error:
            raise BlobError(400, "InvalidResourceName", str(error)) from error
    headers = _answered(blob)
    return Response(status_code=201, headers=headers | ({"Content-MD5": blob.md5} if kind == BLOCK else {}))


async def append_block(store: BlobStore, place: Place, request: Request, now: float) -> Response:
    """Add the body to an append blob.

    Raises:
        BlobError: what Azure says.
    """
    blob = place.there
    if blob is None:
        raise blob_not_found()
    if blob.kind != APPEND:
        raise wrong_blob_type()
    _check_conditions(request.headers, blob)
    with tempfile.TemporaryFile() as body:
        size = await _receive(request, body, LARGEST_BLOCK)
        if not size:
            raise invalid_header("Content-Length")
        try:
            before, after = await run_in_threadpool(
                store.append, blob, body, modified=now, check=_addition(request.headers, size)
            )
        except KeyError:
            raise blob_not_found() from None
    return Response(
        status_code=201,
        headers={
            **_answered(after),
            "x-ms-blob-append-offset": str(before.size),
            "x-ms-blob-committed-block-count": str(after.blocks),
        },
    )


def _addition(headers: Mapping[str, str], size: int) -> Callable[[Blob], None]:
    """What has to hold for a blob that is about to get `size` bytes more."""

    def check(blob: Blob) -> None:
        if blob.blocks >= MOST_BLOCKS:
            raise too_many_blocks()
        longest = _number(headers, "x-ms-blob-condition-maxsize")
        if longest is not None and blob.size + size > longest:
            raise longest_not_met()
        if _number(headers, "x-ms-blob-condition-appendpos") not in {None, blob.size}:
            raise append_position_not_met()

    return check


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise invalid_header(name)
    return int(text)


def _check_conditions(headers: Mapping[str, str], there: Blob | None) -> None:
    """``If-Match`` and ``If-None-Match``."""
    if headers.get("if-none-match") == "*" and there is not None:
        raise already_exists()
    wanted = headers.get("if-match")
    if wanted is not None and (there is None or wanted not in {"*", there.etag}):
        raise condition_not_met()


async def _receive(request: Request, body: BinaryIO, largest: int) -> int:
    """Write the body to a file, which is at its beginning then; the bytes that it has."""
    size, md5 = 0, hashlib.md5(usedforsecurity=False)
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise too_large()
        md5.update(chunk)
        body.write(chunk)
    stated = request.headers.get("content-md5")
    if stated is not None and stated != base64.b64encode(md5.digest()).decode():
        raise md5_mismatch()
    body.seek(0)
    return size


def _answered(blob: Blob) -> dict[str, str]:
    shown = described(blob)
    return {
        "ETag": shown["ETag"],
        "Last-Modified": shown["Last-Modified"],
        "x-ms-request-server-encrypted": "true",
    }
