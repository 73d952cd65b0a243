"""The waterfall of a decomposition: each part begins where the one before ends, the sum last.

The first column drawn is the part, the second and third the ends of its interval. The last row is
the total: its bar begins at zero, and the parts sum to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from causalrec.reporting._axes import CHART_WIDTH, Scale
from causalrec.reporting._numbers import column_texts
from causalrec.reporting._svg import Svg, figures_width, fit
from causalrec.results import Table

MAX_PARTS = 24
_ROW, _TOP, _LEFT, _THICK = 30.0, 12.0, 132.0, 14.0
Line = tuple[str, float | None, float | None, float | None]


def draw_waterfall(table: Table, *, identity: str) -> Markup | None:
    """Return the figure, or None where the table's hint does not fit its content."""
    lines = _lines(table)
    if not lines or all(value is None for _, value, _, _ in lines):
        return None
    starts = _starts(lines)
    ends = [
        end
        for start, (_, value, lower, upper) in zip(starts, lines, strict=True)
        for end in (start, *(start + x for x in (value, lower, upper) if x is not None))
    ]
    texts = column_texts([value for _, value, _, _ in lines])
    room = max((figures_width(text, 12) for text in texts), default=0.0) + 10
    x = Scale.over([0.0, *ends], _LEFT + 4, CHART_WIDTH - room, margin=0.02)
    bottom = _TOP + _ROW * len(lines)
    svg = Svg(
        CHART_WIDTH,
        bottom + 24,
        title=table.title,
        description=f"{len(lines) - 1} parts one after the other, and their sum,"
        f" {lines[-1][0]} {texts[-1]}.",
        identity=identity,
    )
    for value, text in x.ticks(4):
        svg.add("line", x1=x(value), x2=x(value), y1=_TOP - 4, y2=bottom, class_="grid")
        svg.add("text", text, x=x(value), y=bottom + 17, class_="tick middle")
    svg.add("line", x1=x(0), x2=x(0), y1=_TOP - 4, y2=bottom, class_="zero")
    for at, (start, line, text) in enumerate(zip(starts, lines, texts, strict=True)):
        _draw_line(svg, x, at, start, line, text, last=at == len(lines) - 1)
    return svg.render()


def _lines(table: Table) -> list[Line]:
    place = {column: at for at, column in enumerate(table.columns)}
    if table.x not in place or not table.y or not set(table.y) <= set(place):
        return []
    columns = [place[name] for name in table.y[:3]]
    found: list[Line] = []
    for row in table.rows[:MAX_PARTS]:
        numbers = [_number(row[at]) for at in columns]
        numbers += [None] * (3 - len(numbers))
        found.append((str(row[place[table.x]]), numbers[0], numbers[1], numbers[2]))
    return found


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(float(value)) < float("inf") else None
    return None


def _starts(lines: Sequence[Line]) -> list[float]:
    """Return where each bar begins: after the parts before it; the total at zero."""
    starts, at = [], 0.0
    for _, value, _, _ in lines[:-1]:
        starts.append(at)
        at += value or 0.0
    return [*starts, 0.0]


def _draw_line(
    svg: Svg, x: Scale, at: int, start: float, line: Line, text: str, *, last: bool
) -> None:
    """Draw a bar with its label, its number, its interval, and the step to the next bar."""
    label, value, lower, upper = line
    middle = _TOP + _ROW * (at + 0.5)
    svg.lines(
        fit(label, _LEFT - 14, 12, 2), _LEFT - 10, middle + 4, step=13, class_="small dark end",
        hover=label,
    )  # fmt: skip
    if value is None:
        svg.add("text", "hidden", x=x(start) + 5, y=middle + 4, class_="small")
        return
    end = start + value
    colour = "ink" if last else "blue" if value >= 0 else "vermillion"
    kind = "area" if value < 0 and not last else "bar"
    svg.add(
        "rect", x=min(x(start), x(end)), y=middle - _THICK / 2, width=abs(x(end) - x(start)),
        height=_THICK, class_=f"{kind} c-{colour}", hover=f"{label}: {text}",
    )  # fmt: skip
    right = max(start, end)
    if lower is not None and upper is not None:
        low, high = start + lower, start + upper
        below = middle + _THICK / 2 + 3.5
        svg.add("line", x1=x(low), x2=x(high), y1=below, y2=below, class_=f"whisker c-{colour}")
        right = max(right, high)
    if not last:
        svg.add("line", x1=x(end), x2=x(end), y1=middle + _THICK / 2, y2=middle + _ROW - _THICK / 2,
                class_="link")  # fmt: skip
    svg.add("text", text, x=x(right) + 6, y=middle + 4, class_="small")
