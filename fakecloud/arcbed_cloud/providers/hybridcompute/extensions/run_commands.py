"""Run commands: scripts that a machine runs once, as named instances of the handler of run commands.

The agent has that handler built in (since agent 1.33); if somebody has published ``Microsoft.CPlat.Core`` /
``RunCommandHandlerLinux`` in this bed, the machine is given the published one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.ids import ResourceId
from arcbed_cloud.arm.table import ResourceType, Scope
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.providers.hybridcompute.extensions import refusals
from arcbed_cloud.providers.hybridcompute.extensions.items import Items, Wish
from arcbed_cloud.providers.hybridcompute.extensions.run_command_bodies import RunCommandBody
from arcbed_cloud.providers.hybridcompute.manifest import NAMESPACE, REGIONS
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS
from arcbed_cloud.services.extensions import Gallery, versions
from arcbed_cloud.store.contract import Document, Row, Unit

FIRST_VERSION = "2023-10-03-preview"
PUBLISHER, HANDLER = "Microsoft.CPlat.Core", "RunCommandHandlerLinux"
BUILT_IN = "1.0.0"
# In answers type and id segment are in lower case, as recorded.
TYPE = f"{NAMESPACE}/machines/runcommands"
KIND = TYPE.lower()
_TAIL = 4096
_STATES = {"InProgress": "Running", "Succeeded": "Succeeded", "Failed": "Failed", "Canceled": "Canceled"}
_VIEW = ("executionState", "executionMessage", "exitCode", "output", "error", "startTime", "endTime")
# The row of the table without its verbs.
RUN_COMMAND_TYPE = ResourceType(
    namespace=NAMESPACE,
    path="machines/runCommands",
    scope=Scope.GROUP,
    api_versions=tuple(version for version in API_VERSIONS if version >= FIRST_VERSION),
    verbs=(),
    name_parameter="runCommandName",
    locations=REGIONS,
    # Microsoft's "Run Command on Azure Arc-enabled servers": on Linux a name has up to 36 characters.
    name_pattern=r"[a-zA-Z0-9\-_]{1,36}",
    tracked=True,
    capabilities=(
        "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation"
    ),
)


class RunCommandView:
    """See `items.View`."""

    kind = KIND

    def shown(self, document: Document) -> Document:
        """The resource as ARM answers it."""
        return {name: value for name, value in document.items() if name != "agent"}

    def amend(self, document: Document, report: Document) -> None:
        """State, exit code and output: from the handler's own words, which are JSON, or from the report."""
        properties = document["properties"]
        view = {**(properties.get("instanceView") or {}), **_reported(report), **_said(report)}
        for name in ("output", "error"):
            if isinstance(view.get(name), str):
                view[name] = view[name][-_TAIL:]
        view["statuses"] = view.get("statuses") or []
        properties["instanceView"] = view


class RunCommands:
    """All run commands of the bed."""

    def __init__(self, plane: Plane, items: Items, gallery: Gallery) -> None:
        self._store = plane.store
        self._items = items
        self._gallery = gallery

    def get(self, key: str) -> Row | None:
        """The run command with this ARM id in lower case."""
        row = self._store.get("resources", key)
        return row if row is not None and row.kind == KIND else None

    def on(self, machine_key: str) -> Sequence[Row]:
        """All run commands of a machine, by name."""
        return self._store.rows("resources", kind=KIND, scope=machine_key)

    def put(self, unit: Unit, machine: Row, target: ResourceId, given: RunCommandBody, arm: str) -> Row:
        """Create a run command, or run one again with a new body.

        Raises:
            ArmError: HCRP409 while it is open, or what `arm.validation` finds.
        """
        before = self.get(target.key)
        validation.resource_name(target.name, RUN_COMMAND_TYPE)
        location = validation.location(given.location, RUN_COMMAND_TYPE)
        if before is not None and before.document["agent"]["operation"] is not None:
            raise refusals.processing(HANDLER, target)
        other = self._items.named(machine.key, target.name)
        if other is not None and other.kind != KIND:
            raise errors.conflict(f"An extension of the machine is named '{target.name}'.", target)
        document: Document = {
            "id": f"{machine.document['id']}/runcommands/{target.name}",
            "name": target.name,
            "type": TYPE,
            **({} if before is None else before.document),
            "location": location,
            "tags": given.tags or {},
            "properties": {**given.properties, "instanceView": _pending()},
        }
        goal = {
            "publisher": PUBLISHER,
            "type": HANDLER,
            "version": self._version(machine),
            "forceUpdateTag": None,
            "autoUpgradeMinorVersion": True,
            "enableAutomaticUpgrade": True,
            "settings": given.settings,
            "extensionName": target.name,
        }
        kind = "create" if before is None else "update"
        # What is not given is nothing: the secrets of an earlier run are not those of this one.
        wish = Wish(kind, goal, arm, protected=given.protected or {})
        return self._items.wish(unit, machine.key, document, wish)

    def tag(self, unit: Unit, row: Row, tags: dict[str, str] | None) -> Row:
        """PATCH, which changes tags only."""
        if tags is None:
            return row
        return self._items.keep(unit, row.scope, {**row.document, "tags": tags})

    def _version(self, machine: Row) -> str:
        region = validation.normalised(machine.document["location"])
        known = [entry.version for entry in self._gallery.of(PUBLISHER, HANDLER, region)]
        return versions.newest(known) or BUILT_IN


def _pending() -> Document:
    return {
        "executionState": "Pending",
        "executionMessage": "",
        "exitCode": 0,
        "output": "",
        "error": "",
        "statuses": [],
    }


def _reported(report: Document) -> Document:
    found: Document = {
        "output": report.get("stdoutTail") or None,
        "error": report.get("stderrTail") or None,
        "exitCode": report.get("exitCode"),
        "executionState": _STATES.get(report.get("state") or ""),
    }
    return {name: value for name, value in found.items() if value is not None}


def _said(report: Document) -> Document:
    """The handler's status message is the instance view as JSON."""
    text = (report.get("instanceView") or {}).get("message") or ""
    try:
        said: Any = orjson.loads(text[text.index("{") :])
    except ValueError:
        return {}
    if not isinstance(said, dict) or "executionState" not in said:
        return {}
    return {name: said[name] for name in _VIEW if said.get(name) is not None}
