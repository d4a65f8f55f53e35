"""Who may use the testbed's API: holders of ``admin.token``, under a host name of the listener's own."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from arcbed_cloud import hosts
from arcbed_cloud.admin.bed import Bed
from arcbed_cloud.admin.health import ANSWERS, failure, reply
from arcbed_cloud.dispatch import App, Receive, Scope, Send
from arcbed_cloud.files import write_atomic


def load_or_make_token(folder: Path, name: str = "admin.token") -> str:
    """The token in a file of the state folder (0600), made at first start."""
    file = folder / name
    if file.exists() and (known := file.read_text().strip()):
        return known
    token = secrets.token_urlsafe(32)
    write_atomic(file, token + "\n", mode=0o600)
    return token


class Guard:
    """Checks host and token before `app` sees a call; health and readiness need no token. Plain ASGI.

    The host check keeps a web page from reaching the listener through a name that it points here.
    """

    def __init__(self, app: App, bed: Bed, token: str, names: frozenset[str]) -> None:
        self._app = app
        self._bed = bed
        self._token = f"Bearer {token}".encode()
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        host = hosts.bare(headers.get(b"host", b"").decode("latin-1"))
        if not hosts.is_loopback(host) and host not in self._names:
            await reply(
                send, 421, failure("MisdirectedRequest", f"The host '{host}' is not this listener's.")
            )
        elif answer := ANSWERS.get(scope["path"]):
            await reply(send, *answer(self._bed))
        elif not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            challenge = ((b"www-authenticate", b'Bearer realm="fakecloud"'),)
            await reply(
                send, 401, failure("Unauthorized", "Send the token in admin.token as Bearer."), challenge
            )
        else:
            await self._app(scope, receive, send)
