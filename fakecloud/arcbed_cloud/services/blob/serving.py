"""A blob as an answer: conditions, ranges, and the file in pieces; for storage hosts and the agent's service.

Source: Microsoft's articles "Get Blob" and "Specify the range header for Blob service operations".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

from starlette.responses import Response, StreamingResponse

from arcbed_cloud.services.blob.errors import BlobError, condition_not_met, invalid_range
from arcbed_cloud.services.blob.store import APPEND, Blob

_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})", re.ASCII)
_PIECE = 256 * 1024


def answer(
    blob: Blob, file: Path, headers: Mapping[str, str], *, head: bool, extra: Mapping[str, str]
) -> Response:
    """The whole blob, a part of it (206), or nothing new (304).

    Args:
        blob: what is asked for.
        file: its content.
        headers: of the request, lower-case names.
        head: leave out the content.
        extra: headers of the answer, over those of the blob.

    Raises:
        BlobError: 412 ConditionNotMet, 416 InvalidRange.
    """
    if not _changed(blob, headers):
        return Response(status_code=304, headers={**described(blob), **extra})
    part = _range(blob, headers)
    shown = {**described(blob), **extra}
    if part is None:
        shown |= {"Content-Length": str(blob.size), "Content-MD5": blob.md5}
        begin, length, status = 0, blob.size, 200
    else:
        begin, end = part
        length, status = end - begin + 1, 206
        shown |= {
            "Content-Length": str(length),
            "Content-Range": f"bytes {begin}-{end}/{blob.size}",
            "x-ms-blob-content-md5": blob.md5,
        }
    if head:
        return Response(status_code=status, headers=shown)
    return StreamingResponse(_pieces(file, begin, length), status, shown)


def described(blob: Blob) -> dict[str, str]:
    """The headers of every answer about a blob."""
    modified = format_datetime(datetime.fromtimestamp(blob.modified, UTC), usegmt=True)
    found = {
        "Content-Type": blob.content_type,
        "Accept-Ranges": "bytes",
        "ETag": blob.etag,
        "Last-Modified": modified,
        "x-ms-blob-type": blob.kind,
        "x-ms-creation-time": modified,
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
    }
    if blob.kind == APPEND:
        found["x-ms-blob-committed-block-count"] = str(blob.blocks)
    return found


def _changed(blob: Blob, headers: Mapping[str, str]) -> bool:
    """False if the client has this version; the tag decides where both are given."""
    if (wanted := headers.get("if-match")) is not None:
        if not _names(wanted, blob.etag):
            raise condition_not_met()
    elif (since := _moment(headers, "if-unmodified-since")) is not None and blob.modified > since:
        raise condition_not_met()
    if (known := headers.get("if-none-match")) is not None:
        return not _names(known, blob.etag)
    since = _moment(headers, "if-modified-since")
    return since is None or blob.modified > since


def _names(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags or etag.strip('"') in tags


def _moment(headers: Mapping[str, str], name: str) -> int | None:
    try:
        return int(parsedate_to_datetime(headers[name]).timestamp())
    except KeyError:
        return None
    except (ValueError, TypeError) as error:
        raise BlobError(
            400,
            "InvalidHeaderValue",
            "The value for one of the HTTP headers is not in the correct format.",
            headers={"x-ms-error-header": name},
        ) from error


def _range(blob: Blob, headers: Mapping[str, str]) -> tuple[int, int] | None:
    """First and last byte; None for the whole. What is no range of Azure's asks for the whole."""
    found = _RANGE.fullmatch(headers.get("x-ms-range") or headers.get("range", ""))
    if found is None or not _same(blob, headers.get("if-range")):
        return None
    begin = int(found[1])
    end = min(int(found[2]) if found[2] else blob.size - 1, blob.size - 1)
    if found[2] and int(found[2]) < begin:
        return None
    if begin >= blob.size:
        raise invalid_range(blob.size)
    return begin, end


def _same(blob: Blob, version: str | None) -> bool:
    """``If-Range``: a part makes sense only of the version that the client has the rest of."""
    if version is None or version.startswith(('"', "W/")):
        return version is None or version == blob.etag
    return version == described(blob)["Last-Modified"]


def _pieces(file: Path, begin: int, length: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        stream.seek(begin)
        while length > 0 and (piece := stream.read(min(_PIECE, length))):
            length -= len(piece)
            yield piece
