"""What an evaluation says: per resource, and as a whole.

Source: REST specification of Microsoft.GuestConfiguration 2024-04-05, AssignmentReportResource.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COMPLIANT = "Compliant"
NON_COMPLIANT = "NonCompliant"
PENDING = "Pending"


@dataclass(frozen=True)
class Parameter:
    """One configuration parameter of an assignment.

    Args:
        name: ``<ResourceID>;<Property>``.
        value: always text; what it means is up to the property.
    """

    name: str
    value: str


@dataclass(frozen=True)
class Reason:
    """Why a resource is what it is.

    Args:
        code: ``<Class>:<Class>:<Detail>``.
        phrase: a sentence for the person who reads the report.
    """

    code: str
    phrase: str


@dataclass(frozen=True)
class ResourceResult:
    """What became of one resource of the document.

    Args:
        resource_id: ``[Type]name``, or a plain sentence in Microsoft's own packages.
        compliance_status: ``Compliant`` or ``NonCompliant``.
        properties: what Get returned, in the report's PascalCase names, JSON-ready; holds `Reasons` too.
        reasons: at least one.
    """

    resource_id: str
    compliance_status: str
    properties: dict[str, Any]
    reasons: list[Reason]


@dataclass(frozen=True)
class Evaluation:
    """One run over one document.

    Args:
        compliance_status: ``Compliant`` only when every resource is.
        resources: in the order of the document, one for each instance but the document's own.
        applied: whether Set ran on any resource.
        warnings: what was ignored, such as a parameter that names no resource.
    """

    compliance_status: str
    resources: list[ResourceResult]
    applied: bool
    warnings: list[str] = field(default_factory=list)
