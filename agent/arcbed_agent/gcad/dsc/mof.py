r"""Reads the MOF that PowerShell and Microsoft's own packages write, and writes it back.

The dialect: instances with or without an alias, strings with ``\x`` escapes and raw line breaks, arrays,
aliases as values, class declarations and pragmas (read over), a missing ``;`` after ``}``. Keywords and
property names ignore case; the order of properties is kept.

Source: DMTF DSP0004, annex A (grammar), and the files of Azure/azure-policy, nxtools and azure-osconfig.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from arcbed_agent.gcad.dsc.tokens import MofError, Scanner, Token, escape

__all__ = ["DEPTH", "LIMIT", "Instance", "MofError", "Reference", "Value", "decode", "parse", "read", "write"]

#: The largest document that is read, in bytes.
LIMIT = 2_097_152
#: How deep arrays and embedded instances may nest.
DEPTH = 32

_WORDS = {"true": True, "false": False, "null": None}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class Reference:
    """An alias used as a value, such as ``$MSFT_Credential1ref``."""

    alias: str


Value: TypeAlias = "str | int | float | bool | Reference | list[Value] | Instance | None"


@dataclass
class Instance:
    """``instance of Class as $Alias { ... };``.

    Args:
        class_name: as written.
        alias: with its ``$``, or None.
        properties: in the order of the file.
        line: where it begins, from 1.
    """

    class_name: str
    alias: str | None = None
    properties: dict[str, Value] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    def name_of(self, name: str) -> str | None:
        """The property's name as the file spells it, or None."""
        if name in self.properties:
            return name
        wanted = name.casefold()
        return next((own for own in self.properties if own.casefold() == wanted), None)

    def get(self, name: str) -> Value:
        """The value of a property, case ignored; None when absent."""
        own = self.name_of(name)
        return None if own is None else self.properties[own]


def decode(content: bytes, source: str = "") -> str:
    """The text of a document, whatever Windows or Linux wrote it in.

    Raises:
        MofError: neither UTF-8 nor UTF-16.
    """
    mark = next((mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark)), b"")
    body = content[len(mark) :]
    encoding = _BYTE_ORDER_MARKS[mark] if mark else _guess(content)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as problem:
        line = body[: problem.start].decode(encoding, "replace").count("\n") + 1
        raise MofError(f"not {encoding.upper()}: {problem.reason}", line, 1, source) from problem


def _guess(content: bytes) -> str:
    """A BOM-less UTF-16 document shows by the zero bytes of its ASCII letters."""
    head = content[:64]
    if len(head) >= 2 and 0 in head:
        return "utf-16-le" if head[1::2].count(0) >= head[0::2].count(0) else "utf-16-be"
    return "utf-8"


