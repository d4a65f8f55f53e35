"""Baseline (a): a bare ASGI app that answers prepared bytes, head and body, whatever is asked.

Run: bare.py PORT FILE [CERT KEY]. The head is beside FILE, as JSON, with the suffix .head.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvicorn

#: uvicorn's own, in ours too.
WRITTEN_BY_UVICORN = {"date"}


def make_app(body: bytes, head: list[list[str]]):
    headers = [
        (name.encode(), value.encode()) for name, value in head if name.lower() not in WRITTEN_BY_UVICORN
    ]

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    port, path, *tls = sys.argv[1:]
    options = {"ssl_certfile": tls[0], "ssl_keyfile": tls[1]} if tls else {}
    uvicorn.run(
        make_app(Path(path).read_bytes(), json.loads(Path(path).with_suffix(".head").read_text())),
        port=int(port),
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        server_header=False,
        **options,
    )
