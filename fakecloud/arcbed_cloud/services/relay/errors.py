"""Refusals of the relay, as HTTP answers: to a sender, or to the handshake of a WebSocket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class RelayError(Exception):
    """Source: Microsoft's article "Azure Relay Hybrid Connections protocol", tables of error codes."""

    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.status} {self.message}"


def unauthorised(message: str) -> RelayError:
    """401: the token is missing, damaged or too old."""
    return RelayError(401, message)


def forbidden(right: str) -> RelayError:
    """403: the token is good, but not for this."""
    return RelayError(403, f"The token does not give the right '{right}' on this path.")


def no_path(path: str) -> RelayError:
    """404: there is no such hybrid connection."""
    return RelayError(404, f"The hybrid connection '{path}' does not exist.")


def no_listener() -> RelayError:
    """502: nobody listens."""
    return RelayError(502, "There are no listeners connected for the endpoint.")


def no_answer() -> RelayError:
    """504: who listens did not answer in time."""
    return RelayError(504, "The listener did not answer within the required time.")
