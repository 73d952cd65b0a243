"""Scales and ticks, shared by every figure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from causalrec.reporting._numbers import number


@dataclass(frozen=True)
class Scale:
    """A linear map from the data's range to a figure's coordinates."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, *, margin: float = 0.05
    ) -> Scale:
        """Return the scale over the values, with a margin, and never of zero width."""
        known = [v for v in values if math.isfinite(v)] or [0.0]
        low, high = min(known), max(known)
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            pad = abs(low) * 0.5 or 1.0
            low, high = low - pad, high + pad
        pad = (high - low) * margin
        return cls(low - pad, high + pad, start, end)

    def __call__(self, value: float) -> float:
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
        """
        step = _round_step((self.high - self.low) / max(1, count))
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [round(i * step, decimals + 2) for i in range(first, last + 1)]
        return [(value, number(value, decimals)) for value in values]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    for factor, until in ((1.0, 1.5), (2.0, 3.5), (5.0, 7.5)):
        if rough < until * power:
            return factor * power
    return 10.0 * power
