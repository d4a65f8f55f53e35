"""``<Name>.metaconfig.json``, the settings of a package.

Source: Microsoft's article "How to create custom machine configuration package artifacts", and the packages
of Azure/azure-policy: most have no such file, some call it ``extra.<Name>.metaconfig.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AUDIT = "Audit"
AUDIT_AND_SET = "AuditAndSet"


@dataclass(frozen=True)
class MetaConfig:
    """The settings; a package without them counts as Audit 1.0.0.

    Args:
        type: ``Audit`` or ``AuditAndSet``; what is neither counts as Audit.
        version: as written.
        configuration_mode_frequency_mins: None when the package does not say.
        document: the whole file.
    """

    type: str = AUDIT
    version: str = "1.0.0"
    configuration_mode_frequency_mins: int | None = None
    document: dict[str, Any] = field(default_factory=dict)


def read_metaconfig(folder: Path, name: str) -> MetaConfig:
    """The settings of the configuration `name` in `folder`; defaults where there are none, or broken ones."""
    for file in (f"{name}.metaconfig.json", f"extra.{name}.metaconfig.json"):
        try:
            document = json.loads((folder / file).read_bytes().decode("utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            return from_document(document)
    return MetaConfig()


def from_document(document: Mapping[str, Any]) -> MetaConfig:
    """The settings in a metaconfig document; names and the type ignore case."""
    folded = {str(key).casefold(): value for key, value in document.items()}
    kind = str(folded.get("type", AUDIT))
    minutes = folded.get("configurationmodefrequencymins")
    return MetaConfig(
        type=AUDIT_AND_SET if kind.casefold() == AUDIT_AND_SET.casefold() else AUDIT,
        version=str(folded.get("version", "1.0.0")),
        configuration_mode_frequency_mins=_minutes(minutes),
        document=dict(document),
    )


def _minutes(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
