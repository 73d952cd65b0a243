"""The forest plot: naive and debiased answers to the same question under each other.

A panel holds the rows of one metric on one axis; its contrasts stand in a panel of their own,
since their scale is another. Rows about the same subject (a group, a model, everybody) share a
line, one mark an estimator. It is drawn twice, wide and narrow; the page shows the one that fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from causalrec.reporting._axes import Scale
from causalrec.reporting._marks import (
    draw_mark,
    estimator_of,
    is_drawable,
    is_truth,
    mark_of,
    subject_of,
)
from causalrec.reporting._numbers import interval, number, row_decimals
from causalrec.reporting._svg import Svg, figures_width, fit, text_width
from causalrec.results import Row, format_row

MAX_LINES = 48
EVERYBODY = "everybody"
WIDE, NARROW = 760, 340
_STATUS_WORDS = {
    "suppressed": "hidden (small group)",
    "not_estimable": "no interval",
    "low_support": "low support",
}


@dataclass(frozen=True)
class Line:
    """The rows about one subject."""

    subject: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Panel:
    """The lines of one metric, on one axis."""

    name: str
    lines: tuple[Line, ...]
    truth: float | None
    """The truth about everybody, drawn through all lines."""

    @property
    def is_ratio(self) -> bool:
        """Whether it compares by division: one is "no difference", and a half is as far as two."""
        numbers = [n for row in self.rows for n in (row.value, row.lower, row.upper)]
        positive = all(n > 0 for n in (*numbers, self.truth) if n is not None)
        return positive and all(row.metric.endswith("ratio") for row in self.rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order of drawing."""
        return tuple(row for line in self.lines for row in line.rows)


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Return the rows sorted into panels and lines, in the order in which they first appear."""
    by_panel: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        by_panel.setdefault((row.metric, bool(row.derived_from)), []).append(row)
    out = []
    for (metric, derived), members in by_panel.items():
        shared = _shared_truth(members)
        lines = _subjects([row for row in members if not (shared and is_truth(row))])
        name = f"{metric}: contrasts" if derived and (metric, False) in by_panel else metric
        if lines:
            truth = shared.value if shared else None
            out.append(Panel(name, tuple(Line(s, _shown(r)) for s, r in lines.items()), truth))
    return out


def draw_forest(
    rows: Sequence[Row], *, title: str, identity: str, narrow: bool, max_lines: int = MAX_LINES
) -> Markup | None:
    """Return the forest plot of the rows, or None where there is no number to draw.

    Parameters
    ----------
    rows : sequence of Row
    title : str
        What the figure shows.
    identity : str
        An id that no other figure of the page has.
    narrow : bool
        For a telephone: labels above their marks.
    max_lines : int, default 48
        The first so many lines are drawn.
    """
    kept = _first_lines(panels(rows), max_lines)
    drawn = [panel for panel in kept if any(map(is_drawable, panel.rows))]
    # A strength, or another number that has no interval by nature, says more in the table.
    drawn = [panel for panel in drawn if not all(map(_bare, panel.rows))] or drawn
    if not drawn:
        return None
    layout = _Narrow() if narrow else _Wide(drawn)
    height = sum(layout.height(panel) for panel in drawn)
    svg = Svg(layout.width, height, title=title, description=_in_words(drawn), identity=identity)
    top = 0.0
    for panel in drawn:
        layout.draw(svg, panel, top)
        top += layout.height(panel)
    return svg.render()


def _bare(row: Row) -> bool:
    return row.interval_method.startswith("none")


def _shared_truth(rows: Sequence[Row]) -> Row | None:
    """Return the truth that all rows share: the only one, about everybody as the others are."""
    truths = [row for row in rows if is_truth(row)]
    others = [row for row in rows if not is_truth(row)]
    alone = len(truths) == 1 and truths[0].value is not None
    if alone and all(not row.group for row in rows) and len({r.label for r in others}) > 1:
        return truths[0]
    return None


def _shown(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows of a line; one is enough to say that all are hidden."""
    return tuple(rows[:1] if all(row.status == "suppressed" for row in rows) else rows)


