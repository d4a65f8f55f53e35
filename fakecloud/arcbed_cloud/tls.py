"""The server's side of TLS: version 1.2 or newer, and an alert for whoever comes with less."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for chain and key, TLS 1.2 or newer, HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = _Alerting
    return context


class _Alerting(ssl.SSLObject):
    """Lets the alert of a failed handshake reach the client.

    OpenSSL has written it when it reports the failure, but asyncio and uvloop then close at once and send
    nothing: clients see a broken connection instead of ``protocol_version``. Asking for more data first makes
    them send what is there; the client hangs up on the alert, or the handshake times out.
    """

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the alert goes out first") from error
