"""What a process says to the keeper, as it goes over the line."""

from __future__ import annotations

import asyncio
import socket

import pytest

from arcbed_agent.clock.channel import Line


async def turn() -> None:
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, done.set_result, None)
    await done


async def test_what_is_said_in_one_turn_goes_out_in_one_piece_and_hanging_up_loses_nothing() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        line: Line
        _, line = await asyncio.get_running_loop().create_connection(
            lambda: Line(lambda _message: None, lambda: None), sock=ours
        )
        line.send("awake", 1)
        line.send("sync", 2)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        await turn()
        assert theirs.recv(100) == b'["awake",1]\n["sync",2]\n'
        line.send("end", 1)
        line.close()
        await turn()
        assert theirs.recv(100) == b'["end",1]\n'
        assert theirs.recv(100) == b""
