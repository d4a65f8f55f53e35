"""The template functions that a rule or a template can call besides the plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_cloud.arm.ids import group_id, parse
from arcbed_cloud.providers.policy import fields
from arcbed_cloud.providers.policy.expressions import Function, evaluate
from arcbed_cloud.providers.policy.functions import PLAIN
from arcbed_cloud.providers.policy.library import Member, reader
from arcbed_cloud.store.contract import Document


def of_rule(member: Member, resource: Document, tenant_id: str) -> dict[str, Function]:
    """What the rule of a definition sees while it looks at a resource."""
    policy = {
        "assignmentId": member.assignment["id"],
        "definitionId": member.definition["id"],
        "definitionReferenceId": member.reference,
        "setDefinitionId": member.initiative["id"] if member.initiative else "",
    }
    return {
        **PLAIN,
        **of_scope(resource["id"], tenant_id),
        "parameters": reader(member.parameters),
        "field": lambda name: fields.value(resource, name),
        "policy": lambda: policy,
    }


def of_template(
    template: Mapping[str, Any], given: Mapping[str, Any], scope: dict[str, Function]
) -> dict[str, Function]:
    """What a template sees that is deployed with parameters.

    Args:
        template: with ``parameters`` and ``variables``.
        given: ``{"name": {"value"}}``.
        scope: of `of_scope`.
    """
    values = {name: one["value"] for name, one in given.items() if isinstance(one, dict) and "value" in one}
    functions: dict[str, Function] = {**PLAIN, **scope}
    for name, declared in (template.get("parameters") or {}).items():
        if name not in values and isinstance(declared, dict) and "defaultValue" in declared:
            values[name] = evaluate(declared["defaultValue"], {**functions, "parameters": reader(values)})
    functions["parameters"] = reader(values)
    variables = template.get("variables") or {}
    functions["variables"] = lambda name: evaluate(reader(variables)(name), functions)
    return functions


def of_scope(resource_id: str, tenant_id: str) -> dict[str, Function]:
    """``subscription()`` and ``resourceGroup()``."""
    target = parse(resource_id)
    subscription = target.subscription or ""
    group = target.group or ""
    about = {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": tenant_id,
    }
    where = {"id": group_id(subscription, group), "name": group}
    return {"subscription": lambda: about, "resourcegroup": lambda: where}
