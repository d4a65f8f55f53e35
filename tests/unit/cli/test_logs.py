"""azcmagent's log, and `azcmagent logs`: what is in them, and what is kept out."""

from __future__ import annotations

import json
import os
import re
import zipfile

from tests.support.command_line import CONNECTED, GUID, words

from arcbed_agent import AGENT_VERSION


def test_log_of_a_failure_has_the_lines_that_scripts_search_for(azcmagent, layout):
    azcmagent("connect", "-g", "rg")
    lines = layout["cli_log"].read_text().splitlines()
    shape = re.compile(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=(\w+) msg="((?:[^"\\]|\\.)*)"')
    found = [match.groups() for line in lines if (match := shape.match(line))]
    assert found == [
        ("info", f"azcmagent {AGENT_VERSION}: azcmagent connect -g rg"),
        ("error", "missing mandatory parameter --subscription-id"),
        ("info", "Exit Code: AZCM0016: Missing Mandatory Parameter"),
        ("fatal", "missing mandatory parameter --subscription-id"),
    ]


def test_log_is_at_debug_level_only_when_asked(azcmagent, layout, himds):
    himds.status_is(**CONNECTED)
    azcmagent("connect", *words())
    assert "level=debug" not in layout["cli_log"].read_text()


def test_secrets_stay_out_of_the_log_and_the_zip(azcmagent, layout, himds, tmp_path):
    himds.status_is(**CONNECTED)
    azcmagent("connect", *words(service_principal_secret="Very~Secret.1"), "-v")
    azcmagent(
        "connect", "-s", GUID, "-g", "rg", "-l", "x", "--access-token", "eyJhbGciOi.eyJzdWIi.c2ln", "-v"
    )
    azcmagent("connect", *words(service_principal_secret=""), "--service-principal-secret=Other~Secret.2")
    certificates = layout["certificates"]
    certificates.mkdir(parents=True)
    (certificates / "private.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nabcd\n-----END PRIVATE KEY-----\n"
    )
    (layout["logs"] / "himds.log").write_text(
        'time="x" level=info msg="Bearer eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"\n'
    )
    (layout["logs"] / "stray.pem").write_text("abcd")
    path = tmp_path / "logs.zip"
    assert azcmagent("logs", "--output", str(path)).out == f"Log files are in {path}\n"
    with zipfile.ZipFile(path) as archive:
        everything = "".join(archive.read(name).decode() for name in archive.namelist())
        assert not [name for name in archive.namelist() if "certs" in name or name.endswith(".pem")]
        assert "var/opt/azcmagent/log/himds.log" in archive.namelist()
        assert json.loads(archive.read("azcmagent-show.json"))["status"] == "Connected"
    for text in (everything, layout["cli_log"].read_text()):
        assert "Secret" not in text.replace("Agent", "")
        assert "eyJ" not in text
        assert "PRIVATE KEY" not in text
    assert path.stat().st_mode & 0o077 == 0


def test_logs_take_the_newest_two_unless_all_are_wanted(azcmagent, layout, tmp_path, himds):
    layout["logs"].mkdir(parents=True)
    for number in range(4):
        file = layout["logs"] / f"himds.log.{number}"
        file.write_text(str(number))
        os.utime(file, (number, number))
    azcmagent("logs", "-o", str(tmp_path / "few.zip"))
    azcmagent("logs", "--full", "-o", str(tmp_path / "all.zip"))

    def held(name):
        with zipfile.ZipFile(tmp_path / name) as archive:
            return sorted(item[-1] for item in archive.namelist() if "himds.log" in item)

    assert held("few.zip") == ["2", "3"]
    assert held("all.zip") == ["0", "1", "2", "3"]


def test_logs_name_the_file_as_documented(azcmagent, tmp_path, monkeypatch, himds):
    monkeypatch.chdir(tmp_path)
    path = azcmagent("logs", "-j").json["path"]
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/azcmagent-logs-\d{{6}}T\d{{4}}-[\w.-]+\.zip", path)


def test_logs_that_cannot_be_written_say_why_and_leave_nothing(azcmagent, tmp_path, himds):
    finished = azcmagent("logs", "-o", str(tmp_path / "missing" / "l.zip"))
    assert finished.code == 101
    assert "No such file" in finished.out
