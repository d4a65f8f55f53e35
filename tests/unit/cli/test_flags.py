"""Every documented flag is done or declined, and a flag that is done does something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from arcbed_agent.cli import check, connect, disconnect, logs, show
from arcbed_agent.cli.command import COMMANDS, Arguments
from arcbed_agent.cli.flags import COMMON, CONNECT
from arcbed_agent.errors import AgentError

#: Microsoft's article "azcmagent connect" and the release notes up to 1.67, written down apart from the code.
DOCUMENTED_CONNECT = {
    "access-token",
    "automanage-profile",
    "cloud",
    "correlation-id",
    "enable-automatic-upgrade",
    "gateway-id",
    "identity-key-store",
    "ignore-network-check",
    "location",
    "private-link-scope",
    "resource-group",
    "resource-name",
    "service-principal-cert",
    "service-principal-cert-thumbprint",
    "service-principal-id",
    "service-principal-secret",
    "subscription-id",
    "tags",
    "tenant-id",
    "use-aws-ec2-hostname",
    "use-azcli",
    "use-device-code",
    "user-tenant-id",
}
SHORT = {
    "s": "subscription-id",
    "g": "resource-group",
    "l": "location",
    "t": "tenant-id",
    "n": "resource-name",
}
SHORT |= {"i": "service-principal-id", "p": "service-principal-secret"}
DOCUMENTED = {
    "disconnect": {
        "access-token",
        "force-local-only",
        "service-principal-id",
        "use-device-code",
        "user-tenant-id",
    },
    "check": {"location", "cloud", "enable-pls-check", "extensions", "include-all"},
    "logs": {"full", "output"},
    "show": {"os"},
}
MODULES = {"connect": connect, "disconnect": disconnect, "check": check, "logs": logs, "show": show}


def test_connect_has_every_documented_flag_and_marks_the_rest_as_ours():
    assert {flag.name for flag in CONNECT if not flag.ours} == DOCUMENTED_CONNECT
    assert {flag.short: flag.name for flag in CONNECT if flag.short} == SHORT


def test_common_flags_are_the_documented_ones():
    assert {flag.name for flag in COMMON} == {"config", "help", "json", "log-stderr", "no-color", "verbose"}


@pytest.mark.parametrize("command", DOCUMENTED)
def test_other_commands_have_their_documented_flags(command):
    assert DOCUMENTED[command] <= {flag.name for flag in MODULES[command].COMMAND.flags}


def test_declined_flags_give_a_reason_and_nothing_else_is_declined():
    declined = {
        flag.name: flag.declined
        for module in MODULES.values()
        for flag in module.COMMAND.flags
        if flag.declined
    }
    assert set(declined) == {
        "automanage-profile",
        "extensions",
        "gateway-id",
        "identity-key-store",
        "service-principal-cert-thumbprint",
    }
    assert all(len(reason) > 20 for reason in declined.values())


def test_declined_flag_is_refused_with_its_reason(azcmagent):
    finished = azcmagent("connect", "--gateway-id", "/subscriptions/s/gateways/g")
    assert finished.code == 3
    assert "no Arc gateway" in finished.out


class Watched(Mapping[str, "str | bool"]):
    """Flags that remember who was looked at."""

    def __init__(self, values: dict[str, str | bool]) -> None:
        self.values_ = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str | bool:
        self.read.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_connect_looks_at_every_flag_that_is_not_declined(session):
    flags = Watched(
        {
            "subscription-id": "s",
            "resource-group": "g",
            "location": "westeurope",
            "tenant-id": "t.example",
            "service-principal-id": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
            "service-principal-secret": "s3cret",
        }
    )
    connect.read_request(session, Arguments(flags))
    assert flags.read == {flag.name for flag in CONNECT if not flag.declined}


def test_every_command_has_a_module_of_its_own_and_the_same_summary():
    def walk(entries):
        for entry in entries.values():
            if entry.below:
                yield from walk(entry.below)
            else:
                yield entry

    entries = list(walk(COMMANDS))
    assert len({entry.module for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.load().summary == entry.summary


def test_starting_imports_no_command_and_no_network():
    import subprocess
    import sys

    code = (
        "import sys; from arcbed_agent.cli.application import run; run(['version']);"
        "print([name for name in ('httpx', 'cryptography', 'yaml', 'rich') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"


@pytest.mark.parametrize("file", [True, False])
def test_secret_file_that_is_missing_or_empty_is_told(session, tmp_path: Path, file):
    path = tmp_path / "secret"
    if file:
        path.write_text("\n")
    with pytest.raises(AgentError) as caught:
        connect.read_request(session, Arguments({"service-principal-secret-file": str(path)}))
    assert caught.value.number == 23
