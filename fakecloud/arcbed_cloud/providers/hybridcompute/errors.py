"""Errors of the provider: its codes are ``HCRP`` and the HTTP status."""

from __future__ import annotations

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import ResourceId


def hcrp(status: int, message: str, target: ResourceId) -> ArmError:
    """An error about a machine; `target` reads ``{subscription}/{resource group}/{machine}``, as seen."""
    where = "/".join((target.subscription or "", target.group or "", *target.names))
    return ArmError(status, f"HCRP{status}", message, target=where, cause="service")


def insufficient(members: str, target: ResourceId) -> ArmError:
    """400 for properties that are missing or cannot be used, named in the casing of the .NET model."""
    return hcrp(
        400,
        "The request does not have sufficient information to complete the operation. "
        f"Missing or invalid properties: {members}.",
        target,
    )


def conflict(message: str, target: ResourceId) -> ArmError:
    """409: the name, or the machine id, belongs to another machine."""
    return hcrp(409, message, target)


def quota(resource_type: str, limit: int) -> ArmError:
    """409 with the code and the words by which ARM refuses one resource of a type too many in a group."""
    return ArmError(
        409,
        "ResourceQuotaExceeded",
        f"Creating the resource of type '{resource_type}' would exceed the quota of '{limit}' resources of "
        f"type '{resource_type}' per resource group. The current resource count is '{limit}', please delete "
        "some resources of this type before creating a new one.",
    )
