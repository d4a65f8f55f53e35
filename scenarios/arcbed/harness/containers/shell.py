"""Programs that are run in a container of the bed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from arcbed.harness import clock
from arcbed.harness.containers.engine import Engine
from arcbed.harness.errors import BedError
from arcbed.harness.process import Completed, on_screen

#: Of `timeout`, when it had to kill.
KILLED = 137
#: One GET by Python's standard library, without a header that was not asked for.
FETCH = """
import http.client, json, sys, urllib.parse
url, headers = json.loads(sys.argv[1])
parts = urllib.parse.urlsplit(url)
line = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=30)
line.putrequest("GET", parts.path + ("?" + parts.query if parts.query else ""), skip_accept_encoding=True)
for name, value in headers.items():
    line.putheader(name, value)
line.endheaders()
answer = line.getresponse()
body = answer.read().decode("utf-8", "replace")
print(json.dumps([answer.status, answer.getheaders(), body]))
"""


def execute(
    engine: Engine,
    container: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    limit: float = 120.0,
    shown: Sequence[str] | None = None,
    terminal: bool = False,
    user: str = "root",
) -> Completed:
    """Run `command` to its end; one that outlasts `limit` real seconds is killed, exit code -9.

    Args:
        engine: where.
        container: name or id of a running container that has coreutils.
        command: program and arguments.
        env: variables besides the container's own.
        limit: real seconds.
        shown: replaces the command in the result where it holds secrets.
        terminal: at a terminal; both streams are then `stdout`, without colours.
        user: who runs it; empty is the image's own.
    """
    bounded = ["timeout", "--foreground", "--signal=KILL", f"{limit:g}", *command]
    api = engine.client.api
    began = clock.monotonic()
    begun = api.exec_create(container, bounded, environment=dict(env or {}), tty=terminal, user=user)["Id"]
    out, err = (text.decode(errors="replace") for text in _written(api, begun, terminal=terminal))
    code = int(api.exec_inspect(begun)["ExitCode"])
    return Completed(
        tuple(shown or command),
        -9 if code == KILLED else code,
        on_screen(out) if terminal else out,
        err,
        clock.monotonic() - began,
    )


def _written(api: Any, begun: str, *, terminal: bool) -> tuple[bytes, bytes]:
    """What a command writes to both streams until it ends; at a terminal all is in the first.

    Not by the SDK's `exec_start`, which goes on with the socket below the answer and so loses what has come
    in one piece with the answer's head: on a busy computer all that a quick command says, now and then.
    """
    body = {"Tty": terminal, "Detach": False}
    answer = api._post_json(api._url("/exec/{0}/start", begun), data=body, stream=True, timeout=None)
    api._raise_for_status(answer)
    return (answer.content, b"") if terminal else both_streams(answer.content)


def both_streams(content: bytes) -> tuple[bytes, bytes]:
    """Standard output and standard error of `content`, in which each piece has a head of eight bytes.

    Source: Docker Engine API, "Attach to a container", stream format.
    """
    found: dict[int, list[bytes]] = {1: [], 2: []}
    at = 0
    while at < len(content):
        stream, length = struct.unpack_from(">BxxxL", content, at)
        found[stream].append(content[at + 8 : at + 8 + length])
        at += 8 + length
    return b"".join(found[1]), b"".join(found[2])


def script(engine: Engine, container: str, lines: Sequence[str]) -> str:
    """Standard output of a shell script that stops at the first line that fails.

    Raises:
        BedError: one did; the message has what it wrote.
    """
    done = execute(engine, container, ["sh", "-ec", "\n".join(lines)], limit=30)
    if done.exit_code:
        raise BedError(f"exit code {done.exit_code} from: {'; '.join(lines)}\n{done.output.strip()}")
    return done.stdout


def fetch(
    engine: Engine, container: str, url: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> httpx.Response:
    """One GET by a program in the container, with exactly these headers.

    Raises:
        BedError: nobody answers.
    """
    request = httpx.Request("GET", url, params=dict(query))
    asked = json.dumps([str(request.url), dict(headers)])
    done = execute(engine, container, ["python3", "-I", "-S", "-c", FETCH, asked], limit=40)
    if done.exit_code:
        raise BedError(f"nobody answers at {url}: {done.output.strip().splitlines()[-1:]}")
    status, answered, body = json.loads(done.stdout)
    return httpx.Response(status, headers=answered, content=body.encode(), request=request)
