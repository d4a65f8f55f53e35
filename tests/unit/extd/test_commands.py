"""``extd test`` and ``azcmagent extension``: what authors and administrators type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import pytest

from arcbed import handlers
from arcbed_agent.extd.cli import verdicts


def extd_test(package, *words):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from arcbed_agent.extd.cli import main; main()",
            "test",
            str(package),
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def azcmagent(bed, *words):
    return subprocess.run(
        [sys.executable, "-m", "arcbed_agent.cli", "extension", *words],
        env={**os.environ, "ARC_ROOT": str(bed.root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_good_package_keeps_every_rule(tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text('{"key": "wonderful"}')
    first = handlers.build("well_behaved", tmp_path)
    second = handlers.build("well_behaved", tmp_path, version="1.1.0")
    done = extd_test(
        first,
        "--protected-settings",
        str(settings),
        "--update",
        str(second),
        "--allow-host-changes",
        "--json",
    )
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert {one["verdict"] for one in document["verdicts"]} == {"kept"}
    assert [one["command"] for one in document["commands"]] == [
        "install", "enable", "disable", "update", "uninstall", "install", "enable", "disable", "uninstall"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "rule"), [("failing_install", "install.exit"), ("failing_uninstall", "uninstall.exit")]
)
def test_a_broken_rule_is_named_and_the_exit_code_is_3(tmp_path, sample, rule):
    done = extd_test(handlers.build(sample, tmp_path), "--allow-host-changes")
    assert done.returncode == 3, done.stderr
    assert f"broken   {rule}: " in done.stdout


def test_a_protected_setting_that_leaks_is_named_and_not_told(tmp_path):
    (tmp_path / "extension.log").write_text("the password is hunter2-hunter2\n")
    protected = {"password": "hunter2-hunter2", "keys": [{"key": "not here"}]}
    found = verdicts.of_secrets(protected, [tmp_path])
    assert (found.verdict, found.detail) == ("broken", "password in extension.log")
    assert verdicts.of_secrets({}, [tmp_path]).verdict == "unknown"


def test_what_is_no_package_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil", "x")
    done = extd_test(tmp_path / "evil.zip", "--allow-host-changes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not stay inside" in done.stderr
    assert extd_test(tmp_path / "missing.zip").returncode == 2


async def test_extensions_are_listed_and_removed_while_the_service_is_stopped(bed):
    bed.service.put(bed.handler(), protectedSettings={"scheme": "plain-tls", "value": {"key": "abcdefgh"}})
    async with bed.running() as extd:
        await bed.pull(extd)
        busy = azcmagent(bed, "list")
        assert busy.returncode == 72
        assert "the extension service is running" in busy.stdout + busy.stderr
    listed = azcmagent(bed, "list", "-j")
    assert [one["name"] for one in json.loads(listed.stdout)] == ["sample"]
    assert "Arcbed.Test" in azcmagent(bed, "list").stdout
    assert azcmagent(bed, "remove").returncode == 16
    assert azcmagent(bed, "remove", "--name", "other").returncode == 23
    removed = azcmagent(bed, "remove", "--name", "SAMPLE")
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert bed.runs[-2:] == ["1.0.0 disable 0 -", "1.0.0 uninstall 0 -"]
    assert not bed.folder().exists()
    assert json.loads(azcmagent(bed, "list", "-j").stdout) == []


async def test_what_azure_still_wants_comes_back_with_its_protected_settings(bed):
    bed.service.put(bed.handler(), protectedSettings={"scheme": "plain-tls", "value": {"key": "abcdefgh"}})
    async with bed.running() as extd:
        await bed.pull(extd)
        sealed = extd.store.get("sample").protected
    bed.service.items["sample"] |= {"operation": None, "protectedSettings": None}
    assert azcmagent(bed, "remove", "--all").returncode == 0
    async with bed.running() as extd:
        await bed.pull(extd)
        assert extd.store.get("sample").protected == sealed
    assert bed.runs[-2:] == ["1.0.0 install 0 -", "1.0.0 enable 0 -"]
    assert sealed in (bed.folder() / "config/0.settings").read_text()
