"""Rows about what a handler says: status files, heartbeat, events."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from extensions import START, SUCCEED
from handler_contract import FRESH, STATUS_CLOCK, Play, Row, holds, passes, proven, put, write

EVENTS = 'cd "$(sed -n \'s/.*"eventsFolder": "\\([^"]*\\)".*/\\1/p\' HandlerEnvironment.json)"\n'


def says(text: str, path: str = "status/$ConfigSequenceNumber.status") -> str:
    """A command that writes `text` as it is."""
    return f"cat > {path} <<'END'\n{text}\nEND\n"


def whole(**inner: Any) -> str:
    """A status file."""
    return json.dumps([{"version": "1.0", "timestampUTC": "2026-11-22T23:00:36Z", "status": inner}])


def said(message: str, word: str = "success", **more: Any) -> str:
    """A status file with a message."""
    return whole(status=word, formattedMessage={"lang": "en-US", "message": message}, **more)


def _reads(
    rule: str, case: str, text: str, code: str = "0", message: str = "", state: str = "Succeeded"
) -> Row:
    return Row(
        rule=rule,
        case=case,
        steps=[put({"enable": says(text)})],
        runs=FRESH,
        final=(state, code),
        said=message,
    )


def _unusable(case: str, text: str) -> Row:
    return _reads("status.shape", case, text, "1012", "cannot be used", "Failed")


def _took(play: Play, seconds: int) -> None:
    told = datetime.fromisoformat(play.final["instanceView"]["time"])
    assert told - START == timedelta(seconds=seconds)


def _unsaid(play: Play) -> None:
    assert play.finals == []


def _periodic(play: Play, message: str, level: str) -> None:
    view = play.bed.service.statuses[-1]["instanceView"]
    assert (view["message"], view["level"]) == (message, level)
    assert len(play.finals) == 1


def _pulse(case: str, script: str, wanted: dict[str, Any], *, promised: bool = True) -> Row:
    return Row(
        rule="heartbeat.file" if promised else "heartbeat.not-promised",
        case=case,
        steps=[put({"enable": script + SUCCEED}, manifest={"reportHeartbeat": promised}), passes(minutes=32)],
        status=wanted,
    )


def _beat(word: str, code: int = 0) -> str:
    message = {"lang": "en", "message": "as I say"}
    document = [{"version": 1.0, "heartbeat": {"status": word, "code": code, "formattedMessage": message}}]
    return says(json.dumps(document), "heartbeat.log")


READ = [
    *(
        _reads("status.words", word, whole(status=word), state=state)
        for word, state in (
            ("success", "Succeeded"),
            ("Success", "Succeeded"),
            ("warning", "Succeeded"),
            ("error", "Failed"),
            ("failed", "Failed"),
            ("anything", "Failed"),
        )
    ),
    *(
        _reads("status.code", case, whole(status="success", **given), code)
        for case, given, code in (
            ("a number", {"code": 7}, "7"),
            ("below zero", {"code": -21}, "-21"),
            ("a text", {"code": "51"}, "51"),
            ("another text", {"code": "x"}, "0"),
            ("null", {"code": None}, "0"),
            ("missing", {}, "0"),
        )
    ),
    _reads("status.message", "", said("it is done"), message="Extension Message: it is done"),
    _reads("status.message", "missing", whole(status="success", name="n", operation="Enable")),
    _reads(
        "status.substatus",
        "they are passed on",
        said(
            "m",
            substatus=[
                {
                    "name": "StdOut",
                    "status": "success",
                    "code": -21,
                    "formattedMessage": {"lang": "en", "message": "inner"},
                }
            ],
        ),
        message="StdOut: success: inner",
    ),
    _reads("status.substatus", "null", whole(status="success", substatus=None)),
    _reads("status.substatus", "an item is null", whole(status="success", substatus=[None])),
    _reads(
        "status.substatus",
        "without a message",
        whole(status="success", substatus=[{"name": "ErrorClarification", "status": "success", "code": 0}]),
        message="ErrorClarification: success",
    ),
    _reads("status.first-element", "", whole(status="success")[:-1] + ', {"status": 1}]'),
    _reads("status.first-element", "after a byte order mark", "\ufeff" + whole(status="success")),
    _unusable("no JSON", "{truncated"),
    _unusable("an object", json.dumps({"status": {"status": "success"}})),
    _unusable("an empty array", "[]"),
    _unusable("no status", json.dumps([{"version": 1}])),
    _unusable("a message without its language", whole(status="success", formattedMessage={"message": "x"})),
    _unusable("a language without its message", whole(status="success", formattedMessage={"lang": "en"})),
    _unusable("a part without a status", whole(status="success", substatus=[{"name": "x"}])),
    _unusable("a part with another word", whole(status="success", substatus=[{"status": "failed"}])),
    Row(
        rule="status.unreadable",
        steps=[put({"enable": "mkdir status/0.status\n"})],
        final=("Failed", "-1"),
        said="cannot be read",
    ),
    Row(
        rule="status.read-five-times",
        steps=[put({"enable": says("half")})],
        final=("Failed", "1012"),
        check=lambda play: _took(play, 8),
    ),
    Row(
        rule="status.read-five-times",
        case="it is whole the next time",
        steps=[
            put({"enable": says("half")}, seconds=1),
            write("{folder}/status/0.status", said("whole")),
            passes(seconds=2),
        ],
        final=("Succeeded", "0"),
        said="whole",
    ),
    _reads("status.too-large", "", said("m" * 140_000), message="m" * 1_024 + " ... [TRUNCATED]"),
    Row(
        rule="status.signatures",
        steps=[put({"enable": says(said("https://x.test/a?sv=1&sig=abc%2Fdef&se=2"))})],
        said="https://x.test/a?sv=1&sig=[redacted]&se=2",
    ),
]


WAITING = passes(STATUS_CLOCK, seconds=0)
LATER = [
    *(
        Row(
            rule=rule,
            case=case,
            steps=[WAITING, put(scripts), passes(minutes=89), proven(check=_unsaid), passes(minutes=2)],
            runs=FRESH,
            final=("Failed", "1011"),
            said="still transitioning after 90 minutes",
        )
        for rule, case, scripts in (
            ("status.transitioning", "for ever", {"enable": says(said("wait", "transitioning"))}),
            ("status.missing", "for ever", {"enable": ""}),
            (
                "status.of-another-operation",
                "install's success is not enable's",
                {
                    "install": says(whole(status="success", operation="Install"), "status/0.status"),
                    "enable": "",
                },
            ),
        )
    ),
    *(
        Row(
            rule=rule,
            case=case,
            steps=[
                WAITING,
                put({"enable": script}),
                proven(check=_unsaid),
                holds(),
                write("{folder}/status/0.status", text),
                passes(seconds=5),
            ],
            runs=FRESH,
            final=final,
            said="at last",
        )
        for rule, case, script, text, final in (
            ("status.missing", "it comes", "", said("at last"), ("Succeeded", "0")),
            (
                "status.transitioning",
                "success comes",
                says(said("wait", "transitioning")),
                said("at last"),
                ("Succeeded", "0"),
            ),
            (
                "status.transitioning",
                "an error comes, after enable has ended with 0",
                says(said("wait", "transitioning")),
                said("at last", "error", code=9),
                ("Failed", "9"),
            ),
        )
    ),
    Row(
        rule="status.of-another-operation",
        case="the daemon's is enable's",
        steps=[put({"enable": says(whole(status="success", operation="Daemon"))})],
        final=("Succeeded", "0"),
    ),
    Row(
        rule="status.goes-on",
        steps=[put(), write("{folder}/status/0.status", said("later", "warning")), passes(minutes=32)],
        check=lambda play: _periodic(play, "Extension Message: later", "Warning"),
    ),
]


HEARTBEAT = [
    _pulse("ready", _beat("ready"), {"status": "Ready", "code": 0, "message": "as I say"}),
    _pulse("not ready", _beat("notready", 5), {"status": "NotReady", "code": 5, "message": "as I say"}),
    _pulse("too old", _beat("ready") + "touch -d @0 heartbeat.log\n", {"status": "Unresponsive", "code": -1}),
    _pulse("missing", "", {"status": "NotReady", "code": -1}),
    _pulse("malformed", says("x", "heartbeat.log"), {"status": "NotReady", "code": -1}),
    _pulse("", _beat("notready", 5), {"status": "Ready", "code": 0}, promised=False),
]

ROWS = [
    *READ,
    *LATER,
    *HEARTBEAT,
    Row(
        rule="events.collected",
        steps=[
            put({"enable": f"{SUCCEED}{EVENTS}echo '{{}}' > 1764460800000000.json; touch half.tmp\n"}),
            proven(files={"{logs}/events/1764460800000000.json": True}),
            passes(minutes=32),
        ],
        files={"{logs}/events/1764460800000000.json": False, "{logs}/events/half.tmp": True},
    ),
    Row(
        rule="events.older",
        steps=[
            put({"enable": f"{SUCCEED}mkdir ../events; touch ../events/1764460800000000.tld\n"}),
            proven(files={"{extensions}/events/1764460800000000.tld": True}),
            passes(minutes=32),
        ],
        files={"{extensions}/events/1764460800000000.tld": False},
    ),
]
