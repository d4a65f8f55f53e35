"""What a machine is answered when it asks for its extensions: ``docs/wire.md``, section 12.1."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import orjson

from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.extensions import Extensions
from arcbed_cloud.services.guestconfig.addresses import Address
from arcbed_cloud.services.guestconfig.pulls import Continued, PullAnswer, fitting
from arcbed_cloud.services.his.errors import HisError
from arcbed_cloud.services.his.regions import CONTRACT
from arcbed_cloud.store.contract import Document, Row


class GoalStates:
    """Answers pulls of goal states."""

    def __init__(self, plane: Plane, extensions: Extensions) -> None:
        self._plane = plane
        self._extensions = extensions

    async def pull(
        self, machine: Row, *, known_tags: Sequence[str], address: Address, continued: Continued | None = None
    ) -> PullAnswer:
        """One pull of an authenticated machine.

        Args:
            machine: whose.
            known_tags: of the header ``If-None-Match``.
            address: how the service was reached.
            continued: which page, of an answer that had several; `after` is the number of the item before.

        Raises:
            HisError: 412 PreconditionFailed if the goal state has changed between two pages.
        """
        async with self._plane.store.unit() as unit:
            known = self._extensions.goals.of(machine.key)
            generation = max(1, known["generation"])
            etag, pace = f'"extensions.{generation}"', self._plane.settings.pull_seconds
            if continued is None and (etag in known_tags or "*" in known_tags):
                return PullAnswer(None, etag, pace)
            if continued is not None and continued.generation != generation:
                raise HisError(412, "PreconditionFailed", "The goal state has changed since the first page.")
            answer = PullAnswer(self._body(machine, generation, address, continued), etag, pace)
            if known["pulled"] != generation:
                # On disk before it is answered: from now on a removal has to go through the machine.
                given = {**known, "generation": generation, "pulled": generation}
                self._extensions.goals.keep(unit, machine.key, given)
        return answer

    def _body(self, machine: Row, generation: int, address: Address, continued: Continued | None) -> bytes:
        rows = sorted(
            (
                row
                for row in self._extensions.items.of(machine.key)
                if row.document["agent"]["goal"] is not None
            ),
            key=_order,
        )
        start = int(continued.after) if continued is not None and continued.after.isdecimal() else 0
        bodies = [orjson.dumps(self._item(row, address)) for row in rows[start:]]
        taken = fitting(bodies)
        document: Document = {
            "generation": generation,
            "nextSeconds": self._plane.settings.pull_seconds,
            "value": [orjson.Fragment(body) for body in bodies[:taken]],
        }
        if taken < len(bodies):
            document["nextLink"] = _link(address, machine, generation, start + taken)
        return orjson.dumps(document)

    def _item(self, row: Row, address: Address) -> Document:
        agent = row.document["agent"]
        goal, operation = agent["goal"], agent["operation"]
        item: Document = {
            "name": row.document["name"],
            "publisher": goal["publisher"],
            "type": goal["type"],
            "typeHandlerVersion": goal["version"],
            "desiredState": goal["desiredState"],
            "sequenceNumber": goal["sequenceNumber"],
            "forceUpdateTag": goal["forceUpdateTag"],
            "autoUpgradeMinorVersion": goal["autoUpgradeMinorVersion"],
            "enableAutomaticUpgrade": goal["enableAutomaticUpgrade"],
            "operation": None,
            "package": self._package(goal, address),
            "settings": goal["settings"],
            "protectedSettings": self._protected(agent),
        }
        if "extensionName" in goal:
            item["extensionName"] = goal["extensionName"]
        if operation is not None:
            names = ("operationId", "kind", "createdAt", "expiresAt")
            item["operation"] = {name: operation[name] for name in names}
        return item

    def _package(self, goal: Document, address: Address) -> Document | None:
        """None if nobody publishes that version any more: who has it keeps it."""
        entry = self._extensions.gallery.get(goal["publisher"], goal["type"], goal["version"])
        if entry is None:
            return None
        gallery, now = self._extensions.gallery, self._plane.clock.wall()
        return {
            "uri": address.content(gallery.address(entry.file, now)),
            "sha256": entry.sha256,
            "sizeBytes": entry.size,
            "catalogUri": address.content(gallery.address(entry.catalog, now)),
            "catalogSha256": entry.catalog_sha256,
        }

    def _protected(self, agent: Document) -> Document | None:
        sealed = agent["secret"].get("sealed")
        value = self._extensions.items.vault.open(sealed) if sealed else None
        return None if value is None else {"scheme": "plain-tls", "value": value}


def _order(row: Row) -> tuple[bool, str, str]:
    """Removals first, then by the time of the operation; what has none is older than what has."""
    agent = row.document["agent"]
    created = agent["operation"]["createdAt"] if agent["operation"] is not None else ""
    return agent["goal"]["desiredState"] != "uninstalled", created, row.key


def _link(address: Address, machine: Row, generation: int, start: int) -> str:
    vm_id = quote(machine.document["properties"]["vmId"], safe="")
    query = f"api-version={CONTRACT}&generation={generation}&after={start}"
    return f"{address.base}/virtualMachines/{vm_id}/extensions?{query}"
