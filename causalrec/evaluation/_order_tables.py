"""Rows and tables of the Lambda at which orders flip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from causalrec.inference import Bounds
from causalrec.results import Row, Table

LARGEST = 100.0
METHOD = "Imbens-Manski, around both bounds"


@dataclass(frozen=True)
class Flip:
    """What one pair of models on one metric says.

    Attributes
    ----------
    value, lower, upper : float
        The SNIPS difference and its interval.
    of_difference, of_interval : float
        The smallest Lambda at which the bounds of the difference reach zero, and at which their
        interval does (1 where the plain one does); infinite above 100.
    """

    metric: str
    first: str
    second: str
    value: float
    lower: float
    upper: float
    of_difference: float
    of_interval: float

    @property
    def label(self) -> str:
        """The pair, as `evaluate` names it."""
        return f"{self.metric}: {self.first} - {self.second}"


def flip_rows(flip: Flip, level: float) -> list[Row]:
    """Return a row for each Lambda of a pair."""
    said = (
        ("Lambda of the difference", flip.of_difference, "the bounds of the difference reach zero"),
        (f"Lambda of the {level:.0%} interval", flip.of_interval, "its interval reaches zero"),
    )
    return [
        Row(
            label=f"{flip.label}: {name}",
            value=value if math.isfinite(value) else None,
            level=level,
            metric="Lambda",
            estimator="marginal sensitivity model",
            unit="",
            status="ok" if math.isfinite(value) else "not_estimable",
            note=f"the smallest factor at which {what}"
            if math.isfinite(value)
            else f"no factor up to {LARGEST:g} is enough"
            if math.isinf(value)
            else "too few clusters for an interval",
        )
        for name, value, what in said
    ]


def order_table(flips: Sequence[Flip], level: float) -> Table:
    """Return the difference and both Lambda of every pair."""
    return Table(
        name="order",
        title="How wrong the propensities would have to be for the order to flip",
        columns=(
            "metric", "first", "second", "difference", "lower", "upper",
            "Lambda of the difference", "Lambda of the interval",
        ),
        rows=tuple(
            (
                flip.metric, flip.first, flip.second, flip.value,
                _finite(flip.lower), _finite(flip.upper),
                _finite(flip.of_difference), _finite(flip.of_interval),
            )
            for flip in flips
        ),
        caption=f"SNIPS differences with {level:.0%} intervals. An empty Lambda: no factor up to"
        f" {LARGEST:g} is enough. A Lambda of the interval of 1: the two cannot be told apart as"
        " it is.",
    )  # fmt: skip


def bounds_table(lines: Sequence[tuple[str, str, float, Bounds]], level: float) -> Table:
    """Return the bounds of every metric and difference at every Lambda."""
    return Table(
        name="sensitivity bounds",
        title="Bounds of every metric and difference",
        columns=(
            "metric", "model", "Lambda", "lower bound", "upper bound", "interval from",
            "interval to",
        ),
        rows=tuple(
            (metric, name, lam, *_ends(found, level)) for metric, name, lam, found in lines
        ),
        caption=f"Sharp bounds of the self-normalised means; {level:.0%} intervals of the number"
        f" itself ({METHOD}).",
    )  # fmt: skip


def curve_table(lines: Sequence[tuple[str, str, float, Bounds]], label: str, level: float) -> Table:
    """Return the bounds of one difference against Lambda, to be drawn."""
    rows = [
        (lam, *_ends(found, level))
        for metric, name, lam, found in lines
        if f"{metric}: {name}" == label
    ]
    return Table(
        name="difference by Lambda",
        title=f"{label}, as the odds of being recorded may be wrong",
        columns=("Lambda", "lower bound", "upper bound", "interval from", "interval to"),
        rows=tuple(rows),
        caption="The order is settled as long as all lines stay on one side of zero.",
        figure="lines",
        x="Lambda",
        y=("lower bound", "upper bound", "interval from", "interval to"),
    )


def _ends(found: Bounds, level: float) -> tuple[float | None, ...]:
    return (*map(_finite, (found.lower[0], found.upper[0], *found.interval(level)[0])),)


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
