"""The documented limits by agent profile, extension and distribution."""

from __future__ import annotations

import pytest

from arcbed_agent.config import LocalConfig
from arcbed_agent.governor import Limit, Limits
from arcbed_agent.governor.limits import is_enterprise

RHEL = 'NAME="Red Hat Enterprise Linux"\nID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n'
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'
SLES = 'ID="sles"\nID_LIKE="suse"\n'
LEAP = 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n'
ORACLE = 'ID="ol"\nID_LIKE="fedora"\n'
DEBIAN = 'PRETTY_NAME="Debian, not like rhel"\nID=debian\n'
UBUNTU = "ID=ubuntu\nID_LIKE=debian\n"


def limits(os_release: str = DEBIAN, **values: str | int) -> Limits:
    config = LocalConfig()
    for name, value in values.items():
        config = config.with_value(name.replace("_", "."), value)
    return Limits.of(config, os_release)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RHEL, True),
        (ROCKY, True),
        (SLES, True),
        (LEAP, True),
        (ORACLE, True),
        (DEBIAN, False),
        (UBUNTU, False),
    ],
)
def test_os_release_of_a_distribution_tells_whether_it_is_of_rhels_kind(text, expected):
    assert is_enterprise(text) is expected


@pytest.mark.parametrize(
    ("profile", "kind", "command", "os_release", "percent"),
    [
        ("seed", "CustomScript", "install", RHEL, 5),
        ("seed", "AzureMonitorLinuxAgent", "install", RHEL, 60),
        ("seed", "OmsAgentForLinux", "update", SLES, 60),
        ("seed", "OmsAgentForLinux", "uninstall", ROCKY, 60),
        ("seed", "AzureMonitorLinuxAgent", "enable", RHEL, 5),
        ("seed", "AzureMonitorLinuxAgent", "", RHEL, 5),
        ("seed", "AzureMonitorLinuxAgent", "install", UBUNTU, 5),
        ("current", "CustomScript", "install", UBUNTU, 30),
        ("current", "AzureMonitorLinuxAgent", "enable", UBUNTU, 60),
        ("current", "MDE.Linux", "", DEBIAN, 60),
        ("current", "LinuxOsUpdateExtension", "enable", DEBIAN, 60),
    ],
)
def test_extension_limit_follows_profile_command_and_distribution(
    profile, kind, command, os_release, percent
):
    assert limits(os_release, agent_profile=profile).extension(kind, command).percent == percent


def test_config_values_replace_the_usual_limits_and_leave_the_exceptions():
    chosen = limits(extensions_agent_cpulimit=12, guestconfiguration_agent_cpulimit=7)

    assert chosen.extension("CustomScript").percent == 12
    assert chosen.manager().percent == 12
    assert chosen.extension("MDE.Linux").percent == 60
    assert chosen.policy() == Limit(7, why="guestconfiguration.agent.cpulimit")


def test_config_values_are_unknown_to_an_agent_of_2022():
    chosen = limits(agent_profile="seed", extensions_agent_cpulimit=12, guestconfiguration_agent_cpulimit=7)

    assert (chosen.extension("CustomScript").percent, chosen.policy().percent) == (5, 5)


def test_percent_of_the_machine_counts_all_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)

    assert limits(governor_percentOf="machine").policy().cores == pytest.approx(0.2)
    assert limits().policy().cores == pytest.approx(0.05)
    assert Limit(100, "machine").cores == 4
    assert Limit(None).cores is None
