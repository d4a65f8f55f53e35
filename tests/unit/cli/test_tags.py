"""The --tags notation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.cli.tags import parse_pairs, parse_tags, render_pairs

ANY = st.text(max_size=20)
NAMES = st.text(min_size=1, max_size=20)


def distinct(pairs: dict[str, str]) -> bool:
    return len({name.lower() for name in pairs}) == len(pairs)


@given(st.dictionaries(NAMES, ANY, max_size=6).filter(distinct))
def test_quoted_pairs_come_back_as_they_were(pairs):
    assert parse_pairs(render_pairs(pairs)) == pairs


@given(st.dictionaries(NAMES, ANY, max_size=6).filter(distinct))
def test_pairs_escaped_character_by_character_come_back_as_they_were(pairs):
    def escape(text: str) -> str:
        return "".join(f"\\{character}" for character in text)

    text = ",".join(f"{escape(name)}={escape(value)}" for name, value in pairs.items())
    assert parse_pairs(text) == pairs


@given(ANY)
def test_any_text_is_read_or_refused_with_a_sentence(text):
    try:
        pairs = parse_pairs(text)
    except ValueError as error:
        assert str(error)
    else:
        assert all(pairs)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("   ", {}),
        ("Datacenter=DC1,City=Rome", {"Datacenter": "DC1", "City": "Rome"}),
        ("k=v,k2='v with space'", {"k": "v", "k2": "v with space"}),
        ('k="a, b",c=d', {"k": "a, b", "c": "d"}),
        (r"k=a\,b,c=\'d\'", {"k": "a,b", "c": "'d'"}),
        (r"path=C:\\temp", {"path": r"C:\temp"}),
        (" k = v , c = d e ", {"k": "v", "c": "d e"}),
        ("k=a=b", {"k": "a=b"}),
        ("k=", {"k": ""}),
        ("'my key'=v", {"my key": "v"}),
        ("k=one' two'three", {"k": "one twothree"}),
        (r"k=\ v\ ", {"k": " v "}),
    ],
)
def test_notation_reads_as_documented(text, pairs):
    assert parse_pairs(text) == pairs


def test_each_tag_keeps_its_own_value():
    """Agent 1.22 gave all tags the value of the last one."""
    assert list(parse_tags("a=1,b=2,c=3").values()) == ["1", "2", "3"]


@pytest.mark.parametrize("text", ["k", "k=v,", "=v", "k='v", "k=v\\", "a=1,A=2", ",", "k=v,,c=d"])
def test_malformed_text_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_pairs(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",".join(f"k{number}=v" for number in range(51)), "50"),
        (f"{'k' * 513}=v", "512"),
        (f"k={'v' * 257}", "256"),
        ("a/b=v", "/"),
    ],
)
def test_tags_beyond_azures_limits_are_refused_before_azure_is_asked(text, said):
    with pytest.raises(ValueError, match=said):
        parse_tags(text)
