"""The body of a heartbeat: ``docs/wire.md``, section 10.1."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from arcbed_cloud.providers.hybridcompute import members
from arcbed_cloud.services.his.errors import invalid_members, invalid_request

Guid = Annotated[
    str, StringConstraints(pattern=r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ErrorDetail(BaseModel):
    """ARM's ErrorDetail."""

    model_config = ConfigDict(extra="ignore", strict=True)

    code: str = ""
    message: str = ""
    target: str | None = None
    details: list[ErrorDetail] | None = None


class ServiceStatus(BaseModel):
    """State of a daemon of the machine."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)

    status: str
    startup_type: str | None = None


class Certificate(BaseModel):
    """The certificate that the agent uses."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)

    thumbprint: str = ""
    not_after: str = ""
    key_store: Literal["Default", "TPM"] | None = None


class UpgradeReport(BaseModel):
    """How the newest attempt to upgrade the agent ended: ARM's names."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)

    last_attempt_desired_version: str = Field(max_length=64)
    last_attempt_timestamp: str = Field(max_length=64)
    last_attempt_status: Literal["Success", "Failed"]
    last_attempt_message: str = Field(default="", max_length=4096)


class Beat(BaseModel):
    """One heartbeat; members that are not known are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)

    instance_id: Guid
    seq: int = Field(ge=1, le=2**53)
    sent_at: str = ""
    boot_time: str = ""
    uptime_seconds: float | None = None
    agent_version: str = Field(min_length=1, max_length=64)
    status: Literal["Connected", "Error"] = "Connected"
    error_details: list[ErrorDetail] | None = None
    metadata_hash: Digest
    metadata: dict[str, Any] | None = None
    service_statuses: dict[str, ServiceStatus] | None = None
    agent_configuration: dict[str, Any] | None = None
    agent_upgrade: UpgradeReport | None = None
    identity: Certificate | None = None
    generations: dict[str, int] | None = None
    counters: dict[str, int] | None = None

    def report(self) -> dict[str, Any]:
        """What the machine takes over, in ARM's names.

        Raises:
            HisError: 400 for a member of the wrong kind.
        """
        report: dict[str, Any] = {
            "agentVersion": self.agent_version,
            "status": self.status,
            "errorDetails": [detail.model_dump(exclude_none=True) for detail in self.error_details or ()],
        }
        if self.service_statuses is not None:
            report["serviceStatuses"] = {
                name: status.model_dump(by_alias=True, exclude_none=True)
                for name, status in self.service_statuses.items()
                if name in members.SERVICES
            }
        if self.agent_configuration is not None:
            report["agentConfiguration"] = _chosen(
                self.agent_configuration, members.AGENT_CONFIGURATION, "agentConfiguration"
            )
        if self.identity is not None and self.identity.key_store is not None:
            report["identityKeyStore"] = self.identity.key_store
        if self.agent_upgrade is not None:
            report["agentUpgrade"] = self.agent_upgrade.model_dump(by_alias=True)
        if self.metadata is not None:
            report["metadata"] = self._checked_metadata(self.metadata)
        return report

    def _checked_metadata(self, metadata: dict[str, Any]) -> Any:
        if metadata_hash(metadata) != self.metadata_hash:
            raise invalid_request("'metadataHash' is not the hash of 'metadata'.", "metadataHash")
        detected = metadata.get("detectedProperties") or {}
        if not isinstance(detected, dict) or not all(isinstance(text, str) for text in detected.values()):
            raise invalid_request(
                "'metadata.detectedProperties' must be an object of strings.", "metadata.detectedProperties"
            )
        return _chosen(metadata, members.REPORTED, "metadata")


def read(body: bytes) -> Beat:
    """Parse a heartbeat.

    Raises:
        HisError: 400 InvalidRequest, whose details name each member that is wrong.
    """
    try:
        return Beat.model_validate_json(body)
    except ValidationError as error:
        raise invalid_members(error, "The heartbeat is not valid.") from error


def metadata_hash(metadata: dict[str, Any]) -> str:
    """SHA-256 in hex over the canonical JSON of `metadata`.

    Raises:
        HisError: 400 for a number that JSON documents cannot carry safely.
    """
    try:
        canonical = orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise invalid_request("'metadata' has a number of more than 64 bits.", "metadata") from error
    return hashlib.sha256(canonical).hexdigest()


def _chosen(given: dict[str, Any], template: members.Template, where: str) -> Any:
    return members.chosen(
        given, template, lambda name: invalid_request(f"'{where}.{name}' has the wrong type.", where)
    )
