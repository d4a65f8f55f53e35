"""The words of a MOF document.

One regular expression finds the next token; a second one takes the commonest line of all, a property with
one string, in one step. Lines are counted only when somebody asks for one.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

# Possessive throughout: a broken document costs one pass, whatever it holds.
_SPACE = r"(?:[\s\ufeff]++|//[^\n]*+|/\*.*?\*/)*+"
_TEXT = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(
    _SPACE
    + rf"""(?:
        (?P<string>{_TEXT})
      | (?P<pragma>\#pragma\b)
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|[01]+[bB]|\d*\.?\d+(?:[eE][+-]?\d+)?)(?![\w.]))
      | (?P<word>[^\W\d]\w*)
      | (?P<alias>\$[^\W\d]\w*)
      | (?P<char>'(?:[^'\\]|\\[xX][0-9a-fA-F]{{1,4}}|\\[^xX])')
      | (?P<mark>[{{}}()\[\];:,=])
      | (?P<end>\Z)
    )""",
    re.DOTALL | re.VERBOSE,
)
_PROPERTY = re.compile(_SPACE + rf"([^\W\d]\w*+)[ \t]*+=[ \t]*+({_TEXT})[ \t]*+;", re.DOTALL)
_INTEGERS = {
    16: re.compile(r"0x([0-9a-f]{1,16})"),
    2: re.compile(r"([01]{1,64})b"),
    8: re.compile(r"0([0-7]{1,22})"),
    10: re.compile(r"(0|[1-9][0-9]{0,19})"),
}
_REAL = re.compile(r"\d*\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+")
_ESCAPE = re.compile(r"\\([xX][0-9a-fA-F]{1,4}|.)", re.DOTALL)
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}
_BACK = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_TO_ESCAPE = re.compile(r'[\\"\x00-\x1f\x7f\ufeff]')


class MofError(Exception):
    """A document that cannot be read.

    Args:
        reason: what was expected or is wrong.
        line: from 1.
        column: from 1.
        source: the name of the file, empty when there is none.
    """

    def __init__(self, reason: str, line: int, column: int, source: str = "") -> None:
        super().__init__(f"{source or '<text>'}:{line}:{column}: {reason}")
        self.reason = reason
        self.line = line
        self.column = column
        self.source = source


class Token(NamedTuple):
    """One token: its kind, its text as written, and where it begins."""

    kind: str
    text: str
    start: int


class Scanner:
    """Hands out tokens, one ahead."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._position = 0
        self._ahead: Token | None = None
        self._counted = (0, 1)

    def peek(self) -> Token:
        """The next token, left where it is."""
        if self._ahead is None:
            self._ahead = self._find()
        return self._ahead

    def next(self) -> Token:
        """The next token, taken."""
        token = self._ahead or self._find()
        self._ahead = None
        return token

    def _find(self) -> Token:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise self._unreadable()
        kind = match.lastgroup or "end"
        self._position = match.end()
        return Token(kind, match.group(kind), match.start(kind))

    def string_property(self) -> tuple[Token, str] | None:
        """``Name = "text";`` as a whole when it stands here, else None and nothing is taken."""
        if self._ahead is not None:
            return None
        match = _PROPERTY.match(self._text, self._position)
        if match is None:
            return None
        token = Token("word", match.group(1), match.start(1))
        self._position = match.end()
        return token, self._unescaped(match.group(2)[1:-1], match.start(2) + 1)

    def string(self, token: Token) -> str:
        """What a string token means."""
        return self._unescaped(token.text[1:-1], token.start + 1)

    def character(self, token: Token) -> str:
        """What a character token means."""
        return self._unescaped(token.text[1:-1], token.start + 1)

    def number(self, token: Token) -> int | float:
        """What a number token means: decimal, 0x, octal with a leading 0, binary with a b, or real."""
        sign = -1 if token.text.startswith("-") else 1
        digits = token.text.lower().lstrip("+-")
        for base, pattern in _INTEGERS.items():
            if match := pattern.fullmatch(digits):
                return sign * int(match.group(1), base)
        value = float(digits) if _REAL.fullmatch(digits) else math.inf
        if math.isinf(value):
            raise self.error("expected a number that fits 64 bits", token)
        return sign * value

    def _unescaped(self, raw: str, start: int) -> str:
        if "\\" not in raw:
            return raw

        def replacement(match: re.Match[str]) -> str:
            code = match.group(1)
            if code[0] in "xX" and len(code) > 1:
                return chr(int(code[1:], 16))
            if code not in _ESCAPES:
                raise self._at(f"unknown escape \\{code}", start + match.start())
            return _ESCAPES[code]

        text = _ESCAPE.sub(replacement, raw)
        try:
            # Two escaped halves of a surrogate pair are one character, as in every UTF-16 string.
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise self._at("half a surrogate pair", start) from None

    def line(self, token: Token) -> int:
        """The line on which `token` begins; asked in the order of the text it costs one pass."""
        position, line = self._counted
        if token.start < position:
            position, line = 0, 1
        line += self._text.count("\n", position, token.start)
        self._counted = (token.start, line)
        return line

    def error(self, reason: str, token: Token) -> MofError:
        """`reason` at the place of `token`, with what was found there."""
        found = "the end of the file" if token.kind == "end" else f"'{token.text[:40]}'"
        return self._at(f"{reason}, found {found}", token.start)

    def _unreadable(self) -> MofError:
        position = re.compile(_SPACE, re.DOTALL).match(self._text, self._position)
        start = position.end() if position else self._position
        rest = self._text[start : start + 2]
        if rest.startswith('"'):
            return self._at("the string is not closed", start)
        if rest == "/*":
            return self._at("the comment is not closed", start)
        return self._at(f"unexpected character {rest[:1]!r}", start)

    def _at(self, reason: str, position: int) -> MofError:
        line = self._text.count("\n", 0, position) + 1
        column = position - (self._text.rfind("\n", 0, position) + 1) + 1
        return MofError(reason, line, column, self._source)


def escape(text: str) -> str:
    """`text` as the inside of a string literal."""

    def replacement(match: re.Match[str]) -> str:
        character = match.group()
        return _BACK.get(character) or f"\\x{ord(character):04X}"

    return _TO_ESCAPE.sub(replacement, text)
