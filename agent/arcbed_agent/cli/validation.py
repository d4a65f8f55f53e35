"""Checks of what a person asked for, with the documented codes.

Numbers: 16 and 23 today; agents of 2022 told malformed tags (13), a wrong cloud (14), a correlation id
    that is no GUID (15) and a bad name (17) apart. The local setting ``agent.profile`` chooses:
    ``current`` or ``seed``.
Source: Microsoft's article "Troubleshoot Azure Connected Machine agent connection issues", 2026-08 and
    2022-03.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from arcbed_agent.cli.command import Arguments
from arcbed_agent.cli.network import normal_location
from arcbed_agent.errors import AgentError

GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
#: Letters, digits, ``-``, ``_`` and ``.``; 1 to 54 of them (agent 1.8); ``-`` and ``_`` not at the end.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,54}")
_GROUP = re.compile(r"[\w().-]{1,90}")
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_SCOPE = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.HybridCompute/privateLinkScopes/[^/]+",
    re.IGNORECASE,
)
_SEED_NUMBERS: Final = {"tags": 13, "cloud": 14, "correlation-id": 15, "resource-name": 17}


class Validator:
    """Reads flags and refuses what cannot be right.

    Args:
        arguments: what was typed.
        settings: localconfig.json.
    """

    def __init__(self, arguments: Arguments, settings: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._seed = settings.get("agent.profile") == "seed"

    def invalid(self, flag: str, why: str) -> AgentError:
        """The error for a bad value of `flag`."""
        number = _SEED_NUMBERS.get(flag, 23) if self._seed else 23
        return AgentError(number, f"invalid value for --{flag}: {why}")

    def required(self, flag: str, because: str = "") -> str:
        """The value of a flag that must be there.

        Raises:
            AgentError: 16, it is not.
        """
        value = self._arguments.text(flag)
        if not value:
            raise AgentError(
                16,
                f"missing mandatory parameter --{flag}{because}",
                "azcmagent help connect lists the parameters.",
            )
        return value

    def guid(self, flag: str) -> str:
        """A GUID in lower case, or empty."""
        value = self._arguments.text(flag)
        if value and not GUID.fullmatch(value):
            raise self.invalid(flag, f"'{value}' is not a GUID")
        return value.lower()

    def tenant(self, flag: str) -> str:
        """A tenant's id or domain, or empty (validated from agent 1.27)."""
        value = self._arguments.text(flag)
        if value and not (GUID.fullmatch(value) or _DOMAIN.fullmatch(value)):
            raise self.invalid(flag, f"'{value}' is neither the id nor a domain of a tenant")
        return value.lower()

    def resource_group(self) -> str:
        """The resource group's name."""
        value = self.required("resource-group")
        if not _GROUP.fullmatch(value) or value.endswith("."):
            raise self.invalid("resource-group", f"'{value}' is not the name of a resource group")
        return value

    def resource_name(self, default: str) -> str:
        """The machine's name in Azure."""
        value = self._arguments.text("resource-name") or default
        if not _NAME.fullmatch(value) or value[-1] in "-_":
            raise self.invalid(
                "resource-name",
                f"'{value}' may hold 1 to 54 letters, digits, '-', '_' and '.', and not end in '-' or '_'",
            )
        return value

    def location(self) -> str:
        """The region in ARM's spelling; whether Azure has it is known later (20)."""
        return normal_location(self.required("location"))

    def cloud(self) -> str:
        """The cloud's name in its documented spelling."""
        from arcbed_agent.cloud.endpoints import CLOUDS

        value = self._arguments.text("cloud") or "AzureCloud"
        for name in CLOUDS:
            if name.lower() == value.lower():
                return name
        raise self.invalid("cloud", f"'{value}' is not one of {', '.join(CLOUDS)}")

    def tags(self) -> dict[str, str]:
        """The tags."""
        from arcbed_agent.cli.tags import parse_tags

        try:
            return parse_tags(self._arguments.text("tags"))
        except ValueError as error:
            raise self.invalid("tags", str(error)) from None

    def private_link_scope(self) -> str:
        """ARM id of a private link scope, or empty."""
        value = self._arguments.text("private-link-scope").rstrip("/")
        if value and not _SCOPE.fullmatch(value):
            raise self.invalid("private-link-scope", f"'{value}' is not the ARM id of a private link scope")
        return value
