"""What a story reads off a machine's accounts."""

from __future__ import annotations

import pytest

from arcbed.harness import BedError
from arcbed.harness.governance import Watched


def line(at: float, **used: float) -> tuple[float, dict[str, dict[str, float]]]:
    """Groups with so many CPU seconds, and an account that began five seconds earlier."""
    return at, {
        name: {"cpuSecondsUsed": seconds, "wallSeconds": at + 5, "percent": 100 * seconds}
        for name, seconds in used.items()
    }


def test_the_mean_leaves_out_the_first_second_and_adds_groups_up():
    watched = Watched((line(0, a=0.0, b=0.0), line(1, a=0.5, b=0.0), line(11, a=1.0, b=0.3)))
    assert watched.mean("a") == pytest.approx(5.0)
    assert watched.mean("a", "b") == pytest.approx(8.0)
    assert watched.mean("a", after=0.0) == pytest.approx(100 / 11)


def test_a_group_that_was_gone_for_a_while_has_no_mean():
    watched = Watched((line(0, a=0.0), line(1, a=0.1), line(2), line(3, a=0.2)))
    with pytest.raises(BedError, match="a was not there all the time"):
        watched.mean("a")


def test_a_chart_of_several_groups_has_their_sum():
    watched = Watched((line(0, a=0.1, b=0.2), line(1, a=0.3, b=0.4), line(2, a=0.35, b=0.6)))
    chart = watched.chart("both", {"a": "one", "b": "other"}, 5.0)
    assert [curve.label for curve in chart.curves] == [
        "one; 5.00 % on average",
        "other; 20.00 % on average",
        "together; 25.00 % on average",
    ]
    assert [value for _, value in chart.curves[2].points] == pytest.approx([30.0, 70.0, 95.0])
