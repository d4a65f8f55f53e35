"""`localconfig.json`: what ``azcmagent config set`` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from arcbed_agent.config import files
from arcbed_agent.config.properties import PROPERTIES, property_named
from arcbed_agent.config.property import Value
from arcbed_agent.errors import AgentError
from arcbed_agent.host.layout import Layout


@dataclass(frozen=True)
class LocalConfig:
    """The values that are set; what is not set has its default.

    Members of the file that we do not know are kept.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, layout: Layout) -> Self:
        """Read `localconfig.json`, or its backup if the file is lost or broken.

        Raises:
            AgentError: 70, it cannot be read; 23, a value in it is not valid.
        """
        document = files.load(layout["local_config"])
        known = {key: PROPERTIES[key].accept(value) for key, value in document.items() if key in PROPERTIES}
        return cls(known, {key: value for key, value in document.items() if key not in PROPERTIES})

    def save(self, layout: Layout) -> None:
        """Write the file and its backup.

        Raises:
            AgentError: 69, they cannot be written.
        """
        document = {
            **self.unknown,
            **{key: list(value) if isinstance(value, tuple) else value for key, value in self.values.items()},
        }
        try:
            files.save(layout["local_config"], document, mode=0o644)
        except OSError as error:
            raise AgentError(69, f"cannot write {layout['local_config']}: {error.strerror}") from error

    def __getitem__(self, name: str) -> Value:
        return self.values.get(name, PROPERTIES[name].default)

    def text(self, name: str) -> str:
        """The value of a property that is a string."""
        return str(self[name])

    def number(self, name: str) -> int:
        """The value of a property that is a number."""
        value = self[name]
        return value if isinstance(value, int) else 0

    def flag(self, name: str) -> bool:
        """The value of a property that is true or false."""
        return self[name] is True

    def items(self, name: str) -> tuple[str, ...]:
        """The value of a property that is a list."""
        value = self[name]
        return value if isinstance(value, tuple) else ()

    def with_value(self, name: str, value: object) -> Self:
        """A copy with `name` set.

        Raises:
            AgentError: 23, unknown name or a value that will not do.
        """
        item = property_named(name)
        accepted = item.accept(list(value) if isinstance(value, tuple) else value)
        return replace(self, values={**self.values, item.name: accepted})

    def without(self, name: str) -> Self:
        """A copy with `name` back at its default.

        Raises:
            AgentError: 23, unknown name.
        """
        item = property_named(name)
        return replace(self, values={key: value for key, value in self.values.items() if key != item.name})

    def reported(self) -> dict[str, Any]:
        """ARM's `agentConfiguration`; a proxy URL that was accepted holds no credentials."""
        return {
            "proxyUrl": self.text("proxy.url"),
            "proxyBypass": list(self.items("proxy.bypass")),
            "incomingConnectionsPorts": list(self.items("incomingconnections.ports")),
            "extensionsAllowList": [_publisher_type(item) for item in self.items("extensions.allowlist")],
            "extensionsBlockList": [_publisher_type(item) for item in self.items("extensions.blocklist")],
            "extensionsEnabled": str(self.flag("extensions.enabled")).lower(),
            "guestConfigurationEnabled": str(self.flag("guestconfiguration.enabled")).lower(),
            "configMode": self.text("config.mode"),
        }


def _publisher_type(item: str) -> dict[str, str]:
    publisher, _, kind = item.partition("/")
    return {"publisher": publisher, "type": kind}
