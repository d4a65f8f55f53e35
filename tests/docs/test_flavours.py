"""The page of machine flavours says what the release files and the agent's tables say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from arcbed_agent.host.support import TABLES

ROOT = Path(__file__).parents[2]
FLAVOURS = ROOT / "containers/machine/flavours"
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in (ROOT / "docs/reference/flavours.md").read_text().splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5 and "`" in cells[0]
}
ROWS.pop("ARC_FLAVOUR")


def test_every_flavour_has_a_row_and_every_row_a_flavour():
    assert sorted(ROWS) == sorted(path.name for path in FLAVOURS.iterdir())


@pytest.mark.parametrize("flavour", sorted(ROWS))
def test_row_is_what_the_files_say(flavour):
    text = (FLAVOURS / flavour / "os-release").read_text()
    release = dict(word.partition("=")[::2] for word in shlex.split(text))
    shown, current, seed, files = ROWS[flavour]
    assert shown == release["PRETTY_NAME"]
    taken = {
        name: "yes" if table.supports(release["ID"], release["VERSION_ID"]) else "no"
        for name, table in TABLES.items()
    }
    assert taken == {"current": current, "2022": seed}
    others = {path.name for path in (FLAVOURS / flavour).iterdir()} - {"os-release"}
    assert set(re.findall(r"`([\w-]+)`", files)) == others
