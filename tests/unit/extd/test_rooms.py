"""A handler on a machine that is only a folder must not change the computer that the folder is on."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from extensions import SUCCEED, ExtdBed

from arcbed_agent.extd import rooms

CLOSED = rooms._probe()
needs_namespaces = pytest.mark.skipif(bool(CLOSED), reason=CLOSED or "-")
TOUCHED = Path("/etc/arcbed-was-here")


@pytest.fixture
def bed(tmp_path):
    return ExtdBed.make(tmp_path / "root", **{"extd.allowHostChanges": False})


@needs_namespaces
async def test_what_a_handler_does_to_the_computer_stays_in_its_room(bed):
    bed.service.put(
        bed.handler(
            {
                "install": f"touch {TOUCHED} /root/arcbed-was-here /tmp/arcbed-was-here\nls /etc > seen\n",
                "enable": f"ls /proc | grep -c '^[0-9]' > processes; pwd > here\n{SUCCEED}",
            }
        )
    )
    async with bed.running() as extd:
        await bed.pull(extd)
        assert bed.service.finals()[0]["state"] == "Succeeded"
        assert "arcbed-was-here" in (bed.folder() / "seen").read_text()
        assert not TOUCHED.exists()
        assert not Path("/tmp/arcbed-was-here").exists()
        assert int((bed.folder() / "processes").read_text()) < 10
        assert (bed.folder() / "here").read_text() == "/var/lib/waagent/Arcbed.Test.Sample-1.0.0\n"


@needs_namespaces
async def test_a_handler_sees_the_documented_paths(bed):
    bed.service.put(
        bed.handler(
            {"enable": f"cp HandlerEnvironment.json env.json; ls /var/lib/waagent > keys\n{SUCCEED}"}
        ),
        protectedSettings={"scheme": "plain-tls", "value": {"a": "b"}},
    )
    async with bed.running() as extd:
        await bed.pull(extd)
        thumb = extd.vault.thumbprint
    assert '"logFolder": "/var/lib/GuestConfig/extension_logs/' in (bed.folder() / "env.json").read_text()
    assert {f"{thumb}.crt", f"{thumb}.prv"} <= set((bed.folder() / "keys").read_text().split())


@needs_namespaces
async def test_a_daemon_lives_in_its_room_through_a_restart_and_dies_with_its_extension(bed):
    bed.service.put(bed.handler({"enable": f"sleep 1234.5 >/dev/null 2>&1 &\n{SUCCEED}"}))
    async with bed.running(end=False) as extd:
        await bed.pull(extd)
    assert running("sleep 1234.5")
    async with bed.running() as extd:
        bed.service.delete()
        await bed.pull(extd)
        assert bed.runs[-1] == "1.0.0 uninstall 0 -"
        assert not running("sleep 1234.5")
        assert not list((bed.layout["extension_state"] / "rooms").glob("Arcbed.Test.Sample"))


def running(words):
    sought = words.replace(" ", "\0").encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if sought in (process / "cmdline").read_bytes():
                return True
    return False


async def test_without_namespaces_handlers_are_refused_with_the_way_out(bed, monkeypatch):
    monkeypatch.setattr(rooms, "_TRIAL", "echo mount: not permitted >&2; exit 1")
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
    (final,) = bed.service.finals()
    assert final["state"] == "Failed"
    message = final["instanceView"]["message"]
    assert "Namespaces are not allowed here (mount: not permitted), so they are not run." in message
    assert "extd.allowHostChanges" in message
    assert bed.runs == []


async def test_a_command_that_still_runs_is_waited_for_by_the_next_start(bed):
    """extd ends in the middle of install; the next one finds the command, waits, and goes on."""
    bed.configure(**{"extd.allowHostChanges": True})
    bed.service.put(bed.handler({"install": "mkfifo gate; touch started; read go < gate\n"}))
    async with bed.running(end=False) as first:
        first.poke()
        pulled = asyncio.ensure_future(bed.clock.advance(seconds=1))
        while not (bed.folder() / "started").exists():
            await asyncio.to_thread(bed.folder().exists)
    pulled.cancel()
    await asyncio.gather(pulled, return_exceptions=True)
    async with bed.running() as extd:
        waiting = asyncio.ensure_future(bed.clock.advance(seconds=10))
        await asyncio.to_thread((bed.folder() / "gate").write_text, "go\n")
        await waiting
        await bed.quiet()
        assert extd.store.get("sample").result["state"] == "Succeeded"
    assert bed.runs == ["1.0.0 install 0 -", "1.0.0 enable 0 -"]
