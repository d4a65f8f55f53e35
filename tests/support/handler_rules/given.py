"""Rows about what a command is given: settings, sequence number, environment."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from extensions import SUCCEED
from handler_contract import FRESH, NEW, Play, Row, delete, put, restart

SECRET = {"scheme": "plain-tls", "value": {"password": "hunter2-hunter2"}}
#: What a command finds when it looks for the newest settings, as handlers do.
NEWEST = "ls -t config | grep -E '^[0-9]+\\.settings$' | head -n 1 > newest\n"
#: CustomScript empties its settings when it has read them.
EMPTY = "n=$ConfigSequenceNumber; cp config/$n.settings seen.$n; : > config/$n.settings\n"
HIGHEST = "ls config | grep -E '^[0-9]+\\.settings$' | sort -n | tail -n 1 > highest\n"


def _settings(play: Play, name: str = "config/0.settings") -> dict[str, Any]:
    document = json.loads(play.at("{folder}").joinpath(name).read_text())
    assert list(document) == ["runtimeSettings"]
    (first,) = document["runtimeSettings"]
    assert list(first) == ["handlerSettings"]
    inner: dict[str, Any] = first["handlerSettings"]
    assert set(inner) == {"publicSettings", "protectedSettings", "protectedSettingsCertThumbprint"}
    return inner


def _public_only(play: Play) -> None:
    nothing = {"protectedSettings": None, "protectedSettingsCertThumbprint": None}
    assert _settings(play) == {"publicSettings": {"wanted": 1}, **nothing}


def _decrypted(play: Play, name: str = "config/0.settings") -> None:
    """As Go and Python handlers do it: beside the folder of the handler, by thumbprint, with openssl."""
    inner = _settings(play, name)
    thumb = inner["protectedSettingsCertThumbprint"]
    assert len(thumb) == 40
    assert thumb == thumb.upper()
    pair = play.at("{folder}/config") / ".." / ".." / thumb
    plain = subprocess.run(
        ["openssl", "cms", "-inform", "DER", "-decrypt", "-recip", f"{pair}.crt", "-inkey", f"{pair}.prv"],
        input=base64.b64decode(inner["protectedSettings"]),
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(plain) == {"password": "hunter2-hunter2"}


def _protected_only(play: Play) -> None:
    assert _settings(play)["publicSettings"] == {}
    _decrypted(play)


def _same(play: Play, one: str, other: str) -> None:
    assert play.at(one).read_bytes() == play.at(other).read_bytes() != b""


def _smime(play: Play) -> None:
    inner = _settings(play)
    pair = play.at("{folder}").parent / inner["protectedSettingsCertThumbprint"]
    words = ["-inform", "DER", "-decrypt", "-recip", f"{pair}.crt", "-inkey", f"{pair}.prv"]
    given = base64.b64decode(inner["protectedSettings"])
    done = subprocess.run(["openssl", "smime", *words], input=given, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"password": "hunter2-hunter2"}


def _own(play: Play) -> None:
    found = play.environment("1.0.0 enable")
    assert found["PATH"]
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "NOTIFY_SOCKET"} & set(found)


SETTINGS = [
    Row(
        rule="settings.file",
        steps=[put()],
        files={"{folder}/config/0.settings": 0o600},
        check=_public_only,
    ),
    Row(
        rule="settings.none",
        steps=[put({"enable": ""}, settings=None), put({"enable": ""}, settings=None)],
        runs=[*FRESH, "1.0.0 enable 0 -"],
        files={"{folder}/config/0.settings": "", "{folder}/config/1.settings": False},
        environment={"1.0.0 enable": {"ConfigSequenceNumber": "0"}},
        final=("Succeeded", "success"),
    ),
    Row(rule="settings.protected", steps=[put(protectedSettings=SECRET)], check=_decrypted),
    Row(
        rule="settings.protected",
        case="openssl smime can read it as well",
        steps=[put(protectedSettings=SECRET)],
        check=_smime,
    ),
    Row(
        rule="settings.public-is-never-null",
        steps=[put(settings=None, protectedSettings=SECRET)],
        check=_protected_only,
    ),
    Row(
        rule="settings.handlers-edit-them",
        steps=[
            put({"enable": EMPTY + SUCCEED}, protectedSettings=SECRET),
            restart(),
            put(),
        ],
        files={"{folder}/config/0.settings": ""},
        check=lambda play: _decrypted(play, "seen.1"),
    ),
    Row(
        rule="settings.older-stay",
        steps=[put({"enable": NEWEST + HIGHEST + SUCCEED})] * 2,
        files={
            "{folder}/config/0.settings": True,
            "{folder}/config/1.settings": True,
            "{folder}/highest": "1.settings",
            "{folder}/newest": "1.settings",
        },
    ),
    Row(
        rule="settings.number",
        steps=[put(), put(), delete(), put()],
        runs=[
            *FRESH,
            "1.0.0 enable 1 -",
            "1.0.0 disable 1 -",
            "1.0.0 uninstall 1 -",
            "1.0.0 install 2 -",
            "1.0.0 enable 2 -",
        ],
    ),
    Row(
        rule="settings.before-install",
        steps=[put({"install": "cp config/0.settings seen\n"})],
        check=lambda play: _same(play, "{folder}/seen", "{folder}/config/0.settings"),
    ),
    Row(
        rule="settings.before-install",
        case="of a new version, before the old one is disabled",
        steps=[put({"disable": "cp ../*-1.1.0/config/1.settings ../seen\n"}), put(version=NEW)],
        check=lambda play: _same(play, "{extensions}/seen", "{new}/config/1.settings"),
    ),
]


FEATURES = [{"Key": "ExtensionTelemetryPipeline", "Value": "1.0"}]
ALWAYS = ("install", "enable", "disable", "uninstall")
UNINSTALLED = "AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE"
DISABLED = "AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE"
OF_UPDATE = (DISABLED, "AZURE_GUEST_AGENT_UPDATING_FROM_VERSION", "VERSION")


def _always(play: Play) -> None:
    for command in ALWAYS:
        found = play.environment(f"1.0.0 {command}")
        assert found["AZURE_GUEST_AGENT_EXTENSION_PATH"] == str(play.at("{folder}"))
        assert found["AZURE_GUEST_AGENT_EXTENSION_VERSION"] == "1.0.0"
        assert found["AZURE_GUEST_AGENT_WIRE_PROTOCOL_ADDRESS"] == "127.0.0.1"
        assert found["ConfigSequenceNumber"] == "0"
        assert json.loads(found["AZURE_GUEST_AGENT_EXTENSION_SUPPORTED_FEATURES"]) == FEATURES


ENVIRONMENT = [
    Row(rule="environment.always", steps=[put(), delete()], check=_always),
    Row(
        rule="environment.identity",
        steps=[put()],
        environment={
            "1.0.0 enable": {
                "IDENTITY_ENDPOINT": "http://localhost:40342/metadata/identity/oauth2/token",
                "IMDS_ENDPOINT": "http://localhost:40342",
            }
        },
    ),
    Row(
        rule="environment.uninstall-code",
        steps=[put()],
        environment={"1.0.0 install": {UNINSTALLED: "NOT_RUN"}, "1.0.0 enable": {UNINSTALLED: "NOT_RUN"}},
    ),
    Row(
        rule="environment.uninstall-code",
        case="after an old version",
        steps=[put(), put(version=NEW)],
        environment={"1.1.0 install": {UNINSTALLED: "0"}, "1.1.0 enable": {UNINSTALLED: "0"}},
    ),
    Row(
        rule="environment.of-update",
        steps=[put(), put(version=NEW)],
        environment={
            "1.1.0 update": dict(zip(OF_UPDATE, ("0", "1.0.0", NEW), strict=True)),
            "1.0.0 disable": dict.fromkeys(OF_UPDATE),
            "1.1.0 install": dict.fromkeys(OF_UPDATE),
        },
    ),
    Row(
        rule="environment.managers-own",
        steps=[put()],
        check=_own,
    ),
]


ROWS = [*SETTINGS, *ENVIRONMENT]
