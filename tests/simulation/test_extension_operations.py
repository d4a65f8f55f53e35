"""Any order of wishes, kills and cut lines: no step runs twice, none without a reason, no result is lost.

Five extensions of three handlers, three of them configurations of one. Wishes come one after another,
together, or while commands run; commands fail, packages are missing; versions go up and down; extd is
stopped, or dies at any of its writes; the line is cut, operations expire, and answers to reports are lost
after the service has taken them. In the end one more write goes well, and all is deleted. What may run is
said in `extensions_trace`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from extensions import COMMANDS
from extensions_life import LINES, NAMES, WISHES, Kill, Life, Step, Wish
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def wished(names: list[str]) -> st.SearchStrategy[Wish]:
    """Wishes for some of the extensions."""
    fails = st.sampled_from([""] * 12 + [*COMMANDS, "package"])
    when = st.sampled_from(["then", "then", "then", "together", "meanwhile", "unheard"])
    what, name, held = st.sampled_from(WISHES), st.sampled_from(names), st.sampled_from(COMMANDS)
    return st.builds(Wish, what, name, fails, when, held)


def lives(longest: int) -> st.SearchStrategy[list[Step]]:
    """What may happen to one extension, to two, to configurations of one handler, or to all."""

    def of(names: list[str]) -> st.SearchStrategy[list[Step]]:
        wish = wished(names)
        kill = st.builds(Kill, st.integers(0, 30))
        happening = wish | wish | wish | kill | st.sampled_from(LINES)
        return st.lists(happening, min_size=longest // 2, max_size=longest)

    some = [["sample"], ["sample", "other"], ["first", "second"], ["first", "second", "third"], sorted(NAMES)]
    return st.sampled_from(some).flatmap(of)


def live(steps: list[Step]) -> None:
    """A life on a computer that does not lose power: flushing is most of what a life takes."""
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
        asyncio.run(Life(Path(folder) / "root").live(steps))


#: The same lives every time. One that fails is shown as it is: to shrink it takes longer than to read it.
SAME = settings(
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(300)
@settings(SAME, max_examples=10)
@given(lives(20))
def test_whatever_happens_no_command_runs_twice_and_no_result_is_lost(steps):
    live(steps)


@pytest.mark.long
@pytest.mark.timeout(600)
@settings(SAME, max_examples=100)
@given(lives(40))
def test_whatever_happens_for_long_no_command_runs_twice_and_no_result_is_lost(steps):
    live(steps)
