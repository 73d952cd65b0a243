"""Scales and ticks, shared by every figure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from causalrec.reporting._numbers import number
from causalrec.reporting._svg import Svg

CHART_WIDTH = 440.0
"""Of a figure beside its table: a telephone shows it at nearly full size."""
LEFT = 46.0
"""Room for the ticks of the vertical axis."""


@dataclass(frozen=True)
class Scale:
    """A map from the data's range to a figure's coordinates: linear, or of the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    """Whether equal ratios are equal lengths; the range is then positive."""

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        *,
        margin: float = 0.05,
        log: bool = False,
    ) -> Scale:
        """Return the scale over the values, with a margin, and never of zero width."""
        known = [v for v in values if math.isfinite(v)] or [0.0]
        low, high = min(known), max(known)
        if log:
            spread = (high / low) ** margin if high > low else 2.0
            return cls(low / spread, high * spread, start, end, log=True)
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            pad = abs(low) * 0.5 or 1.0
            low, high = low - pad, high + pad
        pad = (high - low) * margin
        return cls(low - pad, high + pad, start, end)

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def inside(self, value: float) -> bool:
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Return round values within the range, with their texts.

        Examples
        --------
        >>> Scale(-0.03, 0.22, 0, 100).ticks(5)
        [(0.0, '0.00'), (0.05, '0.05'), (0.1, '0.10'), (0.15, '0.15'), (0.2, '0.20')]
        >>> Scale(0.03, 1.2, 0, 100, log=True).ticks(5)
        [(0.05, '0.05'), (0.1, '0.1'), (0.2, '0.2'), (0.5, '0.5'), (1.0, '1')]
        """
        if self.log and (values := _log_values(self.low, self.high, count)):
            return [(v, number(v, max(0, -math.floor(math.log10(v) + 1e-9)))) for v in values]
        step = _round_step((self.high - self.low) / max(1, count))
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [round(i * step, decimals + 2) for i in range(first, last + 1)]
        return [(value, number(value, decimals)) for value in values]


def draw_frame(svg: Svg, x: Scale | None, y: Scale, names: tuple[str, str]) -> None:
    """Draw the horizontal grid, both axes' ticks and names; `x` is None where it has no numbers."""
    bottom = y.start
    right = x.end if x else CHART_WIDTH - 4
    for value, text in y.ticks(4):
        svg.add("line", x1=LEFT, x2=right, y1=y(value), y2=y(value), class_="grid")
        svg.add("text", text, x=LEFT - 6, y=y(value) + 4, class_="tick end")
    svg.add("line", x1=LEFT, x2=right, y1=bottom, y2=bottom, class_="axis")
    if x:
        for value, text in x.ticks(5):
            svg.add("line", x1=x(value), x2=x(value), y1=bottom, y2=bottom + 4, class_="axis")
            svg.add("text", text, x=x(value), y=bottom + 17, class_="tick middle")
    svg.add("text", names[0], x=(LEFT + right) / 2, y=bottom + 33, class_="small middle")
    svg.add("text", names[1], x=0, y=y.end - 8, class_="small")


def _log_values(low: float, high: float, count: int) -> list[float]:
    """Return about `count` values of 1, 2, 5 or powers of ten; none where two do not fit."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors, every in (((1, 2, 5), 1), ((1,), 1), ((1,), 2), ((1,), 5), ((1,), 20)):
        powers = [k for k in range(first, last + 1) if k % every == 0]
        exact = [float(f"{f}e{k}") for k in powers for f in factors]
        values = [v for v in exact if low <= v <= high]
        if len(values) <= count + 1:
            return values if len(values) > 1 else []
    return []


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    for factor, until in ((1.0, 1.5), (2.0, 3.5), (5.0, 7.5)):
        if rough < until * power:
            return factor * power
    return 10.0 * power
