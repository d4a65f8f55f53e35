"""Parameters of definitions: what they may be, and what an assignment makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_cloud.arm.errors import ArmError, invalid_content

Document = dict[str, Any]
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "array": (list,),
    "object": (dict,),
    "boolean": (bool,),
    "integer": (int,),
    "float": (int, float),
    "datetime": (str,),
}
_MAX_DEPTH = 60


def check_depth(value: Any, where: str) -> None:
    """Refuse JSON that is nested more deeply than anything of policy.

    Raises:
        ArmError: 400 InvalidRequestContent.
    """
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise invalid_content(f"'{where}' is nested more than {_MAX_DEPTH} levels deep")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def check_declared(given: Any) -> None:
    """Refuse a ``parameters`` member of a definition that is not one.

    Raises:
        ArmError: 400 InvalidRequestContent.
    """
    if given is None:
        return
    if not isinstance(given, dict):
        raise invalid_content("'properties.parameters' must be an object")
    for name, declared in given.items():
        where = f"properties.parameters.{name}"
        kind = declared.get("type") if isinstance(declared, dict) else None
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise invalid_content(f"'{where}.type' must be one of {', '.join(_TYPES)}")
        if "defaultValue" in declared and not _fits(declared["defaultValue"], kind):
            raise invalid_content(f"'{where}.defaultValue' is not of type '{kind}'")


def check_given(assignment: str, definition: str, declared: Mapping[str, Any], given: Any) -> None:
    """Compare an assignment's parameters with what its definition declares.

    Raises:
        ArmError: 400 UndefinedPolicyParameter, MissingPolicyParameter, InvalidPolicyParameterType or
            PolicyParameterValueNotAllowed.
    """
    values = _values(given)
    known = {name.lower(): name for name in declared}
    undefined = [name for name in values if name.lower() not in known]
    if undefined:
        raise ArmError(
            400,
            "UndefinedPolicyParameter",
            f"The policy assignment '{assignment}' has defined parameters '{','.join(undefined)}' which are "
            f"not defined in the policy definition '{definition}'. Please either remove these "
            "parameters from the policy assignment or define them in the policy definition.",
        )
    lowered = {name.lower(): value for name, value in values.items()}
    missing = [
        name
        for name, one in declared.items()
        if "defaultValue" not in (one or {}) and name.lower() not in lowered
    ]
    if missing:
        raise ArmError(
            400,
            "MissingPolicyParameter",
            f"The policy assignment '{assignment}' is missing the parameter(s) '{','.join(missing)}' as "
            f"defined in the policy definition '{definition}'.",
        )
    for name, value in lowered.items():
        _check_value(known[name], definition, declared[known[name]], value)


def _check_value(name: str, definition: str, declared: Mapping[str, Any], value: Any) -> None:
    if not _fits(value, declared["type"]):
        raise ArmError(
            400,
            "InvalidPolicyParameterType",
            f"The value of policy parameter '{name}' is not of the type '{declared['type']}' that the policy "
            f"definition '{definition}' declares.",
        )
    allowed = declared.get("allowedValues")
    if isinstance(allowed, list):
        chosen = value if isinstance(value, list) and value not in allowed else [value]
        if any(_lower(one) not in [_lower(other) for other in allowed] for one in chosen):
            raise ArmError(
                400,
                "PolicyParameterValueNotAllowed",
                f"The value '{value}' is not allowed for policy parameter '{name}' in policy definition "
                f"'{definition}'. The allowed values are '{', '.join(str(one) for one in allowed)}'.",
            )


def _values(given: Any) -> Document:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid_content("'properties.parameters' must be an object")
    for name, one in given.items():
        if not isinstance(one, dict) or "value" not in one:
            raise invalid_content(f"'properties.parameters.{name}' must be an object with 'value'")
    return {name: one["value"] for name, one in given.items()}


def effective(declared: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> Document:
    """Values by declared name: what is given, else the default."""
    lowered = {name.lower(): one["value"] for name, one in (given or {}).items()}
    found: Document = {}
    for name, one in (declared or {}).items():
        if name.lower() in lowered:
            found[name] = lowered[name.lower()]
        elif "defaultValue" in (one or {}):
            found[name] = one["defaultValue"]
    return found


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind.lower() == "boolean"
    return isinstance(value, _TYPES[kind.lower()])
