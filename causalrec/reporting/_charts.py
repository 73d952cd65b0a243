"""Charts of the tables: histogram, bars, dots, lines, Lorenz curves, contours and waterfalls.

They are drawn for a column of about 420 units, so that a telephone shows them at nearly full
size, beside the table that they draw. A table whose hint does not fit its content has no figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from markupsafe import Markup

from causalrec.reporting._axes import CHART_WIDTH, LEFT, Scale, draw_frame
from causalrec.reporting._bands import bands_of, draw_bands
from causalrec.reporting._contour import draw_contour
from causalrec.reporting._frontier import draw_frontier
from causalrec.reporting._marks import SERIES, draw_mark
from causalrec.reporting._numbers import column_texts
from causalrec.reporting._svg import Svg, fit, plain
from causalrec.reporting._waterfall import draw_waterfall
from causalrec.results import Table

MAX_CATEGORIES = 24
MAX_POINTS = 240
BALANCED = 0.1
TWO_LINES = 32.0
"""Height of a row whose label may take two lines."""
"""A standardised mean difference below this is usually called balanced (Austin 2009)."""
_HEIGHT = 210.0


@dataclass(frozen=True)
class Data:
    """What a chart draws: places on the first axis, and one series of numbers a column."""

    axis: str
    places: tuple[object, ...]
    series: tuple[tuple[str, tuple[float | None, ...]], ...]

    @property
    def values(self) -> list[float]:
        """All numbers that are there."""
        return [v for _, column in self.series for v in column if v is not None]

    @property
    def numeric(self) -> bool:
        """Whether the places are numbers."""
        return all(_is_number(place) for place in self.places)


def draw_chart(table: Table, *, identity: str) -> Markup | None:
    """Return the figure that a table's hint asks for, or None where there is nothing to draw."""
    if table.figure == "contour":
        return draw_contour(table, identity=identity)
    if table.figure == "waterfall":
        return draw_waterfall(table, identity=identity)
    if table.figure == "frontier":
        return draw_frontier(table, identity=identity)
    data = _data(table)
    if table.figure is None or data is None or not data.values:
        return None
    return _CHARTS[table.figure](data, table, identity)


def _data(table: Table) -> Data | None:
    place = {column: i for i, column in enumerate(table.columns)}
    if table.x not in place or not table.y or not set(table.y) <= set(place):
        return None
    rows = [row for row in table.rows if row[place[table.x]] is not None]
    if table.figure in {"lines", "lorenz"} and len(rows) > MAX_POINTS:
        last = len(rows) - 1
        rows = [rows[round(i * last / (MAX_POINTS - 1))] for i in range(MAX_POINTS)]
    elif is_balance(table) and len(rows) > MAX_CATEGORIES:
        sizes = [max(abs(_number(row[place[name]]) or 0.0) for name in table.y) for row in rows]
        largest = sorted(range(len(rows)), key=lambda i: (-sizes[i], i))[:MAX_CATEGORIES]
        rows = [rows[i] for i in sorted(largest)]
    elif table.figure in {"bars", "dots", "forest"}:
        rows = rows[:MAX_CATEGORIES]
    series = tuple(
        (name, tuple(_number(row[place[name]]) for row in rows)) for name in table.y[: len(SERIES)]
    )
    return Data(table.x, tuple(row[place[table.x]] for row in rows), series)


def is_balance(table: Table) -> bool:
    """Return whether a table is one of balance: of many covariates the largest are looked for."""
    return table.name.startswith("balance")


def places_left_out(table: Table) -> int:
    """Return how many rows of a table its figure does not draw."""
    by_name = table.figure in {"bars", "dots", "forest"}
    return max(0, len(table.rows) - MAX_CATEGORIES) if by_name else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and _is_number(value) and math.isfinite(value):
        return float(value)
    return None


def _start(table: Table, data: Data, height: float, identity: str) -> Svg:
    shown = len(data.places)
    text = f"{', '.join(name for name, _ in data.series)} by {data.axis}, {shown} places."
    return Svg(CHART_WIDTH, height, title=table.title, description=text, identity=identity)


def _legend(svg: Svg, data: Data, y: float, kind: str = "marks") -> None:
    if len(data.series) < 2:
        return
    x, room = 4.0, (CHART_WIDTH - 20) / len(data.series) - 30
    if sum(34 + 6.5 * len(name) for name, _ in data.series) < CHART_WIDTH + 16:
        room = CHART_WIDTH  # they fit as they are
    for k, ((name, _), (shape, colour)) in enumerate(zip(data.series, SERIES, strict=False)):
        if kind == "curves":
            svg.add("path", d=f"M{plain(x - 4)} {plain(y)}h18", class_=_curve_class(k, colour))
        elif kind == "areas":
            svg.add("rect", x=x - 2, y=y - 5, width=14, height=10, class_=f"area c-{colour}")
        else:
            draw_mark(svg, shape, colour, x + 5, y)
        text = fit(name, room, 11.5, 1)[0]
        svg.add("text", text, x=x + 17, y=y + 4, class_="small", hover=name)
        x += 34 + 6.5 * len(text)


