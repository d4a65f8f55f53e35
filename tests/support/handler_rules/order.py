"""Rows about order: what runs for which wish, and what stops what."""

from __future__ import annotations

import json

from extensions import SUCCEED
from handler_contract import (
    FRESH,
    NEW,
    OLD,
    STATUS_CLOCK,
    Play,
    Row,
    again,
    delete,
    erase,
    every,
    passes,
    proven,
    put,
    restart,
)

TO_NEW = (
    *FRESH,
    "1.0.0 disable 1 -",
    "1.1.0 update 1 -",
    "1.0.0 uninstall 1 -",
    "1.1.0 install 1 -",
    "1.1.0 enable 1 -",
)
BACK = {"continueOnUpdateFailure": "true"}


def _only_new(play: Play) -> None:
    kept = sorted(path.name for path in play.places["new"].parent.glob("*Sample*"))
    assert kept == ["Arcbed.Test.Sample-1.1.0"]
    assert [path.name for path in play.places["zips"].iterdir()] == ["Arcbed.Test.Sample__1.1.0.zip"]


def _still_old(play: Play) -> None:
    assert play.final["typeHandlerVersion"] == OLD


def _numbered(play: Play) -> None:
    assert [one["sequenceNumber"] for one in play.finals] == [0, 1]


def _forgotten(play: Play) -> None:
    assert len(play.extd.store) == 0
    assert not list((play.bed.layout["extension_state"] / "runs").iterdir())


def _complains(play: Play) -> None:
    assert "HandlerManifest.json file does not exist for extension" in play.bed.log_text()


def _nothing(play: Play) -> None:
    assert not list(play.places["folder"].parent.glob("*Sample*"))
    assert not list(play.places["zips"].iterdir())
    assert play.final["handler"]["status"] == "NotInstalled"


def _count(play: Play, finals: int) -> None:
    assert len(play.bed.service.finals()) == finals


def _seen(text: str) -> None:
    first, _, rest = text.partition("\n")
    assert first == "0"
    assert json.loads(rest)[0]["status"]["status"] == "success"


def _not_ready(play: Play, code: int) -> None:
    assert (play.final["handler"]["status"], play.final["handler"]["code"]) == ("NotReady", code)


ENABLED = [
    Row(
        rule="order.fresh",
        steps=[put()],
        runs=FRESH,
        final=("Succeeded", "0"),
        handler=(OLD, "Enabled", "Ready"),
    ),
    Row(
        rule="order.enable-only",
        case="new settings",
        steps=[put(), put(settings={"wanted": 2})],
        runs=[*FRESH, "1.0.0 enable 1 -"],
        check=_numbered,
    ),
    Row(
        rule="order.enable-only",
        case="after a failed enable",
        steps=[put({"enable": "exit 53\n"}), put({"enable": "exit 53\n"})],
        runs=[*FRESH, "1.0.0 enable 1 -"],
        final=("Failed", "53"),
        handler=(OLD, "Installed", "NotReady"),
        files={"{folder}/config/HandlerState": "Installed"},
    ),
    Row(
        rule="order.enable-only",
        case="after disable",
        steps=[put(), put(desiredState="disabled"), put()],
        runs=[*FRESH, "1.0.0 disable 1 -", "1.0.0 enable 2 -"],
        handler=(OLD, "Enabled", "Ready"),
    ),
    Row(
        rule="order.once",
        steps=[put(), again(), restart(), passes(hours=1)],
        runs=FRESH,
        check=lambda play: _count(play, 1),
    ),
    Row(
        rule="order.once",
        case="a failure",
        steps=[put({"install": "exit 1\n"}), again(), restart(), passes(hours=1)],
        runs=FRESH[:1],
        check=lambda play: _count(play, 1),
    ),
    Row(
        rule="order.install-again",
        steps=[put({"install": "exit 1\n"}), put()],
        runs=[FRESH[0], "1.0.0 install 1 -", "1.0.0 enable 1 -"],
        final=("Succeeded", "0"),
    ),
    Row(
        rule="order.disable",
        steps=[put(), put(desiredState="disabled")],
        runs=[*FRESH, "1.0.0 disable 1 -"],
        handler=(OLD, "Installed", "NotReady"),
        said="Plugin disabled",
    ),
    Row(
        rule="order.disable",
        case="an error stops it",
        steps=[put({"disable": "exit 6\n"}), put(desiredState="disabled")],
        runs=[*FRESH, "1.0.0 disable 1 -"],
        final=("Failed", "6"),
        handler=(OLD, "Enabled", "NotReady"),
    ),
]


