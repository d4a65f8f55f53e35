"""The built-in machine configuration policies: their real names and GUIDs, and rules made from a table.

``catalogue.json`` says of each what differs: configuration, operating system, effect, parameters. The rule
is the one that Microsoft's definitions share, with the conditions on images of Azure VMs shortened to the
operating system, for the machines of a bed are Arc machines. ``parametersLeftOut`` counts parameters whose
keys are not known here; such a definition takes none. The existence condition of one that is ``unhashed``
does not look at the parameters' hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

Document = dict[str, Any]
DEFINITIONS = "Microsoft.Authorization/policyDefinitions"
SETS = "Microsoft.Authorization/policySetDefinitions"
GUEST_TYPE = "Microsoft.GuestConfiguration/guestConfigurationAssignments"
CONTRIBUTOR = "/providers/microsoft.authorization/roleDefinitions/088ab73d-1256-47ae-bea9-9de8e7131f31"
_ARC = "Microsoft.HybridCompute/machines"
_VM = "Microsoft.Compute/virtualMachines"
_INCLUDE: Document = {
    "type": "string",
    "metadata": {
        "displayName": "Include Arc connected servers",
        "description": "By selecting this option, you agree to be charged monthly per Arc connected machine.",
        "portalReview": "true",
    },
    "allowedValues": ["true", "false"],
    "defaultValue": "false",
}


@cache
def _data() -> Document:
    data: Document = orjson.loads((files(__package__) / "catalogue.json").read_bytes())
    return data


@cache
def definitions() -> Mapping[str, Document]:
    """Every built-in definition as ARM answers it, by name (a GUID in lower case)."""
    return {entry["guid"]: _definition(entry) for entry in _data()["definitions"]}


@cache
def initiatives() -> Mapping[str, Document]:
    """Every built-in initiative as ARM answers it, by name (a GUID in lower case)."""
    return {entry["guid"]: _initiative(entry) for entry in _data()["initiatives"]}


def _answer(kind: str, entry: Document, properties: Document) -> Document:
    known: Document = {
        "displayName": entry["displayName"],
        "policyType": "BuiltIn",
        "metadata": {"version": entry["version"], "category": "Guest Configuration"},
        "version": entry["version"],
        "versions": [entry["version"].upper()],
    }
    metadata = {**known["metadata"], **properties.pop("metadata", {})}
    return {
        "properties": {**known, **properties, "metadata": metadata},
        "id": f"/providers/{kind}/{entry['guid']}",
        "type": kind,
        "name": entry["guid"],
    }


def _definition(entry: Document) -> Document:
    deploys = "assignmentType" in entry
    effect = "DeployIfNotExists" if deploys else "AuditIfNotExists"
    fixed = bool(entry.get("fixedEffect"))
    given: list[Document] = entry.get("parameters", [])
    parameters: Document = {} if entry.get("arc") in {"always", "never"} else {"IncludeArcMachines": _INCLUDE}
    parameters |= {parameter["name"]: _parameter(parameter) for parameter in given}
    if not fixed:
        parameters["effect"] = _effect(effect)
    metadata: Document = {
        "requiredProviders": ["Microsoft.GuestConfiguration"],
        "guestConfiguration": {"name": entry["name"], "version": "1.*"},
    }
    if given:
        metadata["guestConfiguration"]["configurationParameter"] = {
            parameter["name"]: parameter["key"] for parameter in given
        }
    properties = {
        "mode": "Indexed",
        "description": _description(entry),
        "metadata": metadata,
        "parameters": parameters,
        "policyRule": {
            "if": _condition(entry),
            "then": {
                "effect": effect[0].lower() + effect[1:] if fixed else "[parameters('effect')]",
                "details": _details(entry, given),
            },
        },
    }
    return _answer(DEFINITIONS, entry, properties)


def _description(entry: Document) -> str:
    if "assignmentType" in entry:
        return f"Creates a Guest Configuration assignment that applies '{entry['name']}' to machines."
    return f"Machines are non-compliant if they do not conform to the configuration '{entry['name']}'."


def _parameter(parameter: Document) -> Document:
    document: Document = {"type": "string", "metadata": {"displayName": parameter["name"]}}
    if "allowed" in parameter:
        document["allowedValues"] = parameter["allowed"]
    if "default" in parameter:
        document["defaultValue"] = parameter["default"]
    return document


def _effect(effect: str) -> Document:
    return {
        "type": "string",
        "metadata": {
            "displayName": "Effect",
            "description": "Enable or disable the execution of this policy",
        },
        "allowedValues": [effect, "Disabled"],
        "defaultValue": effect,
    }


def _condition(entry: Document) -> Document:
    system = entry["os"]
    machines: list[Document] = [
        {"field": "type", "equals": _ARC},
        {"field": "Microsoft.HybridCompute/imageOffer", "like": f"{system.lower()}*"},
    ]
    if entry.get("arc") == "always":
        return {"allOf": machines}
    azure = {
        "allOf": [
            {"field": "type", "equals": _VM},
            {"field": f"{_VM}/storageProfile.osDisk.osType", "like": f"{system}*"},
        ]
    }
    if entry.get("arc") == "never":
        return azure
    include = {"value": "[parameters('IncludeArcMachines')]", "equals": "true"}
    return {"anyOf": [azure, {"allOf": [include, *machines]}]}


def _name(entry: Document) -> str:
    name: str = entry["name"]
    if not entry.get("multi"):
        return name
    unique = "uniqueString(policy().assignmentId, policy().definitionReferenceId)"
    return f"[concat('{name}$pid', {unique})]"


def _details(entry: Document, given: list[Document]) -> Document:
    exists: list[Document] = [{"field": f"{GUEST_TYPE}/complianceStatus", "equals": "Compliant"}]
    if entry.get("unhashed"):
        exists.append({"value": f"[parameters('{given[0]['name']}')]", "notEquals": "{}"})
    elif given:
        exists.append({"field": f"{GUEST_TYPE}/parameterHash", "equals": _hash(given)})
    details: Document = {
        "type": GUEST_TYPE,
        "name": _name(entry),
        "existenceCondition": {"allOf": exists},
    }
    if "assignmentType" in entry:
        details["roleDefinitionIds"] = [CONTRIBUTOR]
        details["evaluationDelay"] = "AfterProvisioning"
        details["deployment"] = {"properties": _deployment(entry, given)}
    return details


def _hash(given: list[Document]) -> str:
    pairs = [f"'{parameter['key']}', '=', parameters('{parameter['name']}')" for parameter in given]
    joined = ", ',', ".join(pairs)
    return f"[base64(concat({joined}))]"


def _deployment(entry: Document, given: list[Document]) -> Document:
    names = ["vmName", "location", "type", "assignmentName", *(parameter["name"] for parameter in given)]
    values = {
        "vmName": "[field('name')]",
        "location": "[field('location')]",
        "type": "[field('type')]",
        "assignmentName": _name(entry),
    }
    values |= {parameter["name"]: f"[parameters('{parameter['name']}')]" for parameter in given}
    return {
        "mode": "incremental",
        "parameters": {name: {"value": values[name]} for name in names},
        "template": {
            "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "parameters": {name: {"type": "string"} for name in names},
            "resources": [_resource(entry, given, parent) for parent in (_ARC, _VM)],
        },
    }


def _resource(entry: Document, given: list[Document], parent: str) -> Document:
    return {
        "condition": f"[equals(toLower(parameters('type')), toLower('{parent}'))]",
        "apiVersion": "2018-11-20",
        "type": f"{parent}/providers/guestConfigurationAssignments",
        "name": (
            "[concat(parameters('vmName'), '/Microsoft.GuestConfiguration/', parameters('assignmentName'))]"
        ),
        "location": "[parameters('location')]",
        "properties": {
            "guestConfiguration": {
                "name": entry["name"],
                "version": "1.*",
                "assignmentType": entry["assignmentType"],
                "configurationParameter": [
                    {"name": parameter["key"], "value": f"[parameters('{parameter['name']}')]"}
                    for parameter in given
                ],
            }
        },
    }


def _initiative(entry: Document) -> Document:
    named = {
        parameter["name"]: {"type": "string", "defaultValue": parameter["default"]}
        for parameter in entry["parameters"]
    }
    return _answer(
        SETS,
        entry,
        {
            "description": "Audits machines with several machine configuration definitions.",
            "parameters": {"IncludeArcMachines": _INCLUDE, **named},
            "policyDefinitions": [_member(member) for member in entry["members"]],
        },
    )


def _member(member: Document) -> Document:
    names = ["IncludeArcMachines", *member.get("parameters", [])]
    version = definitions()[member["guid"]]["properties"]["version"].partition(".")[0]
    return {
        "policyDefinitionId": f"/providers/{DEFINITIONS}/{member['guid']}",
        "definitionVersion": f"{version}.*.*",
        "policyDefinitionReferenceId": member["reference"],
        "parameters": {name: {"value": f"[parameters('{name}')]"} for name in names},
    }
