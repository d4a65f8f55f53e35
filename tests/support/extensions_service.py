"""The service of `extensions`, closer to the contract: what is listed after an end or an expiry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from extensions import BLOBS, FakeGas, refusal

from arcbed_cloud.clock import Keeper


class Service(FakeGas):
    """Closer to ``docs/wire.md`` where that matters here; loses answers to reports that it has taken.

    What is listed after the end of an operation has no operation and the version that the machine has; a
    deletion can be deleted; what is not picked up expires, and what was before is listed again; every package
    has an address of its own.
    """

    def __init__(self, clock: Keeper) -> None:
        super().__init__(clock)
        self.losing = 0
        self.ended: set[str] = set()
        self.settled: dict[str, dict[str, Any]] = {}
        self.expired: set[str] = set()

    def operation(self, kind: str) -> dict[str, str]:
        made = super().operation(kind)
        return made | {"operationId": f"{self.operations:08d}-0000-4000-8000-000000000000"}

    def publish(self, content: bytes, version: str = "1.0.0", kind: str = "Sample") -> dict[str, Any]:
        package = super().publish(content, version, kind)
        place = f"/{package['sha256'][:16]}"
        for member in ("uri", "catalogUri"):
            file = package[member].removeprefix(BLOBS).partition("?")[0]
            self.files[place + file] = self.files.pop(file)
            package[member] = package[member].replace(BLOBS, BLOBS + place)
        return package

    def delete(self, name: str = "sample") -> None:
        self.items[name] = dict(self.items[name])
        if self.items[name]["desiredState"] == "uninstalled":
            self.sequences[name] += 1
            self.items[name]["sequenceNumber"] = self.sequences[name]
        super().delete(name)

    def closed(self, name: str, report: Mapping[str, Any]) -> None:
        item = self.items[name]
        if report["state"] == "InProgress":
            self.settled[name] = item
            return
        self.ended.add(item["operation"]["operationId"])
        if item["desiredState"] == "uninstalled" and report["state"] == "Succeeded":
            del self.items[name]
            self.settled.pop(name, None)
            self.generation += 1
        else:
            version = {"typeHandlerVersion": report["typeHandlerVersion"]}
            self.items[name] = self.settled[name] = {**item, **version, "operation": None}

    def expire(self) -> list[dict[str, Any]]:
        """Six hours have passed: what is wanted now of what has not been picked up."""
        found = []
        for name, item in list(self.items.items()):
            before = self.settled.get(name, {})
            if item["operation"] is None or before is item or before.get("desiredState") == "uninstalled":
                continue
            self.expired.add(item["operation"]["operationId"][:8])
            self.generation += 1
            before = {**self.settled.get(name, item), "operation": None}
            if name in self.settled:
                self.items[name] = self.settled[name] = before
            else:
                del self.items[name]
                before["desiredState"] = "uninstalled"
            found.append(before)
        return found

    def take(self, request: httpx.Request) -> httpx.Response:
        _, _, _, _, name, *words = request.url.path.split("/")
        if words[0] == "operations" and name in self.items:
            listed = (self.items[name]["operation"] or {}).get("operationId")
            if words[1] not in self.ended | {listed}:
                return refusal(410, "OperationExpired")
        answer = super().take(request)
        if self.losing:
            self.losing -= 1
            raise httpx.ReadError("the connection was reset")
        return answer
