"""The catalogue of documented behaviours that stories and tests cite.

It lives in `docs/clauses.toml` of a checkout; a wheel carries the same file as package data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from arcbed.harness.errors import BedError

PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parents[1] / "docs" / "clauses.toml"
INSTALLED = PACKAGE / "clauses.toml"


@dataclass(frozen=True)
class Clause:
    """One documented behaviour.

    Args:
        id: ``area.behaviour``.
        text: what is promised, in our words.
        source: title of a Microsoft article, a swagger operation, or a section of `docs/wire.md`.
        kind: ``documented`` (an article or a specification says so), ``observed`` (seen in output
            that users published) or ``decided`` (nothing is published; this testbed chose).
    """

    id: str
    text: str
    source: str
    kind: str = "documented"


KINDS = frozenset({"documented", "observed", "decided"})


def parse(text: str) -> Mapping[str, Clause]:
    """The clauses of a catalogue, by id, in its order.

    Raises:
        BedError: a clause has no text or source, an unknown member or an unknown kind.
    """
    found: dict[str, Clause] = {}
    for area, members in tomllib.loads(text).items():
        for name, fields in members.items():
            key = f"{area}.{name}"
            try:
                clause = Clause(id=key, **fields)
            except TypeError as error:
                raise BedError(f"clause {key}: {error}") from error
            if clause.kind not in KINDS or not (clause.text and clause.source):
                raise BedError(
                    f"clause {key}: needs a text, a source and a kind of {', '.join(sorted(KINDS))}"
                )
            found[key] = clause
    return found


@cache
def catalogue() -> Mapping[str, Clause]:
    """The clauses that came with this copy of arcbed.

    Raises:
        BedError: the catalogue is missing or not valid.
    """
    for path in (CHECKOUT, INSTALLED):
        if path.is_file():
            return parse(path.read_text(encoding="utf-8"))
    raise BedError(f"the catalogue of clauses is neither at {CHECKOUT} nor at {INSTALLED}")


def known(ids: Iterable[str]) -> tuple[str, ...]:
    """`ids`, all of which the catalogue has.

    Raises:
        BedError: one is unknown.
    """
    wanted = tuple(ids)
    if missing := [name for name in wanted if name not in catalogue()]:
        raise BedError(f"no such clause in docs/clauses.toml: {', '.join(missing)}")
    return wanted