VERSIONS = [
    Row(
        rule="version.higher",
        steps=[put(), put(version=NEW)],
        runs=TO_NEW,
        final=("Succeeded", "0"),
        handler=(NEW, "Enabled", "Ready"),
        check=_only_new,
    ),
    Row(
        rule="version.lower",
        steps=[put(version=NEW), put(version=OLD)],
        runs=[
            "1.1.0 install 0 -",
            "1.1.0 enable 0 -",
            "1.1.0 disable 1 -",
            "1.1.0 update 1 -",
            "1.1.0 uninstall 1 -",
            "1.0.0 install 1 -",
            "1.0.0 enable 1 -",
        ],
        environment={"1.1.0 update": {"VERSION": OLD, "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": OLD}},
        handler=(OLD, "Enabled", "Ready"),
    ),
    Row(
        rule="version.numbers",
        case="1.10 is higher than 1.9",
        steps=[put(version="1.9.0"), put(version="1.10.0")],
        environment={"1.10.0 update": {"AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": "1.9.0"}},
        handler=("1.10.0", "Enabled", "Ready"),
    ),
    Row(
        rule="version.disabled-before",
        case="a handler that is not enabled is not disabled",
        steps=[put({"enable": "exit 1\n"}), put(version=NEW)],
        runs=[*FRESH, *TO_NEW[3:]],
        environment={"1.1.0 update": {"AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE": "NOT_RUN"}},
    ),
    Row(
        rule="version.taken-over",
        steps=[
            put({"enable": f"echo 0 > mrseq\n{SUCCEED}"}),
            put({"update": "cat mrseq status/0.status > seen\n"}, version=NEW),
        ],
        files={"{new}/mrseq": "0", "{new}/status/0.status": True},
        check=lambda play: _seen(play.at("{new}/seen").read_text()),
    ),
    Row(
        rule="version.without-install",
        steps=[put(), put(manifest={"updateMode": "UPDATEwithoutINSTALL"}, version=NEW)],
        runs=[*TO_NEW[:5], TO_NEW[6]],
        handler=(NEW, "Enabled", "Ready"),
    ),
    *(
        Row(
            rule="version.old-fails",
            case=broken,
            steps=[put({broken: "exit 3\n"}), put(version=NEW)],
            runs=TO_NEW[: 3 if broken == "disable" else 5],
            final=("Failed", "1008"),
            check=lambda play: _not_ready(play, 1008),
        )
        for broken in ("disable", "uninstall")
    ),
    *(
        Row(
            rule="version.old-fails-and-it-goes-on",
            case=broken,
            steps=[put({broken: "exit 3\n"}), put(manifest=BACK, version=NEW)],
            runs=TO_NEW,
            final=("Succeeded", "0"),
            environment={
                "1.1.0 update": {"AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE": first},
                "1.1.0 install": {"AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE": second},
                "1.1.0 enable": {"AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE": second},
            },
        )
        for broken, first, second in (("disable", "3", "0"), ("uninstall", "0", "3"))
    ),
    *(
        Row(
            rule="version.update-fails",
            case=case,
            steps=[put(), put({"update": "exit 4\n"}, manifest=manifest, version=NEW)],
            runs=TO_NEW[:4],
            final=("Failed", "4"),
            handler=(OLD, "FailedUpgrade", "NotReady"),
        )
        for case, manifest in (("", {}), ("also when failures are to be passed over", BACK))
    ),
    *(
        Row(
            rule="version.new-fails",
            case=f"{broken}, {'going on' if manifest else 'stopping'}",
            steps=[put(), put({broken: "exit 5\n"}, manifest=manifest, version=NEW)],
            runs=TO_NEW[: 6 if broken == "install" else 7],
            final=("Failed", "5"),
            handler=(NEW, "NotInstalled" if broken == "install" else "Installed", "NotReady"),
        )
        for broken in ("install", "enable")
        for manifest in ({}, BACK)
    ),
    Row(
        rule="version.failed-upgrade-again",
        steps=[put(), put({"update": "exit 4\n"}, version=NEW), put(version=NEW)],
        runs=[
            *TO_NEW[:4],
            "1.1.0 update 2 -",
            "1.0.0 uninstall 2 -",
            "1.1.0 install 2 -",
            "1.1.0 enable 2 -",
        ],
        final=("Succeeded", "0"),
        check=_only_new,
    ),
    Row(
        rule="version.failed-upgrade-given-up",
        steps=[put(), put({"update": "exit 4\n"}, version=NEW), put(version=OLD)],
        runs=[*TO_NEW[:4], "1.0.0 enable 2 -"],
        final=("Succeeded", "0"),
        handler=(OLD, "Enabled", "Ready"),
        files={"{new}": False, "{zips}/Arcbed.Test.Sample__1.1.0.zip": False},
    ),
    Row(
        rule="version.failed-upgrade-given-up",
        case="by deletion",
        steps=[put(), put({"update": "exit 4\n"}, version=NEW), delete()],
        runs=[*TO_NEW[:4], "1.0.0 uninstall 1 -"],
        check=_nothing,
    ),
    Row(
        rule="version.failed-upgrade-given-up",
        case="for a third version",
        steps=[put(), put({"update": "exit 4\n"}, version=NEW), put(version="1.2.0")],
        runs=[
            *TO_NEW[:4],
            "1.2.0 update 2 -",
            "1.0.0 uninstall 2 -",
            "1.2.0 install 2 -",
            "1.2.0 enable 2 -",
        ],
        files={"{new}": False, "{folder}": False, "{zips}/Arcbed.Test.Sample__1.1.0.zip": False},
    ),
    *(
        Row(
            rule="version.without-package",
            case=case,
            steps=[put(), put(version=NEW, package=None, **more)],
            runs=FRESH,
            final=final,
            handler=(OLD, "Enabled", "Ready"),
            check=_still_old,
        )
        for case, more, final in (
            ("wanted by a person", {}, ("Failed", "1004")),
            ("wanted by the platform", {"operation": "upgrade"}, ("Succeeded", "success")),
        )
    ),
    *(
        Row(
            rule="version.automatic-upgrade-comes-back",
            case=broken,
            steps=[put(), put({broken: "exit 5\n"}, version=NEW, operation="upgrade")],
            runs=[*TO_NEW[:last], *came],
            final=("Succeeded", "success"),
            said="Upgrade to 1.1.0 failed, version 1.0.0 is kept",
            handler=(OLD, "Enabled", "Ready"),
            files={"{new}": False},
        )
        for broken, last, came in (
            ("update", 4, ["1.0.0 enable 1 -"]),
            ("install", 6, ["1.0.0 install 1 -", "1.0.0 enable 1 -"]),
            ("enable", 7, ["1.0.0 install 1 -", "1.0.0 enable 1 -"]),
        )
    ),
    Row(
        rule="version.automatic-upgrade-comes-back",
        case="the new version says that it has failed",
        steps=[
            put(),
            put({"enable": SUCCEED.replace('"success"', '"error"')}, version=NEW, operation="upgrade"),
        ],
        runs=[*TO_NEW, "1.0.0 install 1 -", "1.0.0 enable 1 -"],
        final=("Succeeded", "success"),
        handler=(OLD, "Enabled", "Ready"),
    ),
]


