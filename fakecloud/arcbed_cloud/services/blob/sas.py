"""Shared access signatures of an account's key: service (blob, container) and account signatures.

Source: Microsoft's articles "Create a service SAS" and "Create an account SAS". Times are real ones: whoever
signs, signs with a clock that cannot see the bed's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import ip_address
from urllib.parse import quote, urlencode

from arcbed_cloud.services.blob.errors import (
    BlobError,
    no_permission,
    not_authenticated,
    wrong_address,
    wrong_protocol,
)

VERSION = "2025-11-05"
_OLDEST, _WITH_RESOURCE, _WITH_ENCRYPTION = "2015-04-05", "2018-11-09", "2020-12-06"
# What a signature may say about the headers of the answer.
OVERRIDES = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants to read or write, and how it came: `now` is real epoch seconds."""

    account: str
    container: str
    name: str
    now: float
    secure: bool
    client: str


def signed(
    key: bytes, account: str, container: str, name: str, *, expiry: float, permissions: str = "r"
) -> str:
    """The query of a service signature for one blob, good until `expiry` (real epoch seconds), https only."""
    query = {
        "sp": permissions,
        "se": f"{datetime.fromtimestamp(expiry, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "spr": "https",
        "sv": VERSION,
        "sr": "b",
    }
    text = _service_text(query, f"/blob/{account}/{container}/{name}")
    return urlencode({**query, "sig": _signature(key, text)}, quote_via=quote)


def account_signed(key: bytes, account: str, *, expiry: float, permissions: str = "rwlac") -> str:
    """The query of an account signature for its blob service, good until `expiry`, https only."""
    query = {
        "sv": VERSION,
        "ss": "b",
        "srt": "sco",
        "sp": permissions,
        "se": f"{datetime.fromtimestamp(expiry, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "spr": "https",
    }
    names = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
    text = "\n".join([account, *(query.get(name, "") for name in names), ""])
    return urlencode({**query, "sig": _signature(key, text)}, quote_via=quote)


def decoded(key: str) -> bytes:
    """An account's key from the text form that Azure gives it.

    Raises:
        ValueError: it is no base64.
    """
    return base64.b64decode(key.strip(), validate=True)


def check(query: Mapping[str, str], key: bytes | None, asked: Asked, needs: str = "r") -> dict[str, str]:
    """Check the signature in a query; the headers that it wants in the answer.

    Args:
        query: of the request.
        key: of the account; None: there is no such account.
        asked: the request.
        needs: letters of permissions of which one is enough.

    Raises:
        BlobError: 403 with the code of what does not hold.
    """
    if "skoid" in query:
        raise not_authenticated("Signatures of user delegation keys are not understood here.")
    if "si" in query:
        raise not_authenticated("Access policy not found.")
    version = query.get("sv", "")
    if version < _OLDEST:
        raise not_authenticated(f"The signed version '{version}' is not supported.")
    text = _account_text(query, asked) if "ss" in query else _blob_text(query, asked)
    given = query.get("sig", "").encode()
    if key is None or not hmac.compare_digest(_signature(key, text).encode(), given):
        raise not_authenticated(f"Signature did not match. String to sign used was {text}")
    _check_times(query, asked.now)
    if not set(needs) & set(query.get("sp", "")):
        raise no_permission()
    if query.get("spr") == "https" and not asked.secure:
        raise wrong_protocol()
    _check_address(query.get("sip", ""), asked.client)
    return {header: query[name] for name, header in OVERRIDES.items() if query.get(name)}


def _blob_text(query: Mapping[str, str], asked: Asked) -> str:
    match query.get("sr"):
        case "b":
            return _service_text(query, f"/blob/{asked.account}/{asked.container}/{asked.name}")
        case "c":
            return _service_text(query, f"/blob/{asked.account}/{asked.container}")
        case other:
            raise not_authenticated(f"sr '{other}' is not supported; it can be b or c.")


def _service_text(query: Mapping[str, str], resource: str) -> str:
    version = query["sv"]
    names = ["si", "sip", "spr", "sv"]
    parts = [query.get(name, "") for name in ("sp", "st", "se")] + [resource]
    parts += [query.get(name, "") for name in names]
    if version >= _WITH_RESOURCE:
        parts += [query.get("sr", ""), ""]  # the second is a snapshot's time
    if version >= _WITH_ENCRYPTION:
        parts.append(query.get("ses", ""))
    return "\n".join([*parts, *(query.get(name, "") for name in OVERRIDES)])


def _account_text(query: Mapping[str, str], asked: Asked) -> str:
    if "b" not in query.get("ss", "") or "o" not in query.get("srt", ""):
        raise BlobError(
            403,
            "AuthorizationResourceTypeMismatch",
            "This request is not authorized to perform this operation using this resource type.",
        )
    parts = [asked.account, *(query.get(name, "") for name in ("sp", "ss", "srt", "st", "se", "sip", "spr"))]
    parts.append(query["sv"])
    if query["sv"] >= _WITH_ENCRYPTION:
        parts.append(query.get("ses", ""))
    return "\n".join([*parts, ""])


def _signature(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def _check_times(query: Mapping[str, str], now: float) -> None:
    start, end = _time(query.get("st", "")), _time(query.get("se", ""))
    if end is None:
        raise not_authenticated("se is mandatory. Cannot be empty")
    if (start is not None and now < start) or now >= end:
        shown = [
            format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True) for at in (start or 0, end, now)
        ]
        raise not_authenticated(
            "Signature not valid in the specified time frame: "
            f"Start [{shown[0]}] - Expiry [{shown[1]}] - Current [{shown[2]}]"
        )


def _time(text: str) -> float | None:
    """One of the ISO 8601 forms that signatures may have; None for an empty text."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise not_authenticated(f"'{text}' is no time.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _check_address(allowed: str, client: str) -> None:
    if not allowed:
        return
    first, _, last = allowed.partition("-")
    try:
        low, high, mine = ip_address(first), ip_address(last or first), ip_address(client)
    except ValueError:
        raise wrong_address() from None
    if low.version != mine.version or not int(low) <= int(mine) <= int(high):
        raise wrong_address()
