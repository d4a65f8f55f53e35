"""Template functions that need nothing but their arguments.

Source: Microsoft's articles "ARM template functions" and "Details of the policy definition rule structure";
the set is what built-in machine configuration definitions use, and their nearest neighbours.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from arcbed_cloud.providers.policy.expressions import Function

_MASK = 0xFFFF_FFFF
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"


def text(value: Any) -> str:
    """A value as ``string()`` writes it."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    return "" if value is None else str(value)


def _concat(*values: Any) -> Any:
    if values and all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    return "".join(text(value) for value in values)


def _equals(one: Any, other: Any) -> bool:
    """Texts are compared with regard to case, as in templates; conditions of a rule are not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, dict):
        return text(item).lower() in {name.lower() for name in container}
    return item in container


def _if(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition is True else no


def _replace(value: str, old: str, new: str) -> str:
    return value.replace(old, new)


def _split(value: str, marks: str | list[str]) -> list[str]:
    first, *others = [marks] if isinstance(marks, str) else marks
    for mark in others:
        value = value.replace(mark, first)
    return value.split(first)


def _substring(value: str, start: int, length: int | None = None) -> str:
    if start < 0 or start + (length or 0) > len(value):
        raise ValueError("the start index and length must be inside the string")
    return value[start:] if length is None else value[start : start + length]


def unique_string(*values: str) -> str:
    """13 characters of ``a`` to ``z`` and ``2`` to ``7`` that depend on the values alone."""
    number = _murmur64("-".join(text(value) for value in values).encode())
    return (
        "".join(_DIGITS[number >> (59 - 5 * place) & 31] for place in range(12)) + _DIGITS[(number << 1) & 31]
    )


def _turned(value: int, by: int) -> int:
    return ((value << by) | (value >> (32 - by))) & _MASK


def _murmur64(data: bytes) -> int:
    """MurmurHash3 in its form with two 32-bit halves, seed 0."""
    one, two = 0x239B961B, 0xAB0E9789
    low = high = 0
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        first = int.from_bytes(data[start : start + 4], "little")
        second = int.from_bytes(data[start + 4 : start + 8], "little")
        low ^= _turned(first * one & _MASK, 15) * two & _MASK
        low = ((_turned(low, 19) + high) * 5 + 0x561CCD1B) & _MASK
        high ^= _turned(second * two & _MASK, 17) * one & _MASK
        high = ((_turned(high, 13) + low) * 5 + 0x0BCAA747) & _MASK
    rest = data[whole:]
    if rest:
        low ^= _turned(int.from_bytes(rest[:4], "little") * one & _MASK, 15) * two & _MASK
    if len(rest) > 4:
        high ^= _turned(int.from_bytes(rest[4:], "little") * two & _MASK, 17) * one & _MASK
    low ^= len(data)
    high ^= len(data)
    low = (low + high) & _MASK
    high = (high + low) & _MASK
    low, high = _mixed(low), _mixed(high)
    low = (low + high) & _MASK
    high = (high + low) & _MASK
    return high << 32 | low


def _mixed(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


PLAIN: Mapping[str, Function] = {
    "and": lambda *values: all(value is True for value in values),
    "array": lambda value: value if isinstance(value, list) else [value],
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64tostring": lambda value: base64.b64decode(value, validate=True).decode(),
    "bool": lambda value: text(value).lower() in {"true", "1"},
    "concat": _concat,
    "contains": _contains,
    "createarray": lambda *values: list(values),
    "empty": lambda value: not value,
    "endswith": lambda value, end: value.lower().endswith(end.lower()),
    "equals": _equals,
    "false": lambda: False,
    "first": lambda value: value[0],
    "if": _if,
    "int": int,
    "json": orjson.loads,
    "last": lambda value: value[-1],
    "length": len,
    "not": lambda value: value is not True,
    "null": lambda: None,
    "or": lambda *values: any(value is True for value in values),
    "replace": _replace,
    "split": _split,
    "startswith": lambda value, start: value.lower().startswith(start.lower()),
    "string": text,
    "substring": _substring,
    "tolower": lambda value: value.lower(),
    "toupper": lambda value: value.upper(),
    "trim": lambda value: value.strip(),
    "true": lambda: True,
    "uniquestring": unique_string,
}
