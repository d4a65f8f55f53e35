"""Baseline (a): a bare ASGI app that answers prepared bytes, whatever is asked.

Run: bare.py PORT FILE [CERT KEY].
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn


def make_app(body: bytes):
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(body))]

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
        make_app(Path(path).read_bytes()),
        port=int(port),
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        server_header=False,
        **options,
    )
