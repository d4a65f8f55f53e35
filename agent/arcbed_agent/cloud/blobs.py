"""Downloads of files whose address came from the cloud: resumed, capped, never from link-local addresses.

Azure's blob service: ``Range``, ``ETag`` with ``If-Range``, shared access signatures in the query.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from arcbed_agent.cloud.transport import CloudError, Transport

REDIRECTS: Final = 3
_TOTAL: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class DownloadError(Exception):
    """The file is refused and another try will not help; `code` is one word, `str()` a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(Exception):  # noqa: N818 - not an error of its own: the caller goes on
    """The connection ended before the file did; what has arrived is kept."""


def check_address(url: str) -> None:
    """Refuse what no package has a reason to live at.

    Raises:
        DownloadError: not https, or a literal link-local or multicast address.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise DownloadError("InvalidContentUri", "The address of the package is not an https URL.")
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise DownloadError("InvalidContentUri", f"Packages are not fetched from {parts.hostname}.")


async def fetch(
    transport: Transport, url: str, part: Path, *, limit: int, headers: Mapping[str, str] | None = None
) -> int:
    """Get the rest of `url` into `part`, which may hold its beginning; answers the bytes that it has then.

    Args:
        transport: the way.
        url: https.
        part: grows; beside it ``<name>.etag`` says which version of the file it is a part of.
        limit: bytes that are accepted at most.
        headers: more of them; they do not follow a redirect to another host.

    Raises:
        UnreachableError, CloudError: see `Transport`; what has arrived is kept.
        Interrupted: the connection ended early; the same.
        DownloadError: the address is refused, or the file is too large; nothing is kept.
    """
    sent = dict(headers or {})
    for _ in range(REDIRECTS + 1):
        check_address(url)
        begun, etag = _begun(part)
        ranged = {"Range": f"bytes={begun}-", "If-Range": etag} if begun and etag else {}
        try:
            async with transport.stream("GET", url, headers=sent | ranged) as answer:
                if not answer.is_redirect:
                    return await _receive(answer, part, begun, limit)
                target = urljoin(url, answer.headers.get("location", ""))
        except CloudError as error:
            if error.status != 416 or not ranged:
                raise
            # All of it had arrived when the agent was ended, so there is no rest to ask for: once more.
            discard(part)
            continue
        if urlsplit(target).netloc != urlsplit(url).netloc:
            sent = {}
        url = target
    raise DownloadError("TooManyRedirects", f"The package is not found after {REDIRECTS} redirects.")


def _begun(part: Path) -> tuple[int, str]:
    try:
        return part.stat().st_size, _etag_file(part).read_text()
    except OSError:
        return 0, ""


def _etag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def discard(part: Path) -> None:
    """Forget what has arrived of a file."""
    part.unlink(missing_ok=True)
    _etag_file(part).unlink(missing_ok=True)


async def _receive(answer: httpx.Response, part: Path, begun: int, limit: int) -> int:
    match = _TOTAL.fullmatch(answer.headers.get("content-range", ""))
    if answer.status_code == 206 and (match is None or int(match[1]) != begun):
        discard(part)
        raise Interrupted("the service sent another range than was asked for")
    start = begun if answer.status_code == 206 else 0
    length = answer.headers.get("content-length", "")
    total = start + int(length) if length.isdigit() else None
    if total is not None and total > limit:
        discard(part)
        raise DownloadError("PackageTooLarge", f"The package has {total} bytes, {limit} are accepted.")
    if start == 0:
        _etag_file(part).write_text(answer.headers.get("etag", ""))
    size = start
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", closefd=True) as stream:
        stream.truncate(start)
        stream.seek(start)
        try:
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
                if size > limit:
                    discard(part)
                    raise DownloadError("PackageTooLarge", f"The package has more than {limit} bytes.")
                stream.write(chunk)
        except httpx.HTTPError as error:
            raise Interrupted(str(error) or type(error).__name__) from error
        stream.flush()
        os.fsync(stream.fileno())
    if total is not None and size < total:
        raise Interrupted(f"{size} of {total} bytes have arrived")
    return size


def refused_for_good(error: CloudError) -> bool:
    """Whether asking again for the same address is useless: it is wrong, forbidden or expired."""
    return 400 <= error.status < 500 and error.status not in {408, 416, 429}
