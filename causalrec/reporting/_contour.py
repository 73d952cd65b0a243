"""The contour figure: a height over two strengths, its zero, and named points.

Tints are laid over each other, blue above zero and orange below, so that a region is the darker
the farther from zero; the lines between them carry their heights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from causalrec.reporting._axes import CHART_WIDTH, LEFT, Scale, draw_frame
from causalrec.reporting._marks import draw_mark
from causalrec.reporting._numbers import column_texts
from causalrec.reporting._svg import Svg, fit, plain, text_width
from causalrec.results import Table

_HEIGHT, _TOP = 350.0, 44.0

Point = tuple[float, float]
Corner = tuple[float, float, float]
"""A place in the figure, and the height there."""
Box = tuple[float, float, float]
"""Left, right and middle of a text that is drawn."""


@dataclass(frozen=True)
class Surface:
    """Heights over a grid, in the figure's coordinates."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    heights: tuple[tuple[float, ...], ...]
    """One tuple a place on the vertical axis."""

    def cells(self) -> Iterator[list[Corner]]:
        """Return the corners of each cell, row by row."""
        for j in range(len(self.y) - 1):
            for i in range(len(self.x) - 1):
                places = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
                yield [(self.x[a], self.y[b], self.heights[b][a]) for a, b in places]

    def above(self, level: float, sign: float = 1.0) -> str:
        """Return the path around what lies above a level, or below it where the sign is -1."""
        parts = []
        for cell in self.cells():
            points = list(_clipped(cell, level, sign))
            if len(points) > 2:
                parts.append(_path(points) + "z")
        return "".join(parts)

    def lines(self, level: float) -> list[list[Point]]:
        """Return the lines of a level, the longest first."""
        ends: dict[Point, list[list[Point]]] = {}
        found: list[list[Point]] = []
        for cell in self.cells():
            crossed = [
                _rounded(_between(one, two, level))
                for one, two in zip(cell, [*cell[1:], cell[0]], strict=True)
                if (one[2] < level) != (two[2] < level)
            ]
            for start, stop in zip(crossed[::2], crossed[1::2], strict=True):
                if start != stop:
                    found.append([start, stop])
        for segment in found:
            _join(ends, segment)
        lines = {id(line): line for pieces in ends.values() for line in pieces}
        return sorted(lines.values(), key=lambda line: (-len(line), line))


def _join(ends: dict[Point, list[list[Point]]], line: list[Point]) -> None:
    """Add a line to those that are known by their ends, tied to what it touches."""
    for place in (0, -1):
        for other in ends.get(line[place], [])[:1]:
            for end in {other[0], other[-1]}:
                ends[end] = [known for known in ends[end] if known is not other]
            before = other if other[-1] == line[place] else other[::-1]
            line = [*before, *(line if place == 0 else line[::-1])[1:]]
            line = line if place == 0 else line[::-1]
    for end in {line[0], line[-1]}:
        ends.setdefault(end, []).append(line)


def _between(one: Corner, two: Corner, level: float) -> Point:
    share = (level - one[2]) / (two[2] - one[2])
    return one[0] + share * (two[0] - one[0]), one[1] + share * (two[1] - one[1])


def _rounded(point: Point) -> Point:
    return round(point[0], 2), round(point[1], 2)


def _clipped(cell: Sequence[Corner], level: float, sign: float) -> Iterator[Point]:
    for one, two in zip(cell, [*cell[1:], cell[0]], strict=True):
        inside = sign * (one[2] - level) >= 0.0
        if inside:
            yield one[0], one[1]
        if inside != (sign * (two[2] - level) >= 0.0):
            yield _between(one, two, level)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{plain(x)} {plain(y)}" for x, y in points)


