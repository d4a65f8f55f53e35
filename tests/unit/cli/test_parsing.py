"""Command lines and --config files."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.cli.flags import COMMON, CONNECT
from arcbed_agent.cli.parsing import parse
from arcbed_agent.errors import AgentError


def test_common_flags_may_stand_before_and_behind_the_command():
    for words in (["-j", "show"], ["show", "-j"], ["show", "--json"], ["--json=true", "show"]):
        invocation = parse(words)
        assert invocation.path == "show"
        assert invocation.arguments.on("json")


def test_short_bools_can_be_joined():
    arguments = parse(["show", "-jv"]).arguments
    assert arguments.on("json")
    assert arguments.on("verbose")


def test_a_bool_flag_does_not_swallow_the_word_behind_it():
    invocation = parse(["show", "--os", "status"])
    assert invocation.arguments.words == ("status",)
    assert invocation.arguments.on("os")


def test_a_bool_flag_takes_false_behind_an_equals_sign():
    arguments = parse(["connect", "--enable-automatic-upgrade=false"]).arguments
    assert arguments.choice("enable-automatic-upgrade") is False
    assert parse(["connect"]).arguments.choice("enable-automatic-upgrade") is None


@pytest.mark.parametrize("value", ["-v", "--json", "-jv", "=", "a=b", ""])
def test_a_value_may_look_like_a_flag(value):
    assert (
        parse(["connect", "--service-principal-secret", value]).arguments.flags["service-principal-secret"]
        == value
    )


@pytest.mark.parametrize("spelling", ["--log-stderr", "--useStderr"])
def test_old_spelling_of_log_stderr_is_understood(spelling):
    assert parse(["show", spelling]).arguments.on("log-stderr")


def test_old_spelling_of_ignore_network_check_is_understood():
    assert parse(["connect", "--skip-network-check"]).arguments.on("ignore-network-check")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bogus"], 'unknown command "bogus"'),
        (["config", "bogus"], 'unknown command "bogus" for "azcmagent config"'),
        (["show", "--bogus"], "--bogus"),
        (["version", "word"], "word"),
        (["connect", "--location"], "--location"),
    ],
)
def test_command_line_that_cannot_be_read_is_101_and_says_what(words, said):
    with pytest.raises(AgentError) as caught:
        parse(words)
    assert caught.value.number == 101
    assert said in caught.value.message


def test_bool_with_a_strange_value_is_23():
    with pytest.raises(AgentError) as caught:
        parse(["show", "--os=maybe"])
    assert caught.value.number == 23


# -- --config ------------------------------------------------------------------------------------------------

TEXT_FLAGS = [flag.name for flag in CONNECT if flag.kind == "string" and flag.name != "tags"]
BOOL_FLAGS = [flag.name for flag in (*CONNECT, *COMMON) if flag.kind == "bool" and flag.name != "help"]
VALUES = st.dictionaries(
    st.sampled_from(TEXT_FLAGS),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1),
) | st.dictionaries(st.sampled_from(BOOL_FLAGS), st.booleans())


@given(values=VALUES, as_yaml=st.booleans())
def test_config_file_gives_the_flags_that_it_holds(tmp_path_factory, values, as_yaml):
    file = tmp_path_factory.mktemp("config") / "flags"
    file.write_text(yaml.safe_dump(values) if as_yaml else json.dumps(values), encoding="utf-8")
    flags = parse(["connect", "--config", str(file)]).arguments.flags
    assert {name: value for name, value in flags.items() if name != "config"} == values


def test_command_line_wins_over_the_config_file(tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"location": "westeurope", "resource-group": "rg-file"}')
    arguments = parse(["connect", "--config", str(file), "-l", "northeurope"]).arguments
    assert (arguments.text("location"), arguments.text("resource-group")) == ("northeurope", "rg-file")


def test_config_file_may_hold_flags_of_other_commands(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("location: westeurope\nforce-local-only: true\n")
    assert parse(["connect", "--config", str(file)]).arguments.text("location") == "westeurope"
    assert parse(["disconnect", "--config", str(file)]).arguments.on("force-local-only")


def test_config_file_may_hold_tags_as_an_object(tmp_path):
    from arcbed_agent.cli.tags import parse_tags

    file = tmp_path / "c.json"
    tags = {"City": "Rome", "Owner": "it's, us=1\\"}
    file.write_text(json.dumps({"tags": tags}))
    assert parse_tags(parse(["connect", "--config", str(file)]).arguments.text("tags")) == tags


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (None, 19),
        ("{", 23),
        ("- a\n- b\n", 23),
        ('{"location": ["a"]}', 23),
        ('{"use-device-code": "maybe"}', 23),
    ],
)
def test_config_file_that_cannot_be_used_says_so(tmp_path, text, number):
    file = tmp_path / "c.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(AgentError) as caught:
        parse(["connect", "--config", str(file)])
    assert caught.value.number == number
    assert str(file) in caught.value.message


def test_yaml_values_are_the_text_that_stands_there(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("resource-name: 0123\nresource-group: no\n")
    arguments = parse(["connect", "--config", str(file)]).arguments
    assert (arguments.text("resource-name"), arguments.text("resource-group")) == ("0123", "no")


def test_empty_config_file_is_no_flags(tmp_path):
    file = tmp_path / "c.json"
    file.write_text("")
    assert parse(["connect", "--config", str(file)]).arguments.text("location") == ""


@given(
    words=st.lists(
        st.sampled_from(["show", "config", "set", "-j", "--os", "--config", "x", "-", "--", "=", "-z"])
    )
)
def test_any_command_line_parses_or_fails_with_a_documented_code(words):
    try:
        parse(words)
    except AgentError as error:
        assert error.number in {19, 23, 101}
