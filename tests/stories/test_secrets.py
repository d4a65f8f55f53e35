"""What an extension is given in confidence is nowhere but with the extension, on a bed of processes."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from arcbed.harness import Bed, Machine, arc, extensions
from arcbed.harness.checks import equal, exited
from arcbed.harness.errors import BedError
from arcbed.harness.reports import write
from arcbed.harness.runner import Run, run_one
from arcbed.harness.scenario import Scenario

GROUP = "rg-secrets"
KINDS = ("Talker", "Failer")
FIRST, SECOND, PARAMETER = "c0rrect-horse", "b4ttery-staple", "tr0ub4dor-and-3"
QUOTED = 'with "quotes" & blanks'
SIGNATURE = "c2lnbmF0dXJlIG9mIGFuIGFkZHJlc3M"
ADDRESS = f"https://contoso.blob.core.windows.net/scripts/setup.sh?sv=2022-11-02&sig={SIGNATURE}%3D&sp=r"
PROTECTED = {"password": FIRST, "sentence": QUOTED, "fileUris": [ADDRESS], "number": 83_117_204}
SECRETS = (FIRST, SECOND, PARAMETER, SIGNATURE, "83117204")
SIGNED = re.compile(rb"[?&;]sig=[^\[]")
HOME = "bed/web-01/var/lib/"
#: What the handlers have written themselves, in their own folders.
THEIRS = {
    f"{HOME}{folder}/Arcbed.Samples.{kind}-1.0.0/{name}"
    for kind in KINDS
    for folder, name in (
        ("GuestConfig/extension_logs", "own.log"),
        ("waagent", "status/0.status"),
        ("waagent", "status/1.status"),
    )
}
#: Decrypts its settings as handlers do and tells them to everybody who can read; then does as its name says.
HANDLER = r"""#!/bin/sh
cd "$(dirname "$0")"
number=$ConfigSequenceNumber
thumb=$(sed -n 's/.*"protectedSettingsCertThumbprint": "\([^"]*\)".*/\1/p' "config/$number.settings")
logs=$(sed -n 's/.*"logFolder": "\([^"]*\)".*/\1/p' HandlerEnvironment.json)
plain=$(sed -n 's/.*"protectedSettings": "\([^"]*\)".*/\1/p' "config/$number.settings" | base64 -d |
  openssl cms -decrypt -inform DER -recip "../$thumb.crt" -inkey "../$thumb.prv")
password=$(printf %s "$plain" | sed 's/.*"password": "\([^"]*\)".*/\1/')
printf '%s\n' "$1 with $plain" "base64: $(printf %s "$password" | base64)" | tee -a "$logs/own.log"
printf '%s\n' "$1 of $(cat "config/$number.settings"): $password" >&2
if [ "$1" = enable ]; then
  told='{"lang": "en", "message": "using %s"}'
  printf "[{\"status\": {\"status\": \"STATUS\", \"code\": 0, \"formattedMessage\": $told}}]" "$password" \
    > "status/$number.status"
  exit CODE
