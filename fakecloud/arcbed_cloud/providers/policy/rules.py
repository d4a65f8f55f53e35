"""Conditions of a policy rule: reading them strictly, and deciding them.

Source: Microsoft's article "Details of the policy definition rule structure". Texts are compared without
regard to case; a condition on a member that a resource does not have holds for the negative operators only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from arcbed_cloud.providers.policy import fields
from arcbed_cloud.providers.policy.expressions import ExpressionError, Function, evaluate

Condition = Mapping[str, Any]
_LOGIC = ("allOf", "anyOf", "not")
_MAX_DEPTH = 40


class RuleError(ValueError):
    """A rule that is not one; the text says why."""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).lower()


def _equals(value: Any, wanted: Any) -> bool:
    if isinstance(value, dict | list) or isinstance(wanted, dict | list):
        return bool(value == wanted)
    return value is not None and _text(value) == _text(wanted)


@lru_cache(maxsize=1_024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.lower().split("*")), re.DOTALL)


def _like(value: Any, wanted: Any) -> bool:
    return value is not None and _pattern(str(wanted)).fullmatch(_text(value)) is not None


def _in(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, list):
        raise RuleError("'in' needs an array")
    return any(_equals(value, one) for one in wanted)


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_equals(one, wanted) for one in value)
    return value is not None and _text(wanted) in _text(value)


def _contains_key(value: Any, wanted: Any) -> bool:
    return isinstance(value, dict) and str(wanted).lower() in {key.lower() for key in value}


def _exists(value: Any, wanted: Any) -> bool:
    return (value is not None) == (_text(wanted) == "true")


def _match(value: Any, wanted: Any) -> bool:
    """``#`` a digit, ``?`` a letter, ``.`` any character."""
    signs = {"#": r"\d", "?": r"[A-Za-z]", ".": "."}
    pattern = "".join(signs.get(sign) or re.escape(sign) for sign in str(wanted))
    return value is not None and re.fullmatch(pattern, str(value), re.DOTALL) is not None


def _match_insensitively(value: Any, wanted: Any) -> bool:
    return value is not None and _match(str(value).lower(), str(wanted).lower())


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(value: Any, wanted: Any) -> bool:
        if value is None:
            return False
        if isinstance(value, int | float) and isinstance(wanted, int | float):
            return test(value, wanted)
        return test(_text(value), _text(wanted))

    return compare


def _unless(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: not test(value, wanted)


_POSITIVE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _equals,
    "like": _like,
    "match": _match,
    "matchInsensitively": _match_insensitively,
    "contains": _contains,
    "in": _in,
    "containsKey": _contains_key,
    "exists": _exists,
    "less": _ordered(lambda one, other: bool(one < other)),
    "lessOrEquals": _ordered(lambda one, other: bool(one <= other)),
    "greater": _ordered(lambda one, other: bool(one > other)),
    "greaterOrEquals": _ordered(lambda one, other: bool(one >= other)),
}
_NEGATIVE = {
    "notEquals": _equals,
    "notLike": _like,
    "notMatch": _match,
    "notMatchInsensitively": _match_insensitively,
    "notContains": _contains,
    "notIn": _in,
    "notContainsKey": _contains_key,
}
OPERATORS = {
    **_POSITIVE,
    **{name: _unless(test) for name, test in _NEGATIVE.items()},
}
_SPELLED = {name.lower(): name for name in (*_LOGIC, *OPERATORS, "field", "value", "count")}


def check(condition: Any, depth: int = 0) -> None:
    """Refuse what is not a condition.

    Raises:
        RuleError: with the member that is at fault.
    """
    if not isinstance(condition, dict):
        raise RuleError("a condition must be an object")
    if depth > _MAX_DEPTH:
        raise RuleError("the conditions are nested too deeply")
    given = _spelled(condition)
    for word in _LOGIC:
        if word in given:
            _check_logic(word, given, depth)
            return
    if "count" in given:
        raise RuleError("'count' conditions are not evaluated here")
    operators = [name for name in given if name in OPERATORS]
    sources = [name for name in ("field", "value") if name in given]
    if len(operators) != 1 or len(sources) != 1 or len(given) != 2:
        raise RuleError(f"a condition needs 'field' or 'value' and one operator, not {sorted(given)}")
    if sources[0] == "field" and not isinstance(given["field"], str):
        raise RuleError("'field' must be a string")


def _check_logic(word: str, given: Condition, depth: int) -> None:
    if len(given) != 1:
        raise RuleError(f"'{word}' must stand alone, not with {sorted(set(given) - {word})}")
    parts = [given[word]] if word == "not" else given[word]
    if not isinstance(parts, list) or not parts:
        raise RuleError(f"'{word}' must be a non-empty array")
    for part in parts:
        check(part, depth + 1)


def _spelled(condition: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in condition.items():
        known = _SPELLED.get(name.lower())
        if known is None:
            raise RuleError(f"'{name}' is not a member of a condition")
        found[known] = part
    return found


def holds(
    condition: Condition,
    resource: Mapping[str, Any],
    functions: Mapping[str, Function],
    *,
    only: frozenset[str] | None = None,
) -> bool:
    """Decide a condition that `check` has passed.

    Args:
        condition: of ``if`` or of ``existenceCondition``.
        resource: what ``field`` asks, a document of ARM.
        functions: of template expressions, by lower-case name.
        only: of ``field`` conditions, those on other fields (lower case) count as fulfilled: how Azure
            decides whether a definition without ``IfNotExists`` applies.

    Raises:
        ExpressionError: an expression cannot be evaluated.
    """
    given = _spelled(condition)
    if "allOf" in given:
        return all(holds(part, resource, functions, only=only) for part in given["allOf"])
    if "anyOf" in given:
        return any(holds(part, resource, functions, only=only) for part in given["anyOf"])
    if "not" in given:
        return _negated(given["not"], resource, functions, only)
    if only is not None and not _counts(given, only):
        return True
    operator = next(name for name in given if name in OPERATORS)
    wanted = evaluate(given[operator], functions)
    if "field" in given:
        field = str(evaluate(given["field"], functions))
        return _decided(operator, fields.value(resource, field), wanted, each="[*]" in field)
    return _decided(operator, evaluate(given["value"], functions), wanted)


def _counts(given: Condition, only: frozenset[str]) -> bool:
    return "field" in given and given["field"].lower() in only


def _negated(
    part: Condition,
    resource: Mapping[str, Any],
    functions: Mapping[str, Function],
    only: frozenset[str] | None,
) -> bool:
    if only is not None and not any(field in only for field in _fields(part)):
        return True
    return not holds(part, resource, functions, only=only)


def _fields(condition: Condition) -> list[str]:
    given = _spelled(condition)
    for word in _LOGIC:
        if word in given:
            parts = [given[word]] if word == "not" else given[word]
            return [field for part in parts for field in _fields(part)]
    return [given["field"].lower()] if "field" in given else []


def _decided(operator: str, value: Any, wanted: Any, *, each: bool = False) -> bool:
    test = OPERATORS[operator]
    try:
        if each and isinstance(value, list):
            return all(test(one, wanted) for one in value)
        return test(value, wanted)
    except (TypeError, ValueError) as error:
        raise ExpressionError(f"The operator '{operator}' cannot be applied: {error}.") from error
