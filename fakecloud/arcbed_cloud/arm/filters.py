"""The part of OData's ``$filter`` that ARM's lists take: comparisons, calls, and, or, not, parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from arcbed_cloud.arm.errors import ArmError

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<mark>[(),])|(?P<word>[^\s(),']+))")
_OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le")
_MAX_LENGTH = 4_096
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field op 'value'``; the field in lower case."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Call:
    """``name('argument', ...)``; the name in lower case, arguments as written without quotes."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """``and``, ``or`` of several, ``not`` of one."""

    word: str
    parts: tuple[Expression, ...]


Expression = Comparison | Call | Junction
Test = Callable[[Comparison | Call], bool]


def invalid(text: str, why: str) -> ArmError:
    """400 for a filter that cannot be read or that the list does not take."""
    return ArmError(
        400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string. {why}"
    )


def parse(text: str | None) -> Expression | None:
    """Parse a filter; None and blank text filter nothing.

    Raises:
        ArmError: 400 InvalidFilterInQueryString.
    """
    if text is None or not text.strip():
        return None
    if len(text) > _MAX_LENGTH:
        raise invalid(text[:80] + "...", f"It is longer than {_MAX_LENGTH} characters.")
    return _Parser(text).parse()


def leaves(expression: Expression | None) -> Iterator[Comparison | Call]:
    """All comparisons and calls, from left to right."""
    if isinstance(expression, Junction):
        for part in expression.parts:
            yield from leaves(part)
    elif expression is not None:
        yield expression


def holds(expression: Expression | None, test: Test) -> bool:
    """Evaluate; `test` decides the leaves. No filter holds for everything."""
    if expression is None:
        return True
    if isinstance(expression, Junction):
        if expression.word == "not":
            return not holds(expression.parts[0], test)
        outcomes = (holds(part, test) for part in expression.parts)
        return all(outcomes) if expression.word == "and" else any(outcomes)
    return test(expression)


def restrict(text: str, expression: Expression | None, fields: Mapping[str, str], calls: set[str]) -> None:
    """Refuse leaves that a list does not know: a filter ignored would look like a result.

    Args:
        text: the filter, for the message.
        expression: the filter, parsed.
        fields: lower-case field to the operators it takes, separated by spaces.
        calls: lower-case names of functions.

    Raises:
        ArmError: 400 InvalidFilterInQueryString.
    """
    for leaf in leaves(expression):
        if isinstance(leaf, Call):
            if leaf.name not in calls:
                raise invalid(text, f"The function '{leaf.name}' is not supported.")
        elif leaf.operator not in fields.get(leaf.field, "").split():
            raise invalid(text, f"The filter on '{leaf.field}' with '{leaf.operator}' is not supported.")


def compare(operator: str, left: str, right: str) -> bool:
    """Compare without regard to case."""
    one, other = left.lower(), right.lower()
    match operator:
        case "eq":
            return one == other
        case "ne":
            return one != other
        case "gt":
            return one > other
        case "ge":
            return one >= other
        case "lt":
            return one < other
    return one <= other


class _Parser:
    """Recursive descent: or, and, not, leaf."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split(text))
        self._at = 0
        self._depth = 0

    def parse(self) -> Expression:
        expression = self._any()
        if self._at != len(self._tokens):
            self._fail(f"Unexpected '{self._tokens[self._at]}'.")
        return expression

    def _split(self, text: str) -> Iterator[str]:
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                self._fail(f"Unexpected character at position {position}.")
            position = match.end()
            yield match.group().strip()

    def _fail(self, why: str) -> NoReturn:
        raise invalid(self._text, why)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            self._fail("It ends too early.")
        self._at += 1
        return token

    def _joined(self, word: str, part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self._peek().lower() == word:
            self._at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def _any(self) -> Expression:
        return self._joined("or", self._all)

    def _all(self) -> Expression:
        return self._joined("and", self._one)

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail("It is nested too deeply.")
        try:
            if self._peek().lower() == "not":
                self._at += 1
                return Junction("not", (self._one(),))
            if self._peek() == "(":
                self._at += 1
                inner = self._any()
                self._expect(")")
                return inner
            return self._leaf()
        finally:
            self._depth -= 1

    def _leaf(self) -> Expression:
        name = self._next().lower()
        if name.startswith("'") or name in {"(", ")", ","}:
            self._fail(f"Unexpected '{name}'.")
        if self._peek() == "(":
            self._at += 1
            return Call(name, self._arguments())
        operator = self._next().lower()
        if operator not in _OPERATORS:
            self._fail(f"Unknown operator '{operator}'.")
        return Comparison(name, operator, self._value())

    def _arguments(self) -> tuple[str, ...]:
        found: list[str] = []
        while self._peek() != ")":
            if found:
                self._expect(",")
            found.append(self._value())
        self._at += 1
        return tuple(found)

    def _value(self) -> str:
        token = self._next()
        if token in {"(", ")", ","}:
            self._fail(f"Unexpected '{token}'.")
        return token[1:-1].replace("''", "'") if token.startswith("'") else token

    def _expect(self, mark: str) -> None:
        if self._next() != mark:
            self._fail(f"'{mark}' is missing.")
