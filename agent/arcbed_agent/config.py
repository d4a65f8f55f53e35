"""The agent's two configuration files.

`agentconfig.json` says what this machine is connected as; it is ``{}`` while it is not connected.
`localconfig.json` holds what ``azcmagent config set`` wrote, under names with dots at the top level. Both
have a backup copy beside them (agent 1.62 and 1.65) from which a lost or broken file is restored.

Names, types and defaults of the properties: Microsoft's article "azcmagent config" and release notes. Names
marked *ours* are the testbed's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder, remove_durably, write_durably
from arcbed_agent.host.layout import Layout

Value = bool | int | str | tuple[str, ...]


# -- agentconfig.json ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What this machine is in Azure. Empty strings: not connected."""

    subscription_id: str = ""
    resource_group: str = ""
    resource_name: str = ""
    tenant_id: str = ""
    location: str = ""
    cloud: str = ""
    vm_id: str = ""
    correlation_id: str = ""
    private_link_scope: str = ""
    identity_key_store: str = ""

    @property
    def connected(self) -> bool:
        """Whether `connect` has been completed."""
        return bool(self.vm_id and self.resource_name)

    @property
    def resource_id(self) -> str:
        """The ARM id of the machine, empty when not connected."""
        if not self.connected:
            return ""
        return machine_id(self.subscription_id, self.resource_group, self.resource_name)

    @classmethod
    def load(cls, layout: Layout) -> Self:
        """Read `agentconfig.json`, or its backup if the file is lost or broken.

        Raises:
            AgentError: 70, neither file can be read.
        """
        document = _load(layout["agent_config"], {})
        known = {_camel(item.name): item.name for item in fields(cls)}
        return cls(**{known[key]: str(value) for key, value in document.items() if key in known})

    def save(self, layout: Layout) -> None:
        """Write the file and its backup; an empty configuration leaves no backup that could come back."""
        document = {_camel(key): value for key, value in asdict(self).items() if value}
        path = layout["agent_config"]
        if not self.connected:
            remove_durably(_backup(path))
            write_durably(path, "{}\n", mode=0o644)
            return
        _save(path, document, mode=0o644)


def machine_id(subscription_id: str, resource_group: str, name: str) -> str:
    """The ARM id of a machine."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.HybridCompute/machines/{name}"
    )


# -- localconfig.json ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Property:
    """One name of `localconfig.json`.

    Args:
        name: with dots, as `azcmagent config` takes it.
        default: what holds when it is not set; its type is the property's type.
        meaning: one line for people.
        check: raises ValueError with a sentence when the value will not do.
        ours: a setting of the testbed, not shown by ``config list``.
    """

    name: str
    default: Value
    meaning: str
    check: Callable[[Any], None] | None = None
    ours: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it takes ``--add`` and ``--remove``."""
        return isinstance(self.default, tuple)

    def parse(self, text: str) -> Value:
        """The value that a person typed.

        Raises:
            AgentError: 23, it is not one.
        """
        if self.is_list:
            return self.accept([part.strip() for part in text.strip().strip("[]").split(",") if part.strip()])
        if isinstance(self.default, bool):
            return self.accept({"true": True, "false": False}.get(text.strip().lower(), text))
        if isinstance(self.default, int):
            stripped = text.strip()
            return self.accept(int(stripped) if re.fullmatch(r"-?\d{1,9}", stripped) else text)
        return self.accept(text.strip())

    def accept(self, value: object) -> Value:
        """`value` from JSON in this property's type.

        Raises:
            AgentError: 23, the type or the value is wrong.
        """
        found: object = tuple(value) if isinstance(value, list) else value
        if type(found) is not type(self.default):
            raise self._refused(f"expected {_TYPES[type(self.default)]}")
        if isinstance(found, tuple) and not all(isinstance(item, str) for item in found):
            raise self._refused("expected a list of strings")
        if self.check is not None:
            try:
                self.check(found)
            except ValueError as error:
                raise self._refused(str(error)) from None
        return found

    def _refused(self, why: str) -> AgentError:
        return AgentError(23, f"invalid value for config property {self.name}: {why}")


_TYPES = {bool: "true or false", int: "a whole number", str: "a string", tuple: "a list"}
GOVERNOR_BACK_ENDS: Final = ("systemd", "cgroup2", "cgroup1", "signals", "none")
BYPASS_KEYWORDS: Final = ("AAD", "ARM", "Arc", "ArcData", "AMA")


