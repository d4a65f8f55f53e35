"""The OData options of policy state queries, all of them in the URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from arcbed_cloud.arm import filters, times
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.store.contract import Document

PAGE = 1_000
_TEXTS = "eq ne gt ge lt le"
_FIELDS = {
    name.lower(): name
    for name in (
        "timestamp",
        "resourceId",
        "policyAssignmentId",
        "policyDefinitionId",
        "effectiveParameters",
        "isCompliant",
        "subscriptionId",
        "resourceType",
        "resourceLocation",
        "resourceGroup",
        "resourceTags",
        "policyAssignmentName",
        "policyAssignmentOwner",
        "policyAssignmentParameters",
        "policyAssignmentScope",
        "policyDefinitionName",
        "policyDefinitionAction",
        "policyDefinitionCategory",
        "policyDefinitionReferenceId",
        "policySetDefinitionId",
        "policySetDefinitionName",
        "policySetDefinitionCategory",
        "managementGroupIds",
        "complianceState",
    )
}
_OPERATORS = dict.fromkeys(_FIELDS, _TEXTS)
_APPLY = re.compile(
    r"(?:filter\((?P<filter>.*)\)/)?"
    r"(?:groupby\(\((?P<fields>[^()]*)\)(?:,\s*aggregate\(\$count as (?P<each>\w+)\))?\)"
    r"|aggregate\(\$count as (?P<all>\w+)\))"
)


def bad(option: str, value: str, why: str) -> ArmError:
    """400 for an option that cannot be used."""
    return ArmError(400, "InvalidQueryOption", f"The query option '{option}' has the value '{value}': {why}.")


def chosen(records: Iterable[Document], options: Mapping[str, str]) -> list[Document]:
    """What ``$filter``, ``$from`` and ``$to`` leave.

    Raises:
        ArmError: 400.
    """
    since, until = _moment(options, "$from"), _moment(options, "$to")
    kept = [
        record
        for record in records
        if (since is None or times.read(record["timestamp"]) >= since)
        and (until is None or times.read(record["timestamp"]) <= until)
    ]
    return _filtered(kept, options.get("$filter", ""))


def _filtered(records: list[Document], text: str) -> list[Document]:
    expression = filters.parse(text)
    filters.restrict(text, expression, _OPERATORS, set())
    return [
        record
        for record in records
        if filters.holds(expression, lambda leaf, one=record: _matches(one, leaf))  # type: ignore[misc]
    ]


def _matches(record: Document, leaf: filters.Comparison | filters.Call) -> bool:
    assert isinstance(leaf, filters.Comparison)  # noqa: S101 - `restrict` lets no calls through
    value = record.get(_FIELDS[leaf.field])
    if leaf.field == "timestamp":
        return _compared(leaf.operator, times.read(str(value)), _read("$filter", leaf.value))
    text = str(value).lower() if isinstance(value, bool) else str(value or "")
    return filters.compare(leaf.operator, text, leaf.value)


def _compared(operator: str, one: datetime, other: datetime) -> bool:
    return {
        "eq": one == other,
        "ne": one != other,
        "gt": one > other,
        "ge": one >= other,
        "lt": one < other,
        "le": one <= other,
    }[operator]


def _moment(options: Mapping[str, str], name: str) -> datetime | None:
    text = options.get(name)
    return _read(name, text) if text else None


def _read(option: str, text: str) -> datetime:
    try:
        return times.read(text)
    except ValueError:
        raise bad(option, text, "it is no time") from None


def ordered(records: list[Document], options: Mapping[str, str]) -> list[Document]:
    """Sorted by ``$orderby``; else the newest first, as Azure has it.

    Raises:
        ArmError: 400.
    """
    found = sorted(records, key=lambda record: str(record["timestamp"]), reverse=True)
    for part in reversed([part for part in options.get("$orderby", "").split(",") if part.strip()]):
        name, *direction = part.split()
        field = _known("$orderby", name)
        if direction not in ([], ["asc"], ["desc"]):
            raise bad("$orderby", part, "the direction is asc or desc")
        found.sort(key=_by(field), reverse=direction == ["desc"])
    return found


def _by(field: str) -> Callable[[Document], str]:
    return lambda record: str(record.get(field) or "").lower()


def selected(records: list[Document], options: Mapping[str, str]) -> list[Document]:
    """Only the members of ``$select``.

    Raises:
        ArmError: 400.
    """
    wanted = [_known("$select", name) for name in options.get("$select", "").split(",") if name.strip()]
    return [{name: record.get(name) for name in wanted} for record in records] if wanted else records


def applied(records: list[Document], options: Mapping[str, str]) -> list[Document] | None:
    """What ``$apply`` makes of the records; None without the option.

    Served are ``[filter(...)/]groupby((a,b)[,aggregate($count as n)])`` and
    ``[filter(...)/]aggregate($count as n)``.

    Raises:
        ArmError: 400, also for what else OData allows there.
    """
    text = options.get("$apply")
    if not text:
        return None
    match = _APPLY.fullmatch(text.strip())
    if match is None:
        raise bad("$apply", text, "only filter, groupby and aggregate($count as name) are served")
    kept = _filtered(records, match["filter"] or "")
    if match["all"]:
        return [{"@odata.id": None, match["all"]: len(kept)}]
    names = [_known("$apply", name) for name in match["fields"].split(",") if name.strip()]
    counts: dict[tuple[Any, ...], int] = {}
    for record in kept:
        group = tuple(record.get(name) for name in names)
        counts[group] = counts.get(group, 0) + 1
    return [
        {
            "@odata.id": None,
            **dict(zip(names, group, strict=True)),
            **({match["each"]: n} if match["each"] else {}),
        }
        for group, n in sorted(counts.items(), key=lambda entry: [str(part) for part in entry[0]])
    ]


def paged(records: list[Document], options: Mapping[str, str]) -> tuple[list[Document], str | None]:
    """One page and the ``$skiptoken`` of the next.

    Raises:
        ArmError: 400.
    """
    limit = _whole(options, "$top")
    start = _whole(options, "$skiptoken") or 0
    records = records if limit is None else records[:limit]
    page = records[start : start + PAGE]
    return page, str(start + PAGE) if start + PAGE < len(records) else None


def _whole(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise bad(name, text, "it must be a whole number")
    return int(text)


def _known(option: str, name: str) -> str:
    field = _FIELDS.get(name.strip().lower())
    if field is None:
        raise bad(option, name.strip(), "there is no such member")
    return field
