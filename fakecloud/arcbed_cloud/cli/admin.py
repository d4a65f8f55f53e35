"""One call to the admin API of a running control plane, with the standard library only."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 30


class AdminError(RuntimeError):
    """The admin API could not be reached, or refused."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, whatever the length of its path."""

    def __init__(self, file: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._file = file

    def connect(self) -> None:
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(TIMEOUT)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._file.name}")
        finally:
            os.close(folder)


def call(folder: Path, admin: str, method: str, path: str, body: Any = None) -> Any:
    """One call.

    Args:
        folder: the state folder, for its token.
        admin: where the API is, as in ``fakecloud.json``.
        method: of HTTP.
        path: from ``/_fakecloud`` on.
        body: what to send as JSON, or None.

    Raises:
        AdminError: with the API's own words.
    """
    try:
        token = (folder / "admin.token").read_text().strip()
        connection = _connection(admin)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
    except OSError as error:
        raise AdminError(f"The admin API at {admin} cannot be reached: {error}.") from error
    if answer.status >= 400:
        raise AdminError(f"{method} {path}: {answer.status} {content.decode(errors='replace')}")
    return json.loads(content) if content else None


def _connection(admin: str) -> http.client.HTTPConnection:
    if admin.startswith("unix:"):
        return _UnixConnection(Path(admin.removeprefix("unix:")))
    parts = urlsplit(admin)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT)
