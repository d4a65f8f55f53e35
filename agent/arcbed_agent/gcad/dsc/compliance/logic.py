"""The operators of a rule: allOf, anyOf, not; the leaves are procedures.

A leaf that is not supported makes the rule so, unless another leaf decides it: one that fails below allOf,
one that passes below anyOf.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arcbed_agent.gcad.dsc.compliance.procedures import PROCEDURES
from arcbed_agent.gcad.dsc.host import DscHost

DEPTH = 32
_VARIABLE = re.compile(r"\$(\w+)(?::(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"(\w+)=(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|(\S*))")


class Unsupported(Exception):  # noqa: N818 - an outcome rather than an error
    """A rule that nothing here can decide."""


@dataclass(frozen=True)
class _Outcome:
    """True, False, or None when it cannot be told."""

    passed: bool | None
    phrase: str


def audit(host: DscHost, procedure: str, desired: str) -> str:
    """Audit one rule.

    Args:
        host: the machine.
        procedure: base64 of JSON ``{name, audit, remediate?, parameters{}}``.
        desired: ``NAME=value`` pairs that override the parameters.

    Returns:
        ``PASS`` and a phrase, or what failed.

    Raises:
        Unsupported: a procedure that decides the rule is not supported.
        ValueError: `procedure` is not a rule.
    """
    rule = _decoded(procedure)
    parameters = {str(name): str(value) for name, value in (rule.get("parameters") or {}).items()}
    for match in _ASSIGNMENT.finditer(desired):
        parameters[match.group(1)] = match.group(2) or match.group(3) or match.group(4) or ""
    outcome = _evaluated(host, rule["audit"], parameters, 0)
    if outcome.passed is None:
        raise Unsupported(outcome.phrase)
    return f"PASS {outcome.phrase}" if outcome.passed else outcome.phrase


def _decoded(procedure: str) -> dict[str, Any]:
    try:
        rule = json.loads(base64.b64decode(procedure, validate=True))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        raise ValueError(f"not base64 of JSON: {problem}") from problem
    if not isinstance(rule, dict) or not isinstance(rule.get("audit"), dict):
        raise ValueError("not a rule with an audit")  # noqa: TRY004 - content, not a type
    if not isinstance(rule.get("parameters") or {}, dict):
        raise ValueError("'parameters' is not an object")  # noqa: TRY004 - content, not a type
    return rule


def _evaluated(host: DscHost, node: Any, parameters: Mapping[str, str], depth: int) -> _Outcome:
    if not isinstance(node, dict) or len(node) != 1:
        raise ValueError("an operator or procedure stands alone in its object")
    if depth > DEPTH:
        raise ValueError(f"nested deeper than {DEPTH}")
    ((name, argument),) = node.items()
    if name in {"allOf", "anyOf"}:
        if not isinstance(argument, list) or not argument:
            raise ValueError(f"'{name}' takes a list")
        decisive = name == "anyOf"
        return _joined([_evaluated(host, one, parameters, depth + 1) for one in argument], decisive=decisive)
    if name == "not":
        inner = _evaluated(host, argument, parameters, depth + 1)
        return _Outcome(None if inner.passed is None else not inner.passed, inner.phrase)
    return _leaf(host, name, argument, parameters)


def _joined(outcomes: list[_Outcome], *, decisive: bool) -> _Outcome:
    for outcome in outcomes:
        if outcome.passed is decisive:
            return outcome
    unknown = next((outcome for outcome in outcomes if outcome.passed is None), None)
    if unknown:
        return unknown
    return _Outcome(not decisive, "; ".join(outcome.phrase for outcome in outcomes))


def _leaf(host: DscHost, name: str, argument: Any, parameters: Mapping[str, str]) -> _Outcome:
    procedure: Callable[..., tuple[bool, str]] | None = PROCEDURES.get(name)
    if procedure is None:
        return _Outcome(None, f"The procedure '{name}' is not evaluated")
    if not isinstance(argument, dict):
        raise ValueError(f"'{name}' takes an object")  # noqa: TRY004 - content, not a type
    given = {key: _filled(str(value), parameters) for key, value in argument.items()}
    return _Outcome(*procedure(host, _Arguments(name, given)))


class _Arguments(dict[str, str]):
    """The arguments of a procedure; one that is missing is an error of the rule."""

    def __init__(self, procedure: str, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self._procedure = procedure

    def __missing__(self, key: str) -> str:
        raise ValueError(f"'{self._procedure}' needs '{key}'")


def _filled(text: str, parameters: Mapping[str, str]) -> str:
    match = _VARIABLE.fullmatch(text)
    if match is None:
        return text
    value = parameters.get(match.group(1), match.group(2))
    if value is None:
        raise ValueError(f"there is no parameter '{match.group(1)}'")
    return value
