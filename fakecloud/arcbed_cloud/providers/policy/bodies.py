"""Bodies of definitions and initiatives, read and checked before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.providers.policy import errors, rules
from arcbed_cloud.providers.policy.expressions import ExpressionError, calls
from arcbed_cloud.providers.policy.functions import PLAIN
from arcbed_cloud.providers.policy.library import Library
from arcbed_cloud.providers.policy.parameters import check_declared, check_depth, check_given
from arcbed_cloud.store.contract import Document

EFFECTS = (
    "audit",
    "auditifnotexists",
    "deny",
    "deployifnotexists",
    "disabled",
)
#: Effects that decide over a call while it is made; they need what a bed does not do.
_AT_THE_CALL = ("append", "modify", "addtonetworkgroup", "denyaction", "mutate")
_IF_NOT_EXISTS = ("auditifnotexists", "deployifnotexists")
# What a rule can call besides `PLAIN`, and what only a template can.
_IN_RULES = {"parameters", "field", "policy", "subscription", "resourcegroup"}
_TEXTS = ("displayName", "description", "version")
_MODES = ("all", "indexed")


def definition_properties(name: str, body: Document) -> Document:
    """``properties`` of a definition as they are stored.

    Raises:
        ArmError: 400 InvalidRequestContent, InvalidPolicyRule or InvalidPolicyDefinition.
    """
    found = _common(body)
    mode = body.get("mode", "All")
    if not isinstance(mode, str) or mode.lower() not in _MODES:
        raise errors.invalid_definition(name, f"the mode '{mode}' is not served, 'All' and 'Indexed' are")
    found["mode"] = mode
    rule = body.get("policyRule")
    if not isinstance(rule, dict):
        raise errors.invalid_rule("'policyRule' must be an object with 'if' and 'then'")
    parameters = found["parameters"]
    try:
        _check_rule(rule, parameters)
    except (rules.RuleError, ExpressionError) as error:
        raise errors.invalid_rule(str(error)) from error
    return {**found, "policyRule": rule}


def _common(body: Document) -> Document:
    check_depth(body, "properties")
    check_declared(body.get("parameters"))
    found: Document = {"policyType": "Custom", "parameters": body.get("parameters") or {}}
    for text in _TEXTS:
        if body.get(text) is not None:
            if not isinstance(body[text], str):
                raise invalid_content(f"'properties.{text}' must be a string")
            found[text] = body[text]
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise invalid_content("'properties.metadata' must be an object")
    found["metadata"] = metadata or {}
    found.setdefault("displayName", None)
    return found


def _check_rule(rule: Document, parameters: Document) -> None:
    condition, then = rule.get("if"), rule.get("then")
    rules.check(condition)
    if not isinstance(then, dict) or not isinstance(then.get("effect"), str):
        raise rules.RuleError("'then.effect' must be a string")
    names = {name.lower() for name in parameters}
    _check_calls([condition, then["effect"]], _IN_RULES, names)
    for effect in _effects(then["effect"], parameters):
        if effect.lower() in _AT_THE_CALL:
            raise rules.RuleError(f"the effect '{effect}' is not served")
        if effect.lower() not in EFFECTS:
            raise rules.RuleError(f"'{effect}' is not an effect")
        if effect.lower() in _IF_NOT_EXISTS:
            _check_details(then.get("details"), effect.lower(), names)


def _effects(effect: str, parameters: Document) -> Iterable[str]:
    """The values that ``effect`` can take: itself, or what its parameter allows."""
    found = list(calls(effect))
    if not found:
        return [effect]
    name = str(getattr(found[0].arguments[0], "value", "")) if found[0].arguments else ""
    declared: Document = next((one for key, one in parameters.items() if key.lower() == name.lower()), {})
    allowed = declared.get("allowedValues") or [declared.get("defaultValue")]
    return [str(value) for value in allowed if value is not None]


def _check_details(details: Any, effect: str, names: set[str]) -> None:
    if not isinstance(details, dict) or not isinstance(details.get("type"), str):
        raise rules.RuleError(f"'{effect}' needs 'then.details.type'")
    exists = details.get("existenceCondition")
    if exists is not None:
        rules.check(exists)
    _check_calls([exists, details.get("name")], _IN_RULES, names)
    if effect != "deployifnotexists":
        return
    if not isinstance(details.get("roleDefinitionIds"), list) or not details["roleDefinitionIds"]:
        raise rules.RuleError("'deployIfNotExists' needs 'then.details.roleDefinitionIds'")
    deployment = details.get("deployment")
    properties = deployment.get("properties") if isinstance(deployment, dict) else None
    template = properties.get("template") if isinstance(properties, dict) else None
    if not isinstance(template, dict) or not isinstance(template.get("resources"), list):
        raise rules.RuleError("'deployIfNotExists' needs 'then.details.deployment.properties.template'")
    assert isinstance(properties, dict)  # noqa: S101 - it has a template
    _check_calls(properties.get("parameters"), _IN_RULES, names)


def _check_calls(value: Any, known: set[str], parameters: set[str]) -> None:
    for call in calls(value):
        if call.name not in known and call.name not in PLAIN:
            raise rules.RuleError(f"the template function '{call.name}' is not served in policy rules")
        if call.name == "parameters":
            wanted = getattr(call.arguments[0], "value", None) if call.arguments else None
            if isinstance(wanted, str) and wanted.lower() not in parameters:
                raise rules.RuleError(f"the parameter '{wanted}' is not defined in the policy definition")


def initiative_properties(name: str, body: Document, library: Library, subscription: str) -> Document:
    """``properties`` of an initiative as they are stored; members get a reference id if they have none.

    Raises:
        ArmError: 400 InvalidRequestContent or InvalidPolicyDefinition, 404 PolicyDefinitionNotFound, or what
            `check_given` finds in a member's parameters.
    """
    found = _common(body)
    members = body.get("policyDefinitions")
    if not isinstance(members, list) or not members:
        raise invalid_content("'properties.policyDefinitions' must be a non-empty array")
    groups = body.get("policyDefinitionGroups")
    if groups is not None:
        if not isinstance(groups, list) or not all(isinstance(one, dict) for one in groups):
            raise invalid_content("'properties.policyDefinitionGroups' must be an array of objects")
        found["policyDefinitionGroups"] = groups
    found["policyDefinitions"] = [
        _member(name, member, index, library, subscription) for index, member in enumerate(members, 1)
    ]
    references = [member["policyDefinitionReferenceId"].lower() for member in found["policyDefinitions"]]
    if len(set(references)) < len(references):
        raise errors.invalid_definition(name, "a policyDefinitionReferenceId occurs more than once")
    return found


def _member(name: str, member: Any, index: int, library: Library, subscription: str) -> Document:
    where = f"properties.policyDefinitions[{index - 1}]"
    if not isinstance(member, dict) or not isinstance(member.get("policyDefinitionId"), str):
        raise invalid_content(f"'{where}.policyDefinitionId' must be a string")
    definition_id: str = member["policyDefinitionId"]
    definition = library.definition(definition_id)
    if definition is None:
        raise errors.definition_not_found(definition_id.rsplit("/", 1)[-1])
    _check_reach(name, definition["id"], subscription)
    reference = member.get("policyDefinitionReferenceId") or f"{definition['name']}_{index}"
    groups = member.get("groupNames")
    if not isinstance(reference, str) or not (groups is None or isinstance(groups, list)):
        raise invalid_content(
            f"'{where}' has a 'policyDefinitionReferenceId' or 'groupNames' of a wrong type"
        )
    given = member.get("parameters") or {}
    _check_member(name, definition, given)
    kept: Document = {
        "policyDefinitionReferenceId": reference,
        "policyDefinitionId": definition["id"],
        "parameters": given,
    }
    if groups:
        kept["groupNames"] = groups
    return kept


def _check_member(name: str, definition: Document, given: Any) -> None:
    """Only values that are written out can be compared with what the definition declares."""
    declared = definition["properties"].get("parameters") or {}
    if not isinstance(given, dict):
        raise invalid_content("'parameters' of a member must be an object")
    try:
        plain = {
            key: one
            for key, one in given.items()
            if not (isinstance(one, dict) and list(calls(one.get("value"))))
        }
    except ExpressionError as error:
        raise errors.invalid_definition(name, str(error)) from error
    open_ones = {key.lower() for key in given if key not in plain}
    check_given(
        name,
        definition["name"],
        {key: one for key, one in declared.items() if key.lower() not in open_ones},
        plain,
    )


def _check_reach(name: str, definition_id: str, subscription: str) -> None:
    lowered = definition_id.lower()
    if lowered.startswith("/subscriptions/") and not lowered.startswith(
        f"/subscriptions/{subscription.lower()}/"
    ):
        raise ArmError(
            400,
            "InvalidPolicyDefinition",
            f"The policy definition '{definition_id}' is in another subscription than '{name}'.",
        )
