"""Template expressions of policy rules and of the templates that they deploy.

The language of Microsoft's article "Syntax and expressions in ARM templates": a text that starts with ``[``
and ends with ``]`` is an expression, ``[[`` stands for a literal ``[``. What a function is given by its
surroundings (``parameters``, ``field``, ``policy``) comes from the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Function = Callable[..., Any]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<word>[A-Za-z_$][\w$]*)|(?P<mark>[()\[\],.]))"
)
_MAX_DEPTH = 40


class ExpressionError(ValueError):
    """An expression that cannot be read or evaluated; the text says why."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A text or a whole number."""

    value: str | int


@dataclass(frozen=True, slots=True)
class Call:
    """``name(argument, ...)``; the name in lower case."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """``target.name`` or ``target[index]``."""

    target: Node
    index: Node


Node = Literal | Call | Member


def is_expression(value: Any) -> bool:
    """True for a text in brackets; ``[[...]`` is none."""
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and value[1:2] != "["


def evaluate(value: Any, functions: Mapping[str, Function]) -> Any:
    """Evaluate the expressions in a JSON value, at any depth.

    Args:
        value: texts that are expressions are replaced by what they give.
        functions: by lower-case name.

    Raises:
        ExpressionError: see there.
    """
    if isinstance(value, dict):
        return {name: evaluate(part, functions) for name, part in value.items()}
    if isinstance(value, list):
        return [evaluate(part, functions) for part in value]
    if is_expression(value):
        return _run(parse(value), functions)
    if isinstance(value, str) and value.startswith("[["):
        return value[1:]
    return value


def calls(value: Any) -> Iterator[Call]:
    """Every call in the expressions of a JSON value, outermost first.

    Raises:
        ExpressionError: one of them cannot be read.
    """
    if isinstance(value, dict):
        for part in value.values():
            yield from calls(part)
    elif isinstance(value, list):
        for part in value:
            yield from calls(part)
    elif is_expression(value):
        yield from _calls(parse(value))


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
        for argument in node.arguments:
            yield from _calls(argument)
    elif isinstance(node, Member):
        yield from _calls(node.target)
        yield from _calls(node.index)


@lru_cache(maxsize=4_096)
def parse(text: str) -> Node:
    """Read ``[...]``.

    Raises:
        ExpressionError: it is no expression of the language.
    """
    return _Parser(text).parse()


def _run(node: Node, functions: Mapping[str, Function]) -> Any:
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Member):
        return _member(_run(node.target, functions), _run(node.index, functions))
    function = functions.get(node.name)
    if function is None:
        raise ExpressionError(f"The template function '{node.name}' is not valid here.")
    try:
        return function(*(_run(argument, functions) for argument in node.arguments))
    except ExpressionError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise ExpressionError(f"The template function '{node.name}' cannot be evaluated: {error}.") from error


def _member(target: Any, index: Any) -> Any:
    if isinstance(target, list) and isinstance(index, int) and 0 <= index < len(target):
        return target[index]
    if isinstance(target, dict) and isinstance(index, str):
        for name, value in target.items():
            if name.lower() == index.lower():
                return value
    raise ExpressionError(f"The language expression property '{index}' doesn't exist.")


class _Parser:
    """Recursive descent over the tokens between the outer brackets."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split(text[1:-1]))
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._node()
        if self._at != len(self._tokens):
            raise self._unexpected()
        return node

    def _split(self, inner: str) -> Iterator[tuple[str, str]]:
        position, end = 0, len(inner.rstrip())
        while position < end:
            match = _TOKEN.match(inner, position)
            if match is None:
                raise ExpressionError(
                    f"The expression '{self._text}' has an unexpected character at {position + 1}."
                )
            position = match.end()
            kind = match.lastgroup or ""
            yield kind, match.group(kind)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._unexpected()
        self._at += 1

    def _unexpected(self) -> ExpressionError:
        token = self._peek()
        what = f"has an unexpected '{token}'" if token else "ends too early"
        return ExpressionError(f"The expression '{self._text}' {what}.")

    def _node(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionError(f"The expression '{self._text[:80]}' is nested too deeply.")
        node = self._first()
        while self._peek() in {".", "["} and self._at < len(self._tokens):
            node = Member(node, self._index())
        self._depth -= 1
        return node

    def _first(self) -> Node:
        if self._at >= len(self._tokens):
            raise self._unexpected()
        kind, token = self._tokens[self._at]
        if kind == "mark":
            raise self._unexpected()
        self._at += 1
        if kind == "text":
            return Literal(token[1:-1].replace("''", "'"))
        if kind == "number":
            return Literal(int(token))
        return Call(token.lower(), self._arguments())

    def _arguments(self) -> tuple[Node, ...]:
        self._take("(")
        found: list[Node] = []
        while self._peek() != ")":
            if found:
                self._take(",")
            found.append(self._node())
        self._take(")")
        return tuple(found)

    def _index(self) -> Node:
        if self._peek() == "[":
            self._at += 1
            node = self._node()
            self._take("]")
            return node
        self._at += 1
        kind, token = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if kind != "word":
            raise self._unexpected()
        self._at += 1
        return Literal(token)
