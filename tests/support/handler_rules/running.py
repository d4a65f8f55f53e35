"""Rows about a command while it runs and when it has ended."""

from __future__ import annotations

import os

from extensions import SUCCEED
from handler_contract import (
    COMMAND_CLOCK,
    FRESH,
    HANG,
    NEW,
    Play,
    Row,
    Step,
    alive,
    delete,
    ends,
    passes,
    proven,
    put,
    write,
)

FACTS = "pwd > pwd; ps -o sid= -p $$ > sid; id -u > user\n"
STREAMS = (
    "one=$(stat -L -c '%F %h' /proc/$$/fd/1); two=$(stat -L -c '%F %h' /proc/$$/fd/2)\n"
    'echo "$one, $two" > streams\n'
)
WRITER = "(while :; do echo x; echo y >&2; touch wrote; sleep 1; done) & echo $! > child\n"
#: Two children before the command hangs: one in its process group, one that has left it.
ESCAPING = (
    "sleep 100000 & echo $! > inside\n"
    "setsid sh -c 'echo $$ > escaped; exec sleep 100000' &\n"
    "while [ ! -s escaped ]; do sleep 0.01; done\n"
) + HANG
#: Fails where another command runs at the same time.
ALONE = "mkdir ../lock || exit 9; rmdir ../lock\n"
LONELY = {"install": ALONE, "enable": ALONE + SUCCEED}
HANGING, NEW_HANGING = "{folder}/hanging", "{new}/hanging"


def _session(play: Play) -> None:
    play.prove_file(play.at("{folder}/pwd"), str(play.at("{folder}")))
    assert int(play.at("{folder}/sid").read_text()) != os.getsid(0)
    assert int(play.at("{folder}/user").read_text()) == os.geteuid()


def _alive(play: Play, name: str) -> None:
    assert alive(int(play.at("{folder}").joinpath(name).read_text()))


def _all_succeeded(play: Play, number: int) -> None:
    assert [one["state"] for one in play.finals] == ["Succeeded"] * number


def _too_long(
    command: str, seconds: int, *steps: Step, final: tuple[str, str] = ("Failed", "1011"), before: int = 0
) -> Row:
    """`steps` end while the command runs, 10 seconds from its begin; then its time passes."""

    def waiting(play: Play) -> None:
        assert len(play.finals) == before

    def over(play: Play) -> None:
        assert len(play.finals) == before + 1

    return Row(
        rule="command.time-out",
        case=f"{command} after {seconds} seconds",
        steps=[
            *steps,
            passes(COMMAND_CLOCK, seconds=seconds - 11),
            proven(check=waiting),
            passes(seconds=11),
            proven(check=over),
        ],
        final=final,
        said="Timeout: " if final[0] == "Failed" else "",
    )


def _tail(play: Play, name: str, text: str) -> None:
    assert play.final[name] == text


def _exit(case: str, line: str, code: int, command: str = "install") -> Row:
    return Row(
        rule="command.exit-code",
        case=case,
        steps=[put({command: f"echo out; echo oops >&2; {line}\n"})],
        final=("Failed", str(code)),
        said=f"Extension returned non-zero exit code for {command.capitalize()}: {code}. "
        "Extension error output: [stdout]\nout\n\n\n[stderr]\noops\n",
        check=lambda play: _told(play, code),
    )


def _told(play: Play, code: int) -> None:
    assert (play.final["exitCode"], play.final["stderrTail"]) == (code, "oops\n")
    assert play.final["handler"]["status"] == "NotReady"


def _shared(play: Play) -> None:
    """5,000 bytes and 10 bytes: the longer stream gets what the shorter one leaves."""
    text = play.final["instanceView"]["message"].partition("[stdout]\n")[2]
    first, _, second = text.partition("\n\n[stderr]\n")
    assert (set(first), len(first)) == ({"a"}, 3_190)
    assert second == "b" * 10


def _log_is_cut(play: Play) -> None:
    size = play.at("{logs}/CommandExecution.log").stat().st_size
    assert 1024 * 1024 < size <= 10 * 1024 * 1024


def _logged(play: Play) -> None:
    text = play.at("{logs}/CommandExecution.log").read_text()
    assert "install.sh: exit code 0\n[stdout]\nwhat was said\n" in text
    assert "enable.sh: exit code 0\n" in text


