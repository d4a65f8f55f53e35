"""Configuration parameters: they override properties of the document.

A name is ``<ResourceID>;<Property>``, split at the last semicolon; both halves ignore case. The baselines
take one more, ``<anything>;BaselineSettings``, whose value is a JSON document that chooses their rules.

Source: Azure/GuestConfiguration, source/Private (parameter update of a package's MOF), and the article
"Understand the baseline settings parameter".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from arcbed_agent.files import write_durably
from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.mof import Instance, Value
from arcbed_agent.gcad.dsc.results import Parameter

BASELINE_SETTINGS = "baselinesettings"


def apply(instances: Sequence[Instance], parameters: Sequence[Parameter]) -> tuple[list[Instance], list[str]]:
    """`instances` with `parameters` written in.

    Returns:
        The instances that remain, and a warning for each parameter that was ignored.
    """
    result = [replace(instance, properties=dict(instance.properties)) for instance in instances]
    warnings = []
    for parameter in parameters:
        if not _is_text(parameter.value):
            warnings.append(f"parameter '{parameter.name}' holds half a character; ignored")
            continue
        resource, semicolon, name = parameter.name.rpartition(";")
        matching = [one for one in result if _same(one.get("ResourceID"), resource)] if semicolon else []
        if name.casefold() == BASELINE_SETTINGS and not matching:
            result, problems = _choose(result, parameter)
            warnings += problems
        elif len(matching) != 1 or not (own := matching[0].name_of(name)):
            warnings.append(_miss(parameter.name, len(matching), name))
        else:
            matching[0].properties[own] = _typed(parameter.value, matching[0].properties[own])
    return result, warnings


def write_into(document: Path, parameters: Sequence[Parameter]) -> list[str]:
    """Rewrite a stored document with `parameters` in it, as the agent keeps it.

    Settings of a baseline stay out: they choose rules at each run.

    Returns:
        A warning for each parameter that was ignored.

    Raises:
        MofError: the document is broken and was left alone.
        OSError: it cannot be read or written.
    """
    instances = mof.read(document)
    plain = [one for one in parameters if not one.name.casefold().endswith(f";{BASELINE_SETTINGS}")]
    changed, warnings = apply(instances, plain)
    if changed != instances:
        write_durably(document, mof.write(changed), mode=0o644)
    return warnings


def _is_text(value: str) -> bool:
    """Whether it can be written: half of a surrogate pair cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _same(value: Value, wanted: str) -> bool:
    return isinstance(value, str) and value.casefold() == wanted.casefold()


def _miss(name: str, matches: int, property_name: str) -> str:
    if matches == 0:
        return f"parameter '{name}' names no resource of the document; ignored"
    if matches > 1:
        return f"parameter '{name}' names {matches} resources of the document; ignored"
    return f"parameter '{name}': the resource has no property '{property_name}'; ignored"


def _typed(text: str, old: Value) -> Value:
    """Parameters are text; a boolean or number in the document stays one where the text is one."""
    if isinstance(old, bool) and text.casefold() in {"true", "false"}:
        return text.casefold() == "true"
    if isinstance(old, int | float) and not isinstance(old, bool):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _choose(instances: list[Instance], parameter: Parameter) -> tuple[list[Instance], list[str]]:
    """The rules that the settings of a baseline list, with the values they give."""
    try:
        blocks = _blocks(parameter.value)
    except ValueError as problem:
        return instances, [f"parameter '{parameter.name}' is not a baseline's settings ({problem}); ignored"]
    wanted: dict[str, str | None] = {}
    for block in blocks:
        settings = block.get("settings") or []
        if not settings:
            return instances, []
        for setting in settings:
            wanted[str(setting.get("ruleId", "")).casefold()] = setting.get("value")
    kept = []
    for instance in instances:
        rule = str(instance.get("RuleId") or "").casefold()
        if rule in wanted:
            value = wanted[rule]
            own = instance.name_of("DesiredObjectValue") or "DesiredObjectValue"
            if value is not None:
                instance.properties[own] = str(value)
            kept.append(instance)
    return kept, []


def _blocks(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    blocks = document.get("baselineSettings") if isinstance(document, dict) else None
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ValueError("no list 'baselineSettings'")
    settings = [block.get("settings") or [] for block in blocks]
    if not all(isinstance(one, list) and all(isinstance(item, dict) for item in one) for one in settings):
        raise ValueError("'settings' is not a list of objects")
    return blocks
