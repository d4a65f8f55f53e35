"""Lines and patterns in files: what is found, what is corrected, and which reasons are given."""

from __future__ import annotations

import pytest

from .conftest import details, mode_of


def test_line_that_is_found_is_a_reason_but_compliant(audit, tree):
    tree.file("/a", "one\nTwo\n")

    result = audit("nxFileLine", FilePath="/a", ContainsLine="two")

    assert (result.compliance_status, details(result)) == ("Compliant", ["LineFound"])
    assert "line number '2'" in result.reasons[0].phrase


def test_line_is_text_and_not_a_pattern(audit, tree):
    tree.file("/a", "a+b\n")

    assert audit("nxFileLine", FilePath="/a", ContainsLine="a+b").compliance_status == "Compliant"
    assert audit("nxFileLine", FilePath="/a", ContainsLine="a.b").compliance_status == "NonCompliant"


def test_case_matters_when_asked(audit, tree):
    tree.file("/a", "Two\n")

    result = audit("nxFileLine", FilePath="/a", ContainsLine="two", CaseSensitive=True)

    assert details(result) == ["LineNotFound"]


@pytest.mark.parametrize(
    ("extra", "after"),
    [
        ({}, "one\ntwo\nnew\n"),
        ({"AddLineMode": "AfterLinePatternMatch", "LinePattern": "^o.e$"}, "one\nnew\ntwo\n"),
        ({"AddLineMode": "BeforeLinePatternMatch", "LinePattern": "^o.e$"}, "new\none\ntwo\n"),
        ({"AddLineMode": "AfterLinePatternMatch", "LinePattern": "nowhere"}, "one\ntwo\nnew\n"),
        ({"DoesNotContainPattern": "^t"}, "one\nnew\n"),
    ],
)
def test_line_is_added_where_it_belongs_and_unwanted_ones_go(apply, tree, extra, after):
    tree.file("/a", "one\ntwo\n", 0o600)

    result = apply("nxFileLine", FilePath="/a", ContainsLine="new", **extra)

    assert result.compliance_status == "Compliant"
    assert (tree.path("/a").read_text(), mode_of(tree.path("/a"))) == (after, 0o600)


def test_file_of_lines_that_is_missing_or_several_is_a_reason(apply, audit, tree):
    tree.file("/d/1").file("/d/2")

    assert details(apply("nxFileLine", FilePath="/none", ContainsLine="x")) == ["FileNotFound", "SetFailed"]
    assert details(audit("nxFileLine", FilePath="/d/*", ContainsLine="x")) == ["ResolvedToMultipleFiles"]


def test_pattern_that_is_none_is_a_reason(audit, tree):
    tree.file("/a")

    assert details(audit("nxFileLine", FilePath="/a", ContainsLine="", DoesNotContainPattern="(")) == [
        "InvalidProperty"
    ]


def test_pattern_is_replaced_with_groups_of_dotnet(apply, tree):
    tree.file("/a", "port: 80\nhost: x\n")

    result = apply(
        "nxFileContentReplace",
        FilePath="/a",
        EnsureExpectedPattern="port: 8080",
        SearchPattern="(?<name>port): (\\d+)",
        ReplacementString="${name}: 8080",
    )

    assert (result.compliance_status, tree.path("/a").read_text()) == ("Compliant", "port: 8080\nhost: x\n")


def test_unwanted_pattern_is_counted_and_replaced(audit, apply, tree):
    tree.file("/a", "bad\nbad\n")
    wanted = {"FilePath": "/a", "EnsureExpectedPattern": "bad", "Ensure": "Absent"}

    result = audit("nxFileContentReplace", **wanted)
    assert details(result) == ["UndesiredPatternFound"]
    assert "2 times" in result.reasons[0].phrase

    apply("nxFileContentReplace", SearchPattern="bad", ReplacementString="$$1", **wanted)
    assert tree.path("/a").read_text() == "$1\n$1\n"
