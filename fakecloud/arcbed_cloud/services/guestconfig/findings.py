"""The body of a compliance report: ``docs/wire.md``, section 11.5."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from arcbed_cloud.arm import times
from arcbed_cloud.providers.guestconfiguration import Finding
from arcbed_cloud.services.his.errors import HisError, invalid_members

CAP = 204_800


def _moment(text: str) -> str:
    try:
        times.read(text)  # ValueError is pydantic's to report
    except OverflowError as error:
        raise ValueError("outside of the years that there are") from error
    return text


def _small(value: Any) -> Any:
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise ValueError("a number of more than 64 bits") from error
    return value


Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_moment)]
Free = Annotated[dict[str, Any], AfterValidator(_small)]
Status = Literal["Compliant", "NonCompliant", "Pending"]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)


class Reason(_Part):
    """Why a resource is as it is."""

    code: str = ""
    phrase: str = ""


class Resource(_Part):
    """One resource of the configuration."""

    resource_id: str = ""
    compliance_status: Status
    properties: Free = Field(default_factory=dict)
    reasons: list[Reason] = Field(default_factory=list)


class Configuration(_Part):
    """What was evaluated."""

    name: str = Field(min_length=1)
    version: str | None = None


class Report(_Part):
    """The whole body."""

    assignment_name: str
    assignment_hash: str
    item_generation: int = Field(ge=0, lt=2**53)
    configuration: Configuration
    operation_type: Literal["Initial", "Consistency"]
    job_id: str = Field(min_length=1, max_length=64)
    start_time: Moment
    end_time: Moment
    compliance_status: Status
    resources: list[Resource] = Field(default_factory=list)
    engine: Free | None = None
    error: Free | None = None
    seq: int = Field(ge=0, lt=2**53)
    truncated: bool = False


def read(body: bytes, name: str) -> Finding:
    """Parse a report about the assignment `name`.

    Raises:
        HisError: 400 InvalidRequest, whose details name each member that is wrong.
    """
    try:
        said = Report.model_validate_json(body)
    except ValidationError as error:
        raise invalid_members(error, "The report is not valid.") from error
    if said.assignment_name.lower() != name.lower():
        raise HisError(
            400, "InvalidRequest", "'assignmentName' is not the name in the path.", "assignmentName"
        )
    return Finding(
        assignment_hash=said.assignment_hash,
        item_generation=said.item_generation,
        configuration=said.configuration.model_dump(),
        operation_type=said.operation_type,
        job_id=said.job_id,
        start_time=said.start_time,
        end_time=said.end_time,
        compliance_status=said.compliance_status,
        resources=[resource.model_dump(by_alias=True) for resource in said.resources],
        seq=said.seq,
        error=said.error,
        engine=said.engine,
    )
