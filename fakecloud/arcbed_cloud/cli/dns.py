"""``fakecloud dns``: the resolver of a bed whose machines use Azure's own host names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcbed_cloud.cli.options import fail

if TYPE_CHECKING:
    from arcbed_cloud.services.dns import DnsServer
    from arcbed_cloud.services.dns.resolver import Address


def command(
    address: Annotated[
        list[str], typer.Option(help="Address of the control plane as machines reach it; repeatable.")
    ],
    record: Annotated[
        list[str] | None, typer.Option(metavar="NAME=ADDRESS", help="A further name; repeatable.")
    ] = None,
    forward: Annotated[
        str | None,
        typer.Option(help="Resolver to ask about all other names. Without it, they do not exist."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 53,
) -> None:
    """Answer Azure's host names, wildcards included, with the control plane's address."""
    import asyncio

    from arcbed_cloud.services.dns import DnsServer, Resolver
    from arcbed_cloud.services.dns.server import Upstream

    upstream = Upstream(str(_address(forward))) if forward else None
    resolver = Resolver(tuple(map(_address, address)), records=_records(record or []), forward=upstream)
    try:
        asyncio.run(_serve(DnsServer(resolver, host, port)))
    except OSError as error:
        fail(f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}.")


def _address(text: str) -> Address:
    from ipaddress import ip_address

    try:
        return ip_address(text)
    except ValueError:
        fail(f"'{text}' is no IP address.", code=2)


def _records(given: list[str]) -> dict[str, tuple[Address, ...]]:
    found: dict[str, tuple[Address, ...]] = {}
    for item in given:
        name, separator, text = item.partition("=")
        if not name or not separator:
            fail(f"--record takes NAME=ADDRESS, not '{item}'.", code=2)
        key = name.lower().rstrip(".")
        found[key] = (*found.get(key, ()), _address(text))
    return found


async def _serve(server: DnsServer) -> None:
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    print(f"the bed's resolver is ready on port {server.port}", flush=True)
    await stop.wait()
    await server.stop()