def read(path: Path, *, limit: int = LIMIT) -> list[Instance]:
    """The instances of a file.

    Raises:
        MofError: the file is too large or broken.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise MofError(f"larger than {limit} bytes", 1, 1, str(path))
    return parse(decode(content, str(path)), str(path))


def parse(text: str, source: str = "") -> list[Instance]:
    """The instances of a document in its order.

    Args:
        text: the document.
        source: the name of the file, for errors.

    Raises:
        MofError: with line, column and what was expected.
    """
    return _Parser(text, source).document()


class _Parser:
    """Recursive descent, one method per rule."""

    def __init__(self, text: str, source: str) -> None:
        self._scan = Scanner(text, source)
        self._aliases: dict[str, str] = {}
        self._used: list[tuple[str, Token]] = []

    def document(self) -> list[Instance]:
        """Declarations to the end of the text."""
        instances = list(self._declarations())
        for alias, token in self._used:
            if alias.casefold() not in self._aliases:
                raise self._scan.error(f"no instance has the alias {alias}", token)
        return instances

    def _declarations(self) -> Iterator[Instance]:
        scan = self._scan
        while (token := scan.peek()).kind != "end":
            word = token.text.casefold() if token.kind == "word" else ""
            if token.kind == "pragma":
                self._pragma()
            elif token.text == "[":
                self._skip_brackets("[", "]")
            elif token.text == ";":
                scan.next()
            elif word == "instance":
                yield self._instance(0)
                self._semicolon_or_not()
            elif word == "class":
                self._skip_class()
            elif word == "qualifier":
                self._skip_to_semicolon()
            else:
                raise scan.error("expected 'instance of', a class declaration or a pragma", token)

    def _pragma(self) -> None:
        self._scan.next()
        self._expect("word", "the name of the pragma")
        self._skip_brackets("(", ")")

    def _instance(self, depth: int) -> Instance:
        start = self._scan.next()
        self._keyword("of")
        class_name = self._expect("word", "a class name").text
        alias = None
        if self._scan.peek().kind == "word" and self._scan.peek().text.casefold() == "as":
            self._scan.next()
            alias = self._define(self._expect("alias", "an alias such as $Name"))
        line = self._scan.line(start)
        return Instance(class_name, alias, self._properties(depth), line)

    def _define(self, token: Token) -> str:
        if token.text.casefold() in self._aliases:
            raise self._scan.error(f"the alias {token.text} is already taken", token)
        self._aliases[token.text.casefold()] = token.text
        return token.text

    def _properties(self, depth: int) -> dict[str, Value]:
        self._punctuation("{")
        properties: dict[str, Value] = {}
        seen: set[str] = set()
        while True:
            fast = self._scan.string_property()
            token = fast[0] if fast else self._scan.next()
            if token.text == "}" and token.kind == "mark":
                return properties
            if token.kind != "word":
                raise self._scan.error("expected a property name or '}'", token)
            folded = token.text.casefold()
            if folded in seen:
                raise self._scan.error(f"the property {token.text} is given twice", token)
            seen.add(folded)
            properties[token.text] = fast[1] if fast else self._assigned(depth)

    def _assigned(self, depth: int) -> Value:
        self._punctuation("=")
        value = self._value(depth)
        self._punctuation(";")
        return value

    def _value(self, depth: int) -> Value:
        token = self._scan.peek()
        if depth > DEPTH:
            raise self._scan.error(f"nested deeper than {DEPTH}", token)
        if token.kind == "string":
            return self._strings()
        if token.text == "{":
            return self._array(depth)
        if token.kind == "word" and token.text.casefold() == "instance":
            return self._instance(depth + 1)
        self._scan.next()
        if token.kind == "number":
            return self._scan.number(token)
        if token.kind == "char":
            return self._scan.character(token)
        if token.kind == "alias":
            self._used.append((token.text, token))
            return Reference(token.text)
        if token.kind == "word" and token.text.casefold() in _WORDS:
            return _WORDS[token.text.casefold()]
        raise self._scan.error("expected a value", token)

    def _strings(self) -> str:
        """Adjacent literals are one string."""
        parts = [self._scan.string(self._scan.next())]
        while self._scan.peek().kind == "string":
            parts.append(self._scan.string(self._scan.next()))
        return "".join(parts)

    def _array(self, depth: int) -> list[Value]:
        self._punctuation("{")
        values: list[Value] = []
        if self._scan.peek().text == "}":
            self._scan.next()
            return values
        while True:
            values.append(self._value(depth + 1))
            token = self._scan.next()
            if token.kind == "mark" and token.text == "}":
                return values
            if token.text != ",":
                raise self._scan.error("expected ',' or '}'", token)

    def _skip_class(self) -> None:
        while (token := self._scan.next()).text not in {"{", ";"} or token.kind != "mark":
            if token.kind == "end":
                raise self._scan.error("expected '{'", token)
        if token.text == "{":
            self._skip_rest("{", "}")
            self._semicolon_or_not()

    def _skip_brackets(self, opening: str, closing: str) -> None:
        self._punctuation(opening)
        self._skip_rest(opening, closing)

    def _skip_rest(self, opening: str, closing: str) -> None:
        depth = 1
        while depth:
            token = self._scan.next()
            if token.kind == "end":
                raise self._scan.error(f"expected '{closing}'", token)
            if token.kind == "mark":
                depth += (token.text == opening) - (token.text == closing)

    def _skip_to_semicolon(self) -> None:
        while (token := self._scan.next()).text != ";" or token.kind != "mark":
            if token.kind == "end":
                raise self._scan.error("expected ';'", token)

    def _semicolon_or_not(self) -> None:
        if self._scan.peek().text == ";":
            self._scan.next()

    def _keyword(self, word: str) -> None:
        token = self._scan.next()
        if token.kind != "word" or token.text.casefold() != word:
            raise self._scan.error(f"expected '{word}'", token)

    def _punctuation(self, mark: str) -> None:
        token = self._scan.next()
        if token.kind != "mark" or token.text != mark:
            raise self._scan.error(f"expected '{mark}'", token)

    def _expect(self, kind: str, what: str) -> Token:
        token = self._scan.next()
        if token.kind != kind:
            raise self._scan.error(f"expected {what}", token)
        return token


def write(instances: Iterable[Instance]) -> str:
    """A document that `parse` reads as the same instances."""
    return "\n".join(f"{_written(instance)};\n" for instance in instances)


def _written(instance: Instance) -> str:
    alias = f" as {instance.alias}" if instance.alias else ""
    lines = [f"    {name} = {_value(value)};\n" for name, value in instance.properties.items()]
    return f"instance of {instance.class_name}{alias}\n{{\n{''.join(lines)}}}"


def _value(value: Value) -> str:
    if isinstance(value, str):
        return f'"{escape(value)}"'
    if isinstance(value, bool):
        return "True" if value else "False"
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "{" + ", ".join(_value(item) for item in value) + "}"
    if isinstance(value, Reference):
        return value.alias
    if isinstance(value, Instance):
        return _written(value)
    return repr(value)
