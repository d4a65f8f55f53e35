"""The page of the testbed's own API: its routes and bodies from the app, their meaning from admin.toml."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any

from arcbed_docs import text

MEANINGS = Path(__file__).with_name("admin.toml")


def page() -> str:
    """The page.

    Raises:
        ValueError: a route without a meaning, or a meaning without a route.
    """
    document = _openapi()
    meanings = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
    found = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    if different := found.keys() ^ meanings.keys():
        raise ValueError(f"tools/arcbed_docs/admin.toml and the API differ in {sorted(different)}")
    rows = [
        (text.code(name), meanings[name], _inputs(operation, document)) for name, operation in found.items()
    ]
    table = text.table(("route", "what it does", "query or body"), rows)
    return text.page("Admin API", "the routes of `arcbed_cloud.admin`", text.intro("admin"), table)


def _openapi() -> dict[str, Any]:
    from arcbed_cloud.app import build
    from arcbed_cloud.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        cloud = build(Settings(state=Path(folder), port=0))
        document: dict[str, Any] = cloud.admin._app.openapi()  # type: ignore[attr-defined]  # behind its guard
        cloud.plane.store.close()
    return document


def _inputs(operation: dict[str, Any], document: dict[str, Any]) -> str:
    queries = [item for item in operation.get("parameters", ()) if item["in"] == "query"]
    found = [item["name"] if item.get("required") else f"{item['name']}?" for item in queries]
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    references = [schema.get("$ref"), *(option.get("$ref") for option in schema.get("anyOf", ()))]
    for reference in filter(None, references):
        model = document["components"]["schemas"][reference.rsplit("/", 1)[-1]]
        required = model.get("required", ())
        found += [name if name in required else f"{name}?" for name in model["properties"]]
    return ", ".join(text.code(name) for name in found)
