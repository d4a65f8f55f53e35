"""Finds the class of a resource by the name in the document, case ignored."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from arcbed_agent.gcad.dsc.host import DscHost
from arcbed_agent.gcad.dsc.mof import Instance
from arcbed_agent.gcad.dsc.resource import Current, Resource

#: The families, one module each; imported at the first look-up.
FAMILIES = (
    "file",
    "line",
    "group",
    "user",
    "package",
    "service",
    "script",
    "environment",
    "archive",
    "application",
    "inspec",
    "local_user",
    "osconfig",
    "older_baseline",
    "test_file",
)


class Unsupported(Resource):
    """Any class that nothing here evaluates: reported, never passed."""

    settable = False

    def inspect(self) -> Current:
        """One reason."""
        phrase = f"Resources of class {self.instance.class_name} are not evaluated."
        return Current(reasons=[self.reason("NotSupported", phrase)])


@cache
def _classes() -> dict[str, type[Resource]]:
    found: dict[str, type[Resource]] = {}
    for family in FAMILIES:
        importlib.import_module(f"arcbed_agent.gcad.dsc.families.{family}")
    pending = list(Resource.__subclasses__())
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        found |= {name.casefold(): kind for name in kind.__dict__.get("names", ())}
    return found


def resource(instance: Instance, host: DscHost, folder: Path) -> Resource:
    """The resource for an instance of a document.

    Raises:
        ResourceFault: a property that its class needs is missing.
    """
    return _classes().get(instance.class_name.casefold(), Unsupported)(instance, host, folder)


def supported() -> list[str]:
    """The class names that are evaluated, in lower case."""
    return sorted(_classes())


def classes() -> list[type[Resource]]:
    """The resources, by the name of the first class they stand for."""
    return sorted(set(_classes().values()), key=lambda kind: kind.names[0].casefold())
