"""``fakecloud imds``: an instance metadata service, so that a machine finds itself in AWS, GCP or Azure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from arcbed_cloud.cli.options import fail


class Provider(StrEnum):
    """Whose service it plays."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


def command(
    provider: Annotated[Provider, typer.Option(help="Whose service to play.")] = Provider.AWS,
    seed: Annotated[str, typer.Option(help="Seed of ids; each address that asks has its own.")] = "arcbed",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 80,
) -> None:
    """Serve instance metadata over HTTP. A machine asks it with `host.imdsAddress` set."""
    import uvicorn

    from arcbed_cloud.clock import Keeper
    from arcbed_cloud.server import ServeError, tcp
    from arcbed_cloud.services.imds import Instances, imds_app

    try:
        listener = tcp(host, port)
    except ServeError as error:
        fail(str(error))
    print(
        f"the metadata service of {provider.value} is ready on port {listener.getsockname()[1]}", flush=True
    )
    app = imds_app(provider.value, Instances(seed), Keeper().wall)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, ws="none")
    uvicorn.Server(config).run([listener])
