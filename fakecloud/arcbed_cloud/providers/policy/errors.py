"""Errors of policy in Microsoft.Authorization and Microsoft.PolicyInsights, in Azure's codes and words."""

from __future__ import annotations

from collections.abc import Iterable

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import ResourceId

_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"


def definition_not_found(name: str, *, initiative: bool = False) -> ArmError:
    """404 for a definition or an initiative."""
    code, what = ("PolicySetDefinitionNotFound", "set ") if initiative else ("PolicyDefinitionNotFound", "")
    return ArmError(404, code, f"The policy {what}definition '{name}' could not be found.")


def assignment_not_found(name: str) -> ArmError:
    """404 for an assignment."""
    return ArmError(404, "PolicyAssignmentNotFound", f"The policy assignment '{name}' is not found.")


def invalid_rule(why: str) -> ArmError:
    """400 for a rule that cannot be read."""
    return ArmError(400, "InvalidPolicyRule", f"Failed to parse policy rule: '{why}'.")


def invalid_definition(name: str, why: str) -> ArmError:
    """400 for the rest of a definition."""
    return ArmError(400, "InvalidPolicyDefinition", f"The policy definition '{name}' is invalid: {why}.")


def invalid_assignment(name: str, why: str) -> ArmError:
    """400 for an assignment."""
    return ArmError(
        400,
        "InvalidCreatePolicyAssignmentRequest",
        f"The policy assignment '{name}' create request is invalid. {why}",
    )


def in_use(name: str, assignments: Iterable[str], *, initiative: bool = False) -> ArmError:
    """400 for deleting what is assigned."""
    what = "set definition" if initiative else "definition"
    return ArmError(
        400,
        f"InvalidDeletePolicy{'Set' if initiative else ''}DefinitionRequest",
        f"The policy {what} '{name}' cannot be deleted because it is used by: {', '.join(assignments)}.",
    )


def refuse_management_group(target: ResourceId) -> None:
    """A bed has no management groups.

    Raises:
        ArmError: 404 NotFound for a path through one.
    """
    if target.scope.lower().startswith(_MANAGEMENT_GROUP):
        name = target.scope.split("/")[4] if target.scope.count("/") > 3 else ""
        raise ArmError(
            404,
            "NotFound",
            f"The management group '{name}' cannot be found. This control plane serves policy at "
            "subscriptions, resource groups and resources, not at management groups.",
        )
