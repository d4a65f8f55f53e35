"""Which commands run, in which order, and what is told: real handlers, and a scripted service."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from extensions import SUCCEED, refusal

FRESH = ["1.0.0 install 0 -", "1.0.0 enable 0 -"]


def message(report):
    return report["instanceView"]["message"]


async def test_new_settings_run_enable_once_for_the_new_number(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.put(bed.handler(), settings={"wanted": 2})
        await bed.pull(extd)
    assert bed.runs == [*FRESH, "1.0.0 enable 1 -"]
    assert [one["sequenceNumber"] for one in bed.service.finals()] == [0, 1]


async def test_a_failed_install_is_told_with_its_code_and_output_and_not_repeated(bed):
    bed.service.put(bed.handler({"install": "echo out; echo oops >&2; exit 51\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(hours=1)
    (final,) = bed.service.finals()
    assert bed.runs == FRESH[:1]
    assert (final["state"], final["exitCode"], final["instanceView"]["code"]) == ("Failed", 51, "51")
    assert message(final).startswith(
        "Extension returned non-zero exit code for Install: 51. Extension error output: [stdout]\nout\n"
    )
    assert final["stderrTail"] == "oops\n"
    assert final["handler"]["status"] == "NotReady"


async def test_after_a_failed_install_a_changed_goal_installs_again(bed):
    bed.service.put(bed.handler({"install": "exit 1\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.put(bed.handler())
        await bed.pull(extd)
    assert bed.runs == [FRESH[0], "1.0.0 install 1 -", "1.0.0 enable 1 -"]
    assert [one["state"] for one in bed.service.finals()] == ["Failed", "Succeeded"]


async def test_a_failed_enable_leaves_the_handler_installed(bed):
    bed.service.put(bed.handler({"enable": "exit 53\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
        assert extd.store.handler("Arcbed.Test.Sample").state == "Installed"
        bed.service.put(bed.handler({"enable": "exit 53\n"}))
        await bed.pull(extd)
    assert bed.runs == [*FRESH, "1.0.0 enable 1 -"]
    assert (bed.folder() / "config/HandlerState").read_text() == "Installed"


@pytest.mark.parametrize(
    ("word", "state"), [("failed", "Failed"), ("error", "Failed"), ("warning", "Succeeded")]
)
async def test_enable_ends_with_what_the_status_file_says(bed, word, state):
    bed.service.put(
        bed.handler({"enable": SUCCEED.replace('"success", "code": 0', f'"{word}", "code": "7"')})
    )
    async with bed.running() as extd:
        await bed.pull(extd)
    (final,) = bed.service.finals()
    assert (final["state"], final["instanceView"]["code"]) == (state, "7")
    assert message(final) == "Extension Message: fine"


async def appears(path):
    """Handlers work in real time; so does this."""
    while not path.exists():
        await asyncio.to_thread(path.parent.exists)


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


async def test_a_command_that_takes_too_long_is_killed_and_told(bed):
    bed.service.put(bed.handler({"install": "echo begun; sleep 1000\n"}))
    bed.clock.let_pass("web-01/extd/command")
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(seconds=880)
        assert bed.service.finals() == []
        await bed.clock.advance(seconds=20)
    (final,) = bed.service.finals()
    assert (final["state"], final["instanceView"]["code"]) == ("Failed", "1011")
    assert message(final).startswith("Timeout: Install did not end in time")


async def test_a_handler_that_never_finishes_transitioning_fails_after_ninety_minutes(bed):
    bed.service.put(bed.handler({"enable": SUCCEED.replace('"success"', '"transitioning"')}))
    bed.clock.let_pass("web-01/extd/operation/status")
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(minutes=89)
        assert bed.service.finals() == []
        await bed.clock.advance(minutes=2)
    (final,) = bed.service.finals()
    assert (final["state"], final["instanceView"]["code"]) == ("Failed", "1011")


async def test_deletion_disables_uninstalls_and_leaves_nothing(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.delete()
        await bed.pull(extd)
        assert bed.service.finals()[-1]["handler"]["status"] == "NotInstalled"
        await bed.pull(extd)
        assert len(extd.store) == 0
    assert bed.runs == [*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"]
    assert not bed.folder().exists()
    assert not list(bed.layout["extension_downloads"].iterdir())
    assert not list((bed.layout["extension_state"] / "runs").iterdir())


@pytest.mark.parametrize("broken", ["disable", "uninstall"])
async def test_deletion_goes_on_when_the_handlers_commands_fail(bed, broken):
    bed.service.put(bed.handler({broken: "exit 1\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.delete()
        await bed.pull(extd)
    assert bed.service.finals()[-1]["state"] == "Succeeded"
    assert not bed.folder().exists()


async def test_deletion_of_what_was_never_installed_runs_nothing(bed):
    bed.service.put(bed.handler({"install": "exit 1\n"}))
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.delete()
        await bed.pull(extd)
    assert bed.runs == FRESH[:1]
    assert bed.service.finals()[-1]["handler"]["status"] == "NotInstalled"


async def test_deletion_works_when_the_manifest_is_lost(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        (bed.folder() / "HandlerManifest.json").unlink()
        bed.service.delete()
        await bed.pull(extd)
    assert bed.runs == [*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"]
    assert "HandlerManifest.json file does not exist for extension" in bed.log_text()


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


async def test_disabled_runs_disable_and_enabled_again_runs_enable(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.put(bed.handler(), desiredState="disabled")
        await bed.pull(extd)
        bed.service.put(bed.handler())
        await bed.pull(extd)
    assert bed.runs == [*FRESH, "1.0.0 disable 1 -", "1.0.0 enable 2 -"]


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


async def test_without_settings_there_is_an_empty_file_and_number_zero(bed):
    bed.service.sequences["sample"] = 4
    bed.service.put(bed.handler({"enable": ""}), settings=None)
    async with bed.running() as extd:
        await bed.pull(extd)
    assert bed.runs[-1] == "1.0.0 enable 0 -"
    assert (bed.folder() / "config/0.settings").read_bytes() == b""
    assert bed.service.finals()[0]["state"] == "Succeeded"


async def test_commands_get_the_documented_environment_and_the_folder(bed):
    bed.service.put(
        bed.handler({"enable": f"env > env.txt; pwd > pwd.txt; ps -o sid= -p $$ > sid.txt\n{SUCCEED}"})
    )
    async with bed.running() as extd:
        await bed.pull(extd)
    found = dict(line.partition("=")[::2] for line in (bed.folder() / "env.txt").read_text().splitlines())
    assert found["AZURE_GUEST_AGENT_EXTENSION_PATH"] == str(bed.folder())
    assert found["AZURE_GUEST_AGENT_EXTENSION_VERSION"] == "1.0.0"
    assert found["ConfigSequenceNumber"] == "0"
    assert json.loads(found["AZURE_GUEST_AGENT_EXTENSION_SUPPORTED_FEATURES"])[0]["Value"] == "1.0"
    assert found["AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE"] == "NOT_RUN"
    assert found["IDENTITY_ENDPOINT"].endswith("/metadata/identity/oauth2/token")
    assert "ConfigExtensionName" not in found
    assert (bed.folder() / "pwd.txt").read_text().strip() == str(bed.folder())


async def test_the_environment_file_is_in_the_form_that_shell_shims_cut(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
    text = (bed.folder() / "HandlerEnvironment.json").read_text()
    assert text.partition('"logFolder": "')[2].partition('",')[0] == str(
        bed.layout["extension_logs"] / "Arcbed.Test.Sample-1.0.0"
    )
    assert json.loads(text)[0]["version"] == 1.0


async def test_what_a_handler_leaves_running_runs_on(bed):
    bed.service.put(bed.handler({"enable": f"(exec sleep 100) & echo $! > pid\n{SUCCEED}"}))
    async with bed.running() as extd:
        await bed.pull(extd)
        pid = int((bed.folder() / "pid").read_text())
        assert Path(f"/proc/{pid}").exists()
        bed.service.delete()
        await bed.pull(extd)
        assert not Path(f"/proc/{pid}").exists()


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
