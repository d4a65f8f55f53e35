"""The catalogue of clauses is sound, and what stories cite is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from arcbed import stories
from arcbed.harness import BedError
from arcbed.harness.clauses import catalogue, known, parse

TREE = Path(__file__).parents[3]


def cited() -> set[str]:
    """Every clause id in a list of a story's source, found without running anything."""
    sources = Path(stories.__path__[0]).rglob("*.py")
    lists = [
        node
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.List)
    ]
    texts = [item.value for found in lists for item in found.elts if isinstance(item, ast.Constant)]
    areas = {clause.partition(".")[0] for clause in catalogue()}
    return {
        text for text in texts if isinstance(text, str) and text.partition(".")[0] in areas and "." in text
    }


def marked() -> set[str]:
    """Every clause id in a `clause` mark of a test."""
    sources = (TREE / "tests").rglob("test_*.py")
    return {text for path in sources for text in re.findall(r'mark\.clause\("([^"]+)"', path.read_text())}


def test_catalogue_is_the_one_in_docs():
    assert set(parse((TREE / "docs" / "clauses.toml").read_text())) == set(catalogue())


def test_every_cited_clause_exists():
    assert (cited() | marked()) - set(catalogue()) == set()


def test_every_clause_is_cited_by_a_story_or_a_test():
    assert set(catalogue()) - cited() - marked() == set()


def test_sources_do_not_point_into_the_void():
    for clause in catalogue().values():
        assert not clause.source.startswith(("/", "http")), clause.id
        if clause.source.startswith("docs/"):
            assert (TREE / clause.source.partition(",")[0]).is_file(), clause.id


def test_known_with_unknown_id_names_it():
    with pytest.raises(BedError, match=r"no\.such"):
        known(["onboarding.success", "no.such"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[a.b]\ntext = "x"\n', "source"),
        ('[a.b]\ntext = "x"\nsource = "y"\ncolour = "red"\n', "colour"),
        ('[a.b]\ntext = "x"\nsource = "y"\nkind = "guessed"\n', "kind"),
        ('[a.b]\ntext = ""\nsource = "y"\n', "text"),
    ],
)
def test_parse_with_incomplete_clause_says_what_is_wrong(text, message):
    with pytest.raises(BedError, match=message):
        parse(text)
