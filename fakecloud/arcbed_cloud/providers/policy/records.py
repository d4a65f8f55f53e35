"""States as queries of Microsoft.PolicyInsights show them, and which of them a scope means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from arcbed_cloud.arm.ids import ResourceId, parse
from arcbed_cloud.providers.guestconfiguration.assignments import key_of
from arcbed_cloud.providers.policy.library import ASSIGNMENTS, DEFINITIONS, SETS, Library
from arcbed_cloud.providers.policy.states import COMPLIANT, States
from arcbed_cloud.store.contract import Document, Row, Store

#: What Azure writes where it knows nothing.
_UNKNOWN = "tbd"


class Records:
    """Makes records of states."""

    def __init__(self, store: Store, library: Library, states: States) -> None:
        self._store = store
        self._library = library
        self._states = states

    def below(self, scope: ResourceId, *, history: bool = False) -> list[Document]:
        """Records of a scope, ordered by resource and definition.

        Args:
            scope: a subscription, a group, a resource, a policy assignment, a definition or an initiative.
            history: earlier states too, as ``policyStates/default`` shows them.
        """
        rows = [row for row in self._states.all() if _inside(row, scope)]
        return [record for row in rows for record in self._records(row, history=history)]

    def _records(self, row: Row, *, history: bool) -> Iterator[Document]:
        newest = self._record(row.document)
        if newest is None:
            return
        yield newest
        if history:
            for entry in reversed(row.document["history"]):
                if entry["timestamp"] != newest["timestamp"]:
                    yield {
                        **newest,
                        **entry,
                        "isCompliant": entry["complianceState"] == COMPLIANT,
                    }

    def _record(self, state: Document) -> Document | None:
        resource = self._store.get("resources", state["resourceId"].lower())
        assignment = self._library.assignment(state["policyAssignmentId"])
        if resource is None or assignment is None:
            return None
        target = parse(state["resourceId"])
        assigned = assignment.document["properties"]
        return {
            "timestamp": state["timestamp"],
            "resourceId": state["resourceId"],
            "policyAssignmentId": state["policyAssignmentId"],
            "policyDefinitionId": state["policyDefinitionId"],
            "effectiveParameters": _json(_valued(state["parameters"])),
            "isCompliant": state["complianceState"] == COMPLIANT,
            "subscriptionId": target.subscription,
            "resourceType": target.type,
            "resourceLocation": resource.document.get("location"),
            "resourceGroup": target.group,
            "resourceTags": _UNKNOWN,
            "policyAssignmentName": assignment.document["name"],
            "policyAssignmentOwner": _UNKNOWN,
            "policyAssignmentParameters": _json(assigned["parameters"]),
            "policyAssignmentScope": assigned["scope"],
            **self._definition(state),
            "managementGroupIds": "",
            "policyDefinitionReferenceId": state["policyDefinitionReferenceId"],
            "complianceState": state["complianceState"],
            "policyDefinitionAction": state["effect"],
            "stateDetails": self._details(state),
        }

    def _definition(self, state: Document) -> Document:
        definition = self._library.definition(state["policyDefinitionId"])
        initiative = self._library.initiative(state["policySetDefinitionId"])
        shown: Document = {
            "policyDefinitionName": state["policyDefinitionId"].rsplit("/", 1)[-1],
            "policyDefinitionCategory": _category(definition),
            "policyDefinitionVersion": _version(definition),
            "policySetDefinitionId": state["policySetDefinitionId"],
            "policySetDefinitionName": state["policySetDefinitionId"].rsplit("/", 1)[-1],
            "policySetDefinitionOwner": None,
            "policySetDefinitionCategory": None,
            "policySetDefinitionParameters": None,
            "policyDefinitionGroupNames": [],
        }
        if initiative is not None:
            shown["policySetDefinitionCategory"] = _category(initiative)
            shown["policySetDefinitionVersion"] = _version(initiative)
            shown["policyDefinitionGroupNames"] = _groups(initiative, state["policyDefinitionReferenceId"])
        return shown

    def _details(self, state: Document) -> Document:
        """``policyEvaluationDetails``: which related resource was looked for."""
        name = state["guestAssignment"]
        if not name:
            return {}
        found = self._store.get("resources", key_of(state["resourceId"], name))
        if found is None:
            return {"ifNotExistsDetails": {"totalResources": 0}}
        return {"ifNotExistsDetails": {"resourceId": found.document["id"], "totalResources": 1}}


def _inside(row: Row, scope: ResourceId) -> bool:
    state, kind = row.document, scope.type.lower()
    if kind == ASSIGNMENTS:
        return bool(state["policyAssignmentId"].lower() == scope.key)
    if kind in {DEFINITIONS, SETS}:
        member = "policyDefinitionId" if kind == DEFINITIONS else "policySetDefinitionId"
        named = state[member].rsplit("/", 1)[-1].lower() == scope.name.lower()
        return bool(named and row.key.startswith(f"/subscriptions/{scope.subscription}/".lower()))
    return row.scope == scope.key or row.scope.startswith(f"{scope.key}/")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _valued(parameters: Document) -> Document:
    return {name: {"value": value} for name, value in parameters.items()}


def _category(document: Document | None) -> str:
    metadata = (document or {}).get("properties", {}).get("metadata") or {}
    return str(metadata.get("category") or _UNKNOWN).lower()


def _version(document: Document | None) -> str | None:
    properties = (document or {}).get("properties", {})
    version = properties.get("version") or (properties.get("metadata") or {}).get("version")
    return str(version) if version else None


def _groups(initiative: Document, reference: str) -> list[str]:
    for member in initiative["properties"]["policyDefinitions"]:
        if member["policyDefinitionReferenceId"] == reference:
            return [name.lower() for name in member.get("groupNames", [])]
    return []