def _subjects(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows by the label of the line that they stand on."""
    labels: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        labels.setdefault((row.estimator, subject_of(row)), set()).add(row.label)
    lines: dict[str, list[Row]] = {}
    for row in rows:
        subject = subject_of(row)
        # Several models of one group: the group alone does not tell them apart.
        several = len(labels[row.estimator, subject]) > 1
        lines.setdefault((row.label if several else subject) or EVERYBODY, []).append(row)
    return lines


def _first_lines(every: Sequence[Panel], room: int) -> list[Panel]:
    out = []
    for panel in every:
        if room > 0:
            out.append(Panel(panel.name, panel.lines[:room], panel.truth))
            room -= len(panel.lines)
    return out


def _in_words(drawn: Sequence[Panel]) -> str:
    lines = [f"{row.label} ({row.estimator}): {format_row(row)}" for p in drawn for row in p.rows]
    more = len(lines) - 12
    tail = f"; and {more} more, in the table" if more > 0 else ""
    return "; ".join(lines[:12]) + tail + "."


def _domain(panel: Panel) -> list[float]:
    """Return what the axis must show; an interval that dwarfs the others is cut with an arrow."""
    rows = [row for row in panel.rows if is_drawable(row)]
    values = [row.value for row in rows if row.value is not None]
    values = values or [end for row in rows for end in (row.lower, row.upper) if end is not None]
    values += [panel.truth] if panel.truth is not None else []
    ends = [(r.lower, r.upper) for r in rows if r.lower is not None and r.upper is not None]
    if panel.is_ratio:
        logs = _reached(
            [math.log(v) for v in values], [(math.log(a), math.log(b)) for a, b in ends]
        )
        return [*map(math.exp, logs), 1.0]
    values = _reached(values, ends)
    spread = max(values) - min(values)
    if any(row.derived_from for row in rows):
        return [*values, 0.0]
    tested = any(row.p_value is not None for row in rows)
    near = min(values) - 2 * spread <= 0 <= max(values) + 2 * spread
    return [*values, 0.0] if tested and near else values


def _reached(values: list[float], ends: list[tuple[float, float]]) -> list[float]:
    """Return the values, and the ends of the intervals as far as they are drawn."""
    widths = sorted(upper - lower for lower, upper in ends)
    if widths:
        reach = 3 * max(widths[len(widths) // 2], max(values) - min(values))
        low, high = min(values) - reach, max(values) + reach
        return values + [min(max(v, low), high) for pair in ends for v in pair]
    return values


class _Wide:
    """Labels left, the axis in the middle, the numbers right."""

    width = WIDE
    row = 23
    left = 272.0

    def __init__(self, drawn: Sequence[Panel]) -> None:
        texts = [
            _number_texts(row, row_decimals(panel.rows))
            for panel in drawn
            for row in panel.rows
            if is_drawable(row)
        ]
        value, between = (max(figures_width(text, 12.5) for text in column)
                          for column in zip(*texts, strict=True))  # fmt: skip
        # The interval ends at the margin, the value before it; the axis makes room for both.
        self.right = min(572.0, WIDE - between - value - 26)
        self.value = min(self.right + 72, WIDE - between - 10)

    def height(self, panel: Panel) -> float:
        gaps = 9 * len(panel.lines)
        return (34 if panel.name else 12) + gaps + self.row * len(panel.rows) + _foot(panel)

    def draw(self, svg: Svg, panel: Panel, top: float) -> None:
        scale = Scale.over(_domain(panel), self.left, self.right, log=panel.is_ratio)
        y = top + (34 if panel.name else 12)
        bottom = top + self.height(panel) - _foot(panel) + 4
        if panel.name:
            svg.add("text", panel.name, x=0, y=top + 18, class_="panel")
        _axis(svg, scale, y - 6, bottom, ticks=5)
        _truth_line(svg, panel, scale, y - 6, bottom)
        decimals = row_decimals(panel.rows)
        names = max(text_width(_name(row), 11.5) for row in panel.rows)
        room = self.left - 14 - names - 14
        for line in panel.lines:
            middle = y + self.row * len(line.rows) / 2
            texts = fit(line.subject, room, 13, 2)
            svg.lines(texts, 0, middle + 4.5, class_="label", hover=_if_cut(texts, line.subject))
            for row in line.rows:
                centre = y + self.row / 2
                svg.add("text", _name(row), x=self.left - 14, y=centre + 4, class_="small end")
                _draw_row(svg, row, scale, centre)
                _write_numbers(svg, row, decimals, self, centre + 4.5)
                y += self.row
            y += 9


class _Narrow:
    """The label above, then for each estimator its numbers and its interval at full width."""

    width = NARROW
    row = 38
    head = 24

    def height(self, panel: Panel) -> float:
        lines = sum(self._head(line, panel) + self.row * len(line.rows) for line in panel.lines)
        return (30 if panel.name else 8) + lines + _foot(panel)

    def _head(self, line: Line, panel: Panel) -> int:
        alone = len(panel.lines) == 1 and line.subject == EVERYBODY
        return 0 if alone else self.head

    def draw(self, svg: Svg, panel: Panel, top: float) -> None:
        scale = Scale.over(_domain(panel), 6, self.width - 6, log=panel.is_ratio)
        y = top + (30 if panel.name else 8)
        bottom = top + self.height(panel) - _foot(panel) + 4
        if panel.name:
            name = fit(panel.name, self.width, 14, 1)[0]
            svg.add(
                "text",
                name,
                x=0,
                y=top + 18,
                class_="panel",
                hover=panel.name if name != panel.name else "",
            )
        _axis(svg, scale, y - 2, bottom, ticks=3)
        _truth_line(svg, panel, scale, y - 2, bottom)
        decimals = row_decimals(panel.rows)
        for line in panel.lines:
            if self._head(line, panel):
                svg.add("rect", x=-1, y=y, width=self.width + 2, height=self.head, class_="cover")
                subject = fit(line.subject, self.width, 13, 1)
                svg.lines(subject, 0, y + 17, class_="label", hover=_if_cut(subject, line.subject))
            y += self._head(line, panel)
            for row in line.rows:
                svg.add("rect", x=-1, y=y, width=self.width + 2, height=17, class_="cover")
                svg.add("text", _name(row), x=0, y=y + 12, class_="small")
                text = " ".join(_number_texts(row, decimals))
                svg.add("text", text, x=self.width, y=y + 12, class_="value end")
                _draw_row(svg, row, scale, y + 26, hover=False)
                y += self.row


def _if_cut(texts: Sequence[str], whole: str) -> str:
    return "" if " ".join(texts) == whole else whole


def _foot(panel: Panel) -> int:
    return 44 if panel.truth is None else 58


def _name(row: Row) -> str:
    if row.status == "suppressed":
        return ""
    return "truth" if is_truth(row) else fit(row.estimator, 112, 11, 1)[0]


def _axis(svg: Svg, scale: Scale, top: float, bottom: float, *, ticks: int) -> None:
    for value, text in scale.ticks(ticks):
        x = scale(value)
        svg.add("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid")
        half = text_width(text, 11.5) / 2
        inside = min(max(x, half), svg.width - half)
        svg.add("text", text, x=inside, y=bottom + 16, class_="tick middle")
    svg.add("line", x1=scale.start, x2=scale.end, y1=bottom, y2=bottom, class_="axis")
    no_difference = 1.0 if scale.log else 0.0
    if scale.low < no_difference < scale.high:
        x = scale(no_difference)
        svg.add("line", x1=x, x2=x, y1=top, y2=bottom, class_="zero")


def _truth_line(svg: Svg, panel: Panel, scale: Scale, top: float, bottom: float) -> None:
    if panel.truth is not None:
        x = scale(panel.truth)
        svg.add("line", x1=x, x2=x, y1=top, y2=bottom, class_="truth")
        on_the_right = x > (scale.start + scale.end) / 2
        anchor = "small truth-word" + (" end" if on_the_right else "")
        text = f"truth {number(panel.truth, row_decimals(panel.rows))}"
        svg.add("text", text, x=x + (-5 if on_the_right else 5), y=bottom + 30, class_=anchor)


def _draw_row(svg: Svg, row: Row, scale: Scale, y: float, *, hover: bool = True) -> None:
    if not is_drawable(row):
        return
    shape, colour = mark_of(row)
    weak = " weak" if row.status == "low_support" else ""
    if row.lower is not None and row.upper is not None:
        x1, x2 = scale(max(row.lower, scale.low)), scale(min(row.upper, scale.high))
        svg.add("line", x1=x1, x2=x2, y1=y, y2=y, class_=f"whisker c-{colour}{weak}")
        for x, cut, way in ((x1, row.lower < scale.low, 1), (x2, row.upper > scale.high, -1)):
            points = f"M{x + 6 * way:.1f} {y - 4:.1f}L{x:.1f} {y:.1f}l{6 * way} 4"
            cap = points if cut else f"M{x:.1f} {y - 3.5:.1f}v7"
            svg.add("path", d=cap, class_=f"whisker c-{colour}{weak}")
    if row.value is not None and scale.inside(row.value):
        words = f"{row.label} ({row.estimator}): {format_row(row)}" if hover else ""
        draw_mark(svg, shape, colour, scale(row.value), y, hover=words)


def _number_texts(row: Row, decimals: int) -> list[str]:
    if row.status == "suppressed" or not is_drawable(row):
        return [_STATUS_WORDS.get(row.status, "no point estimate"), ""]
    between = interval(row, decimals) or (
        "" if is_truth(row) else _STATUS_WORDS.get(row.status, "")
    )
    return [number(row.value, decimals), between]


def _write_numbers(svg: Svg, row: Row, decimals: int, layout: _Wide, y: float) -> None:
    value, between = _number_texts(row, decimals)
    if not is_drawable(row):
        svg.add("text", value, x=layout.right + 18, y=y, class_="small")
        return
    strong = "value" if estimator_of(row) == "naive" else "value strong"
    svg.add("text", value, x=layout.value, y=y, class_=f"{strong} end")
    svg.add("text", between, x=layout.width, y=y, class_="value quiet end")
