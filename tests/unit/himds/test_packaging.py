"""The unit files, as systemd and published extensions read them."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "agent" / "packaging" / "systemd"


def test_monitor_extensions_find_the_endpoint_in_the_environment_file():
    text = (FOLDER / "azcmagent.conf").read_text()
    _, found, rest = text.partition('"IMDS_ENDPOINT=')
    assert found
    assert rest[: rest.index('"\n')] == "http://localhost:40342"
    assert '"IDENTITY_ENDPOINT=http://localhost:40342/metadata/identity/oauth2/token"\n' in text


def test_the_unit_has_the_name_and_program_that_clients_look_for():
    unit = ConfigParser(strict=False)
    unit.read(FOLDER / "himdsd.service")
    assert unit["Service"]["ExecStart"] == "/opt/azcmagent/bin/himds"
    assert unit["Unit"]["Description"] == "Azure Connected Machine Agent Service"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_policy_agents_unit_has_the_name_and_program_that_people_know():
    unit = ConfigParser(strict=False)
    unit.read(FOLDER / "gcad.service")
    assert unit["Service"]["ExecStart"] == "/opt/GC_Service/GC/gc_linux_service"
    assert unit["Unit"]["Description"] == "GC Arc Service"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
