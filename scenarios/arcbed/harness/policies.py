"""Guest configuration for stories: packages, assignments, policies, and what became of them."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arcbed.harness.arm import Answer
from arcbed.harness.bed import Bed
from arcbed.harness.machine import Machine

GUEST_VERSION = "2024-04-05"
POLICY_VERSION = "2023-04-01"
STATES_VERSION = "2019-10-01"
GUESTS = "Microsoft.GuestConfiguration/guestConfigurationAssignments"
_ACCOUNT = "arcbedpolicies"
_HOURS = 24 * 365
#: One file with given contents; the class is that of PowerShell DSC for Linux.
_FILE = """instance of MSFT_nxFileResource as $File
{{
 ResourceID = "[nxFile]{name}";
 SourceInfo = "::1::1::nxFile";
 DestinationPath = "{path}";
 Ensure = "Present";
 Type = "File";
 Contents = "{contents}";
 ModuleName = "nx";
 ModuleVersion = "1.0";
 ConfigurationName = "{name}";
}};
"""
#: One script; likewise.
_SCRIPT = """instance of MSFT_nxScriptResource as $Script
{{
 ResourceID = "[nxScript]{name}";
 SourceInfo = "::1::1::nxScript";
 TestScript = "{script}";
 ModuleName = "nx";
 ModuleVersion = "1.0";
 ConfigurationName = "{name}";
}};
"""
_DOCUMENT = """instance of OMI_ConfigurationDocument
{{
 Version = "2.0.0";
 MinimumCompatibleVersion = "1.0.0";
 CompatibleVersionAdditionalProperties = {{"Omi_BaseResource:ConfigurationName"}};
 Author = "arcbed";
 Name = "{name}";
}};
"""


@dataclass(frozen=True)
class Content:
    """A package that machines can fetch."""

    name: str
    uri: str
    sha256: str


def file_package(name: str, path: str, contents: str, *, minutes: int = 15) -> bytes:
    """A package that wants one file.

    Args:
        name: of the configuration.
        path: of the file on the machine.
        contents: of the file, one line without quotes.
        minutes: between two evaluations; 15 at least.
    """
    return _package(name, _FILE.format(name=name, path=path, contents=contents), "AuditAndSet", minutes)


def script_package(name: str, *lines: str, minutes: int = 15) -> bytes:
    """A package that is compliant when a shell script leaves with 0.

    Args:
        name: of the configuration.
        lines: of the script, without double quotes and backslashes.
        minutes: between two evaluations; 15 at least.
    """
    script = "\\n".join(["#!/bin/sh", *lines, ""])
    return _package(name, _SCRIPT.format(name=name, script=script), "Audit", minutes)


def _package(name: str, instances: str, kind: str, minutes: int) -> bytes:
    made = io.BytesIO()
    settings = {"Type": kind, "Version": "1.0.0", "configurationModeFrequencyMins": minutes}
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, text in (
            (f"{name}.mof", instances + _DOCUMENT.format(name=name)),
            (f"{name}.metaconfig.json", json.dumps(settings)),
        ):
            archive.writestr(zipfile.ZipInfo(member, (2022, 3, 1, 0, 0, 0)), text)
    return made.getvalue()


async def upload(bed: Bed, name: str, package: bytes) -> Content:
    """Put a package on the bed's storage and get its address, with a signature for a year of real time."""
    blob = f"packages/{name}.zip"
    answer = await bed.cloud.admin.call("PUT", f"blobs/{_ACCOUNT}/{blob}?hours={_HOURS}", content=package)
    signature = str(answer["url"]).partition("?")[2]
    # Storage goes by its own host name; a machine without DNS for it is told another address with its pull.
    uri = f"https://{_ACCOUNT}.blob.core.windows.net/{blob}?{signature}"
    return Content(name, uri, hashlib.sha256(package).hexdigest().upper())


async def register(bed: Bed) -> None:
    """Register what policies on machines need."""
    for namespace in ("Microsoft.GuestConfiguration", "Microsoft.PolicyInsights"):
        (await bed.cloud.arm.post(f"{bed.cloud.arm.subscription}/providers/{namespace}/register")).expect_ok()


