"""What an agent's services read of a request, and how they refuse one; see ``docs/wire.md``, section 4."""

from __future__ import annotations

import zlib

from starlette.requests import Request
from starlette.responses import Response

from arcbed_cloud.services.his.errors import HisError, invalid_request, unsupported_version


def version(request: Request, supported: tuple[str, ...]) -> str:
    """The api-version.

    Raises:
        HisError: 400 UnsupportedApiVersion.
    """
    asked = request.query_params.get("api-version", "")
    if asked not in supported:
        raise unsupported_version(asked, supported)
    return asked


def authorization(request: Request) -> tuple[str, str]:
    """Scheme in lower case, and what follows it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), token.strip()


def bearer(request: Request) -> str:
    """The bearer token, or an empty text."""
    scheme, token = authorization(request)
    return token if scheme == "bearer" else ""


async def body(request: Request, cap: int) -> bytes:
    """The body, unpacked.

    Raises:
        HisError: 413 PayloadTooLarge beyond `cap` bytes, 400 for a content encoding that is not served.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > cap:
            raise _too_large(cap)
    match request.headers.get("content-encoding", "identity").lower():
        case "identity":
            return bytes(content)
        case "gzip":
            return _unzipped(bytes(content), cap)
        case other:
            raise invalid_request(f"The content encoding '{other}' is not supported.", "Content-Encoding")


def _unzipped(data: bytes, cap: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(data, cap + 1)
    except zlib.error as error:
        raise invalid_request("The body is no gzip stream.", "Content-Encoding") from error
    if len(content) > cap:
        raise _too_large(cap)
    if not stream.eof:
        raise invalid_request("The gzip stream is cut off.", "Content-Encoding")
    return content


def _too_large(cap: int) -> HisError:
    return HisError(413, "PayloadTooLarge", f"The body has more than {cap} bytes.")


def refusal(request: Request, error: HisError) -> Response:
    """The error as an answer."""
    headers = {"x-ms-error-code": error.code, **error.headers}
    return Response(error.body(request.state.request_id), error.status, headers, "application/json")
