"""ARM's errors. Raising code names status, code and text; only `ArmError.body` knows the shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from arcbed_cloud.arm.ids import ResourceId


@dataclass(eq=False)
class ArmError(Exception):
    """An error as ARM answers it.

    `cause` is what ``x-ms-failure-cause`` says: ``gateway`` when ARM itself refuses, ``service`` when a
    provider does.
    """

    status: int
    code: str
    message: str
    target: str | None = None
    details: Sequence[Mapping[str, Any]] = ()
    cause: str = "gateway"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self) -> bytes:
        """The envelope ``{"error": {"code", "message", "target"?, "details"?}}``."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return orjson.dumps({"error": error})


def resource_not_found(target: ResourceId) -> ArmError:
    """404 as the gateway answers it for a missing item of any type that it tracks."""
    path = "/".join(part for pair in zip(target.types, target.names, strict=False) for part in pair)
    where = f" under resource group '{target.group}'" if target.group else ""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{target.namespace}/{path}'{where} was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def group_not_found(name: str) -> ArmError:
    """404 for a resource group that does not exist."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def parent_not_found(child_type: str, parent_id: str) -> ArmError:
    """404 for a child of something that does not exist."""
    return ArmError(
        404,
        "ParentResourceNotFound",
        f"Failed to perform 'read' on resource(s) of type '{child_type}', "
        f"because the parent resource '{parent_id}' could not be found.",
    )


def invalid_content(what: str) -> ArmError:
    """400 for a body that does not have the shape of its model; `what` says where."""
    return ArmError(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{what}'.",
    )
