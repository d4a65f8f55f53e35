"""Protected settings stay on the machine, whatever handlers do with them."""

from __future__ import annotations

import asyncio
import gzip
import json
import zipfile

import pytest
from extensions import SUCCEED

from arcbed_agent.cli.application import run
from arcbed_agent.extd import output, secrets, status
from arcbed_agent.logging import Redactor

SECRET = 'corr3ct "horse"/bättery&staple'
PIN = 90_210_477
LOGS = "/var/lib/GuestConfig/extension_logs"


def given(secret=SECRET, **more):
    return {"protectedSettings": {"scheme": "plain-tls", "value": {"password": secret, **more}}}


def held(bed):
    """What stands in a zip of the machine's logs, by name."""
    path = bed.root.parent / "logs.zip"
    assert run(["logs", "--full", "--output", str(path)]) == 0
    with zipfile.ZipFile(path) as archive:
        return {f"/{name}": archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(autouse=True)
def root(bed, monkeypatch):
    monkeypatch.setenv("ARC_ROOT", str(bed.root))


def own_log(bed, text, name="own.log", version="1.0.0"):
    """What a handler would have written."""
    path = bed.layout["extension_logs"] / f"Arcbed.Test.Sample-{version}" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"{LOGS}/Arcbed.Test.Sample-{version}/{name}"


async def test_a_handlers_own_log_goes_into_the_zip_without_its_protected_settings(bed):
    bed.service.put(bed.handler(), **given(pin=PIN))
    async with bed.running() as extd:
        await bed.pull(extd)
    lines = [f"first {form} last" for form in sorted(secrets.forms(SECRET))]
    name = own_log(bed, "\n".join([*lines, f"pin={PIN}", "&sig=abcdefghijkl%3D&sp=r"]))
    text = (await asyncio.to_thread(held, bed))[name]
    assert text.splitlines() == ["first [redacted] last"] * len(lines) + [
        "pin=[redacted]",
        "&sig=[redacted]&sp=r",
    ]


async def test_settings_of_earlier_runs_and_of_handlers_that_are_gone_are_known_as_long_as_their_logs(bed):
    bed.service.put(bed.handler(), **given("first-secret"))
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.put(bed.handler(), **given("second-secret"))
        await bed.pull(extd)
        bed.service.delete()
        await bed.pull(extd)
        assert extd.store.handlers == []
    assert not bed.folder().exists()
    name = own_log(bed, "first-secret and second-secret")
    async with bed.running() as extd:
        assert extd.redactor.clean("first-secret") == "[redacted]"
    assert (await asyncio.to_thread(held, bed))[name] == "[redacted] and [redacted]"
    kept = [path for path in bed.root.rglob("*") if path.is_file() and b"-secret" in path.read_bytes()]
    assert [path.name for path in kept] == ["own.log"]

    log_folder = bed.layout["extension_logs"] / "Arcbed.Test.Sample-1.0.0"
    for path in sorted(log_folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    log_folder.rmdir()
    async with bed.running() as extd:
        assert extd.redactor.clean("first-secret") == "first-secret"
    assert list((bed.layout["extension_state"] / "secrets").iterdir()) == []


async def test_logs_of_a_handler_whose_settings_cannot_be_read_any_more_are_left_out(bed):
    bed.service.put(bed.handler(), **given())
    async with bed.running() as extd:
        await bed.pull(extd)
    name = own_log(bed, f"it is {SECRET}")
    for path in bed.layout["extensions"].glob("*.prv"):
        path.unlink()
    found = await asyncio.to_thread(held, bed)
    assert found[name].startswith("Left out")
    assert "/var/lib/GuestConfig/ext_mgr_logs/gc_ext.log" in found
    assert SECRET not in "".join(found.values())


async def test_only_text_goes_into_the_zip_whatever_its_encoding(bed):
    bed.service.put(bed.handler(), **given())
    async with bed.running() as extd:
        await bed.pull(extd)
    dump = own_log(bed, b"\x7fELF\0" + SECRET.encode(), "core.log")
    wide = own_log(bed, f"it is {SECRET}".encode("utf-16"), "wide.log")
    packed = own_log(bed, gzip.compress(f"it is {SECRET}".encode()), "own.log.1.gz")
    broken = own_log(bed, gzip.compress(SECRET.encode())[:-12], "own.log.2.gz")
    found = await asyncio.to_thread(held, bed)
    assert found[dump].startswith("Left out")
    assert (found[wide], found[packed]) == ("it is [redacted]", "it is [redacted]")
    assert found[broken] == "own.log.2.gz is not a readable archive\n"


@pytest.mark.parametrize("command", ["install", "enable"])
async def test_what_a_failing_command_prints_is_told_without_secrets_also_where_it_is_cut(bed, command):
    cut = 'printf "%3190s" x; cat secret; cat secret; printf "%4086s\\n" x; exit 7\n'
    script = 'cp "config/$ConfigSequenceNumber.plain" secret\n' + cut
    plain = bed.root.parent / "plain"
    plain.write_text(SECRET)
    script = script.replace('"config/$ConfigSequenceNumber.plain"', f'"{plain}"')
    bed.service.put(bed.handler({command: script}), **given())
    async with bed.running() as extd:
        await bed.pull(extd)
    (bed.folder() / "secret").unlink()
    told = json.dumps([bed.service.reports, bed.service.statuses], ensure_ascii=False)
    assert "exit code for " + command.capitalize() in told
    kept = told + "".join(path.read_text(errors="replace") for path in bed.root.rglob("*") if path.is_file())
    for part in (SECRET[:6], SECRET[-6:], "horse", "bättery"):
        assert part not in kept


@pytest.mark.parametrize(("begun", "goes_on"), [(False, True), (True, False), (True, True)])
def test_part_of_a_secret_at_the_end_of_a_piece_is_concealed(begun, goes_on):
    redactor = Redactor()
    redactor.conceal(SECRET)
    for length in range(4, len(SECRET)):
        text = f"{SECRET[-length:] if begun else ''} middle {SECRET[:length] if goes_on else ''}"
        cleaned = redactor.clean_piece(text, begun=begun, goes_on=goes_on)
        assert cleaned == f"{'[redacted]' if begun else ''} middle {'[redacted]' if goes_on else ''}"
        assert redactor.clean_piece(text) == text


def test_a_character_that_was_cut_through_hides_no_part_of_a_secret(tmp_path):
    redactor = Redactor()
    redactor.conceal("geheimnisä-geheimnis")
    with output.captured(tmp_path) as (stdout, stderr):
        stdout.write(b"x" * (output.KEPT - 10) + "geheimnisä-geheimnis".encode() + b"y" * output.TAIL)
        found = output.read(stdout, stderr, redactor)
    assert found.stdout.endswith("xx[redacted]")
    assert found.stdout_tail == "y" * output.TAIL


def test_a_secret_that_is_part_of_another_one_leaves_nothing_of_it():
    redactor = Redactor()
    for secret in ("word", "passwords", "the passwords of all"):
        redactor.conceal(secret)
    assert redactor.clean("these are the passwords of all") == "these are [redacted]"


def test_texts_of_a_large_status_are_cleaned_before_they_are_cut(tmp_path):
    secret = "s3cret-" * 10
    message = "m" * 1_000 + secret + "m" * status.SIZE_LIMIT
    path = tmp_path / "0.status"
    inner = {"status": "success", "formattedMessage": {"lang": "en", "message": message}}
    path.write_text(json.dumps([{"status": inner}]))
    redactor = Redactor()
    redactor.conceal(secret)
    found = status.read(path, redactor.clean)
    assert found is not None
    assert "s3cret" not in found.message
    assert found.message.startswith("m" * 1_000 + "[redacted]")


def test_what_cannot_be_a_secret_is_not_taken_for_one():
    given = {
        "a": True,
        "b": "true",
        "c": "None",
        "d": 8443,
        "e": None,
        "f": ["abc", {"g": "word"}],
        "h": 123456,
    }
    assert secrets.words_of(given) == ["word", "123456"]


async def test_settings_that_are_words_of_the_contract_spoil_no_report(bed):
    words = {str(number): word for number, word in enumerate(["Ready", "success", "Information", "1.0.0"])}
    bed.service.put(bed.handler(reportHeartbeat=True), **given("Success", **words))
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(minutes=20)
        await bed.quiet()
    told = bed.service.statuses[-1]
    assert (told["typeHandlerVersion"], told["instanceView"]["level"]) == ("1.0.0", "Information")
    assert told["instanceView"]["displayStatus"] == "Success"
    assert told["handler"]["status"] in {"NotReady", "Ready"}


async def test_status_of_the_handler_is_told_without_secrets_again_and_again(bed):
    told = SUCCEED.replace("fine", "using tr0ub4dor")
    bed.service.put(bed.handler({"enable": told}), **given("tr0ub4dor"))
    async with bed.running() as extd:
        await bed.pull(extd)
        await bed.clock.advance(minutes=40)
        await bed.quiet()
    assert len(bed.service.statuses) >= 2
    assert "using [redacted]" in json.dumps(bed.service.finals())
    assert "tr0ub4dor" not in json.dumps([bed.service.reports, bed.service.statuses])
