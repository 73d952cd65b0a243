"""The frontier of two goals: a cross of intervals for each model, and who is not dominated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from causalrec.reporting._axes import CHART_WIDTH, LEFT, Scale, draw_frame
from causalrec.reporting._marks import SERIES, draw_mark
from causalrec.reporting._svg import Svg, fit, plain, text_width
from causalrec.results import Table

HEIGHT = 300.0
TOP = 24.0
Box = tuple[float, float, float]
"""Left, right and middle line of what has been written."""


@dataclass(frozen=True)
class Point:
    """One model: its place, and the ends of both intervals."""

    name: str
    x: float
    y: float
    across: tuple[float, float] | None
    upright: tuple[float, float] | None


def draw_frontier(table: Table, *, identity: str) -> Markup | None:
    """Return the scatter of a "frontier" table, or None where it has no points.

    The horizontal axis is better to the left, the vertical one upwards.
    """
    points = _points(table)
    if not points:
        return None
    svg = Svg(
        CHART_WIDTH,
        HEIGHT,
        title=table.title,
        description=f"{table.y[0]} against {table.x}, {len(points)} models.",
        identity=identity,
    )
    ends = [end for point in points for end in (point.x, *(point.across or ()))]
    heights = [end for point in points for end in (point.y, *(point.upright or ()))]
    x = Scale.over(ends, LEFT + 10, CHART_WIDTH - 14, margin=0.06)
    y = Scale.over(heights, HEIGHT - 42, TOP, margin=0.06)
    draw_frame(svg, x, y, (f"{table.x} (less is better)", table.y[0]))
    path = [(x(point.x), y(point.y)) for point in _frontier(points)]
    if len(path) > 1:
        line = "M" + "L".join(f"{plain(a)} {plain(b)}" for a, b in path)
        svg.add("path", d=line, class_="link", fill="none")
    taken: list[Box] = []
    for place, point in enumerate(points):
        shape, colour = SERIES[place % len(SERIES)]
        _cross(svg, point, x, y, colour)
        draw_mark(svg, shape, colour, x(point.x), y(point.y), hover=_said(point))
        taken.append((x(point.x) - 7, x(point.x) + 7, y(point.y)))
    for point in points:
        _name(svg, x(point.x), y(point.y), point.name, taken)
    return svg.render()


def _points(table: Table) -> list[Point]:
    place = {column: i for i, column in enumerate(table.columns)}
    if not table.y or not {table.x, table.y[0]} <= set(place):
        return []
    found = []
    for row in table.rows:
        x, y = (_number(row[place[name]]) for name in (table.x, table.y[0]))
        if x is not None and y is not None:
            ends = [_ends(row, place, name) for name in (table.x, table.y[0])]
            found.append(Point(str(row[0]), x, y, *ends))
    return found


def _ends(row: Sequence[object], place: dict[str, int], name: str) -> tuple[float, float] | None:
    columns = (f"{name}, lower", f"{name}, upper")
    if not set(columns) <= set(place):
        return None
    low, high = (_number(row[place[column]]) for column in columns)
    return None if low is None or high is None else (low, high)


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other is at least as good as on both axes, left to right."""
    kept = [
        one
        for one in points
        if not any(
            other.x <= one.x and other.y >= one.y and (other.x, other.y) != (one.x, one.y)
            for other in points
        )
    ]
    return sorted(kept, key=lambda point: (point.x, point.y))


def _cross(svg: Svg, point: Point, x: Scale, y: Scale, colour: str) -> None:
    name = f"whisker c-{colour}"
    if point.across is not None:
        low, high = point.across
        level = y(point.y)
        svg.add("line", x1=x(low), x2=x(high), y1=level, y2=level, class_=name)
    if point.upright is not None:
        low, high = point.upright
        middle = x(point.x)
        svg.add("line", x1=middle, x2=middle, y1=y(low), y2=y(high), class_=name)


def _name(svg: Svg, px: float, py: float, name: str, taken: list[Box]) -> None:
    """Write a model's name off its cross, where there is room; hovering always tells it."""
    short = fit(name, 180, 11.5, 1)[0]
    width = text_width(short, 11.5)
    places = [
        (px + dx, py + dy)
        for dy in (-11.0, 13.0, -25.0, 27.0, -39.0, 41.0)
        for dx in (8.0, -8.0 - width)
    ]
    for left, line in places:
        inside = left > LEFT and left + width < CHART_WIDTH and TOP - 8 < line < HEIGHT - 46
        apart = all(
            left + width < box[0] or left > box[1] or abs(line - box[2]) > 12 for box in taken
        )
        if inside and apart:
            svg.add("text", short, x=left, y=line + 4, class_="small dark halo")
            taken.append((left, left + width, line))
            return


def _said(point: Point) -> str:
    return f"{point.name}: {point.x:.4g}, {point.y:.4g}"
