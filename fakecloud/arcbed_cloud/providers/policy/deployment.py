"""The deployment of a ``deployIfNotExists`` definition: from its template to guest assignments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import group_id, parse
from arcbed_cloud.providers.guestconfiguration import GuestAssignments
from arcbed_cloud.providers.policy import surroundings
from arcbed_cloud.providers.policy.expressions import ExpressionError, evaluate
from arcbed_cloud.providers.policy.library import Member
from arcbed_cloud.store.contract import Document, Row, Unit

_SERVED = "microsoft.hybridcompute/machines/providers/guestconfigurationassignments"
_NEEDED = (
    "Microsoft.Resources/deployments/write",
    "Microsoft.GuestConfiguration/guestConfigurationAssignments/write",
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """How one ended; `error` has ``code`` and ``message``, None if all went well."""

    id: str
    error: Document | None = None


class Deployer:
    """Deploys as the identity of the policy assignment, whose roles decide."""

    def __init__(self, context: ProviderContext, guests: GuestAssignments) -> None:
        self._context = context
        self._guests = guests

    def deploy(self, unit: Unit, resource: Row, member: Member) -> Deployment:
        """Deploy the template of `member` for a machine; what goes wrong is in the answer."""
        target = parse(resource.document["id"])
        number = self._context.plane.ids.integer(10**18, 10**19 - 1)
        name = (
            f"{group_id(target.subscription or '', target.group or '')}"
            f"/providers/Microsoft.Resources/deployments/PolicyDeployment_{number}"
        )
        try:
            self._check_identity(member, resource.document["id"])
            for given in self._resources(member, resource.document):
                self._guests.put(
                    unit,
                    resource.document["id"],
                    given["assignment"],
                    given["body"],
                    policy_assignment_id=member.assignment["id"],
                )
        except ArmError as error:
            return Deployment(name, {"code": error.code, "message": error.message})
        except ExpressionError as error:
            return Deployment(name, {"code": "InvalidTemplate", "message": str(error)})
        return Deployment(name)

    def _check_identity(self, member: Member, scope: str) -> None:
        principal = (member.assignment.get("identity") or {}).get("principalId")
        for action in _NEEDED:
            if principal is None or not self._context.access.allows(principal, action, scope):
                raise ArmError(
                    403,
                    "AuthorizationFailed",
                    f"The client '{principal}' with object id '{principal}' does not have authorization to "
                    f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was "
                    "recently granted, please refresh your credentials.",
                )

    def _resources(self, member: Member, machine: Document) -> list[Document]:
        properties = member.rule["then"]["details"]["deployment"]["properties"]
        tenant = self._context.directory.tenant_id
        rule = surroundings.of_rule(member, machine, tenant)
        given = evaluate(properties.get("parameters") or {}, rule)
        template = properties["template"]
        scope = surroundings.of_scope(machine["id"], tenant)
        functions = surroundings.of_template(template, given, scope)
        found = [
            _assignment(evaluate(resource, functions), machine)
            for resource in template["resources"]
            if evaluate(resource.get("condition", True), functions) is True
        ]
        if not found:
            raise ArmError(400, "InvalidTemplate", "No resource of the template applies to the machine.")
        return found


def _assignment(resource: Document, machine: Document) -> Document:
    kind, name = str(resource.get("type", "")), str(resource.get("name", ""))
    parts = name.split("/")
    if kind.lower() != _SERVED or len(parts) != 3 or parts[0].lower() != machine["name"].lower():
        raise ArmError(
            400,
            "InvalidTemplateDeployment",
            f"The deployment of '{kind}' named '{name}' is not served; guest assignments on the machine are.",
        )
    body: dict[str, Any] = {
        "location": resource.get("location"),
        "properties": {"context": "Azure policy", **(resource.get("properties") or {})},
    }
    return {"assignment": parts[2], "body": body}
