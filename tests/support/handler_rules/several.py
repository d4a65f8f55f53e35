"""Rows about several configurations of one handler."""

from __future__ import annotations

import json
from typing import Any

from extensions import SUCCEED
from handler_contract import HANDLER, NEW, OLD, Play, Row, Step, delete, every, proven, put, restart

MULTI = {"supportsMultipleExtensions": "True"}
#: Fails for the configuration that is called bad.
CHOOSY = f'[ "$ConfigExtensionName" = bad ] && exit 7\n{SUCCEED}'
BOTH = ("1.0.0 install 0 first", "1.0.0 enable 0 first", "1.0.0 enable 0 second")
CODES = "AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODES_MULTIPLE_EXTENSIONS"


def one(name: str, scripts: dict[str, str] | None = None, **more: Any) -> Step:
    """A PUT of one configuration."""
    manifest = MULTI | more.pop("manifest", {})
    return put(scripts, manifest=manifest, name=name, extensionName=name, **more)


def _codes(play: Play, **codes: str) -> None:
    found = json.loads(play.environment("1.1.0 update first")[CODES])
    assert {each["extensionName"]: each["exitCode"] for each in found} == codes


def _only_settings(play: Play, *names: str) -> None:
    assert sorted(path.name for path in play.at("{folder}/config").glob("*.settings")) == sorted(names)


def _states(play: Play, **states: str) -> None:
    assert {each.name: each.result["state"] for each in play.extd.store} == states


def _enabled(play: Play, *names: str) -> None:
    assert sorted(each.name for each in play.extd.store if each.enabled) == sorted(names)


def _says_error(play: Play, path: str, code: int) -> None:
    (written,) = json.loads(play.at(path).read_text())
    assert (written["status"]["status"], written["status"]["code"]) == ("error", code)


def _supports(play: Play) -> None:
    assert json.loads(play.at("{folder}/config/HandlerStatus").read_text())["supports_multi_config"] is True
    assert play.extd.store.handler(HANDLER).multi


def _last_runs(play: Play, *runs: str) -> None:
    assert play.bed.runs[-len(runs) :] == list(runs)


