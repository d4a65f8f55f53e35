"""What ARM refuses before a machine hears of it."""

from __future__ import annotations

from collections.abc import Iterable

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import ResourceId
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.store.contract import Document, Row

# Microsoft's "Virtual machine extension management with Azure Arc-enabled servers": the Dependency agent and
# Update Management do not support Amazon Linux.
_NOT_ON_AMAZON = {
    ("microsoft.azure.monitoring.dependencyagent", "dependencyagentlinux"): "The Dependency agent",
    ("microsoft.softwareupdatemanagement", "linuxosupdateextension"): "Update Management",
}


def not_found(publisher: str, kind: str, version: str | None, target: ResourceId) -> ArmError:
    """HCRP400: nobody published that, or not in this region."""
    wanted = f"version '{version}'" if version is not None else "any version"
    return errors.hcrp(
        400,
        f"ExtensionNotFound: The extension with publisher '{publisher}', type '{kind}' and {wanted} was not "
        "found in the extension repository of this location.",
        target,
    )


def check_system(machine: Row, publisher: str, kind: str, target: ResourceId) -> None:
    """Raises ArmError HCRP400 for an extension that does not support the machine's operating system."""
    what = _NOT_ON_AMAZON.get((publisher.lower(), kind.lower()))
    properties: Document = machine.document["properties"]
    system = f"{properties.get('osSku', '')} {properties.get('osName', '')}"
    if what is not None and "amazon linux" in system.lower():
        raise errors.hcrp(400, f"{what} is not supported on Amazon Linux ('{system.strip()}').", target)


def check_free(rows: Iterable[Row], key: str, publisher: str, kind: str, target: ResourceId) -> None:
    """Raises ArmError HCRP409: the extension, or another of its publisher and type, stands in the way."""
    for row in rows:
        properties: Document = row.document["properties"]
        same = (
            properties["publisher"].lower() == publisher.lower()
            and properties["type"].lower() == kind.lower()
        )
        if (row.key == key or same) and row.document["agent"]["operation"] is not None:
            raise processing(properties["type"], target)
        if same and row.key != key:
            raise errors.conflict(
                f"The extension '{row.document['name']}' of publisher '{publisher}' and type '{kind}' exists "
                "on the machine already. A machine can have one extension of a publisher and type.",
                target,
            )


def processing(kind: str, target: ResourceId) -> ArmError:
    """HCRP409 while an operation is open; the words have been seen."""
    return errors.conflict(
        f"An extension of type {kind} is still processing. Only one instance of an extension may be in "
        "progress at a time for the same resource. Please retry after sometime.",
        target,
    )
