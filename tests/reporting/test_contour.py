"""The contour: levels where the heights have them, tints on their side, points that are named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from causalrec.reporting import render_html
from causalrec.reporting._charts import draw_chart
from causalrec.reporting._contour import Surface
from causalrec.results import Result, Table


def _surface(n: int = 41) -> Surface:
    """Return a cone over [-1, 1]^2: 0.8 less the distance from the middle."""
    places = tuple(np.linspace(-1.0, 1.0, n).tolist())
    heights = tuple(tuple(0.8 - float(np.hypot(x, y)) for x in places) for y in places)
    return Surface(places, places, heights)


def _area(path: str) -> float:
    total = 0.0
    for part in path.strip("Mz").split("zM"):
        corners = np.array([[float(v) for v in point.split()] for point in part.split("L")])
        x, y = corners.T
        total += 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    return total


def test_a_level_is_one_line_where_the_height_is_that_level() -> None:
    (line,) = _surface().lines(0.3)
    assert line[0] == line[-1]  # closed
    radius = np.hypot(*np.array(line).T)
    assert radius == pytest.approx(np.full(len(line), 0.5), abs=0.02)


def test_a_level_that_leaves_the_figure_is_open_and_whole() -> None:
    lines = _surface().lines(-0.4)  # a circle of 1.2 cut by the square: four corners
    assert len(lines) == 4
    assert all(line[0] != line[-1] for line in lines)


def test_a_level_beyond_the_heights_is_nowhere() -> None:
    assert _surface().lines(2.0) == []
    assert _surface().above(2.0) == ""


def test_tints_cover_what_is_above_and_below() -> None:
    surface = _surface(21)
    scaled = Surface(tuple(100 * x for x in surface.x), tuple(100 * y for y in surface.y),
                     surface.heights)  # fmt: skip
    above, below = _area(scaled.above(0.3)), _area(scaled.above(0.3, -1.0))
    assert above == pytest.approx(np.pi * 50.0**2, rel=0.02)
    assert above + below == pytest.approx(200.0**2, rel=1e-3)


def _table(**changes: object) -> Table:
    grid = [
        (None, x, y, 0.1 - x * y, 0.05 - x * y) for y in (0.0, 0.3, 0.6) for x in (0.0, 0.4, 0.8)
    ]
    points = [
        ("as strong as <age>", 0.4, 0.3, -0.02, -0.07),
        ("no confounder", 0.0, 0.0, 0.1, 0.05),
    ]
    shared: dict[str, object] = {
        "name": "contour", "title": "The estimate", "figure": "contour", "rows": (*points, *grid),
        "columns": ("confounder", "with exposure", "with outcome", "estimate", "end"),
        "x": "with exposure", "y": ("with outcome", "estimate", "end"),
    }  # fmt: skip
    return Table.model_validate({**shared, **changes})


def test_the_figure_marks_zero_and_names_its_points() -> None:
    drawn = str(draw_chart(_table(), identity="f"))
    assert drawn.count('class="nought"') == 2  # the line and its key
    assert drawn.count('class="nought dashed"') == 2
    assert "as strong as &lt;age&gt;: −0.02" in drawn
    assert drawn.count('class="mark diamond c-ink"') == 2
    assert {"tint c-blue", "tint c-vermillion"} <= set(re.findall('class="(tint [^"]+)"', drawn))
    assert drawn == str(draw_chart(_table(), identity="f"))


def test_without_a_second_height_there_is_one_line() -> None:
    rows = tuple((*row[:4], None) for row in _table().rows)
    drawn = str(draw_chart(_table(rows=rows), identity="f"))
    assert "nought dashed" not in drawn
    assert 'class="nought"' in drawn


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": ()},
        {"y": ("with outcome",)},
        {"y": ("with outcome", "nowhere")},
        {"rows": _table().rows[:-1]},
        {"rows": tuple((*row[:3], None, None) for row in _table().rows)},
    ],
)
def test_what_is_no_grid_is_not_drawn(changes: dict[str, object]) -> None:
    assert draw_chart(_table(**changes), identity="f") is None


def test_the_page_has_the_table_of_the_contour_folded() -> None:
    page = render_html(Result(kind="sensitivity", title="Doubts", tables=(_table(),)))
    assert "The estimate: the table (11 rows)" in page
