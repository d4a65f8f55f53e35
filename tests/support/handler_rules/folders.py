"""Rows about a package: its manifest, its folders, the files that are made for it."""

from __future__ import annotations

import json
import stat
from typing import Any

from extensions import SUCCEED
from handler_contract import FRESH, HANDLER, Play, Row, Step, again, erase, put, restart, write

ZIP = "{zips}/Arcbed.Test.Sample__1.0.0.zip"


def _downloads(play: Play, wanted: int) -> None:
    assert len(play.bed.service.asked("GET", "1.0.0.zip?")) == wanted


def _executable(play: Play) -> None:
    package = [play.at("{folder}") / f"{name}.sh" for name in ("install", "enable", "update")]
    assert all(path.stat().st_mode & stat.S_IXUSR for path in package)


def _environment_file(play: Play) -> None:
    text = play.at("{folder}/HandlerEnvironment.json").read_text()
    cut = text.partition('"logFolder": "')[2].partition('",')[0]
    assert cut == str(play.at("{logs}"))
    (document,) = json.loads(text)
    inner = document.pop("handlerEnvironment")
    assert document == {"name": HANDLER, "version": 1.0}
    folder, logs = play.at("{folder}"), play.at("{logs}")
    assert inner == {
        "logFolder": str(logs),
        "configFolder": str(folder / "config"),
        "statusFolder": str(folder / "status"),
        "heartbeatFile": str(folder / "heartbeat.log"),
        "eventsFolder": str(logs / "events"),
        "eventsFolder_preview": str(logs / "events"),
    }


def _flag(case: str, value: object, wanted: bool) -> Row:
    """`continueOnUpdateFailure` shows how a flag is read."""
    steps = [put({"disable": "exit 1\n"}), _newer({"continueOnUpdateFailure": value})]
    return Row(
        rule="manifest.flags",
        case=case,
        steps=steps,
        final=("Succeeded", "0") if wanted else ("Failed", "1008"),
    )


def _newer(manifest: dict[str, Any]) -> Step:
    return put(manifest=manifest, version="1.1.0")


def _line(case: str, line: str, wanted: str) -> Row:
    steps = [put({"install": 'echo "$#:$*" > arguments\n'}, manifest={"installCommand": line})]
    return Row(
        rule="manifest.command-line", case=case, steps=steps, runs=FRESH, files={"{folder}/arguments": wanted}
    )


def _in(play: Play, path: str, *words: str) -> None:
    assert set(words) <= set(play.at(path).read_text().split())


def _ran(play: Play, run: str, wanted: bool) -> None:
    assert (run in play.bed.runs) == wanted


def _handler_status(play: Play, status: str, message: str, code: int) -> None:
    found = json.loads(play.at("{folder}/config/HandlerStatus").read_text())
    assert found.pop("message").startswith(message)
    assert found == {
        "name": HANDLER,
        "version": "1.0.0",
        "status": status,
        "code": code,
        "supports_multi_config": False,
    }


