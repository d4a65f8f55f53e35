"""Health and readiness: all of the testbed's API that the public listener carries."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import orjson

from arcbed_cloud.admin.bed import Bed
from arcbed_cloud.dispatch import App, Receive, Scope, Send


def health(_bed: Bed) -> tuple[int, dict[str, Any]]:
    """The process lives: 200 as soon as it can answer at all."""
    return 200, {"apiVersion": 1, "status": "healthy", "version": _version()}


@cache
def _version() -> str:
    return version("arcbed")


def ready(bed: Bed) -> tuple[int, dict[str, Any]]:
    """200 once calls are answered, 503 before and while shutting down."""
    return (200, {"apiVersion": 1, "ready": True}) if bed.ready else (503, {"apiVersion": 1, "ready": False})


ANSWERS = {"/_fakecloud/health": health, "/_fakecloud/ready": ready}


def own_app(bed: Bed) -> App:
    """Plain ASGI for ``/_fakecloud/health`` and ``/_fakecloud/ready``; everything else below is 404."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        answer = ANSWERS.get(scope["path"])
        if answer is None:
            await reply(send, 404, failure("NotFound", "The rest of this API is on the admin listener."))
        elif scope["method"] not in {"GET", "HEAD"}:
            await reply(send, 405, failure("MethodNotAllowed", "Only GET is answered."))
        else:
            await reply(send, *answer(bed), head=scope["method"] == "HEAD")

    return app


def failure(code: str, message: str) -> dict[str, Any]:
    """An error of the testbed's API."""
    return {"apiVersion": 1, "error": {"code": code, "message": message}}


async def reply(
    send: Send,
    status: int,
    document: dict[str, Any],
    headers: tuple[tuple[bytes, bytes], ...] = (),
    *,
    head: bool = False,
) -> None:
    """Send one JSON answer."""
    body = orjson.dumps(document)
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": b"" if head else body})