def _check_ports(value: tuple[str, ...]) -> None:
    if bad := [item for item in value if not (item.isdigit() and 0 < int(item) < 65_536)]:
        raise ValueError(f"'{bad[0]}' is not a port")


def _check_connection(value: str) -> None:
    if value not in {"default", "direct", "gateway"}:
        raise ValueError("expected default, direct or gateway")


def _check_mode(value: str) -> None:
    if value not in {"full", "monitor"}:
        raise ValueError("expected full or monitor")


def _check_proxy(value: str) -> None:
    if not value:
        return
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http":
        raise ValueError("only http proxies are supported")
    if parts.username or parts.password:
        raise ValueError("authenticated proxies are not supported")
    if not parts.hostname:
        raise ValueError("expected a URL such as http://proxy:8080")
    _ = parts.port  # raises ValueError when out of range


def _check_bypass(value: tuple[str, ...]) -> None:
    known = {word.lower() for word in BYPASS_KEYWORDS}
    if bad := [item for item in value if item.lower() not in known]:
        raise ValueError(f"'{bad[0]}' is not one of {', '.join(BYPASS_KEYWORDS)}")


def _check_extensions(value: tuple[str, ...]) -> None:
    if bad := [item for item in value if not re.fullmatch(r"[^/\s]+/[^/\s]+", item)]:
        raise ValueError(f"'{bad[0]}' is not of the form Publisher/Type")


def _check_percent(value: int) -> None:
    if not 1 <= value <= 100:
        raise ValueError("expected a percentage from 1 to 100")


def _one_of(*words: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(words)}")

    return check


def _check_endpoint(value: str) -> None:
    parts = urlsplit(value)
    if value and (parts.scheme != "https" or not parts.hostname):
        raise ValueError("expected an https URL")


def _check_port(value: int) -> None:
    if not 0 <= value <= 65_535:
        raise ValueError("expected a port from 0 to 65535")


def _check_seconds(value: int) -> None:
    if not 0 <= value <= 86_400:
        raise ValueError("expected seconds from 1 to 86400, or 0 for the server's pace")


def _check_spread(value: int) -> None:
    if not 0 <= value <= 50:
        raise ValueError("expected a percentage from 0 to 50")


def _check_gap(value: int) -> None:
    if not 1 <= value <= 86_400:
        raise ValueError("expected seconds from 1 to 86400")


def _check_reapply(value: str) -> None:
    if value not in {"pending", "changed-only"}:
        raise ValueError("expected pending or changed-only")


def _check_repair(value: str) -> None:
    if value not in {"next", "immediate"}:
        raise ValueError("expected next or immediate")


