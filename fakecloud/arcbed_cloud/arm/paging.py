"""List answers: stored bytes joined, one page at a time.

A ``$skiptoken`` names the last item of the page before, so pages stay right while items come and go.
"""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

import orjson

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.store.contract import Row

PAGE_SIZE = 1_000
T = TypeVar("T")


def page(
    request: ArmRequest, rows: Sequence[Row], render: Callable[[Row], bytes], *, size: int = PAGE_SIZE
) -> ArmResponse:
    """``{"value": [...], "nextLink"?}`` of rows sorted by key.

    Raises:
        ArmError: 400 for an unusable ``$top`` or ``$skiptoken``.
    """
    return page_of(request, rows, render, key=lambda row: row.key, size=size)


def page_of(
    request: ArmRequest,
    items: Sequence[T],
    render: Callable[[T], bytes],
    *,
    key: Callable[[T], str],
    size: int = PAGE_SIZE,
) -> ArmResponse:
    """Like `page`, for anything sorted by `key`."""
    size = min(size, _top(request) or size)
    start = 0
    if token := request.query.get("$skiptoken"):
        start = bisect.bisect_right(items, _decoded(token), key=key)
    chosen = items[start : start + size]
    body = b'{"value":[' + b",".join(map(render, chosen)) + b"]"
    if start + size < len(items):
        body += b',"nextLink":' + orjson.dumps(_link(request, key(chosen[-1])))
    return ArmResponse(200, body=body + b"}")


def _top(request: ArmRequest) -> int | None:
    text = request.query.get("$top")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise ArmError(
            400,
            "InvalidTopInQueryString",
            f"The value '{text}' of '$top' in the query string is invalid. It must be a positive whole "
            "number.",
        )
    return int(text)


def _decoded(token: str) -> str:
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ArmError(
            400, "InvalidSkipTokenInQueryString", f"The skip token '{token}' in the query string is invalid."
        ) from error


def _link(request: ArmRequest, last: str) -> str:
    token = base64.urlsafe_b64encode(last.encode()).rstrip(b"=").decode()
    query = {**request.query, "$skiptoken": token}
    text = "&".join(
        f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in query.items()
    )
    return f"{request.base_url}{request.path}?{text}"
