"""The coverage page: Microsoft's operations beside the table that ARM requests are dispatched from."""

from __future__ import annotations

import ast
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from arcbed_docs import text

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs" / "operations.toml"
CLIENT_TESTS = ROOT / "tests" / "clients"
SHORT = {
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}": "{group}",
    "/subscriptions/{subscriptionId}": "{subscription}",
}


@dataclass
class Served:
    """An operation of the table: its requests, and the api-versions that have it."""

    requests: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Group:
    """A group of operations in docs/operations.toml."""

    namespace: str
    name: str
    why: str
    operations: list[str]
    same: Mapping[str, str] = field(default_factory=dict)

    def missing(self, served: Mapping[tuple[str, str], Served]) -> list[str]:
        """Names that neither the table nor another operation serves.

        Raises:
            ValueError: some are missing without a reason, or `same` names what is not served itself.
        """
        for other in self.same.values():
            if "_" in other and (self.namespace, other) not in served:
                raise ValueError(f"docs/operations.toml: {self.namespace}/{other} is not served itself")
        found = [
            name
            for name in self.operations
            if name not in self.same and (self.namespace, f"{self.name}_{name}") not in served
        ]
        if found and not self.why:
            raise ValueError(
                f"docs/operations.toml: no reason why {self.namespace}/{self.name} lacks {found}"
            )
        return found


def page() -> str:
    """The coverage page."""
    served, tested = serving(), driven()
    groups: dict[str, list[Group]] = defaultdict(list)
    for entry in tomllib.loads(DATA.read_text(encoding="utf-8"))["group"]:
        groups[entry["namespace"]].append(Group(**entry))
    busy = sorted({namespace for namespace, _ in served})
    idle = sorted(groups.keys() - set(busy))
    sections = [part for namespace in busy for part in _section(namespace, groups[namespace], served, tested)]
    sections += ["## Namespaces of which nothing is served", _idle([groups[name] for name in idle])]
    every = [group for of_namespace in groups.values() for group in of_namespace]
    listed = sum(len(group.operations) for group in every)
    missing = sum(len(group.missing(served)) for group in every)
    intro = text.intro("coverage", known=listed - missing, listed=listed)
    return text.page(
        "Coverage of ARM", "the table of resource types and `docs/operations.toml`", intro, *sections
    )


def serving() -> dict[tuple[str, str], Served]:
    """What the table serves, by namespace and operation id."""
    from arcbed_cloud.app import build
    from arcbed_cloud.arm.openapi import template
    from arcbed_cloud.settings import Settings

    found: dict[tuple[str, str], Served] = defaultdict(Served)
    with tempfile.TemporaryDirectory() as folder:
        cloud = build(Settings(state=Path(folder), port=0))
        table = cloud.front.context.table
        for row in table.values():
            for verb in row.verbs:
                path = template(table, row, verb)
                for long, short in SHORT.items():
                    path = path.replace(long, short, 1)
                request = f"`{verb.method} {path}`"
                entry = found[row.namespace, verb.operation_id]
                if request not in entry.requests:
                    entry.requests.append(request)
                since, until = verb.since or "", verb.until or "~"
                entry.versions |= {version for version in row.api_versions if since <= version <= until}
        cloud.plane.store.close()
    return dict(found)


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


def _section(
    namespace: str,
    groups: list[Group],
    served: Mapping[tuple[str, str], Served],
    tested: Mapping[str, str],
) -> Iterator[str]:
    yield f"## {namespace}"
    rows = [
        (
            text.code(operation),
            "<br>".join(entry.requests),
            _span(entry.versions),
            _proof(tested.get(operation)),
        )
        for (found, operation), entry in sorted(served.items())
        if found == namespace
    ]
    yield text.table(("operation", "request", "api-versions", "SDK test"), rows)
    if same := [
        (f"`{group.name}_{name}`", other if "(" in other else text.code(other))
        for group in groups
        for name, other in group.same.items()
    ]:
        yield "Answered by another operation, whose request looks the same:"
        yield text.table(("operation", "answered by"), same)
    if missing := [(_names(group, lacks), group.why) for group in groups if (lacks := group.missing(served))]:
        yield "Not served:"
        yield text.table(("operations", "why"), missing)


def _idle(groups: list[list[Group]]) -> str:
    rows = []
    for of_namespace in groups:
        whys = dict.fromkeys(group.why for group in of_namespace)
        count = sum(len(group.operations) for group in of_namespace)
        rows.append((text.code(of_namespace[0].namespace), count, "; ".join(whys)))
    return text.table(("namespace", "operations", "why"), rows)


def _names(group: Group, missing: list[str]) -> str:
    shown = ", ".join(missing) if len(missing) <= 8 else f"all {len(missing)}"
    return f"{text.code(group.name)}: {shown}"


def _span(versions: set[str]) -> str:
    oldest, newest = min(versions), max(versions)
    if oldest == newest:
        return text.code(newest)
    return f"{text.code(oldest)} to {text.code(newest)} ({len(versions)})"


def _proof(file: str | None) -> str:
    name = (file or "").removeprefix("test_").removesuffix(".py")
    return f"[{name}](../../tests/clients/{file})" if file else ""
