"""The few ``$filter`` expressions that clients of the directory send."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from arcbed_cloud.services.graph.errors import GraphError

Predicate = Callable[[Mapping[str, Any]], bool]

_TEXT = r"'((?:[^']|'')*)'"
_EQUAL = re.compile(rf"(\w+)\s+eq\s+{_TEXT}", re.IGNORECASE)
_STARTS = re.compile(rf"startswith\(\s*(\w+)\s*,\s*{_TEXT}\s*\)", re.IGNORECASE)
_ANY = re.compile(rf"(\w+)/any\(\s*(\w+)\s*:\s*(\w+)\s+eq\s+{_TEXT}\s*\)", re.IGNORECASE)
_JOIN = re.compile(rf"\s+(or|and)\s+(?=(?:[^']|{_TEXT})*$)", re.IGNORECASE)


def parse(text: str) -> Predicate:
    """A predicate over rendered objects; clauses joined by ``or``, or by ``and``. Texts compare without case.

    Raises:
        GraphError: 400 for anything else.
    """
    words = {found.group(1).lower() for found in _JOIN.finditer(text)}
    if len(words) > 1:
        raise _invalid(text)
    pieces, start = [], 0
    for found in _JOIN.finditer(text):
        pieces.append(text[start : found.start()])
        start = found.end()
    clauses = [_clause(piece.strip(), text) for piece in [*pieces, text[start:]]]
    decide = all if words == {"and"} else any
    return lambda entry: decide(clause(entry) for clause in clauses)


def _clause(text: str, whole: str) -> Predicate:
    if found := _EQUAL.fullmatch(text):
        name, wanted = found[1], _plain(found[2])
        return lambda entry: str(entry.get(name) or "").lower() == wanted
    if found := _STARTS.fullmatch(text):
        name, wanted = found[1], _plain(found[2])
        return lambda entry: str(entry.get(name) or "").lower().startswith(wanted)
    if (found := _ANY.fullmatch(text)) and found[2] == found[3]:
        name, wanted = found[1], _plain(found[4])
        return lambda entry: wanted in (str(value).lower() for value in entry.get(name) or ())
    raise _invalid(whole)


def _plain(quoted: str) -> str:
    return quoted.replace("''", "'").lower()


def _invalid(text: str) -> GraphError:
    return GraphError(400, "Request_UnsupportedQuery", f"Unsupported or invalid query filter clause: {text}")
