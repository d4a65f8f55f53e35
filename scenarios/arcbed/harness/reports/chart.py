"""Charts of a report as inline SVG, in the page's own colours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from markupsafe import Markup

from arcbed.harness.recorder import Chart

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 22, 24
STEPS = (1, 2, 2.5, 5, 10)
COLOURS = 3


def svg(chart: Chart) -> Markup:
    """The chart: curves over seconds, the limit as a dashed line, a legend."""
    plot = _Plot(chart)
    parts = [*plot.grid(), *plot.limit(), *plot.curves(), *plot.legend()]
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, chart.title, Markup("").join(parts)
    )


def ticks(top: float, most: int = 6) -> list[float]:
    """Round values from 0 to at least `top`, at most `most` steps."""
    scale = 10.0**-3
    while True:
        for step in STEPS:
            if top <= step * scale * most:
                count = max(1, -int(-top // (step * scale)))
                return [step * scale * number for number in range(count + 1)]
        scale *= 10


class _Plot:
    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        times = [at for curve in chart.curves for at, _ in curve.points]
        values = [value for curve in chart.curves for _, value in curve.points]
        limits = [value for _, value in chart.limit if value is not None]
        self._across = ticks(max(times, default=1.0) or 1.0)
        self._up = ticks(max([*values, *limits], default=1.0) or 1.0)
        self._last = max(times, default=self._across[-1])

    def _x(self, at: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * at / self._across[-1], 1)

    def _y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self._up[-1], 1)

    def grid(self) -> Iterator[Markup]:
        """Lines and labels of both axes."""
        for value in self._up:
            y = self._y(value)
            yield Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
            yield Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                LEFT - 6, y + 4, f"{value:g} {self._chart.unit}"
            )
        for at in self._across:
            yield Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                min(self._x(at), WIDTH - 14), HEIGHT - 8, f"{at:g} s"
            )

    def limit(self) -> Iterator[Markup]:
        """The dashed line, broken where there is no limit."""
        steps = [*self._chart.limit, (self._last, None)]
        for (begin, value), (end, _) in pairwise(steps):
            if value is not None and end > begin:
                points = f"{self._x(begin)},{self._y(value)} {self._x(end)},{self._y(value)}"
                yield Markup('<polyline class="limit" points="{}"/>').format(points)

    def curves(self) -> Iterator[Markup]:
        """Steps: a value is the mean since the point before."""
        for number, curve in enumerate(self._chart.curves):
            before, points = 0.0, []
            for at, value in curve.points:
                points += [f"{self._x(before)},{self._y(value)}", f"{self._x(at)},{self._y(value)}"]
                before = at
            yield Markup('<polyline class="curve c{}" points="{}"/>').format(
                number % COLOURS, " ".join(points)
            )

    def legend(self) -> Iterator[Markup]:
        """Names of the curves, and of the limit."""
        x = LEFT
        names = [(f"c{number % COLOURS}", curve.label) for number, curve in enumerate(self._chart.curves)]
        if any(value is not None for _, value in self._chart.limit):
            names.append(("bad", "limit"))
        for colour, name in names:
            yield Markup('<text class="{}" x="{}" y="12">{}</text>').format(colour, x, name)
            x += 7 * len(name) + 18