@dataclass(frozen=True)
class Drawing:
    """What a table of this hint says: axes, places on them, heights by place, named points."""

    axes: tuple[str, ...]
    """Horizontal, vertical, the height, and perhaps a second height."""
    places: tuple[tuple[float, ...], tuple[float, ...]]
    heights: tuple[tuple[tuple[float, ...], ...], ...]
    points: tuple[tuple[str, float, float, float], ...]

    @classmethod
    def of(cls, table: Table) -> Drawing | None:
        """Read a table, or return None where there is no whole grid in it."""
        at = {column: i for i, column in enumerate(table.columns)}
        axes = (table.x, *table.y[:3])
        if len(axes) < 3 or not set(axes) <= set(at):
            return None
        names = [i for column, i in at.items() if column not in axes]
        rows = [[_number(row[at[axis]]) for axis in axes] for row in table.rows]
        called = [next((str(row[i]) for i in names if row[i]), "") for row in table.rows]
        grid = sorted(
            (row for row, name in zip(rows, called, strict=True) if not name),
            key=lambda row: (row[1], row[0]),
        )
        x, y = (tuple(sorted({row[i] for row in grid})) for i in (0, 1))
        if len(x) < 2 or len(y) < 2 or len(grid) != len(x) * len(y):
            return None
        heights = [
            tuple(
                tuple(row[k] for row in grid[j * len(x) : (j + 1) * len(x)]) for j in range(len(y))
            )
            for k in range(2, len(axes))
        ]
        known = [one for one in heights if all(math.isfinite(v) for line in one for v in line)]
        points = [
            (name, row[0], row[1], row[2])
            for name, row in zip(called, rows, strict=True)
            if name and all(map(math.isfinite, row[:3]))
        ]
        return cls(axes, (x, y), tuple(known), tuple(points)) if known else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def draw_contour(table: Table, *, identity: str) -> Markup | None:
    """Return the figure of a table with the hint "contour", or None where it has no grid."""
    found = Drawing.of(table)
    if found is None:
        return None
    x = Scale(found.places[0][0], found.places[0][-1], LEFT + 2, CHART_WIDTH - 14)
    y = Scale(found.places[1][0], found.places[1][-1], _HEIGHT - 42, _TOP)
    across, up = (tuple(map(scale, line)) for scale, line in zip((x, y), found.places, strict=True))
    surfaces = [Surface(across, up, heights) for heights in found.heights]
    axes = found.axes
    svg = Svg(
        CHART_WIDTH, _HEIGHT, title=table.title, identity=identity,
        description=f"{axes[2]} by {axes[0]} and {axes[1]}; points: "
        + ", ".join(f"{name} ({height:.3g})" for name, _, _, height in found.points),
    )  # fmt: skip
    taken: list[Box] = [(x(px) - 7, x(px) + 7, y(py)) for _, px, py, _ in found.points]
    _tint(svg, surfaces[0])
    draw_frame(svg, x, y, (axes[0], axes[1]))
    _zeros(svg, surfaces, axes[2:])
    texts = column_texts([height for *_, height in found.points])
    for (name, px, py, _), text in zip(found.points, texts, strict=True):
        _name_point(svg, (x(px), y(py)), f"{name}: {text}", taken)
    _heights(svg, surfaces[0], taken)
    return svg.render()


def _levels(surface: Surface) -> list[tuple[float, str]]:
    heights = [height for line in surface.heights for height in line]
    return [one for one in Scale.over(heights, 0, 1, margin=0.0).ticks(6) if one[0] != 0.0]


def _tint(svg: Svg, surface: Surface) -> None:
    """Lay the tints, and draw the lines between them."""
    levels = [level for level, _ in _levels(surface)]
    for sign, colour in ((1.0, "blue"), (-1.0, "vermillion")):
        for level in [0.0, *(level for level in levels if level * sign > 0.0)]:
            path = surface.above(level, sign)
            if path:
                svg.add("path", d=path, class_=f"tint c-{colour}")
    for level in levels:
        for line in surface.lines(level):
            svg.add("path", d=_path(line), class_="level")


def _heights(svg: Svg, surface: Surface, taken: list[Box]) -> None:
    """Write the heights on the lines, where there is room."""
    for level, text in _levels(surface):
        half = text_width(text, 11.5) / 2
        for x, y in _from_the_middle(surface.lines(level)):
            box = (x - half, x + half, y)
            if LEFT + half < x < CHART_WIDTH - half - 14 and _free(box, taken):
                svg.add("text", text, x=x, y=y + 4, class_="small middle halo")
                taken.append(box)
                break


def _from_the_middle(lines: Sequence[Sequence[Point]]) -> list[Point]:
    """Return the places of the longest line, those of its middle first."""
    line = lines[0] if lines else ()
    order = sorted(range(len(line)), key=lambda i: (abs(i - len(line) // 2), i))
    return [line[i] for i in order]


def _zeros(svg: Svg, surfaces: Sequence[Surface], names: Sequence[str]) -> None:
    """Draw where the heights are zero, and say which line is which."""
    left = 2.0
    for surface, name, kind in zip(surfaces, names, ("nought", "nought dashed"), strict=False):
        for line in surface.lines(0.0):
            svg.add("path", d=_path(line), class_=kind, hover=f"{name} is 0")
        svg.add("path", d=f"M{plain(left)} 10h22", class_=kind)
        text = f"{name} is 0"
        svg.add("text", text, x=left + 28, y=14, class_="small")
        left += 48 + text_width(text, 11.5)


def _free(box: Box, taken: Sequence[Box]) -> bool:
    return all(box[1] < t[0] or box[0] > t[1] or abs(box[2] - t[2]) > 12 for t in taken)


def _name_point(svg: Svg, place: Point, text: str, taken: list[Box]) -> None:
    """Draw a point with its name where there is room for one; hovering always tells it."""
    px, py = place
    draw_mark(svg, "diamond", "ink", px, py, hover=text)
    short = fit(text, 230, 11.5, 1)[0]
    width = text_width(short, 11.5)
    sides = ((10, 0), (-10 - width, 0), (8, -13), (8, 13), (8, -26))
    for left, line in ((px + dx, py + dy) for dx, dy in sides):
        box = (left, left + width, line)
        if (
            left > LEFT
            and box[1] < CHART_WIDTH
            and _TOP < line < _HEIGHT - 44
            and _free(box, taken)
        ):
            svg.add("text", short, x=left, y=line + 4, class_="small dark halo")
            taken.append(box)
            break
