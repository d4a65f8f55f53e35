"""Programs in containers: what they write arrives whole, however the engine sends it."""

from __future__ import annotations

import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import docker
import pytest

from arcbed.harness.containers import shell


def piece(stream: int, text: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


class InOnePiece(BaseHTTPRequestHandler):
    """An engine whose answers come head and body together, as a quick command's do on a busy computer."""

    written = b""
    raw = "application/vnd.docker.raw-stream"

    def answer(self, kind: str, body: bytes, length: bool = True) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n" if length else "\r\n"
        self.wfile.write(head.encode() + body)
        self.wfile.flush()
        self.close_connection = not length

    def do_POST(self) -> None:
        if self.path.endswith("/start"):
            self.answer(self.raw, self.written, length=False)
        else:
            self.answer("application/json", b'{"Id": "1"}')

    def do_GET(self) -> None:
        self.answer("application/json", json.dumps({"ExitCode": 3}).encode())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def engine():
    server = ThreadingHTTPServer(("127.0.0.1", 0), InOnePiece)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    api = docker.APIClient(f"http://127.0.0.1:{server.server_port}", version="1.41")
    yield SimpleNamespace(client=SimpleNamespace(api=api))
    api.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_output_that_comes_together_with_the_answers_head_is_not_lost(engine, monkeypatch):
    monkeypatch.setattr(InOnePiece, "written", piece(1, b"one ") + piece(2, b"bad") + piece(1, b"two\n"))
    done = shell.execute(engine, "machine", ["true"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, "one two\n", "bad")


def test_what_is_written_at_a_terminal_has_no_heads(engine, monkeypatch):
    monkeypatch.setattr(InOnePiece, "written", b"100 %\r\n")
    assert shell.execute(engine, "machine", ["true"], terminal=True).stdout.strip() == "100 %"


def test_command_that_writes_nothing_is_fine(engine):
    assert shell.execute(engine, "machine", ["true"]).output == ""
