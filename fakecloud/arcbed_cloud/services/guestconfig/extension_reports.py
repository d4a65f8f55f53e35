"""What agents say of extensions, and what ARM makes of it: ``docs/wire.md``, section 12.3."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.extensions import Extensions
from arcbed_cloud.services.guestconfig.findings import Moment
from arcbed_cloud.services.his.errors import HisError, invalid_members
from arcbed_cloud.store.contract import Document, Row

CAP = 102_400
_TAIL = 4096


def _tail(text: str) -> str:
    return text[-_TAIL:]


Tail = Annotated[str, AfterValidator(_tail)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)


class Handler(_Part):
    """State of the handler as a whole."""

    status: Literal["Ready", "NotReady", "Installing", "Unresponsive", "NotInstalled"]
    code: int | None = None
    message: str = ""


class InstanceView(_Part):
    """ARM's status of an instance view."""

    code: str = ""
    level: str = "Information"
    display_status: str | None = None
    message: str = ""
    time: Moment | None = None


class ExtensionReport(_Part):
    """The whole body."""

    report_seq: int = Field(ge=0, lt=2**53)
    sequence_number: int = Field(ge=0, lt=2**53)
    type_handler_version: str = Field(default="", max_length=64, pattern=r"^(\d{1,9}(\.\d{1,9}){0,3})?$")
    state: Literal["InProgress", "Succeeded", "Failed", "Canceled"] | None = None
    phase: str | None = Field(default=None, max_length=32)
    handler: Handler | None = None
    substatuses: list[dict[str, Any] | None] | None = None
    instance_view: InstanceView | None = None
    exit_code: int | None = None
    stdout_tail: Tail = ""
    stderr_tail: Tail = ""
    governance: dict[str, Any] | None = None
    truncated: bool = False


class ExtensionReports:
    """Takes reports; each is on disk before it is answered."""

    def __init__(self, plane: Plane, extensions: Extensions) -> None:
        self._store = plane.store
        self._extensions = extensions

    async def take(self, machine: Row, name: str, operation_id: str | None, body: bytes) -> bool:
        """Take a report; False if a newer one has been taken before.

        Args:
            machine: whose.
            name: of the extension or run command.
            operation_id: of the operation that it is about; None for a mere status.
            body: JSON.

        Raises:
            HisError: 404 ExtensionNotFound, 400 InvalidRequest, 409 SequenceConflict, 410 OperationExpired.
        """
        async with self._store.unit() as unit:
            row = self._extensions.items.named(machine.key, name)
            if row is None:
                raise HisError(404, "ExtensionNotFound", f"There is no extension '{name}'.", name)
            said = _read(body)
            if operation_id is not None and said.state is None:
                raise HisError(400, "InvalidRequest", "'state' is required.", "state")
            known = self._extensions.goals.of(machine.key)
            agent = row.document["agent"]
            if said.report_seq <= known["reportSeq"]:
                return False
            if said.sequence_number > agent["sequence"]:
                raise HisError(
                    409,
                    "SequenceConflict",
                    f"The newest sequence number of '{name}' is {agent['sequence']}.",
                    "sequenceNumber",
                )
            if operation_id is not None:
                _check_open(agent, operation_id)
            self._extensions.goals.keep(unit, machine.key, {**known, "reportSeq": said.report_seq})
            if said.sequence_number < agent["sequence"]:
                return True
            document = said.model_dump(by_alias=True, exclude_none=True)
            self._extensions.items.report(unit, row, operation_id, document)
        return True


def _check_open(agent: Document, operation_id: str) -> None:
    operation, last = agent["operation"], agent["last"]
    if operation is not None and operation["operationId"] == operation_id.lower():
        return
    if last is not None and last["operationId"] == operation_id.lower() and last["outcome"] in ENDED:
        return
    raise HisError(
        410,
        "OperationExpired",
        "The operation has expired, or was superseded by another one; pull the goal state again.",
        operation_id,
    )


def _read(body: bytes) -> ExtensionReport:
    try:
        return ExtensionReport.model_validate_json(body)
    except ValidationError as error:
        raise invalid_members(error, "The report is not valid.") from error


ENDED = frozenset({"Succeeded", "Failed"})