CALL = [
    Row(
        rule="command.call",
        steps=[put({"enable": FACTS + SUCCEED})],
        check=_session,
    ),
    Row(
        rule="command.output-files",
        steps=[put({"enable": STREAMS + SUCCEED})],
        files={"{folder}/streams": "regular empty file 0, regular empty file 0"},
    ),
    Row(
        rule="command.output-files",
        case="what is left running may go on writing",
        steps=[put({"enable": WRITER + SUCCEED}), passes(minutes=1)],
        final=("Succeeded", "0"),
        check=lambda play: _alive(play, "child"),
    ),
    Row(
        rule="command.output-files",
        case="a handler that opens /dev/stdout anew leaves no hole",
        steps=[put({"install": "echo first; echo second > /dev/stdout; echo third; exit 1\n"})],
        check=lambda play: _tail(play, "stdoutTail", "second\nthird\n"),
    ),
    Row(
        rule="command.children-are-not-waited-for",
        steps=[put({"install": "sleep 100000 &\n", "enable": f"sleep 100000 & echo $! > child\n{SUCCEED}"})],
        runs=FRESH,
        final=("Succeeded", "0"),
        check=lambda play: _alive(play, "child"),
    ),
    Row(
        rule="command.children-end-with-the-handler",
        steps=[
            put({"enable": f"sleep 100000 & echo $! > ../child\n{SUCCEED}"}),
            delete(),
            ends("{extensions}/child"),
        ],
        files={"{folder}": False},
    ),
    Row(
        rule="command.one-at-a-time",
        steps=[put(LONELY, name="one", kind="One", seconds=0), put(LONELY, name="two", kind="Two")],
        check=lambda play: _all_succeeded(play, 2),
    ),
]


HANGS = {
    name: {name: f"echo before; {HANG}"} for name in ("install", "enable", "disable", "update", "uninstall")
}
TIME_OUTS = [
    _too_long("install", 900, put(HANGS["install"], begun=HANGING)),
    _too_long("enable", 300, put(HANGS["enable"], begun=HANGING)),
    _too_long("update", 900, put(), put(HANGS["update"], version=NEW, begun=NEW_HANGING), before=1),
    _too_long("disable", 900, put(HANGS["disable"]), put(desiredState="disabled", begun=HANGING), before=1),
    _too_long(
        "uninstall",
        300,
        put(HANGS["uninstall"]),
        delete(begun=HANGING),
        before=1,
        final=("Succeeded", "success"),
    ),
    Row(
        rule="command.time-out-kills-the-group",
        steps=[
            put({"install": ESCAPING}, begun=HANGING),
            passes(COMMAND_CLOCK, seconds=900),
            ends("{folder}/inside"),
        ],
        final=("Failed", "1011"),
        check=lambda play: _alive(play, "escaped"),
    ),
    Row(
        rule="command.time-out-keeps-output",
        steps=[put(HANGS["install"], begun=HANGING), passes(COMMAND_CLOCK, seconds=900)],
        check=lambda play: _tail(play, "stdoutTail", "before\n"),
    ),
]


ENDS = [
    _exit("unsupported system", "exit 51", 51),
    _exit("missing dependency", "exit 52", 52),
    _exit("bad settings, by enable", "exit 53", 53, "enable"),
    _exit("before forking, by enable", "exit 3", 3, "enable"),
    _exit("apt's own", "exit 100", 100),
    Row(
        rule="command.exit-code",
        case="killed",
        steps=[put({"install": "kill -9 $$\n"})],
        final=("Failed", "137"),
    ),
    Row(
        rule="command.exit-code",
        case="what does not exist",
        steps=[put(manifest={"installCommand": "bin/nothing install"})],
        runs=[],
        final=("Failed", "127"),
    ),
    Row(
        rule="command.output-kept",
        steps=[
            put({"install": "head -c 5000 /dev/zero | tr '\\0' a; printf bbbbbbbbbb >&2; exit 1\n"}),
        ],
        check=_shared,
    ),
    Row(
        rule="command.log",
        steps=[put({"install": "echo what was said\n"})],
        check=_logged,
    ),
    Row(
        rule="command.log",
        case="its head is cut",
        steps=[put(), write("{logs}/CommandExecution.log", "x" * 11 * 1024 * 1024), put()],
        check=_log_is_cut,
    ),
]


ROWS = [*CALL, *TIME_OUTS, *ENDS]
