"""The page of the handler contract: each rule with its proof, and what ``extd test`` asks of a handler."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from arcbed_agent.extd.cli import verdicts
from arcbed_docs import text

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs" / "handler-rules.toml"
ROWS = ROOT / "tests" / "support" / "handler_rules"
TESTS = ROOT / "tests" / "unit" / "extd"


def load() -> dict[str, dict[str, dict[str, str]]]:
    """The rules by area and name."""
    return tomllib.loads(DATA.read_text(encoding="utf-8"))


def page() -> str:
    """The handler contract's page."""
    areas = load()
    known = {f"{area}.{name}" for area, rules in areas.items() for name in rules}
    proofs = proven(known)
    parts = [text.intro("handler_rules", total=len(known), proven=len(proofs))]
    for area, rules in areas.items():
        rows = [
            (text.code(f"{area}.{name}"), rule["text"], rule["source"], _links(proofs.get(f"{area}.{name}")))
            for name, rule in rules.items()
        ]
        parts += [f"## {area}", text.table(("rule", "what the manager does", "source", "proof"), rows)]
    asked = [(text.code(rule), said) for rule, said in verdicts.RULES.items()]
    parts += ["## What `extd test` asks of a handler", text.intro("extd_test")]
    parts += [text.table(("rule", "what a handler does"), asked)]
    return text.page("The handler contract", "`docs/handler-rules.toml` and the tests", *parts)


def proven(known: set[str]) -> dict[str, Counter[Path]]:
    """How often each rule is cited by which file."""
    found: dict[str, Counter[Path]] = defaultdict(Counter)
    for path in sorted([*ROWS.glob("*.py"), *TESTS.glob("test_*.py")]):
        for rule in _cited(path):
            if rule in known:
                found[rule][path] += 1
    return found


def _cited(path: Path) -> Iterator[str]:
    """Every text in a file of tests: keys of rules look like nothing else."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _links(found: Counter[Path] | None) -> str:
    if not found:
        return "**nothing yet**"
    return "<br>".join(f"[{path.stem}](../../{path.relative_to(ROOT)})" for path in found)