def _two_scales(data: Data, *, zero: bool, also: Sequence[float] = ()) -> tuple[Scale, Scale]:
    top = 42 if len(data.series) > 1 else 22
    numbers = [float(p) for p in data.places if isinstance(p, int | float)]
    x = Scale.over(numbers, LEFT + 6, CHART_WIDTH - 12, margin=0.0)
    y = Scale.over([*data.values, *also, *([0.0] if zero else [])], _HEIGHT - 42, top, margin=0.0)
    return x, y


def _histogram(data: Data, table: Table, identity: str) -> Markup:
    svg = _start(table, data, _HEIGHT, identity)
    _, y = _two_scales(data, zero=True)
    count = len(data.places)
    width = (CHART_WIDTH - LEFT - 4) / max(1, count)
    draw_frame(svg, None, y, (data.axis, data.series[0][0] if len(data.series) == 1 else ""))
    for (name, column), (_, colour) in zip(data.series, SERIES, strict=False):
        steps = [f"M{plain(LEFT)} {plain(y(0))}"]
        for i, value in enumerate(column):
            level = plain(y(value or 0.0))
            steps.append(f"L{plain(LEFT + i * width)} {level}H{plain(LEFT + (i + 1) * width)}")
        path = "".join([*steps, f"V{plain(y(0))}"])
        svg.add("path", d=path, class_=f"area c-{colour}", hover=name)
    every = max(1, math.ceil(count / 6))
    texts = column_texts(data.places)
    # A bin that is named by its two ends is marked by the lower one, where it begins.
    ends = all(" to " in text for text in texts)
    for i in range(0, count, every):
        x = LEFT + (i + (0.0 if ends else 0.5)) * width
        text = fit(texts[i].split(" to ")[0], 70, 11, 1)[0]
        svg.add("text", text, x=x, y=y(0) + 17, class_="tick middle")
    _legend(svg, data, 10, "areas")
    return svg.render()


def _categories(
    data: Data, table: Table, identity: str, row: float
) -> tuple[Svg, Scale, list[float], float]:
    """Draw the labels on the left and the grid; return the scale and the rows' middles."""
    top = 30.0 if len(data.series) > 1 else 10.0
    height = top + row * len(data.places) + 42
    svg = _start(table, data, height, identity)
    left = 150.0
    lone = len(data.series) == 1
    x = Scale.over([0.0, *data.values], left + 4, CHART_WIDTH - (58 if lone else 12), margin=0.02)
    bottom = height - 38
    for value, text in x.ticks(4):
        svg.add("line", x1=x(value), x2=x(value), y1=top, y2=bottom, class_="grid")
        svg.add("text", text, x=x(value), y=bottom + 17, class_="tick middle")
    svg.add("line", x1=x(0), x2=x(0), y1=top, y2=bottom, class_="zero")
    if lone:
        svg.add("text", data.series[0][0], x=x.start, y=bottom + 33, class_="small")
    middles = [top + row * (i + 0.5) for i in range(len(data.places))]
    for middle, text in zip(middles, column_texts(data.places), strict=True):
        label = fit(text, left - 14, 12, 2 if row >= TWO_LINES else 1)
        svg.lines(label, left - 10, middle + 4, step=13, class_="small dark end", hover=text)
    _legend(svg, data, 10)
    return svg, x, middles, row


def _bars(data: Data, table: Table, identity: str) -> Markup:
    count = len(data.series)
    svg, x, middles, row = _categories(data, table, identity, 10.0 + 11 * count)
    thick = (row - 8) / count
    for k, ((name, column), (_, colour)) in enumerate(zip(data.series, SERIES, strict=False)):
        colour_here = "blue" if count == 1 else colour
        texts = column_texts(column)
        for value, text, middle in zip(column, texts, middles, strict=True):
            y = middle - (row - 8) / 2 + k * thick
            if value is not None:
                svg.add(
                    "rect", x=min(x(0), x(value)), y=y, width=abs(x(value) - x(0)),
                    height=thick - 1, class_=f"bar c-{colour_here}", hover=f"{name}: {text}",
                )  # fmt: skip
            shown = text if value is not None else "hidden"
            if count == 1:
                place = x(max(0.0, value or 0.0)) + 5
                svg.add("text", shown, x=place, y=middle + 4, class_="small")
    return svg.render()