fi
"""


def package(kind: str) -> bytes:
    """A handler that succeeds in enable, or one that fails."""
    code, word = ("0", "success") if kind == "Talker" else ("9", "error")
    names = ("install", "enable", "disable", "update", "uninstall")
    manifest = {f"{name}Command": f"run.sh {name}" for name in names} | {"rebootAfterInstall": False}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        document = [{"version": 1.0, "handlerManifest": manifest | {"reportHeartbeat": False}}]
        archive.writestr("HandlerManifest.json", json.dumps(document))
        archive.writestr("run.sh", HANDLER.replace("CODE", code).replace("STATUS", word))
    return made.getvalue()


async def test_secrets_of_extensions_and_run_commands_leak_nowhere(tmp_path):
    answers: list[str] = []

    async def story(bed: Bed) -> None:
        web = await arc.onboard(bed, "web-01", GROUP)
        for kind in KINDS:
            path = f"extensions/Arcbed.Samples.{kind}__1.0.0.zip"
            await bed.cloud.admin.call("PUT", path, content=package(kind))
        async with bed.step("Two handlers that tell everything"):
            for kind in KINDS:
                await bed.cloud.admin.call("PUT", f"snapshots/before-{kind.lower()}")
                answers.append(await put(bed, web, kind, {"mode": "first"}, PROTECTED))
        async with bed.step("Other settings, and a restart in between"):
            await web.kill_extension_manager()
            await web.start_extension_manager()
            answers.extend(
                [await put(bed, web, kind, {"mode": "second"}, {"password": SECOND}) for kind in KINDS]
            )
            await bed.advance(minutes=40)
        async with bed.step("A run command that prints its parameter"):
            answers.append(await run_command(bed, web))
        await bed.cloud.admin.call("PUT", "snapshots/after")
        answers.extend(await everything(bed, web))
        exited(await web.azcmagent("logs", "--full", "--output", str(tmp_path / "logs.zip")), 0)
        for kind in KINDS:
            own = web.path("extension_logs") / f"Arcbed.Samples.{kind}-1.0.0" / "own.log"
            told = own.read_text()
            equal("the handler has told all", [word in told for word in (FIRST, SECOND)], [True, True])
        raise BedError("so that the report has all the logs")

    told = Scenario(name="secrets", title="Secrets", about="", options=arc.STEPPED, story=story)
    bed = tmp_path / "bed"
    bed.mkdir()
    run = await run_one(told, seed="secrets", folder=bed)
    assert (run.outcome, run.error) == ("broken", "so that the report has all the logs")
    write(Run("secrets", run.began, [run]), tmp_path / "reports")

    assert "[redacted]" in "".join(answers)
    assert [answer for answer in answers if leaks(answer.encode())] == []
    found = dict(contents(tmp_path))
    assert sorted(name for name, content in found.items() if leaks(content)) == sorted(THEIRS)
    signed = {name for name, content in found.items() if SIGNED.search(content)}
    # The agent has to keep the address that it downloads from.
    assert {
        name for name in signed - THEIRS if not name.startswith(f"{HOME}GuestConfig/extensions/items/")
    } == set()
    assert any("gc_ext.log" in name for name in found)
    assert any(name.startswith("logs.zip:") and "own.log" in name for name in found)
    assert any("report.html" in name for name in found)


async def put(
    bed: Bed, web: Machine, kind: str, settings: dict[str, object], protected: dict[str, object]
) -> str:
    """PUT an extension and wait for the end of its operation; all that ARM says of it."""
    name = kind.lower()
    answer = await extensions.put(bed, web, name, kind, settings=settings, protectedSettings=protected)
    monitors = [answer.expect_ok().headers[name] for name in ("azure-asyncoperation", "location")]
    wanted = "Succeeded" if kind == "Talker" else "Failed"
    equal(kind, await extensions.settled(bed, web, name), wanted)
    ended = [(await bed.cloud.arm.get(monitor)).body for monitor in monitors]
    shown = await extensions.view(bed, web, name)
    return json.dumps([answer.body, ended, shown], ensure_ascii=False)


async def run_command(bed: Bed, web: Machine) -> str:
    """Run a script that prints what it was given; the resource in ARM."""
    path = f"{bed.cloud.arm.machine_id(GROUP, web.name)}/runCommands/told"
    properties = {
        "source": {"script": 'echo "it is $secret"; echo "it is $secret" >&2; exit 3'},
        "protectedParameters": [{"name": "secret", "value": PARAMETER}],
    }
    body = {"location": "westeurope", "properties": properties}
    (await bed.cloud.arm.put(path, body, extensions.VERSION)).expect_ok()
    await bed.advance(minutes=2)
    found = (await bed.cloud.arm.get(path, extensions.VERSION)).expect_ok().body["properties"]
    equal("exit code", found["instanceView"]["exitCode"], 3)
    return json.dumps(found)


async def everything(bed: Bed, web: Machine) -> list[str]:
    """All that ARM and the testbed's own API have to say."""
    arm, machine = bed.cloud.arm, bed.cloud.arm.machine_id(GROUP, web.name)
    said = [
        await arm.get(machine, **{"$expand": "instanceView"}),
        await arm.get(f"{machine}/extensions"),
        await arm.get(f"{machine}/runCommands"),
        await arm.get(f"{arm.subscription}/resources"),
        await arm.get(
            f"{arm.subscription}/providers/Microsoft.Insights/eventtypes/management/values",
            "2015-04-01",
            **{"$filter": "eventTimestamp ge '2026-02-01T00:00:00Z'"},
        ),
    ]
    tables = [await bed.cloud.admin.call("GET", f"state/{name}") for name in ("resources", "meta")]
    return [json.dumps(one.expect_ok().body) for one in said] + [json.dumps(one) for one in tables]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder`, and every file in every zip there."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        name, content = str(path.relative_to(folder)), path.read_bytes()
        yield name, content
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{name}:{member}", archive.read(member)


def leaks(content: bytes) -> list[str]:
    """The secrets in `content`, in the forms that programs write them in."""
    forms = {
        form: secret
        for secret in (*SECRETS, QUOTED)
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            quote(secret, safe=""),
            base64.b64encode(secret.encode()).decode(),
        )
    }
    return sorted({secret for form, secret in forms.items() if form.encode() in content})