def assignment_id(bed: Bed, machine: Machine, name: str) -> str:
    """The ARM id of a guest assignment."""
    return f"{bed.cloud.arm.machine_id(machine.resource_group, machine.name)}/providers/{GUESTS}/{name}"


async def assign(
    bed: Bed, machine: Machine, content: Content, *, mode: str = "ApplyAndAutoCorrect", **guest: Any
) -> Answer:
    """PUT a guest assignment called like its configuration."""
    body = {
        "location": "westeurope",
        "properties": {
            "context": "story",
            "guestConfiguration": {
                "name": content.name,
                "version": "1.0.0",
                "contentUri": content.uri,
                "contentHash": content.sha256,
                "assignmentType": mode,
                **guest,
            },
        },
    }
    return await bed.cloud.arm.put(assignment_id(bed, machine, content.name), body, GUEST_VERSION)


async def guest(bed: Bed, machine: Machine, name: str) -> Answer:
    """GET a guest assignment."""
    return await bed.cloud.arm.get(assignment_id(bed, machine, name), GUEST_VERSION)


async def compliance(bed: Bed, machine: Machine, name: str) -> str:
    """`complianceStatus` of a guest assignment; empty where it has none."""
    answer = await guest(bed, machine, name)
    return str(answer.body["properties"]["complianceStatus"]) if answer.ok else ""


async def reports(bed: Bed, machine: Machine, name: str) -> list[dict[str, Any]]:
    """The properties of a guest assignment's reports, the newest first."""
    path = f"{assignment_id(bed, machine, name)}/reports"
    listed = (await bed.cloud.arm.get(path, GUEST_VERSION)).expect_ok().body["value"]
    return [item["properties"] for item in listed]


async def audit_policy(bed: Bed, group: str, content: Content) -> str:
    """Define and assign a policy that audits machines of a group with `content`; the assignment's id."""
    arm = bed.cloud.arm
    definition = (
        f"{arm.subscription}/providers/Microsoft.Authorization/policyDefinitions/{content.name.lower()}"
    )
    rule: Mapping[str, Any] = {
        "if": {"field": "type", "equals": "Microsoft.HybridCompute/machines"},
        "then": {
            "effect": "auditIfNotExists",
            "details": {
                "type": GUESTS,
                "name": content.name,
                "existenceCondition": {"field": f"{GUESTS}/complianceStatus", "equals": "Compliant"},
            },
        },
    }
    metadata = {
        "category": "Guest Configuration",
        "guestConfiguration": {
            "name": content.name,
            "version": "1.0.0",
            "contentType": "Custom",
            "contentUri": content.uri,
            "contentHash": content.sha256,
        },
    }
    properties = {
        "policyType": "Custom",
        "mode": "Indexed",
        "displayName": f"Audit {content.name}",
        "metadata": metadata,
        "policyRule": rule,
    }
    (await arm.put(definition, {"properties": properties}, POLICY_VERSION)).expect_ok()
    scope = f"{arm.subscription}/resourceGroups/{group}"
    assigned = f"{scope}/providers/Microsoft.Authorization/policyAssignments/{content.name.lower()}"
    body = {"properties": {"policyDefinitionId": definition, "displayName": f"Audit {content.name}"}}
    (await arm.put(assigned, body, POLICY_VERSION)).expect_ok()
    return assigned


async def policy_state(bed: Bed, machine: Machine, assigned: str) -> str:
    """`complianceState` of a machine under a policy assignment; empty while nothing is known."""
    arm = bed.cloud.arm
    resource = arm.machine_id(machine.resource_group, machine.name)
    path = f"{resource}/providers/Microsoft.PolicyInsights/policyStates/latest/queryResults"
    found = (await arm.post(path, None, STATES_VERSION)).expect_ok().body["value"]
    wanted = [one for one in found if one["policyAssignmentId"].lower() == assigned.lower()]
    return str(wanted[0]["complianceState"]) if wanted else ""
