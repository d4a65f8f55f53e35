"""``gcad test PACKAGE.zip``: what an author of packages wants to know before publishing one.

In the spirit of Get-GuestConfigurationPackageComplianceStatus and Start-GuestConfigurationPackageRemediation
of Microsoft's module GuestConfiguration; the JSON has the shape of the report those return.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from arcbed_agent.clock import SystemClock
from arcbed_agent.gcad.dsc.engine import evaluate
from arcbed_agent.gcad.dsc.host import LinuxHost
from arcbed_agent.gcad.dsc.results import COMPLIANT, PENDING, Evaluation, Parameter, ResourceResult
from arcbed_agent.gcad.metaconfig import AUDIT_AND_SET
from arcbed_agent.gcad.package import Package, PackageError, open_package

NOT_COMPLIANT = 3
#: Before what is said of a resource; its texts may have lines.
_DEEP = " " * 16


def test_package(arguments: argparse.Namespace) -> int:
    """Open the package and evaluate it once.

    Returns:
        0 compliant, 1 the package is refused, 2 wrong usage, 3 not compliant.
    """
    parameters = [_parameter(text) for text in arguments.parameter]
    if None in parameters:
        print("gcad test: a parameter has the form '<ResourceID>;<Property>=<value>'", file=sys.stderr)
        return 2
    if not Path(arguments.root).is_dir():
        print(f"gcad test: --root {arguments.root} is no folder", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gcad-test-") as folder:
        try:
            package = open_package(
                Path(arguments.package),
                Path(folder) / "package",
                name="",
                sha256=arguments.sha256,
                keys=[Path(key) for key in arguments.key],
            )
        except PackageError as problem:
            print(f"{arguments.package}: {problem.code}: {problem.message}", file=sys.stderr)
            return 1
        if arguments.mode == "set" and package.metaconfig.type != AUDIT_AND_SET:
            print(f"{arguments.package}: the package is of type Audit and cannot be applied", file=sys.stderr)
            return 1
        return _evaluated(package, arguments, [one for one in parameters if one])


def _parameter(text: str) -> Parameter | None:
    name, sign, value = text.partition("=")
    return Parameter(name, value) if sign and ";" in name else None


def _evaluated(package: Package, arguments: argparse.Namespace, parameters: list[Parameter]) -> int:
    clock = SystemClock()
    began = clock.now()
    evaluation = evaluate(
        package.document,
        assignment_type="ApplyAndMonitor" if arguments.mode == "set" else "Audit",
        previous=PENDING,
        parameters=parameters,
        host=LinuxHost(arguments.root, script_seconds=arguments.script_seconds),
        set_allowed=arguments.allow_host_changes,
        now=began,
        metaconfig=package.metaconfig,
    )
    if arguments.json:
        print(json.dumps(report(package.name, evaluation, began, clock.now()), indent=2))
    else:
        print(f"{package.name} {package.metaconfig.version} ({package.metaconfig.type})")
        _print(evaluation, with_properties=arguments.mode == "get")
    for warning in evaluation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0 if evaluation.compliance_status == COMPLIANT else NOT_COMPLIANT


def _print(evaluation: Evaluation, *, with_properties: bool) -> None:
    for result in evaluation.resources:
        print(f"  {result.compliance_status:<12}  {result.resource_id}")
        for reason in result.reasons:
            print(f"{_DEEP}{reason.code}: {reason.phrase}".replace("\n", f"\n{_DEEP}"))
        if with_properties:
            _print_properties(result)
    compliant = sum(result.compliance_status == COMPLIANT for result in evaluation.resources)
    applied = ", Set was run" if evaluation.applied else ""
    total = len(evaluation.resources)
    print(f"{evaluation.compliance_status}: {compliant} of {total} resources are compliant{applied}")


def _print_properties(result: ResourceResult) -> None:
    for name, value in result.properties.items():
        if name != "Reasons" and value is not None:
            print(f"                  {name} = {json.dumps(value)}")


def report(name: str, evaluation: Evaluation, began: datetime, ended: datetime) -> dict[str, Any]:
    """The report file of an evaluation, as the agent writes it before it is uploaded."""
    return {
        "additionalProperties": [],
        "assignmentName": name,
        "complianceStatus": evaluation.compliance_status == COMPLIANT,
        "endTime": ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "jobId": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
        "operationtype": "Consistency",
        "resources": [
            {
                "complianceStatus": result.compliance_status == COMPLIANT,
                "properties": result.properties,
                "reasons": [{"code": one.code, "phrase": one.phrase} for one in result.reasons],
            }
            for result in evaluation.resources
        ],
        "startTime": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