PACKAGE = [
    Row(rule="package.zip-name", steps=[put()], files={ZIP: True, "{folder}": True}),
    Row(
        rule="package.zip-reused",
        steps=[put({"install": "exit 1\n"}), put({"install": "exit 1\n"})],
        runs=["1.0.0 install 0 -", "1.0.0 install 1 -"],
        check=lambda play: _downloads(play, 1),
    ),
    Row(
        rule="package.zip-reused",
        case="a broken one is fetched again",
        steps=[put({"install": "exit 1\n"}), write(ZIP, "no zip"), put({"install": "exit 1\n"})],
        check=lambda play: _downloads(play, 2),
    ),
    Row(rule="package.executable", steps=[put()], check=_executable),
    Row(
        rule="package.folders",
        steps=[put()],
        files={
            "{folder}/status": 0o700,
            "{folder}/config": 0o700,
            "{logs}": 0o755,
            "{logs}/events": 0o700,
        },
    ),
    Row(
        rule="package.folders",
        case="they are there before install",
        steps=[put({"install": "ls HandlerEnvironment.json config status > seen\n"})],
        check=lambda play: _in(play, "{folder}/seen", "HandlerEnvironment.json", "0.settings"),
    ),
    Row(rule="package.environment-file", steps=[put()], check=_environment_file),
    Row(
        rule="package.state-files",
        steps=[put()],
        files={"{folder}/config/HandlerState": "Enabled"},
        check=lambda play: _handler_status(play, "Ready", "Plugin enabled", 0),
    ),
    Row(
        rule="package.state-files",
        case="disabled",
        steps=[put(), put(desiredState="disabled")],
        files={"{folder}/config/HandlerState": "Installed"},
        check=lambda play: _handler_status(play, "NotReady", "Plugin disabled", 0),
    ),
    Row(
        rule="package.state-files",
        case="installed and no more",
        steps=[put({"enable": "cp config/HandlerState state; exit 1\n"})],
        files={"{folder}/state": "Installed"},
        check=lambda play: _handler_status(play, "NotReady", "Extension returned non-zero", 1009),
    ),
    Row(
        rule="package.own-records",
        steps=[
            put({"enable": f"rm -f config/* HandlerEnvironment.json\n{SUCCEED}"}),
            again(),
            restart(),
            put(),
        ],
        runs=[*FRESH, "1.0.0 enable 1 -"],
        files={"{folder}/config/1.settings": False, "{folder}/HandlerEnvironment.json": False},
        final=("Succeeded", "0"),
    ),
    *(
        Row(
            rule="package.manifest-lost",
            case=case,
            steps=[put(**multi), erase("{folder}/HandlerManifest.json"), put(**multi)],
            runs=[f"1.0.0 install 0 {name}", f"1.0.0 enable 0 {name}"],
            final=("Failed", "1002"),
            said="HandlerManifest.json",
        )
        for case, name, multi in (
            ("", "-", {}),
            (
                "of a handler with several configurations",
                "x",
                {"extensionName": "x", "manifest": {"supportsMultipleExtensions": True}},
            ),
        )
    ),
]

MANIFEST = [
    _line("a path", "install.sh", "0:"),
    _line("a path from the top", "/install.sh", "0:"),
    _line("a path from here", "./install.sh", "0:"),
    _line("arguments and blanks", "install.sh  one  two", "2:one two"),
    _line("a line of the shell", "install.sh 'one two' && true", "1:one two"),
    _flag("true", True, True),
    _flag("text", "true", True),
    _flag("text in capitals", "True", True),
    _flag("false", False, False),
    _flag("another text", "yes", False),
    _flag("a number", 1, False),
    _flag("null", None, False),
    *(
        Row(
            rule="manifest.update-mode",
            case=case,
            steps=[put(), _newer(manifest)],
            check=lambda play, wanted=wanted: _ran(play, "1.1.0 install 1 -", wanted),
        )
        for case, manifest, wanted in (
            ("absent", {}, True),
            ("with install", {"updateMode": "UpdateWithInstall"}, True),
            ("without install", {"updateMode": "UpdateWithoutInstall"}, False),
            ("without install, written otherwise", {"updateMode": "updatewithoutinstall"}, False),
        )
    ),
    Row(
        rule="manifest.not-read",
        steps=[
            put(
                manifest={
                    "rebootAfterInstall": True,
                    "supportsPolicy": True,
                    "resetStateCommand": "reset.sh",
                    "resourceLimits": {"cpuQuotaPercentage": 1, "services": [{"name": "x"}]},
                    "signingInfo": {"publisher": "Somebody", "type": "Else", "version": "9"},
                }
            )
        ],
        runs=FRESH,
        final=("Succeeded", "0"),
    ),
    *(
        Row(
            rule="manifest.commands",
            case=case,
            steps=[put(manifest={"updateCommand": value})],
            runs=[],
            final=("Failed", "1003"),
            files={"{folder}": False},
        )
        for case, value in (("empty", ""), ("no text", 1), ("null", None))
    ),
]


ROWS = [*PACKAGE, *MANIFEST]
