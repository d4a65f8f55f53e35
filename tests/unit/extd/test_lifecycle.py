"""Which commands run, in which order, and what is told: real handlers, and a scripted service."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import subprocess
from types import SimpleNamespace

import pytest
from extensions import SUCCEED, refusal
from handler_contract import appears

from arcbed_agent.extd import commands, operation

FRESH = ["1.0.0 install 0 -", "1.0.0 enable 0 -"]


def message(report):
    return report["instanceView"]["message"]


@pytest.mark.rule("status.transitioning")
async def test_a_status_that_comes_later_ends_the_operation(bed):
    """As Go handlers do: enable forks, exits 0, and the child reports."""
    later = f"(read go < gate; {SUCCEED.strip()}) >/dev/null 2>&1 &\n"
    bed.service.put(bed.handler({"enable": f"mkfifo gate\n{later}touch forked\n"}))
    async with bed.running() as extd:
        extd.poke()
        task = asyncio.ensure_future(bed.clock.advance(seconds=10))
        await appears(bed.folder() / "forked")
        await asyncio.to_thread((bed.folder() / "gate").write_text, "go\n")
        await task
        await bed.quiet()
    (final,) = bed.service.finals()
    assert final["state"] == "Succeeded"


async def test_an_extension_that_is_not_listed_any_more_is_removed_without_a_word(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        del bed.service.items["sample"]
        bed.service.generation += 1
        await bed.pull(extd)
        assert len(extd.store) == 0
    assert bed.runs[-1] == "1.0.0 uninstall 0 -"
    assert len(bed.service.finals()) == 1


@pytest.mark.rule("command.output-of-children")
async def test_output_that_a_failing_command_prints_through_a_child_is_told(bed, monkeypatch):
    """As the shims of Go handlers do: tee ends after the command."""
    monkeypatch.setattr(commands, "LINGER", 60.0)
    late = "(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; sleep 0.1; echo late) &"
    bed.service.put(bed.handler({"install": f"{late} echo early; exit 3\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
    assert bed.service.finals()[0]["stdoutTail"] == "early\nlate\n"


@pytest.mark.rule("command.output-of-children")
async def test_a_daemon_of_a_failing_command_is_not_waited_for(bed, monkeypatch):
    monkeypatch.setattr(commands, "LINGER", 0.01)
    bed.service.put(bed.handler({"enable": "sleep 100000 & exit 3\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
    assert bed.service.finals()[0]["exitCode"] == 3


@pytest.mark.rule("command.noexec")
async def test_on_a_file_system_that_runs_nothing_it_says_so_before_it_tries(bed, monkeypatch):
    def without_execution(path):
        found = list(os.statvfs(path))
        found[8] |= os.ST_NOEXEC
        return os.statvfs_result(found)

    monkeypatch.setattr(operation, "os", SimpleNamespace(statvfs=without_execution, ST_NOEXEC=os.ST_NOEXEC))
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
    (final,) = bed.service.finals()
    assert (final["instanceView"]["code"], final["exitCode"], bed.runs) == ("64", 64, [])
    assert str(bed.layout["extensions"]) in message(final)
    assert "noexec" in message(final)


async def test_deletions_come_first_and_the_others_in_the_order_of_creation(bed):
    bed.service.put(bed.handler(), name="old", kind="Old")
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.runs_file.unlink()
        bed.service.put(bed.handler(), name="zebra", kind="Zebra")
        bed.service.put(bed.handler(), name="ant", kind="Ant")
        bed.service.delete("old")
        await bed.pull(extd)
    begun = [one["name"] for one in bed.service.reports if one["phase"] != "Done" and one["name"] != "x"]
    assert list(dict.fromkeys(begun))[1:] == ["zebra", "ant"]
    assert [line.split()[1] for line in bed.runs] == [
        "disable", "uninstall", "install", "enable", "install", "enable"
    ]  # fmt: skip


async def test_an_operation_that_the_service_calls_expired_is_not_begun(bed):
    bed.service.put(bed.handler())
    bed.service.script("/operations/", refusal(410, "OperationExpired"))
    async with bed.running() as extd:
        await bed.pull(extd)
    assert bed.runs == []
    assert bed.service.reports == []


async def test_a_result_waits_for_the_service_and_is_sent_once(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd, seconds=0)
        bed.service.reports.clear()
        told = {**extd.store.get("sample").result, "phase": "Done", "handler": {"status": "Ready"}}
        extd.store.put(
            dataclasses.replace(
                extd.store.get("sample"),
                report=told,
            )
        )
        bed.service.away = True
        await bed.clock.advance(minutes=4)
    bed.service.away = False
    async with bed.running() as extd:
        await bed.pull(extd, seconds=60)
        await bed.clock.advance(minutes=4)
    assert len(bed.service.finals()) == 1


async def test_status_is_told_every_fifteen_minutes_while_it_is_installed(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(hours=1)
        told = len(bed.service.statuses)
        bed.service.delete()
        await bed.pull(extd)
        await bed.clock.advance(hours=1)
    assert 3 <= told <= 4
    assert len(bed.service.statuses) == told
    assert bed.service.statuses[0]["handler"]["status"] == "Ready"
    assert message(bed.service.statuses[0]) == "Extension Message: fine"


async def test_protected_settings_reach_the_handler_encrypted_and_nothing_else(bed):
    bed.service.put(
        bed.handler({"enable": "cat config/*.settings > seen\necho hunter2''-hunter2; exit 9\n"}),
        protectedSettings={"scheme": "plain-tls", "value": {"password": "hunter2-hunter2"}},
    )
    async with bed.running() as extd:
        await bed.pull(extd)
        thumb = extd.vault.thumbprint
    inner = json.loads((bed.folder() / "seen").read_text())["runtimeSettings"][0]["handlerSettings"]
    assert inner["protectedSettingsCertThumbprint"] == thumb
    pair = bed.layout["extensions"] / thumb
    plain = subprocess.run(
        ["openssl", "cms", "-inform", "DER", "-decrypt", "-recip", f"{pair}.crt", "-inkey", f"{pair}.prv"],
        input=base64.b64decode(inner["protectedSettings"]),
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(plain) == {"password": "hunter2-hunter2"}
    written = [
        path for path in bed.root.rglob("*") if path.is_file() and b"hunter2-hunter2" in path.read_bytes()
    ]
    assert written == []
    assert bed.service.finals()[0]["stdoutTail"] == "[redacted]\n"
    assert "hunter2-hunter2" not in json.dumps(bed.service.reports)
    assert (pair.with_suffix(".prv").stat().st_mode & 0o777) == 0o600


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"extensions.blocklist": ("arcbed.test/sample",)}, "extensions.blocklist"),
        ({"extensions.allowlist": ("Some/Other",)}, "extensions.allowlist"),
        ({"extensions.allowlist": ("Allow/None",)}, "extensions.allowlist"),
        ({"config.mode": "monitor"}, "monitor mode"),
    ],
)
async def test_an_extension_that_is_not_accepted_fails_and_can_still_be_deleted(bed, values, said):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
    bed.configure(**values)
    async with bed.running() as extd:
        bed.service.put(bed.handler())
        await bed.pull(extd)
        assert said in message(bed.service.finals()[-1])
        bed.service.delete()
        await bed.pull(extd)
    assert bed.runs == [*FRESH, "1.0.0 disable 1 -", "1.0.0 uninstall 1 -"]


async def test_switched_off_it_does_not_even_ask(bed):
    bed.configure(**{"extensions.enabled": False})
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(hours=1)
    assert bed.service.requests == []


async def test_a_deletion_during_install_lets_it_end_and_removes(bed):
    bed.service.put(bed.handler({"install": "mkfifo gate; echo started > started; read go < gate\n"}))
    async with bed.running() as extd:
        extd.poke()
        task = asyncio.ensure_future(bed.clock.advance(seconds=20))
        await appears(bed.folder() / "started")
        bed.service.delete()
        await extd.pulls.refresh(extd.store.get("sample").wanted)
        await asyncio.to_thread((bed.folder() / "gate").write_text, "go\n")
        await task
        await bed.quiet()
    assert bed.runs == [FRESH[0], "1.0.0 uninstall 0 -"]
    assert not bed.folder().exists()
    assert [one["handler"]["status"] for one in bed.service.finals()] == ["NotInstalled"]
