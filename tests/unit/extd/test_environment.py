"""What handlers find in `PATH`."""

from __future__ import annotations

import sys

import pytest

from arcbed_agent.extd.environment import environment


def path() -> str:
    return environment(path="/h", version="1.0.0", sequence=0, endpoint="http://localhost:40342")["PATH"]


@pytest.fixture
def in_an_environment(monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "prefix", "/opt/arcbed")
    monkeypatch.setattr(sys, "executable", "/opt/arcbed/bin/python")


@pytest.mark.rule("environment.machines-programs")
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("/opt/arcbed/bin:/usr/bin:/bin", "/usr/bin:/bin:/opt/arcbed/bin"),
        ("/usr/bin:/opt/arcbed/bin:/bin", "/usr/bin:/bin:/opt/arcbed/bin"),
        ("/usr/bin:/bin", "/usr/bin:/bin"),
    ],
)
def test_the_managers_virtual_environment_comes_last(monkeypatch, in_an_environment, given, wanted):
    monkeypatch.setenv("PATH", given)
    assert path() == wanted


def test_a_manager_of_the_machines_own_python_changes_nothing(monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setenv("PATH", "/usr/bin:/usr/local/bin")
    assert path() == "/usr/bin:/usr/local/bin"


def test_there_are_standard_folders_where_the_manager_has_none(monkeypatch):
    monkeypatch.delenv("PATH")
    assert path() == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
