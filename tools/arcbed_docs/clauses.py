"""The clauses page: each documented behaviour, with the stories and tests that prove it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from arcbed_docs import text

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "scenarios" / "arcbed" / "stories"
TESTS = ROOT / "tests"


def page() -> str:
    """The clauses page."""
    from arcbed.harness.clauses import parse

    catalogue = parse((ROOT / "docs" / "clauses.toml").read_text(encoding="utf-8"))
    proofs = proven(set(catalogue))
    areas: dict[str, list[tuple[str, str, str, str, str]]] = defaultdict(list)
    for clause in catalogue.values():
        found = "<br>".join(proofs.get(clause.id, [])) or "**nothing yet**"
        areas[clause.id.split(".", 1)[0]].append(
            (text.code(clause.id), clause.text, clause.kind, clause.source, found)
        )
    bare = sum(1 for key in catalogue if key not in proofs)
    parts = [text.intro("clauses", total=len(catalogue), cited=len(catalogue) - bare, bare=bare)]
    for area, rows in areas.items():
        parts += [f"## {area}", text.table(("clause", "behaviour", "kind", "source", "proof"), rows)]
    return text.page("Clauses", "`docs/clauses.toml`, the stories and the tests", *parts)


def proven(known: set[str]) -> dict[str, list[str]]:
    """Links to what cites each clause, by clause."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted([*STORIES.rglob("*.py"), *TESTS.rglob("test_*.py")]):
        label = path.relative_to(ROOT)
        for clause in sorted(set(_cited(path)) & known):
            kind = "story" if STORIES in path.parents else "test"
            found[clause].append(f"{kind} [{path.stem.removeprefix('test_')}](../../{label})")
    return found


def _cited(path: Path) -> Iterator[str]:
    """Every string in a call of ``step`` or ``clause``; what is no clause is dropped later."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _name(node.func) in {"step", "clause"}:
            for child in ast.walk(node):
                if isinstance(child, ast.Constant) and isinstance(child.value, str):
                    yield child.value


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
