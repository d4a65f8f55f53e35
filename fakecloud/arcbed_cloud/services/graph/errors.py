"""Graph's errors: ``{"error": {"code", "message", "innerError"}}``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class GraphError(Exception):
    """One refusal."""

    status: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self, *, date: str, request_id: str, client_request_id: str) -> dict[str, Any]:
        """The JSON body; `date` is UTC without a zone, as Graph writes it."""
        inner = {"date": date, "request-id": request_id, "client-request-id": client_request_id}
        return {"error": {"code": self.code, "message": self.message, "innerError": inner}}


def not_found(name: str) -> GraphError:
    """No object has this id."""
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )


def denied() -> GraphError:
    """The caller may not do this."""
    return GraphError(
        403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
    )


def bad_request(message: str) -> GraphError:
    """The body or the query cannot be used."""
    return GraphError(400, "Request_BadRequest", message)


def unauthenticated(message: str) -> GraphError:
    """No token, or one that is not for Graph."""
    return GraphError(401, "InvalidAuthenticationToken", message)
