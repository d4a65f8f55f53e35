"""The documented limits, as data.

Sources: Microsoft's article "Overview of the Azure Connected Machine agent", section "Agent resource
governance", as it stood in March 2022 (profile `seed`), at agent 1.36 (`mid`) and since 1.39 (`current`);
"azcmagent config" for the two properties. What the percentage is of, and which distributions count as RHEL
and its like, is not published: docs/decisions/0010-percent-of-one-core.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from arcbed_agent.clock import Clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.governor.contract import Limit, Of
from arcbed_agent.host.sources import this_machine

#: Commands of an extension during which a window may hold.
WINDOW_COMMANDS: Final = frozenset({"install", "update", "uninstall"})
#: Words in ID and ID_LIKE of os-release that make a distribution one of RHEL's kind.
ENTERPRISE: Final = frozenset({"rhel", "centos", "fedora", "suse"})


@dataclass(frozen=True)
class Allowance:
    """An extension with a limit of its own.

    Args:
        percent: its limit.
        window_only: it holds while the extension is installed, updated or removed, else the usual limit.
        enterprise_only: it holds on RHEL and its like only.
    """

    percent: float
    window_only: bool = False
    enterprise_only: bool = False


@dataclass(frozen=True)
class Profile:
    """The limits of an agent version, in percent; extensions by type, lower case."""

    policy: float
    manager: float
    extension: float
    exceptions: Mapping[str, Allowance]
    configurable: bool = False


_WINDOW = Allowance(60, window_only=True, enterprise_only=True)
_SIXTY = Allowance(60)
_LATER: Final[Mapping[str, Allowance]] = MappingProxyType(
    {
        "azuremonitorlinuxagent": _SIXTY,
        "omsagentforlinux": _SIXTY,
        "linuxosupdateextension": _SIXTY,
        "mde.linux": _SIXTY,
    }
)
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "seed": Profile(
            5,
            5,
            5,
            MappingProxyType({"azuremonitorlinuxagent": _WINDOW, "omsagentforlinux": _WINDOW}),
        ),
        "mid": Profile(5, 30, 30, _LATER),
        "current": Profile(5, 30, 30, _LATER, configurable=True),
    }
)


def is_enterprise(os_release: str) -> bool:
    """Whether the text of os-release describes RHEL or one of its like."""
    words: set[str] = set()
    for line in os_release.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key in {"ID", "ID_LIKE"}:
            words.update(value.strip("\"'").lower().replace("-", " ").split())
    return any(word.startswith(known) for word in words for known in ENTERPRISE)


@dataclass(frozen=True)
class Limits:
    """The limits of this machine.

    Args:
        profile: one of `PROFILES`.
        enterprise: the machine runs RHEL or one of its like.
        policy_percent: `guestconfiguration.agent.cpulimit`, None while it is not set.
        extension_percent: `extensions.agent.cpulimit`, None while it is not set.
        unit: what percentages are of.
        standing: time stands still, and nothing is limited.
    """

    profile: Profile
    enterprise: bool = False
    policy_percent: int | None = None
    extension_percent: int | None = None
    unit: Of = field(default="core")
    standing: bool = False

    def policy(self) -> Limit:
        """Of the policy agent and its worker."""
        if self.profile.configurable and self.policy_percent is not None:
            return self._limit(self.policy_percent, "guestconfiguration.agent.cpulimit")
        return self._limit(self.profile.policy, "policy agent")

    def manager(self) -> Limit:
        """Of the extension manager."""
        return self._usual(self.profile.manager, "extension manager")

    def extension(self, kind: str, command: str = "") -> Limit:
        """Of the extension of type `kind` (``AzureMonitorLinuxAgent``) while `command` runs; "": at rest.

        Each extension has the limit for itself: two of them may use twice as much.
        """
        exception = self.profile.exceptions.get(kind.lower())
        if exception is not None and self._holds(exception, command):
            return self._limit(exception.percent, f"exception of {kind}")
        return self._usual(self.profile.extension, "extension")

    def _holds(self, exception: Allowance, command: str) -> bool:
        inside = not exception.window_only or command.lower() in WINDOW_COMMANDS
        return inside and (self.enterprise or not exception.enterprise_only)

    def _usual(self, percent: float, why: str) -> Limit:
        if self.profile.configurable and self.extension_percent is not None:
            return self._limit(self.extension_percent, "extensions.agent.cpulimit")
        return self._limit(percent, why)

    def _limit(self, percent: float, why: str) -> Limit:
        if self.standing:
            return Limit(None, self.unit, "time stands still")
        return Limit(percent, self.unit, why)

    @classmethod
    def here(cls, config: LocalConfig, clock: Clock) -> Limits:
        """The limits of this machine now; an os-release below `host.root` goes before its own.

        Limits hold in real time. While a bed's time stands still (stepped, frozen, or on the way of an
        advance) everybody waits for what is running, so then there are none.
        """
        shadow = config.text("host.root")
        limits = cls.of(config, this_machine(Path(shadow) if shadow else None).read("etc/os-release"))
        return limits if clock.standing is None else replace(limits, standing=True)

    @classmethod
    def of(cls, config: LocalConfig, os_release: str) -> Limits:
        """The limits that the machine's configuration and the text of its os-release give."""
        values = config.values

        def percent(name: str) -> int | None:
            return config.number(name) if name in values else None

        return cls(
            PROFILES.get(config.text("agent.profile"), PROFILES["current"]),
            is_enterprise(os_release),
            percent("guestconfiguration.agent.cpulimit"),
            percent("extensions.agent.cpulimit"),
            "machine" if config.text("governor.percentOf") == "machine" else "core",
        )
