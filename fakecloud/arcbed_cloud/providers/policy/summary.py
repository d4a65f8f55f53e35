"""``policyStates/latest/summarize``: counts of resources and policies by state."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from arcbed_cloud.store.contract import Document

_WORST = ("NonCompliant", "Error", "Compliant", "Exempt")


def summary(records: Sequence[Document], uri: str) -> Document:
    """The one value of a summary.

    Args:
        records: of the newest states.
        uri: where the records can be queried.
    """
    return {
        "results": _results(records, uri),
        "policyAssignments": [
            _assignment(group, uri)
            for group in _grouped(records, "policyAssignmentId", "policySetDefinitionId")
        ],
    }


def _assignment(records: Sequence[Document], uri: str) -> Document:
    first = records[0]
    link = f"{uri}&$filter=policyAssignmentId eq '{first['policyAssignmentId']}'"
    return {
        "policyAssignmentId": first["policyAssignmentId"],
        "policySetDefinitionId": first["policySetDefinitionId"],
        "results": _results(records, link),
        "policyDefinitions": [
            _definition(group, link)
            for group in _grouped(records, "policyDefinitionId", "policyDefinitionReferenceId")
        ],
        "policyGroups": [],
    }


def _definition(records: Sequence[Document], uri: str) -> Document:
    first = records[0]
    link = f"{uri} and policyDefinitionId eq '{first['policyDefinitionId']}'"
    return {
        "policyDefinitionId": first["policyDefinitionId"],
        "policyDefinitionReferenceId": first["policyDefinitionReferenceId"],
        "policyDefinitionGroupNames": first["policyDefinitionGroupNames"],
        "effect": first["policyDefinitionAction"],
        "results": _results(records, link),
    }


def _results(records: Sequence[Document], uri: str) -> Document:
    resources = _states(records, "resourceId")
    policies = _states(records, "policyDefinitionId", "policyDefinitionReferenceId", "policyAssignmentId")
    return {
        "queryResultsUri": uri.replace(" ", "%20"),
        "nonCompliantResources": resources["noncompliant"],
        "nonCompliantPolicies": policies["noncompliant"],
        "resourceDetails": _details(resources),
        "policyDetails": _details(policies),
        "policyGroupDetails": [],
    }


def _states(records: Iterable[Document], *names: str) -> Counter[str]:
    """How many things there are in each state; a thing is in the worst state that one of its records has."""
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in records:
        found[tuple(record[name].lower() for name in names)].add(record["complianceState"])
    return Counter(next(state for state in _WORST if state in states).lower() for states in found.values())


def _details(counts: Counter[str]) -> list[Document]:
    return [{"complianceState": state, "count": count} for state, count in sorted(counts.items())]


def _grouped(records: Iterable[Document], *names: str) -> list[list[Document]]:
    found: dict[tuple[str, ...], list[Document]] = defaultdict(list)
    for record in records:
        found[tuple(record[name].lower() for name in names)].append(record)
    return [found[key] for key in sorted(found)]
