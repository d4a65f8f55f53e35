"""Charts of a report."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed.harness.recorder import Chart, Curve
from arcbed.harness.reports.chart import svg as render
from arcbed.harness.reports.chart import ticks


def parts(chart: Chart, kind: str) -> list[ET.Element]:
    return [item for item in ET.fromstring(render(chart)) if kind in item.get("class", "")]


def chart(limit=((0.0, 5.0),)) -> Chart:
    points = ((1.0, 5.2), (2.0, 4.9), (3.0, 5.0))
    return Chart("A <loop> & more", "%", (Curve("CPU <b>", points),), limit)


def test_chart_shows_each_value_as_a_step_and_the_limit_as_a_line():
    curve, name = parts(chart(), "c0")
    limit, word = parts(chart(), "limit") + parts(chart(), "bad")

    assert len(curve.get("points").split()) == 6
    assert (name.text, word.text) == ("CPU <b>", "limit")
    assert len(limit.get("points").split()) == 2


def test_limit_that_changes_is_a_line_for_each_value_and_none_where_there_is_no_limit():
    lines = parts(chart(((0.0, 5.0), (1.0, None), (2.0, 20.0))), "limit")

    assert len(lines) == 2
    assert lines[0].get("points") != lines[1].get("points")


def test_chart_without_a_limit_does_not_name_one():
    assert not parts(chart(()), "bad")
    assert not parts(chart(((0.0, None),)), "limit")


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (5.4, [0, 1, 2, 3, 4, 5, 6]),
        (100, [0, 20, 40, 60, 80, 100]),
        (0.7, [0, 0.2, 0.4, 0.6, 0.8]),
        (1, None),
    ],
)
def test_axis_has_round_values(top, expected):
    found = ticks(top)

    assert found[-1] >= top
    assert expected is None or found == pytest.approx(expected)


@given(st.floats(1e-3, 1e6))
def test_axis_reaches_every_value_in_few_steps(top):
    assert ticks(top)[-1] >= top * 0.999999
    assert len(ticks(top)) <= 7
