"""The coverage page: Microsoft's operations beside the table that ARM requests are dispatched from."""

from __future__ import annotations

import ast
import re
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arcbed_docs import text

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs" / "operations.toml"
CLIENT_TESTS = ROOT / "tests" / "clients"


def page() -> str:
    """The coverage page.

    Raises:
        ValueError: an operation group is not served, or only in part, and the file gives no reason.
    """
    served = serving()
    tested = driven()
    listed: set[tuple[str, str]] = set()
    by_namespace: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for group in tomllib.loads(DATA.read_text())["group"]:
        by_namespace[group["namespace"]].append(group)
        listed |= {(group["namespace"], f"{group['name']}_{name}") for name in group["operations"]}
    parts = [_intro(served, listed)]
    for namespace in sorted(
        {*by_namespace, *(name for name, _ in served)},
        key=lambda name: (name not in {n for n, _ in served}, name),
    ):
        parts.append(f"## {namespace}")
        rows = [
            _served_row(operation, row, tested)
            for (name, operation), row in sorted(served.items())
            if name == namespace
        ]
        if rows:
            parts.append(text.table(("operation", "method and path", "api-versions", "SDK test"), rows))
        if missing := [
            _missing_row(group, served) for group in by_namespace[namespace] if _missing(group, served)
        ]:
            parts.append(
                ("Not served:\n\n" if rows else "Nothing of it is served:\n\n")
                + text.table(("operations", "why"), missing)
            )
    return text.page("Coverage of ARM", "the table of resource types and `docs/operations.toml`", *parts)


def serving() -> dict[tuple[str, str], tuple[str, str]]:
    """What the table serves: (namespace, operation id) to (method and path, api-versions)."""
    from arcbed_cloud.app import build
    from arcbed_cloud.settings import Settings

    found: dict[tuple[str, str], tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        cloud = build(Settings(state=Path(folder), port=0))
        for row in cloud.front.context.table.values():
            for verb in row.verbs:
                versions = [
                    v
                    for v in row.api_versions
                    if (verb.since or "") <= v and (verb.until is None or v <= verb.until)
                ]
                where = f"{text.code(verb.method)} {row.path}: {verb.on.value}" + (
                    f" ({verb.action})" if verb.action else ""
                )
                key = (row.namespace, verb.operation_id)
                if key in found:
                    where = f"{found[key][0]}<br>{where}"
                found[key] = (where, _span(versions))
        cloud.plane.store.close()
    return found


def driven() -> dict[str, str]:
    """Operation ids that a test calls through one of Microsoft's SDKs, with the test's file."""
    found: dict[str, str] = {}
    for path in sorted(CLIENT_TESTS.glob("test_*.py")):
        for operation in _called(path):
            found.setdefault(operation, path.name)
    return found


def _called(path: Path) -> Iterator[str]:
    """``client.machines.begin_delete`` is ``Machines_Delete``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            yield f"{_camel(node.value.attr)}_{_camel(node.attr.removeprefix('begin_'))}"


def _camel(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))


def _span(versions: Sequence[str]) -> str:
    """Newest first in, oldest to newest out."""
    if not versions:
        return ""
    oldest, newest = min(versions), max(versions)
    return (
        text.code(newest)
        if oldest == newest
        else f"{text.code(oldest)} to {text.code(newest)} ({len(versions)})"
    )


def _intro(served: dict[tuple[str, str], tuple[str, str]], listed: set[tuple[str, str]]) -> str:
    known, more = len(listed & set(served)), len(set(served) - listed)
    return text.intro("coverage", known=known, listed=len(listed), more=more)


def _served_row(operation: str, row: tuple[str, str], tested: dict[str, str]) -> tuple[str, str, str, str]:
    where, versions = row
    file = tested.get(operation)
    proof = f"[{file.removeprefix('test_').removesuffix('.py')}](../../tests/clients/{file})" if file else ""
    return text.code(operation), where, versions, proof


def _missing(group: dict[str, Any], served: dict[tuple[str, str], tuple[str, str]]) -> list[str]:
    namespace, name = group["namespace"], group["name"]
    return [item for item in group["operations"] if (namespace, f"{name}_{item}") not in served]


def _missing_row(group: dict[str, Any], served: dict[tuple[str, str], tuple[str, str]]) -> tuple[str, str]:
    namespace, name, missing = group["namespace"], group["name"], _missing(group, served)
    if not re.search(r"\w", group["why"]):
        raise ValueError(f"docs/operations.toml: {namespace}/{name} does not say why it lacks {missing}")
    shown = ", ".join(missing) if len(missing) <= 8 else f"{len(missing)} operations"
    return f"{text.code(group['name'])}: {shown}", group["why"]
