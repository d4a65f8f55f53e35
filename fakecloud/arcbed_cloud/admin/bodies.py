"""Bodies of the admin API: documents as answers, files as requests."""

from __future__ import annotations

from typing import IO, Any

import orjson
from fastapi import Request, Response


def answer(document: dict[str, Any], status: int = 200) -> Response:
    """A JSON document with the version of the API."""
    body = orjson.dumps({"apiVersion": 1, **document}, option=orjson.OPT_INDENT_2)
    return Response(body, status, media_type="application/json")


async def receive(request: Request, target: IO[bytes], largest: int) -> bool:
    """Write the body to `target`; False if it has more than `largest` bytes."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            return False
        target.write(chunk)
    return True
