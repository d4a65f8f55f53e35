"""401 as ARM answers it."""

from __future__ import annotations

from arcbed_cloud import hosts
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.request import Caller
from arcbed_cloud.arm.wire import Call
from arcbed_cloud.services.entra import ARM_AUDIENCES, Directory, TokenError, Tokens

_CODES = {
    "expired": "ExpiredAuthenticationToken",
    "issuer": "InvalidAuthenticationTokenTenant",
    "audience": "InvalidAuthenticationTokenAudience",
}
_MAX_HOSTS = 256


class Authentication:
    """Who calls, from the ``Authorization`` header.

    A token may be for Azure's own audiences or for the URL that the client called, with or without a slash.
    """

    def __init__(self, tokens: Tokens, directory: Directory) -> None:
        self._tokens = tokens
        self._directory = directory
        self._audiences: dict[str, frozenset[str]] = {}

    def caller(self, call: Call) -> Caller:
        """The caller.

        Raises:
            ArmError: 401 with ``WWW-Authenticate``.
        """
        header = call.headers.get("authorization")
        if header is None:
            raise self._refused(
                call, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or not token.isascii():
            raise self._refused(
                call,
                "AuthenticationFailedInvalidHeader",
                "Authentication failed. The 'Authorization' header is provided in an invalid format.",
            )
        try:
            return self._tokens.verify(token, self._accepted(call.base_url))
        except TokenError as error:
            code = _CODES.get(error.reason, "InvalidAuthenticationToken")
            raise self._refused(call, code, error.message) from None

    def _accepted(self, base_url: str) -> frozenset[str]:
        found = self._audiences.get(base_url)
        if found is None:
            if len(self._audiences) >= _MAX_HOSTS:
                self._audiences.clear()
            found = self._audiences[base_url] = ARM_AUDIENCES | {base_url, base_url + "/"}
        return found

    def _refused(self, call: Call, code: str, message: str) -> ArmError:
        authority = f"{login_endpoint(call.base_url)}/{self._directory.tenant_id}"
        challenge = (
            f'Bearer authorization_uri="{authority}", error="invalid_token", '
            f'error_description="{_quoted(message)}"'
        )
        return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def _quoted(text: str) -> str:
    """Text inside a quoted string of a header."""
    plain = "".join(letter for letter in text if " " <= letter <= "~")
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def login_endpoint(base_url: str) -> str:
    """Where to sign in, in terms of the host that the client used: Azure's name or this very address."""
    host = base_url.split("://", 1)[1].partition("/")[0]
    return hosts.login_of(host) or base_url.removesuffix("/arm")
