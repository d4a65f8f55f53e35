"""Shared access signatures of Azure Relay.

Source: Microsoft's article "Service Bus access control with Shared Access Signatures". Times are real ones:
whoever signs, signs with a clock that cannot see the bed's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

SCHEME = "SharedAccessSignature"
_SECONDS = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says: `encoded` is the resource as it was signed, `expires` in real epoch seconds."""

    encoded: str
    signature: str
    expires: int
    rule: str

    def signed_with(self, key: str) -> bool:
        """Whether `key` made it."""
        expected = _signature(key, f"{self.encoded}\n{self.expires}")
        return hmac.compare_digest(expected.encode(), self.signature.encode())

    def covers(self, path: str) -> bool:
        """Whether it is for the hybrid connection `path`, or for all below a part of it.

        The host does not count: one control plane is reached under several names.
        """
        named = urlsplit(unquote(self.encoded)).path.strip("/").lower().removeprefix("$hc/")
        named = named.removeprefix("relay").strip("/").removeprefix("$hc/")
        return not named or named == path or path.startswith(f"{named}/")


def sign(key: str, resource: str, rule: str, expires: int) -> str:
    """A token for `resource` (``http://<host>/<path>``) in the name of `rule`."""
    encoded = quote(resource, safe="")
    signature = quote(_signature(key, f"{encoded}\n{expires}"), safe="")
    return f"{SCHEME} sr={encoded}&sig={signature}&se={expires}&skn={rule}"


def read(token: str) -> Claim:
    """The parts of a token.

    Raises:
        ValueError: it is none.
    """
    scheme, _, text = token.strip().partition(" ")
    # In a query some clients write the blank as a plus sign.
    if scheme != SCHEME and token.startswith(f"{SCHEME}+"):
        scheme, text = SCHEME, token[len(SCHEME) + 1 :]
    pairs = (part.partition("=") for part in text.split("&"))
    parts = {name: value for name, _, value in pairs}
    complete = {"sr", "sig", "se", "skn"} <= parts.keys() and _SECONDS.fullmatch(parts["se"])
    if scheme != SCHEME or not complete:
        raise ValueError("the token is no shared access signature")
    return Claim(parts["sr"], unquote(parts["sig"]), int(parts["se"]), unquote(parts["skn"]))


def key_of(master: str, path: str, rule: str) -> str:
    """The key of a rule of one hybrid connection."""
    digest = hmac.new(master.encode(), f"{path}\n{rule}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()
