"""Reading ``$filter``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.filters import Call, Comparison, Expression, Junction, holds, leaves, parse


def test_nothing_filters_nothing() -> None:
    assert parse(None) is parse("") is parse("  ") is None
    assert holds(None, lambda _: False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roleName eq 'Reader'", Comparison("rolename", "eq", "Reader")),
        ("a EQ 'it''s'", Comparison("a", "eq", "it's")),
        ("resourceProvider eq Microsoft.Test", Comparison("resourceprovider", "eq", "Microsoft.Test")),
        ("atScope()", Call("atscope", ())),
        ("assignedTo('x')", Call("assignedto", ("x",))),
        ("substringof('a, b', name)", Call("substringof", ("a, b", "name"))),
        ("a eq '(b) and (c)'", Comparison("a", "eq", "(b) and (c)")),
    ],
)
def test_leaf_is_read(text: str, expected: Expression) -> None:
    assert parse(text) == expected


def test_and_binds_tighter_than_or_and_parentheses_tighter_than_both() -> None:
    def evaluate(text: str, true: str) -> bool:
        return holds(parse(text), lambda leaf: isinstance(leaf, Comparison) and leaf.field in true)

    assert evaluate("a eq 1 or b eq 1 and c eq 1", "a")
    assert not evaluate("(a eq 1 or b eq 1) and c eq 1", "a")
    assert evaluate("not a eq 1 and b eq 1", "b")
    assert not evaluate("not (a eq 1 or b eq 1)", "b")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a eq",
        "a is 'b'",
        "eq 'b'",
        "a eq 'b' and",
        "a eq 'b' c eq 'd'",
        "(a eq 'b'",
        "a eq 'b')",
        "f(",
        "f('a' 'b')",
        "a eq 'open",
        "'a' eq 'b'",
        "not",
        "(" * 200 + "a eq 'b'" + ")" * 200,
        "a eq '" + "b" * 5000 + "'",
    ],
)
def test_broken_filter_is_400_and_says_why(text: str) -> None:
    with pytest.raises(ArmError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.code) == (400, "InvalidFilterInQueryString")
    assert len(caught.value.message) < 1000


@given(st.text() | st.text(alphabet="ab '(),eqandotr$"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expression = parse(text)
    except ArmError as error:
        assert error.status == 400
    else:
        assert (expression is None) == (not text.strip())


def _written(expression: Expression) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    if isinstance(expression, Comparison):
        return f"{expression.field} {expression.operator} {quoted(expression.value)}"
    if isinstance(expression, Call):
        return f"{expression.name}({', '.join(map(quoted, expression.arguments))})"
    if expression.word == "not":
        return f"not ({_written(expression.parts[0])})"
    return "(" + f") {expression.word} (".join(map(_written, expression.parts)) + ")"


NAMES = st.text(alphabet="abcxyz", min_size=2, max_size=5).filter(
    lambda name: name not in {"and", "or", "not"}
)
LEAVES = st.builds(Comparison, NAMES, st.sampled_from(["eq", "ne", "ge"]), st.text(max_size=6)) | st.builds(
    Call, NAMES, st.lists(st.text(max_size=5), max_size=2).map(tuple)
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(
            Junction, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)
        )
        | inner.map(lambda part: Junction("not", (part,)))
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_what_was_written_is_read_back(expression: Expression) -> None:
    assert parse(_written(expression)) == expression
    assert list(leaves(parse(_written(expression)))) == list(leaves(expression))