#: In the order in which ``azcmagent config list`` prints them.
PROPERTIES: Final[Mapping[str, Property]] = MappingProxyType(
    {
        item.name: item
        for item in (
            Property("incomingconnections.enabled", True, "Allow connections from Azure, such as SSH"),
            Property("incomingconnections.ports", (), "Ports that Azure may connect to", _check_ports),
            Property("connection.type", "default", "Direct connection or Arc gateway", _check_connection),
            Property("proxy.url", "", "HTTP proxy of the agent", _check_proxy),
            Property("proxy.bypass", (), "Services that are reached without the proxy", _check_bypass),
            Property("extensions.allowlist", (), "Extensions that may be installed", _check_extensions),
            Property("extensions.blocklist", (), "Extensions that may not be installed", _check_extensions),
            Property("guestconfiguration.enabled", True, "Run the machine configuration agent"),
            Property("extensions.enabled", True, "Run the extension manager"),
            Property("config.mode", "full", "Full mode or monitoring only", _check_mode),
            Property("guestconfiguration.agent.cpulimit", 5, "CPU limit in percent", _check_percent),
            Property("extensions.agent.cpulimit", 5, "CPU limit in percent", _check_percent),
            Property("endpoints.arm", "", "Azure Resource Manager", _check_endpoint, ours=True),
            Property("endpoints.login", "", "Microsoft Entra ID", _check_endpoint, ours=True),
            Property("endpoints.his", "", "Hybrid identity service, global", _check_endpoint, ours=True),
            Property("endpoints.gas", "", "Guest configuration service, global", _check_endpoint, ours=True),
            Property("endpoints.gns", "", "Guest notification service", _check_endpoint, ours=True),
            Property("endpoints.relaySuffix", "", "Domain of the relay namespaces", ours=True),
            Property("tls.caBundle", "", "PEM file of trusted authorities", ours=True),
            Property("himds.port", 40_342, "Port of the local endpoint, 0 for any", _check_port, ours=True),
            Property("himds.heartbeatSeconds", 0, "Heartbeat period", _check_seconds, ours=True),
            Property("himds.jitterPercent", 10, "Spread of the heartbeat period", _check_spread, ours=True),
            Property("gcad.jitterPercent", 10, "Spread of the pull period", _check_spread, ours=True),
            Property("gcad.pullSeconds", 0, "Period of assignment pulls", _check_seconds, ours=True),
            Property("gcad.consistencySeconds", 0, "Period of evaluations", _check_seconds, ours=True),
            Property("gcad.reapplyAfterSeconds", 0, "Gap that counts as cut off", _check_seconds, ours=True),
            Property(
                "gcad.reapply", "pending", "After a gap: pending or changed-only", _check_reapply, ours=True
            ),
            Property(
                "gcad.repair",
                "next",
                "Drift is repaired at the next run or immediately",
                _check_repair,
                ours=True,
            ),
            Property("gcad.evaluationLimitSeconds", 3_600, "How long a run may take", _check_gap, ours=True),
            Property("gcad.allowHostChanges", False, "Set may change what is outside ARC_ROOT", ours=True),
            Property("extd.pullSeconds", 0, "Period of extension pulls", _check_seconds, ours=True),
            Property(
                "extd.allowHostChanges",
                False,
                "Handlers may run without a mount and pid namespace of their own",
                ours=True,
            ),
            Property("clock.address", "", "The bed's clock: a Unix socket or host:port", ours=True),
            Property("clock.machine", "", "How the bed's clock calls this machine", ours=True),
            Property("clock.tokenFile", "", "File with the token of the bed's clock", ours=True),
            Property("host.imdsAddress", "", "Address of the cloud metadata service", ours=True),
            Property("agent.profile", "current", "Whose error codes: current or seed (2022)", ours=True),
            Property("host.root", "", "Folder whose files describe the machine", ours=True),
            Property("host.supportTable", "", "Which table of supported systems holds", ours=True),
            Property("host.clusterResourceId", "", "ARM id of the cluster of this machine", ours=True),
            Property("agent.profile", "current", "Whose error codes: current or seed (2022)", ours=True),
            Property("host.root", "", "Folder whose files go before the machine's own", ours=True),
            Property(
                "host.supportTable", "current", "Table of supported systems: current or 2022", ours=True
            ),
            Property("host.clusterResourceId", "", "ARM id of the cluster of this machine", ours=True),
            Property(
                "governor.mode",
                "enforce",
                "CPU limits: enforce or account",
                _one_of("enforce", "account"),
                ours=True,
            ),
            Property(
                "governor.backend", "auto", "What limits CPU", _one_of("auto", *GOVERNOR_BACK_ENDS), ours=True
            ),
            Property(
                "governor.percentOf",
                "core",
                "CPU limits are of one core or of the machine",
                _one_of("core", "machine"),
                ours=True,
            ),
        )
    }
)


def property_named(name: str) -> Property:
    """The property called `name`, whatever its case.

    Raises:
        AgentError: 23, there is none.
    """
    for known, item in PROPERTIES.items():
        if known.lower() == name.lower():
            return item
    raise AgentError(23, f"unknown config property '{name}'")


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
        document = _load(layout["local_config"], {})
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
            _save(layout["local_config"], document, mode=0o644)
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


# -- both ----------------------------------------------------------------------------------------------------


def _publisher_type(item: str) -> dict[str, str]:
    publisher, _, kind = item.partition("/")
    return {"publisher": publisher, "type": kind}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def _backup(path: Path) -> Path:
    return path.with_name(f"{path.name}.bak")


def _save(path: Path, document: Mapping[str, Any], *, mode: int) -> None:
    make_folder(path.parent)
    text = json.dumps(document, indent=2) + "\n"
    write_durably(path, text, mode=mode)
    write_durably(_backup(path), text, mode=mode)


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None when the file is lost or broken."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _load(path: Path, absent: dict[str, Any]) -> dict[str, Any]:
    try:
        document = _read(path)
        if document is None:
            document = _read(_backup(path))
        present = path.exists()
    except OSError as error:
        raise AgentError(70, f"cannot read {path}: {error.strerror}") from error
    if document is not None:
        return document
    if present and path.stat().st_size:
        raise AgentError(70, f"{path} is not a JSON object and there is no backup of it")
    return absent
