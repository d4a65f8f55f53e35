"""What the extension manager remembers: of each extension, each handler and its contact with the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from arcbed_agent.extd.goal import Goal
from arcbed_agent.kept import Kept

#: Of a handler. Source: `HandlerState` of the Azure Linux agent.
NOT_INSTALLED: Final = "NotInstalled"
INSTALLED: Final = "Installed"
ENABLED: Final = "Enabled"
FAILED_UPGRADE: Final = "FailedUpgrade"

#: Of a handler, as it is told to Azure.
READY: Final = "Ready"
NOT_READY: Final = "NotReady"

IN_PROGRESS: Final = "InProgress"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"


@dataclass(frozen=True, kw_only=True)
class Work(Kept):
    """An operation that is being carried out.

    It is carried out from its beginning each time the manager starts; what is in `runs` is not done again.

    Args:
        goal: what it is for, as `Goal.to_json`.
        plan: what was decided at its beginning, so that a second start decides the same.
        runs: steps that have begun: commands with exit code and output once they have ended.
        phase: as in reports.
        until: when waiting for the handler's status ends, RFC 3339; empty while it is not waited for.
    """

    goal: dict[str, Any]
    plan: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    phase: str = ""
    until: str = ""


@dataclass(frozen=True, kw_only=True)
class Extension(Kept):
    """One extension of the goal state.

    Args:
        goal: what is wanted, as `Goal.to_json`.
        protected: protected settings as base64 of DER CMS; empty without any.
        work: the operation that is under way.
        done: version, sequence number and desired state that were reached, well or badly.
        result: how, as ``{"state", "exitCode", "code", "message", ...}``; see `outcome`.
        report: a G5 body with its operation id that the service has not acknowledged.
        enabled: whether this configuration of the handler is enabled.
        suspended: it was, until a change of version disabled it: it is enabled again with the handler.
    """

    goal: dict[str, Any]
    protected: str = ""
    work: dict[str, Any] | None = None
    done: list[Any] | None = None
    result: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    enabled: bool = False
    suspended: bool = False

    @property
    def wanted(self) -> Goal:
        """`goal`, read."""
        return Goal.from_json(self.goal)

    @property
    def name(self) -> str:
        """Of the resource in ARM."""
        return str(self.goal["name"])

    @property
    def settled(self) -> bool:
        """Whether nothing is to be done."""
        return self.work is None and self.done == list(self.wanted.target)

    @property
    def current(self) -> Work | None:
        """`work`, read."""
        return None if self.work is None else Work.from_json(self.work)


@dataclass(frozen=True, kw_only=True)
class Handler(Kept):
    """What is installed of a handler.

    Args:
        name: ``Publisher.Type``.
        version: that is installed, or that is being installed.
        state: one of the states above.
        status, code, message: as they are told to Azure.
        multi: it takes several configurations.
    """

    name: str
    version: str = ""
    state: str = NOT_INSTALLED
    status: str = NOT_READY
    code: int = 0
    message: str = ""
    multi: bool = False


@dataclass(frozen=True, kw_only=True)
class Sync(Kept):
    """The last contact with the service.

    Args:
        last: time of the last pull that was answered, RFC 3339.
        etag: of that answer; empty makes the next pull unconditional.
        vm_id: the machine that was asked for.
        report_seq: number of the last report.
    """

    last: str = ""
    etag: str = ""
    vm_id: str = ""
    report_seq: int = 0