def _dots(data: Data, table: Table, identity: str) -> Markup:
    long = any(len(fit(text, 136, 12, 2)) > 1 for text in column_texts(data.places))
    svg, x, middles, _ = _categories(data, table, identity, TWO_LINES if long else 24.0)
    for limit in (-BALANCED, BALANCED):
        if is_balance(table) and x.inside(limit):
            svg.add("line", x1=x(limit), x2=x(limit), y1=middles[0] - 12, y2=middles[-1] + 12,
                    class_="link")  # fmt: skip
    for i, middle in enumerate(middles):
        here = [column[i] for _, column in data.series]
        known = [value for value in here if value is not None]
        if len(known) > 1:
            _across(svg, x(min(known)), x(max(known)), middle, "link")
        for (name, _), value, (shape, colour) in zip(data.series, here, SERIES, strict=False):
            if value is not None:
                only = ("diamond", "blue") if len(data.series) == 1 else (shape, colour)
                draw_mark(svg, *only, x(value), middle, hover=f"{name}: {value:.4g}")
    return svg.render()


def _forest(data: Data, table: Table, identity: str) -> Markup:
    """Draw the first series as points, the second and third as the ends of its interval."""
    svg, x, middles, _ = _categories(data, table, identity, 24.0)
    columns = [column for _, column in data.series]
    for i, middle in enumerate(middles):
        if len(columns) >= 3:
            lower, upper = columns[1][i], columns[2][i]
            if lower is not None and upper is not None:
                _across(svg, x(lower), x(upper), middle, "whisker c-blue")
        value = columns[0][i]
        if value is not None:
            draw_mark(svg, "diamond", "blue", x(value), middle, hover=f"{value:.4g}")
    return svg.render()


def _across(svg: Svg, x1: float, x2: float, y: float, name: str) -> None:
    svg.add("line", x1=x1, x2=x2, y1=y, y2=y, class_=name)


def _curve_class(place: int, colour: str) -> str:
    return f"curve dash-{place} c-{colour}"


def _curve(svg: Svg, points: Sequence[tuple[float, float]], kind: str, name: str) -> None:
    if points:
        path = "M" + "L".join(f"{plain(px)} {plain(py)}" for px, py in points)
        svg.add("path", d=path, class_=kind, hover=name)


def _lines(data: Data, table: Table, identity: str) -> Markup:
    if not data.numeric:
        return _dots(data, table, identity)
    svg = _start(table, data, _HEIGHT, identity)
    bands = bands_of(table, [name for name, _ in data.series])
    x, y = _two_scales(
        data, zero=False, also=[end for b in bands for _, *ends in b for end in ends]
    )
    only = [SERIES[0][1]] if len(data.series) > 1 else ["blue"]
    draw_bands(svg, bands, [*only, *(colour for _, colour in SERIES[1:])], x, y)
    draw_frame(svg, x, y, (data.axis, data.series[0][0] if len(data.series) == 1 else ""))
    low, high = max(x.low, y.low), min(x.high, y.high)
    if table.name.startswith("calibration") and low < high:
        svg.add("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="link")
    _draw_curves(svg, data, x, y)
    _legend(svg, data, 10, "curves")
    return svg.render()


def _lorenz(data: Data, table: Table, identity: str) -> Markup:
    if not data.numeric:
        return _dots(data, table, identity)
    svg = _start(table, data, 300.0, identity)
    top = 42 if len(data.series) > 1 else 22
    x = Scale(0.0, 1.0, LEFT + 6, LEFT + 6 + 258 - top)
    y = Scale(0.0, 1.0, 258.0, top)
    draw_frame(svg, x, y, (data.axis, data.series[0][0] if len(data.series) == 1 else ""))
    svg.add("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="link")
    svg.add("text", "equal shares", x=x(0.56), y=y(0.68), class_="small end")
    _draw_curves(svg, data, x, y)
    _legend(svg, data, 10, "curves")
    return svg.render()


def _draw_curves(svg: Svg, data: Data, x: Scale, y: Scale) -> None:
    for k, ((name, column), (shape, colour)) in enumerate(zip(data.series, SERIES, strict=False)):
        only = ("diamond", "blue") if len(data.series) == 1 else (shape, colour)
        points = [
            (x(float(place)), y(value))
            for place, value in zip(data.places, column, strict=True)
            if value is not None and isinstance(place, int | float)
        ]
        _curve(svg, points, _curve_class(k, only[1]), name)
        if len(points) <= 24:
            for px, py in points:
                draw_mark(svg, *only, px, py, hover=name)


_CHARTS: Mapping[str, Callable[[Data, Table, str], Markup]] = MappingProxyType(
    {
        "histogram": _histogram,
        "bars": _bars,
        "dots": _dots,
        "forest": _forest,
        "lines": _lines,
        "lorenz": _lorenz,
    }
)
