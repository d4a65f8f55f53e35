"""Scripts: how they are run, what they may not do, and what they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arcbed_agent.gcad.dsc.host import LinuxHost

from .conftest import details


def script(run, set_allowed=False, seconds=10.0, **properties):
    host = LinuxHost(script_seconds=seconds)
    (result,) = run(("nxScript", properties), host=host, set_allowed=set_allowed).resources
    return result


def test_script_that_passes_is_compliant(run):
    assert script(run, TestScript="#!/bin/sh\nexit 0\n").compliance_status == "Compliant"


def test_script_that_fails_says_what_get_script_prints(run):
    result = script(run, GetScript="#!/bin/sh\necho it is wrong", TestScript="#!/bin/sh\nexit 1")

    assert details(result)[0] == "TestScript"
    assert "it is wrong" in result.reasons[0].phrase


def test_script_with_windows_line_ends_runs(run):
    assert script(run, TestScript="#!/bin/sh\r\nexit 0\r\n").compliance_status == "Compliant"


def test_set_script_runs_only_where_the_host_may_be_changed(run, tmp_path):
    made = tmp_path / "made"
    scripts = {"TestScript": f"#!/bin/sh\ntest -e {made}", "SetScript": f"#!/bin/sh\ntouch {made}"}

    assert details(script(run, **scripts))[-1] == "ChangeRefused"
    assert not made.exists()
    assert script(run, set_allowed=True, **scripts).compliance_status == "Compliant"


def test_hanging_script_is_killed_with_its_children_and_the_rest_still_runs(run, tmp_path):
    file = tmp_path / "pid"
    evaluation = run(
        ("nxScript", {"TestScript": f"#!/bin/sh\nsleep 1000 &\necho $! > {file}\nwait\n"}),
        ("nxScript", {"TestScript": "#!/bin/sh\nexit 0\n"}),
        host=LinuxHost(script_seconds=0.5),
        mode="Audit",
    )

    hanging, other = evaluation.resources
    assert (details(hanging), other.compliance_status) == (["Timeout"], "Compliant")
    assert "within 0.5 seconds" in hanging.reasons[0].phrase
    assert not _runs(int(file.read_text()))


def _runs(pid):
    try:
        return "(sleep) Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_powershell_is_not_run(run):
    result = script(run, TestScript="return $true")

    assert details(result) == ["NotSupported"]


def test_script_is_not_run_for_a_folder_that_stands_for_a_machine(audit):
    assert details(audit("nxScript", TestScript="#!/bin/sh\nexit 0")) == ["NotSupported"]


def test_script_sees_nothing_of_the_agent_s_environment(run, monkeypatch):
    monkeypatch.setenv("ARC_SECRET", "x")

    assert script(run, TestScript='#!/bin/sh\ntest -z "$ARC_SECRET"').compliance_status == "Compliant"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")
def test_script_runs_as_its_user(run):
    result = script(run, TestScript='#!/bin/sh\ntest "$(id -un)" = daemon', User="daemon")

    assert result.compliance_status == "Compliant"
