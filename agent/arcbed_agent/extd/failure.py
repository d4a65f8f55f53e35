"""Why an operation failed: a code of the handler contract and a sentence."""

from __future__ import annotations

from typing import Final

#: Source: Azure/WALinuxAgent, `common/exception.py`.
MANIFEST_MISSING: Final = 1002
MANIFEST_BAD: Final = 1003
DOWNLOAD: Final = 1004
UNPACK: Final = 1005
COMMANDS: Final = {"install": 1007, "update": 1008, "enable": 1009, "disable": 1010, "uninstall": 1007}
TIMEOUT: Final = 1011
UNKNOWN: Final = -1
#: Documented since agent 1.63: the extensions' folder is mounted ``noexec``.
NOEXEC: Final = 64


class OperationError(Exception):
    """The operation has failed.

    Args:
        code: as ARM's `instanceView.status.code` is to say.
        message: for people.
        exit_code: the command's exit code, if it was a command.
        stdout, stderr: tails of what the command printed.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        exit_code: int | None = None,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit = exit_code
        self.stdout = stdout
        self.stderr = stderr
