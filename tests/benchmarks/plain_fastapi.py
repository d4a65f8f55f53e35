"""Baseline (b): a plain FastAPI route with a response model. Run: plain_fastapi.py PORT FILE [CERT KEY]."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict


class Properties(BaseModel):
    """The agent's report; what it does not name is kept."""

    model_config = ConfigDict(extra="allow")
    vmId: str | None = None  # noqa: N815 - the wire's names
    status: str | None = None
    provisioningState: str | None = None  # noqa: N815


class Machine(BaseModel):
    """A machine."""

    model_config = ConfigDict(extra="allow")
    id: str | None = None
    name: str | None = None
    type: str | None = None
    location: str | None = None
    tags: dict[str, str] | None = None
    properties: Properties | None = None


class MachineList(BaseModel):
    """A page of machines."""

    value: list[Machine]


def make_app(document: dict[str, Any]) -> FastAPI:
    app = FastAPI()

    @app.get("/list", response_model=MachineList)
    async def machines() -> Any:
        return document

    @app.get("/item", response_model=Machine)
    async def machine() -> Any:
        return document

    @app.put("/item", response_model=Machine)
    async def put(body: Machine) -> Any:
        return body

    @app.post("/item", response_model=Machine)
    async def post(body: Machine) -> Any:
        return body

    return app


if __name__ == "__main__":
    port, path, *tls = sys.argv[1:]
    options = {"ssl_certfile": tls[0], "ssl_keyfile": tls[1]} if tls else {}
    uvicorn.run(
        make_app(orjson.loads(Path(path).read_bytes())),
        port=int(port),
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
        server_header=False,
        **options,
    )
