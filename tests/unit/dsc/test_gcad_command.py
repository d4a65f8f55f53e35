"""The gcad command as its users run it: a process, files, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest

DOCUMENT = """
instance of TestFile as $TestFile1ref
{
 ResourceID = "[TestFile]one";
 Path = "/a.txt";
 Content = "wanted";
};
instance of OMI_ConfigurationDocument { Name = "Other"; };
"""


def gcad(*words):
    return subprocess.run(
        [sys.executable, "-c", "from arcbed_agent.gcad.cli import main; main()", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def package(tmp_path):
    """A package of one resource; its type may be given."""

    def write(kind="AuditAndSet", document=DOCUMENT):
        path = tmp_path / "My_1.0.0.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("My.mof", document)
            archive.writestr("My.metaconfig.json", json.dumps({"Type": kind, "Version": "1.0.0"}))
        return path

    return write


@pytest.fixture
def machine(tmp_path):
    folder = tmp_path / "machine"
    folder.mkdir()
    return folder


# -- gcad mof ----------------------------------------------------------------------------------------------


def test_instances_are_printed_as_json_lines(tmp_path):
    file = tmp_path / "a.mof"
    file.write_bytes(DOCUMENT.encode("utf-16"))

    done = gcad("mof", file, file)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr, len(lines)) == (0, "", 4)
    assert lines[0] == {
        "class": "TestFile",
        "alias": "$TestFile1ref",
        "properties": {"ResourceID": "[TestFile]one", "Path": "/a.txt", "Content": "wanted"},
    }
    assert lines[1]["alias"] is None


def test_broken_document_gives_file_line_and_reason_and_leaves_with_one(tmp_path):
    good, broken = tmp_path / "good.mof", tmp_path / "broken.mof"
    good.write_text(DOCUMENT)
    broken.write_text("instance of A {\n X = ;\n};")

    done = gcad("mof", broken, good)

    assert done.returncode == 1
    assert done.stderr == f"{broken}:2:6: expected a value, found ';'\n"
    assert len(done.stdout.splitlines()) == 2


def test_missing_document_leaves_with_one(tmp_path):
    done = gcad("mof", tmp_path / "none.mof")

    assert (done.returncode, "No such file" in done.stderr) == (1, True)


# -- gcad test ---------------------------------------------------------------------------------------------


def test_package_is_tested_and_leaves_with_three_when_not_compliant(package, machine):
    done = gcad("test", package(), "--root", machine)

    assert done.returncode == 3
    assert "My 1.0.0 (AuditAndSet)" in done.stdout
    assert "NonCompliant  [TestFile]one" in done.stdout
    assert "TestFile:TestFile:FileNotExists: The file '/a.txt' does not exist." in done.stdout
    assert not (machine / "a.txt").exists()


def test_package_is_set_and_then_compliant(package, machine):
    done = gcad(
        "test", package(), "--set", "--root", machine, "--parameter", "[TestFile]one;Content=other=text"
    )

    assert done.returncode == 0
    assert "1 of 1 resources are compliant, Set was run" in done.stdout
    assert (machine / "a.txt").read_text() == "other=text"


def test_get_shows_the_properties(package, machine):
    (machine / "a.txt").write_text("found")

    done = gcad("test", package(), "--get", "--root", machine)

    assert 'Content = "found"' in done.stdout


def test_report_as_json_has_the_shape_of_the_agent_s(package, machine):
    report = json.loads(gcad("test", package(), "--json", "--root", machine).stdout)

    assert (report["assignmentName"], report["complianceStatus"]) == ("My", False)
    assert sorted(report) == [
        "additionalProperties",
        "assignmentName",
        "complianceStatus",
        "endTime",
        "jobId",
        "operationtype",
        "resources",
        "startTime",
    ]
    (resource,) = report["resources"]
    assert resource["complianceStatus"] is False
    assert resource["reasons"][0]["code"] == "TestFile:TestFile:FileNotExists"
    assert resource["properties"]["ResourceId"] == "[TestFile]one"


def test_machine_itself_is_not_changed_without_leave(package, tmp_path):
    document = DOCUMENT.replace("/a.txt", str(tmp_path / "a.txt"))

    refused = gcad("test", package(document=document), "--set")
    assert (refused.returncode, "TestFile:TestFile:ChangeRefused" in refused.stdout) == (3, True)
    assert not (tmp_path / "a.txt").exists()

    assert gcad("test", package(document=document), "--set", "--allow-host-changes").returncode == 0
    assert (tmp_path / "a.txt").read_text() == "wanted"


def test_package_of_type_audit_cannot_be_set(package, machine):
    done = gcad("test", package("Audit"), "--set", "--root", machine)

    assert (done.returncode, "type Audit" in done.stderr) == (1, True)


def test_refused_package_leaves_with_one_and_says_why(package, machine):
    done = gcad("test", package(), "--sha256", "00")

    assert (done.returncode, "PackageHashMismatch" in done.stderr) == (1, True)


def test_parameter_that_names_nothing_is_a_warning(package, machine):
    done = gcad("test", package(), "--root", machine, "--parameter", "[X]y;Z=1")

    assert "warning: parameter '[X]y;Z' names no resource" in done.stderr


@pytest.mark.parametrize("words", [["--parameter", "nonsense"], ["--get", "--set"], ["--nothing"]])
def test_wrong_usage_leaves_with_two(package, words):
    assert gcad("test", package(), *words).returncode == 2


def test_hanging_script_is_reported(package):
    document = 'instance of nxScript { ResourceID = "[nxScript]s"; TestScript = "#!/bin/sh\nsleep 1000"; };'

    done = gcad("test", package(document=document), "--script-seconds", "0.3")

    assert (done.returncode, "nxScript:nxScript:Timeout" in done.stdout) == (3, True)


def test_root_that_is_mistyped_is_wrong_usage_and_not_made(package, tmp_path):
    done = gcad("test", package(), "--set", "--root", tmp_path / "machien")

    assert done.returncode == 2
    assert done.stderr == f"gcad test: --root {tmp_path}/machien is no folder\n"
    assert not (tmp_path / "machien").exists()


def test_reasons_with_several_lines_stay_below_their_resource(package, machine):
    (machine / "a.txt").write_text("first\nsecond\n")
    document = """
instance of nxFile as $F
{
 ResourceID = "[nxFile]one";
 DestinationPath = "/a.txt";
 Contents = "wanted";
};
"""

    done = gcad("test", package(document=document), "--root", machine)

    lines = done.stdout.splitlines()[2:-1]
    assert len(lines) == 3
    assert all(line.startswith(" " * 16) for line in lines)
