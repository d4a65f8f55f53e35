"""Level words, streams, colours, the bar; and the log's form."""

from __future__ import annotations

import gzip
import io
import logging
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.cli.terminal import Terminal, bar
from arcbed_agent.logging import FATAL, LogrusFormatter, Redactor, fields, open_log


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_bar_grows_as_the_product_draws_it():
    assert [bar(percent) for percent in (0, 20, 30, 60, 80, 100)] == [
        "   0% [               ]",
        "  20% [==>            ]",
        "  30% [===>           ]",
        "  60% [========>      ]",
        "  80% [===========>   ]",
        " 100% [===============]",
    ]


@given(st.integers(-50, 150))
def test_bar_keeps_its_width(percent):
    assert len(bar(percent).partition("[")[2]) == 16


def test_progress_off_a_terminal_is_plain_lines():
    terminal = Terminal(io.StringIO(), io.StringIO())
    terminal.progress(20, "")
    terminal.progress(30, "Creating resource in Azure...")
    assert terminal.out.getvalue() == "INFO    Creating resource in Azure...\n"


def test_progress_on_a_terminal_redraws_one_bar():
    terminal = Terminal(Screen(), io.StringIO())
    terminal.progress(20, "")
    terminal.progress(100, "Connected machine to Azure")
    assert terminal.out.getvalue() == (
        "\r  20% [==>            ]\r\x1b[KINFO    Connected machine to Azure\n\r 100% [===============]\n"
    )


@pytest.mark.parametrize(
    ("settings", "out", "err"),
    [
        ({}, "WARNING w\nresult\n", ""),
        ({"log_stderr": True}, "result\n", "WARNING w\n"),
        ({"as_json": True}, "result\n", ""),
        ({"as_json": True, "log_stderr": True}, "result\n", "WARNING w\n"),
        ({"as_json": True, "verbose": True}, "result\n", "WARNING w\nDEBUG   d\n"),
        ({"verbose": True}, "WARNING w\nDEBUG   d\nresult\n", ""),
    ],
)
def test_messages_and_results_go_where_the_flags_say(settings, out, err):
    terminal = Terminal(io.StringIO(), io.StringIO(), **settings)
    terminal.warning("w")
    terminal.debug("d")
    terminal.result("result")
    assert (terminal.out.getvalue(), terminal.err.getvalue()) == (out, err)


def test_device_code_is_told_in_json_mode_too():
    terminal = Terminal(io.StringIO(), io.StringIO(), as_json=True)
    terminal.prompt("open the page")
    assert (terminal.out.getvalue(), terminal.err.getvalue()) == ("", "open the page\n")


def test_colours_are_on_the_level_word_only():
    terminal = Terminal(Screen(), io.StringIO(), color=True)
    terminal.error("two\nlines")
    assert terminal.out.getvalue() == "\x1b[31mERROR   \x1b[0mtwo\n\x1b[31mERROR   \x1b[0mlines\n"


# -- log files -----------------------------------------------------------------------------------------------


class Stopped:
    def now(self):
        return datetime(2022, 9, 30, 10, 4, 9, tzinfo=UTC)


def line(message, level=logging.DEBUG, redactor=None, **extra):
    record = logging.LogRecord("himds", level, __file__, 1, message, None, None)
    record.__dict__.update(extra)
    return LogrusFormatter(Stopped(), redactor or Redactor()).format(record)


def test_line_has_the_form_of_logrus():
    text = line("Requesting token", **fields({"Request URL": "https://x"}, Method="SPN"))
    assert text == (
        'time="2022-09-30T10:04:09Z" level=debug msg="Requesting token" Request URL="https://x" Method="SPN"'
    )


@pytest.mark.parametrize(
    ("level", "word"),
    [(logging.INFO, "info"), (logging.WARNING, "warning"), (logging.ERROR, "error"), (FATAL, "fatal")],
)
def test_levels_have_the_words_of_logrus(level, word):
    assert f" level={word} " in line("m", level)


@given(st.text())
def test_any_message_stays_on_one_line(message):
    assert len(line(message.replace("%", "%%")).splitlines()) == 1


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40), st.text(max_size=10)
)
def test_concealed_value_is_nowhere_in_the_line(secret, around):
    redactor = Redactor()
    redactor.conceal(secret)
    text = redactor.clean(f"{around}{secret}{around}")
    assert secret not in text.replace("[redacted]", "")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abcdefgh12345", "abcdefgh12345"),
        ("Authorization: PoP eyJhbGciOi.eyJzdWIiOi.c2ln", "eyJ"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln end", "eyJ"),
        ("GET http://user:pa55@proxy:8080/", "pa55"),
        ("body client_id=x&client_secret=abc~def&scope=y", "abc~def"),
        ('{"client_secret": "abc~def"}', "abc~def"),
        ('{\\"access_token\\":\\"abc~def\\"}', "abc~def"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secrets_are_known_by_their_shape(text, gone):
    cleaned = Redactor().clean(text)
    assert gone not in cleaned
    assert "[redacted]" in cleaned


def test_ordinary_text_is_left_alone():
    text = "Resource ID=/subscriptions/0b7dd8a8/resourceGroups/rg https://weu.his.arc.azure.com/machine/1?x=2"
    assert Redactor().clean(text) == text


def test_full_log_is_archived_compressed(tmp_path):
    path = tmp_path / "log" / "himds.log"
    handler = open_log(path, Stopped(), max_bytes=200)
    log = logging.getLogger("tests.archive")
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    chance = random.Random(1)
    for number in range(6):
        log.debug("line %d %s", number, chance.randbytes(30).hex())
    log.removeHandler(handler)
    handler.close()
    with gzip.open(path.with_name("himds.log.1.gz"), "rt") as archive:
        assert archive.read().startswith('time="')
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o640}


def test_a_line_of_the_log_is_made_once(tmp_path):
    made: list[str] = []

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            made.append(record.getMessage())
            return made[-1]

    handler = open_log(tmp_path / "himds.log", Stopped(), formatter=Formatter())
    for text in ("one", "two"):
        handler.handle(logging.LogRecord("himds", logging.INFO, "x.py", 1, text, None, None))
    handler.close()
    assert made == ["one", "two"]
    assert (tmp_path / "himds.log").read_text() == "one\ntwo\n"
