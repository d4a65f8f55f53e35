"""TCP between two ends, with something done to it on the way: an HTTP proxy, or a line that takes longer.

    python relay.py proxy [--kind KIND] [--milliseconds MS] [--to ADDRESS:PORT] [--refuse HOST] ADDRESS PORT
    python relay.py delay [--mark MARK] ADDRESS PORT TARGET TARGET_PORT MILLISECONDS

The first line of output is ``listening on PORT``; a proxy then writes a line for each request. Runs isolated,
in containers too, so its imports stay in the standard library.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

CHUNK = 65_536
HEAD_LIMIT = 16_384
HEAD_SECONDS = 30.0
#: Where a Log Analytics gateway lets its clients go. Source: the article "Connect computers without internet
#: access by using the Log Analytics gateway in Azure Monitor".
GATEWAY_HOSTS = (
    ".ods.opinsights.azure.com",
    ".oms.opinsights.azure.com",
    ".azure-automation.net",
    ".blob.core.windows.net",
)

Pass = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]


def said(line: str) -> None:
    """Tell whoever reads the log."""
    print(line, flush=True)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything that comes, until it ends."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


def later(seconds: float) -> Pass:
    """A way that takes `seconds`; order is kept, and so is the rate."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        while data := await reader.read(CHUNK):
            loop.call_later(seconds, writer.write, data)
        loop.call_later(seconds, arrived.set_result, None)
        await arrived
        await writer.drain()

    return slow


async def join(
    left: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    right: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    way: Pass = copy,
) -> None:
    """Pass everything both ways until both ends are done; a broken end breaks the other."""

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await way(reader, writer)
        if writer.can_write_eof():
            writer.write_eof()

    try:
        with suppress(OSError):
            await asyncio.gather(one_way(left[0], right[1]), one_way(right[0], left[1]))
    finally:
        left[1].close()
        right[1].close()


def kept(carry: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """`carry` as a callback of a server, which holds each connection until it is done.

    The event loop forgets a connection whose client has sent its last byte, and asyncio's streams hold their
    readers weakly: nobody else would keep what waits for the answer.
    """
    carried: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(carry(reader, writer))
        carried.add(task)
        task.add_done_callback(carried.discard)

    return accept


# -- a proxy -------------------------------------------------------------------------------------------------


def allowed(options: argparse.Namespace, host: str) -> bool:
    """Whether a proxy connects to `host`: its kind allows it, and nobody has forbidden it by name."""
    host = host.lower()
    of_kind = options.kind == "forward" or host.endswith(GATEWAY_HOSTS)
    return of_kind and not any(
        host.endswith(name[1:]) if name.startswith("*.") else host == name for name in options.refuse
    )


async def tunnel(
    options: argparse.Namespace, way: Pass, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one client: CONNECT is what the agent uses, anything else is not allowed."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
        method, target, _ = head.decode("latin-1").split("\r\n", 1)[0].split(" ", 2)
        status, upstream = await _opened(options, method, target)
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
        writer.close()
        return
    said(f"{method} {target} {status.split(' ')[0]}")
    if upstream is None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        with suppress(OSError):
            await writer.drain()
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await join((reader, writer), upstream, way)


async def _opened(
    options: argparse.Namespace, method: str, target: str
) -> tuple[str, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
    host, _, port = target.rpartition(":")
    if method != "CONNECT":
        return "405 Method Not Allowed", None
    if not allowed(options, host):
        return "403 Forbidden", None
    if options.to and host.rpartition(".")[2].isalpha() and "." in host:
        host, _, port = options.to.rpartition(":")
    try:
        return "200 OK", await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return "502 Bad Gateway", None


async def proxy(options: argparse.Namespace) -> None:
    """Serve as a proxy for ever."""
    way = later(options.milliseconds / 2_000) if options.milliseconds else copy
    server = await asyncio.start_server(
        kept(lambda reader, writer: tunnel(options, way, reader, writer)),
        options.address,
        options.port,
        limit=HEAD_LIMIT,
    )
    said(f"listening on {server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


# -- a longer line -------------------------------------------------------------------------------------------


async def delay(options: argparse.Namespace) -> None:
    """Serve as a longer line for ever; what it opens carries a mark by which packet filters know it."""
    seconds = options.milliseconds / 2_000

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond = socket.socket()
        beyond.setblocking(False)
        if options.mark:
            beyond.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, options.mark)
        try:
            await asyncio.get_running_loop().sock_connect(beyond, (options.target, options.target_port))
            upstream = await asyncio.open_connection(sock=beyond)
        except OSError:
            beyond.close()
            writer.close()
            return
        await join((reader, writer), upstream, later(seconds))

    server = await asyncio.start_server(kept(carry), options.address, options.port)
    said(f"listening on {server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    for name in ("proxy", "delay"):
        task = tasks.add_parser(name)
        task.add_argument("address")
        task.add_argument("port", type=int)
        if name == "proxy":
            task.add_argument("--kind", choices=("forward", "log-analytics-gateway"), default="forward")
            task.add_argument("--milliseconds", type=float, default=0)
            task.add_argument("--to", default="", help="where every name leads")
            task.add_argument("--refuse", action="append", default=[], help="a name that leads nowhere")
            continue
        task.add_argument("target")
        task.add_argument("target_port", type=int)
        task.add_argument("milliseconds", type=float)
        task.add_argument("--mark", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Entry point."""
    options = parsed()
    with suppress(KeyboardInterrupt):
        asyncio.run({"proxy": proxy, "delay": delay}[options.task](options))


if __name__ == "__main__":
    main()
