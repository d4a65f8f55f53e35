"""Unit files as the supervisor of a container reads them, beside what systemd.unit(5) says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3] / "containers/machine"))

from arcbed_init.units import Command, UnitFiles, full_name, pairs, parse, seconds


@pytest.fixture
def write(tmp_path):
    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


UNIT = """
[Unit]
Description=Web
[Service]
ExecStart=/bin/web --port 80
[Install]
WantedBy=multi-user.target
"""

CHANGE = "[Service]\nEnvironment=B=2\nExecStart=\nExecStart=/bin/other\n"


def test_drop_in_adds_to_lists_and_an_empty_value_starts_them_anew(write, tmp_path):
    write("lib/systemd/system/web.service", UNIT + "[Service]\nEnvironment=A=1\n")
    write(
        "etc/systemd/system/web.service.d/b.conf",
        CHANGE,
    )
    unit = UnitFiles(tmp_path).find("web")
    assert pairs(unit.all("Environment")) == {"A": "1", "B": "2"}
    assert [command.line for command in unit.commands("ExecStart")] == ["/bin/other"]


def test_unit_of_the_administrator_goes_before_the_packages(write, tmp_path):
    write("lib/systemd/system/web.service", UNIT)
    write("etc/systemd/system/web.service", UNIT.replace("Web", "Mine"))
    assert UnitFiles(tmp_path).find("web").description == "Mine"


def test_masked_unit_is_not_there(write, tmp_path):
    write("lib/systemd/system/web.service", UNIT)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/web.service").symlink_to("/dev/null")
    assert UnitFiles(tmp_path).find("web") is None


def test_enabling_makes_the_link_that_systemd_would_and_disabling_removes_it(write, tmp_path):
    write("lib/systemd/system/web.service", UNIT)
    files = UnitFiles(tmp_path)
    unit = files.find("web")
    assert files.state(unit) == "disabled"
    (link,) = files.enable(unit)
    assert str(link.readlink()) == "/lib/systemd/system/web.service"
    assert (files.state(unit), files.wanted()) == ("enabled", ["web.service"])
    assert files.enable(unit) == []
    assert files.disable(unit) == [link]
    assert files.wanted() == []


def test_manager_environment_is_read_from_every_file_and_the_administrators_wins(write, tmp_path):
    write(
        "lib/systemd/system.conf.d/azcmagent.conf",
        '[Manager]\nDefaultEnvironment="A=1"\nDefaultEnvironment="B=x y"\n',
    )
    write("etc/systemd/system.conf.d/azcmagent.conf", '[Manager]\nDefaultEnvironment="A=2"\n')
    assert UnitFiles(tmp_path).default_environment() == {"A": "2"}
    (tmp_path / "etc/systemd/system.conf.d/azcmagent.conf").unlink()
    assert UnitFiles(tmp_path).default_environment() == {"A": "1", "B": "x y"}


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("/bin/x $NONE end", ["/bin/x", "end"]),
        ("/bin/x $TWO", ["/bin/x", "a", "b"]),
        ("/bin/x ${TWO}", ["/bin/x", "a b"]),
        ("/bin/x '$TWO c' 100%%", ["/bin/x", "a b c", "100%"]),
    ],
)
def test_variables_in_a_command_become_words_as_systemd_makes_them(line, argv):
    assert Command(line, tolerated=False).argv({"TWO": "a b"}) == argv


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), ("100ms", 0.1), ("1min 30s", 90), ("2h", 7200), ("infinity", 90), ("soon", 90), ("", 90)],
)
def test_time_spans(text, expected):
    assert seconds(text, 90) == expected


@pytest.mark.parametrize(
    ("name", "full"), [("himdsd", "himdsd.service"), ("a.b", "a.b.service"), ("x.timer", "x.timer")]
)
def test_short_names_are_services(name, full):
    assert full_name(name) == full


@given(st.text())
def test_any_text_is_read_without_a_failure(text):
    for section in parse(text).values():
        for values in section.values():
            assert all(value.strip() == value and value for value in values)
            pairs(values)
