"""Whether all that was written to a TCP connection has arrived, as the kernel (Linux) knows it."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios

#: `tcpi_bytes_acked` of `struct tcp_info`: the ninth of its 64-bit members, behind 8 bytes and 24 words.
_BYTES_ACKED = struct.Struct("=120xQ")


class Deliveries:
    """Looks at connections again and again; a connection is done when two looks in a row see nothing move.

    One look is not enough: under TLS the event loop has a buffer of its own below the one that the transport
    tells of. It is written as soon as the kernel takes more, which is before the next look, and the count of
    acknowledged bytes then differs.
    """

    def __init__(self) -> None:
        self._acknowledged: dict[asyncio.Transport, int] = {}

    def done(self, transport: asyncio.Transport) -> bool:
        """Has the peer got everything? The event loop must have polled between two calls for a connection."""
        sock: socket.socket = transport.get_extra_info("socket")
        if sock.fileno() < 0:
            return True
        unsent = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
        if transport.get_write_buffer_size() or int.from_bytes(unsent, sys.byteorder):
            self._acknowledged.pop(transport, None)
            return False
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        acknowledged: int = _BYTES_ACKED.unpack(told)[0]
        before = self._acknowledged.get(transport)
        self._acknowledged[transport] = acknowledged
        return before == acknowledged
