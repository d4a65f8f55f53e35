"""The MOF reader: every trait of the dialect, errors that say where, and nothing lost when written back."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.gcad.cli.mof import plain
from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.mof import Instance, MofError, Reference

CORPUS = Path(__file__).parent / "corpus"
EXPECTED = json.loads((CORPUS / "expected.json").read_text())

# -- what is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_document_of_the_corpus_is_read_as_it_is_meant(name):
    instances = mof.read(CORPUS / f"{name}.mof")

    assert [plain(instance) for instance in instances] == EXPECTED[name]


def test_corpus_has_an_expectation_for_every_document():
    assert sorted(path.stem for path in CORPUS.glob("*.mof")) == sorted(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_document_of_the_corpus_survives_being_written_back(name):
    instances = mof.read(CORPUS / f"{name}.mof")

    assert mof.parse(mof.write(instances)) == instances


def test_property_is_found_whatever_its_case():
    (instance,) = mof.parse('instance of A { ResourceID = "x"; };')

    assert instance.get("resourceid") == "x"
    assert instance.get("other") is None


def test_instances_know_their_lines():
    first, second = mof.parse("\n\ninstance of A { };\n\ninstance of B { };")

    assert (first.line, second.line) == (3, 5)


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ('instance of A {\n X = "a\n};', 2, 6, "string is not closed"),
        ("instance of A {\n X = 5 6;\n};", 2, 8, "expected ';'"),
        ("instance of A {\n X 5;\n};", 2, 4, "expected '='"),
        ("instance of A {\n X = ;\n};", 2, 6, "expected a value"),
        ("instance of A {\n X = {1 2};\n};", 2, 9, "expected ',' or '}'"),
        ("instance of A {\n X = {1,};\n};", 2, 9, "expected a value"),
        ('instance of A {\n X = "1";\n', 3, 1, "expected a property name or '}'"),
        ('instance of A {\n X = "1"\n};', 3, 1, "expected ';'"),
        ('instance of A { X="1";\n x="2"; };', 2, 2, "given twice"),
        ("instance of A {\n X = $Nobody; };", 2, 6, "no instance has the alias $Nobody"),
        ("instance of A as $X { };\ninstance of B as $x { };", 2, 18, "already taken"),
        ("instance of A as X { };", 1, 18, "expected an alias"),
        ("instance A { };", 1, 10, "expected 'of'"),
        ("instance of 5 { };", 1, 13, "expected a class name"),
        ("hello", 1, 1, "expected 'instance of'"),
        ("/* never\nends", 1, 1, "comment is not closed"),
        ('instance of A { X = "\\q"; };', 1, 22, "unknown escape"),
        ('instance of A { X = "\\xD83D"; };', 1, 22, "half a surrogate pair"),
        ("instance of A { X = 99999999999999999999999; };", 1, 21, "fits 64 bits"),
        ("instance of A { X = 1e999; };", 1, 21, "fits 64 bits"),
        ("instance of A { X = 12ab; };", 1, 21, "unexpected character"),
        ("class A {\n", 2, 1, "expected '}'"),
        ("#pragma include", 1, 16, "expected '('"),
        ("instance of A { X = ?; };", 1, 21, "unexpected character '?'"),
    ],
)
def test_broken_document_is_refused_with_the_place(text, line, column, reason):
    with pytest.raises(MofError) as caught:
        mof.parse(text, "my.mof")

    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"my.mof:{line}:{column}: ")


def test_deep_nesting_is_refused_without_exhausting_the_stack():
    with pytest.raises(MofError, match="nested deeper than 32"):
        mof.parse("instance of A { X = " + "{" * 100_000)


def test_nesting_up_to_the_limit_is_read():
    text = "instance of A { X = " + "{" * 32 + "1" + "}" * 32 + "; };"

    assert mof.parse(mof.write(mof.parse(text))) == mof.parse(text)


def test_file_over_the_limit_is_refused(tmp_path):
    file = tmp_path / "big.mof"
    file.write_text("// " + "x" * 200)

    with pytest.raises(MofError, match="larger than 100 bytes"):
        mof.read(file, limit=100)


def test_file_in_another_encoding_is_refused_with_the_line(tmp_path):
    file = tmp_path / "latin.mof"
    file.write_bytes(b"// one\n// gr\xf6\xdfe\n")

    with pytest.raises(MofError, match="not UTF-8") as caught:
        mof.read(file)

    assert caught.value.line == 2


def test_long_run_of_blanks_before_an_error_takes_one_pass():
    with pytest.raises(MofError, match="unexpected character"):
        mof.parse(" \n" * 200_000 + "?")


# -- properties --------------------------------------------------------------------------------------------

_NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=12)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_SCALARS = st.one_of(
    _TEXTS,
    st.booleans(),
    st.none(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)


def _documents():
    values = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
    properties = st.dictionaries(_NAMES, values, max_size=6).filter(
        lambda found: len({name.casefold() for name in found}) == len(found)
    )
    return st.lists(st.tuples(_NAMES, properties), max_size=5)


@given(_documents())
def test_document_written_and_read_is_the_same(described):
    instances = [
        Instance(name, f"$r{index}", dict(properties) | ({"Back_9": Reference("$r0")} if index else {}))
        for index, (name, properties) in enumerate(described)
    ]

    assert mof.parse(mof.write(instances)) == instances


@given(_TEXTS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]))
def test_text_is_the_same_in_every_encoding(text, encoding):
    document = mof.write([Instance("A", None, {"X": text})])

    assert mof.parse(mof.decode(document.encode(encoding)))[0].properties == {"X": text}


@given(st.one_of(st.text(), st.text('instanceof "\\{}$=;,#/*[]0x.-\n', max_size=60)))
def test_any_text_is_read_or_refused_with_a_place(text):
    try:
        mof.parse(text)
    except MofError as problem:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.column >= 1


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(content):
    try:
        mof.parse(mof.decode(content))
    except MofError as problem:
        assert problem.line >= 1