REMOVALS = [
    Row(
        rule="removal.order",
        steps=[put(), delete(), again()],
        runs=[*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"],
        check=every(_nothing, _forgotten),
    ),
    Row(
        rule="removal.order",
        case="what is not enabled is not disabled",
        steps=[put({"enable": "exit 1\n"}), delete()],
        runs=[*FRESH, "1.0.0 uninstall 0 -"],
        check=_nothing,
    ),
    *(
        Row(
            rule="removal.always-tried",
            case=broken,
            steps=[put({broken: "exit 1\n"}), delete()],
            runs=[*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"],
            final=("Succeeded", "success"),
            check=_nothing,
        )
        for broken in ("disable", "uninstall")
    ),
    Row(
        rule="removal.not-installed",
        steps=[put({"install": "exit 1\n"}), delete()],
        runs=FRESH[:1],
        check=_nothing,
    ),
    Row(
        rule="removal.handler-deletes-itself",
        steps=[put({"uninstall": 'rm -rf "$PWD"\n'}), delete()],
        runs=[*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"],
        final=("Succeeded", "success"),
        check=_nothing,
    ),
    Row(
        rule="removal.manifest-lost",
        steps=[put(), erase("{folder}/HandlerManifest.json"), delete()],
        runs=[*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"],
        check=every(_nothing, _complains),
    ),
    Row(
        rule="removal.while-transitioning",
        steps=[
            passes(STATUS_CLOCK, seconds=0),
            put({"enable": SUCCEED.replace('"success"', '"transitioning"')}),
            proven(check=lambda play: _count(play, 0)),
            delete(),
        ],
        runs=[*FRESH, "1.0.0 disable 0 -", "1.0.0 uninstall 0 -"],
        check=_nothing,
    ),
]

ROWS = [*ENABLED, *VERSIONS, *REMOVALS]
