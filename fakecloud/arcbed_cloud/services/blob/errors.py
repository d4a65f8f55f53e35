"""Errors of the blob service: XML, with the code in a header too.

Source: Microsoft's articles "Status and error codes" and "Blob Storage error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape


@dataclass(eq=False)
class BlobError(Exception):
    """A refusal."""

    status: int
    code: str
    message: str
    detail: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self, request_id: str, time: str) -> bytes:
        """``<Error><Code/><Message/><AuthenticationErrorDetail/>?</Error>``."""
        text = f"{self.message}\nRequestId:{request_id}\nTime:{time}"
        detail = (
            f"<AuthenticationErrorDetail>{escape(self.detail)}</AuthenticationErrorDetail>"
            if self.detail is not None
            else ""
        )
        return (
            '\ufeff<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{self.code}</Code><Message>{escape(text)}</Message>{detail}</Error>"
        ).encode()


def not_authenticated(detail: str) -> BlobError:
    """403: the signature is wrong, out of its time, or of a kind that is not understood."""
    return BlobError(
        403,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
        "correctly including the signature.",
        detail,
    )


def no_permission() -> BlobError:
    """403: the signature holds and does not allow this."""
    return BlobError(
        403,
        "AuthorizationPermissionMismatch",
        "This request is not authorized to perform this operation using this permission.",
    )


def wrong_protocol() -> BlobError:
    """403: the signature is for https."""
    return BlobError(
        403,
        "AuthorizationProtocolMismatch",
        "This request is not authorized to perform this operation using this protocol.",
    )


def wrong_address() -> BlobError:
    """403: the signature is for other addresses."""
    return BlobError(
        403,
        "AuthorizationSourceIPMismatch",
        "This request is not authorized to perform this operation using this source IP.",
    )


def not_public() -> BlobError:
    """409: no signature, and the account allows nothing without one."""
    return BlobError(
        409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account."
    )


def missing_header(name: str) -> BlobError:
    """400."""
    return BlobError(
        400,
        "MissingRequiredHeader",
        "An HTTP header that's mandatory for this request is not specified.",
        headers={"x-ms-error-header": name},
    )


def invalid_header(name: str) -> BlobError:
    """400."""
    return BlobError(
        400,
        "InvalidHeaderValue",
        "The value for one of the HTTP headers is not in the correct format.",
        headers={"x-ms-error-header": name},
    )


def already_exists() -> BlobError:
    """409 for ``If-None-Match: *``."""
    return BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")


def wrong_blob_type() -> BlobError:
    """409: a block for a blob that is no append blob."""
    return BlobError(409, "InvalidBlobType", "The blob type is invalid for this operation.")


def append_position_not_met() -> BlobError:
    """412 for ``x-ms-blob-condition-appendpos``."""
    return BlobError(
        412, "AppendPositionConditionNotMet", "The append position condition specified was not met."
    )


def longest_not_met() -> BlobError:
    """412 for ``x-ms-blob-condition-maxsize``."""
    return BlobError(412, "MaxBlobSizeConditionNotMet", "The max blob size condition specified was not met.")


def too_large() -> BlobError:
    """413."""
    return BlobError(
        413, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum permissible limit."
    )


def too_many_blocks() -> BlobError:
    """409: an append blob has 50,000 blocks at most."""
    return BlobError(
        409,
        "BlockCountExceedsLimit",
        "The committed block count cannot exceed the maximum limit of 50,000 blocks.",
    )


def md5_mismatch() -> BlobError:
    """400 for ``Content-MD5``."""
    return BlobError(
        400,
        "Md5Mismatch",
        "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
    )


def container_not_found() -> BlobError:
    """404."""
    return BlobError(404, "ContainerNotFound", "The specified container does not exist.")


def blob_not_found() -> BlobError:
    """404."""
    return BlobError(404, "BlobNotFound", "The specified blob does not exist.")


def resource_not_found() -> BlobError:
    """404 for an account that does not exist, or a path that names nothing."""
    return BlobError(404, "ResourceNotFound", "The specified resource does not exist.")


def not_implemented(what: str) -> BlobError:
    """501 for operations of Azure's that are not there."""
    return BlobError(
        501, "NotImplemented", "The requested operation is not implemented on the specified resource.", what
    )


def invalid_range(size: int) -> BlobError:
    """416: the range begins behind the end."""
    return BlobError(
        416,
        "InvalidRange",
        "The range specified is invalid for the current size of the resource.",
        headers={"Content-Range": f"bytes */{size}"},
    )


def condition_not_met() -> BlobError:
    """412 for ``If-Match`` and ``If-Unmodified-Since``."""
    return BlobError(
        412,
        "ConditionNotMet",
        "The condition specified using HTTP conditional header(s) is not met.",
    )
