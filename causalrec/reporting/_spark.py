"""A forest plot as small as a line of text, for the summary of a study."""

from __future__ import annotations

from markupsafe import Markup

from causalrec.reporting._axes import Scale
from causalrec.reporting._marks import draw_mark, mark_of
from causalrec.reporting._summary import Headline
from causalrec.reporting._svg import Svg
from causalrec.results import format_row

WIDTH, HEIGHT = 150.0, 26.0


def draw_spark(line: Headline, *, identity: str) -> Markup:
    """Return naive, debiased (with its interval) and truth on one small axis."""
    values = [
        value
        for row in line.rows
        for value in (row.value, row.lower, row.upper)
        if value is not None
    ]
    scale = Scale.over(values, 8, WIDTH - 8, margin=0.04)
    words = "; ".join(f"{row.estimator or row.label}: {format_row(row)}" for row in line.rows)
    svg = Svg(WIDTH, HEIGHT, title=words, description="", identity=identity)
    middle = HEIGHT / 2
    svg.add("line", x1=0, x2=WIDTH, y1=middle, y2=middle, class_="grid")
    if line.truth is not None and line.truth.value is not None:
        x = scale(line.truth.value)
        svg.add("line", x1=x, x2=x, y1=2, y2=HEIGHT - 2, class_="truth")
    for row in (line.naive, line.debiased):
        if row is None:
            continue
        shape, colour = mark_of(row)
        if row.lower is not None and row.upper is not None:
            ends = scale(row.lower), scale(row.upper)
            svg.add(
                "line", x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_=f"whisker c-{colour}"
            )
        if row.value is not None:
            draw_mark(svg, shape, colour, scale(row.value), middle)
    return svg.render()
