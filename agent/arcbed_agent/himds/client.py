"""How azcmagent reaches himds."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from arcbed_agent.errors import AgentError
from arcbed_agent.himds.messages import LINE_LIMIT, ConnectParameters, Progress, Status, dial
from arcbed_agent.host.layout import Layout

__all__ = ["ConnectParameters", "HimdsClient", "Progress", "Status"]

OnProgress = Callable[[Progress], None]


def _ignore(_progress: Progress) -> None:
    return None


class HimdsClient:
    """One himds, over its Unix socket. Blocking; each call is a connection of its own.

    Every call raises AgentError 61 when himds is not running or does not let this user in, 64 when it does
    not answer or answers nonsense, and otherwise the error that himds reported.

    Args:
        layout: where the socket is.
        timeout: real seconds to wait for the answer of a short call, and for the next line of a long one.
        patience: the same for `connect` and `disconnect`, whose waits run on the agent's clock.
        waiting: entered while himds has begun to work and has not answered; the connection outlasts it.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        timeout: float = 30.0,
        patience: float = 660.0,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._waiting = waiting
        self._path = layout["himds_socket"]
        self._timeout = timeout
        self._patience = patience

    def status(self) -> Status:
        """What himds knows now."""
        return Status.from_json(self._call("status", {}, self._timeout))

    def connect(self, parameters: ConnectParameters, on_progress: OnProgress = _ignore) -> Status:
        """Register this machine; returns when the first heartbeat has been accepted.

        Raises:
            AgentError: 42, 44, 62, 67, 81, 103, 105 or another documented number.
        """
        return Status.from_json(self._call("connect", parameters.to_json(), self._patience, on_progress))

    def disconnect(
        self, access_token: str | None, *, force_local_only: bool = False, on_progress: OnProgress = _ignore
    ) -> Status:
        """Delete the machine in Azure (unless `force_local_only`), then forget it here.

        Raises:
            AgentError: 43 (nothing was changed here), 63 or another documented number.
        """
        parameters = {"access_token": access_token, "force_local_only": force_local_only}
        return Status.from_json(self._call("disconnect", parameters, self._patience, on_progress))

    def reload(self) -> None:
        """Make himds read `localconfig.json` again.

        Raises:
            AgentError: 70 or 23, himds keeps what it had.
        """
        self._call("reload", {}, self._timeout)

    def _call(
        self, method: str, parameters: dict[str, Any], timeout: float, on_progress: OnProgress = _ignore
    ) -> dict[str, Any]:
        try:
            line = dial(self._path, timeout)
        except OSError as error:
            raise AgentError(
                61,
                f"cannot reach himds at {self._path}: {error.strerror or error}",
                advice="Check that the himds service is running and that you are root.",
            ) from error
        with line, line.makefile("rb") as stream:
            try:
                line.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\n")
                answer = json.loads(stream.readline(LINE_LIMIT))
                if "progress" in answer:
                    with self._waiting():
                        while "progress" in answer:
                            on_progress(Progress.from_json(answer["progress"]))
                            answer = json.loads(stream.readline(LINE_LIMIT))
                return _result(answer)
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise AgentError(64, f"himds did not answer '{method}': {error}") from error


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        error = answer["error"]
        raise AgentError(int(error["number"]), str(error["message"]), advice=str(error.get("advice", "")))
    result = answer["result"]
    return result if isinstance(result, dict) else {}