ROWS = [
    Row(
        rule="several.one-installation",
        steps=[one("first"), one("second")],
        runs=BOTH,
        check=lambda play: _only_settings(play, "first.0.settings", "second.0.settings"),
        handler=(OLD, "Enabled", "Ready"),
    ),
    Row(
        rule="several.own-files",
        steps=[one("first")],
        files={
            "{folder}/config/first.0.settings": True,
            "{folder}/config/0.settings": False,
            "{folder}/status/first.0.status": True,
            "{folder}/config/first.HandlerState": "enabled",
            "{folder}/config/HandlerState": "Enabled",
            "{logs}/CommandExecution_first.log": True,
            "{logs}/CommandExecution.log": False,
            "{reports}/Arcbed.Test.Sample.first.json": True,
        },
        check=_supports,
    ),
    Row(
        rule="several.name-in-environment",
        steps=[one("first"), delete("first")],
        environment={
            "1.0.0 install first": {"ConfigExtensionName": "first"},
            "1.0.0 enable first": {"ConfigExtensionName": "first", "ConfigSequenceNumber": "0"},
            "1.0.0 disable first": {"ConfigExtensionName": "first"},
            "1.0.0 uninstall first": {"ConfigExtensionName": "first"},
        },
    ),
    Row(
        rule="several.own-numbers",
        steps=[one("first"), one("first", settings={"a": 1}), one("second")],
        runs=[
            "1.0.0 install 0 first",
            "1.0.0 enable 0 first",
            "1.0.0 enable 1 first",
            "1.0.0 enable 0 second",
        ],
    ),
    Row(
        rule="several.disable-one",
        steps=[one("first"), one("second"), one("first", desiredState="disabled")],
        runs=[*BOTH, "1.0.0 disable 1 first"],
        files={"{folder}/config/first.0.settings": False, "{folder}/status/first.0.status": False},
        handler=(OLD, "Enabled", "Ready"),
    ),
    Row(
        rule="several.disable-one",
        case="an error is passed over",
        steps=[one("first", {"disable": "exit 6\n"}), one("first", desiredState="disabled")],
        final=("Succeeded", "success"),
        handler=(OLD, "Installed", "NotReady"),
    ),
    Row(
        rule="several.last-one",
        steps=[
            one("first"),
            one("second"),
            delete("first"),
            proven(handler=(OLD, "Enabled", "Ready"), files={"{folder}/config/first.0.settings": False}),
            delete("second"),
        ],
        runs=[*BOTH, "1.0.0 disable 0 first", "1.0.0 disable 0 second", "1.0.0 uninstall 0 second"],
        files={"{folder}": False},
    ),
    Row(
        rule="several.failure-of-one",
        steps=[one("good", {"enable": CHOOSY}), one("bad", {"enable": CHOOSY})],
        handler=(OLD, "Enabled", "Ready"),
        final=("Failed", "7"),
        check=every(
            lambda play: _states(play, good="Succeeded", bad="Failed"),
            lambda play: _says_error(play, "{folder}/status/bad.0.status", 7),
        ),
    ),
    Row(
        rule="several.flag",
        steps=[put(name="first", extensionName="first")],
        runs=[],
        final=("Failed", "1003"),
        said="supportsMultipleExtensions",
    ),
    Row(
        rule="several.version-change",
        steps=[one("first", {"disable": "exit 0\n"}), one("second"), one("first", version=NEW)],
        runs=[
            *BOTH,
            "1.0.0 disable 1 first",
            "1.0.0 disable 0 second",
            "1.1.0 update 1 first",
            "1.0.0 uninstall 1 first",
            "1.1.0 install 1 first",
            "1.1.0 enable 0 second",
            "1.1.0 enable 1 first",
        ],
        environment={
            "1.1.0 update first": {"AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE": None},
            "1.1.0 enable second": {"ConfigSequenceNumber": "0"},
        },
        files={"{new}/config/second.0.settings": True, "{new}/config/second.HandlerState": "enabled"},
        handler=(NEW, "Enabled", "Ready"),
        check=every(
            lambda play: _codes(play, first="0", second="0"), lambda play: _enabled(play, "first", "second")
        ),
    ),
    Row(
        rule="several.version-change",
        case="only what was enabled is enabled again",
        steps=[
            one("first"),
            one("second"),
            one("second", desiredState="disabled"),
            one("first", version=NEW),
        ],
        runs=[
            *BOTH,
            "1.0.0 disable 1 second",
            "1.0.0 disable 1 first",
            "1.1.0 update 1 first",
            "1.0.0 uninstall 1 first",
            "1.1.0 install 1 first",
            "1.1.0 enable 1 first",
        ],
        check=every(
            lambda play: _codes(play, first="0", second="NOT_RUN"), lambda play: _enabled(play, "first")
        ),
    ),
    Row(
        rule="several.version-change",
        case="the old version fails for one and it goes on",
        steps=[
            one("first", {"disable": '[ "$ConfigExtensionName" = first ] && exit 3\n:\n'}),
            one("second", {"disable": '[ "$ConfigExtensionName" = first ] && exit 3\n:\n'}),
            one("first", version=NEW, manifest={"continueOnUpdateFailure": True}),
        ],
        final=("Succeeded", "0"),
        check=lambda play: _codes(play, first="3", second="0"),
    ),
    Row(
        rule="several.version-change-and-failure",
        case="one fails in the new version",
        steps=[one("good"), one("bad"), one("good", {"enable": CHOOSY}, version=NEW)],
        final=("Succeeded", "0"),
        handler=(NEW, "Enabled", "Ready"),
        check=lambda play: _enabled(play, "good"),
    ),
    Row(
        rule="several.version-change-and-failure",
        case="the one that wants the new version fails in it",
        steps=[one("bad"), one("good"), one("bad", {"enable": CHOOSY}, version=NEW)],
        final=("Failed", "7"),
        handler=(NEW, "Enabled", "Ready"),
        check=every(
            lambda play: _enabled(play, "good"),
            lambda play: _says_error(play, "{new}/status/bad.1.status", 7),
        ),
    ),
    Row(
        rule="several.version-change-and-failure",
        case="update fails, and the old version is wanted again",
        steps=[
            one("first"),
            one("second"),
            one("first", {"update": "exit 4\n"}, version=NEW),
            proven(
                check=_enabled,
                handler=(OLD, "FailedUpgrade", "NotReady"),
            ),
            one("first", version=OLD),
            restart(),
        ],
        runs=[
            *BOTH,
            "1.0.0 disable 1 first",
            "1.0.0 disable 0 second",
            "1.1.0 update 1 first",
            "1.0.0 enable 0 second",
            "1.0.0 enable 2 first",
        ],
        handler=(OLD, "Enabled", "Ready"),
        check=lambda play: _enabled(play, "first", "second"),
    ),
    *(
        Row(
            rule="several.version-change-and-failure",
            case=f"update fails, and the one that began it is {end}",
            steps=[one("first"), one("second"), one("first", {"update": "exit 4\n"}, version=NEW), last],
            handler=(OLD, "Enabled", "Ready"),
            check=every(
                lambda play: _enabled(play, "second"), lambda play: _last_runs(play, "1.0.0 enable 0 second")
            ),
        )
        for end, last in (
            ("deleted", delete("first")),
            ("disabled", one("first", version=NEW, desiredState="disabled")),
        )
    ),
    Row(
        rule="several.version-change-and-failure",
        case="an automatic upgrade that fails brings all back",
        steps=[
            one("first"),
            one("second"),
            one(
                "first",
                {"enable": '[ "$ConfigExtensionName" = first ] && exit 7\n' + SUCCEED},
                version=NEW,
                operation="upgrade",
            ),
        ],
        said="version 1.0.0 is kept",
        handler=(OLD, "Enabled", "Ready"),
        files={"{folder}/config/second.0.settings": True, "{new}": False},
        check=every(
            lambda play: _enabled(play, "first", "second"),
            lambda play: _last_runs(
                play, "1.0.0 install 1 first", "1.0.0 enable 0 second", "1.0.0 enable 1 first"
            ),
        ),
    ),
]
