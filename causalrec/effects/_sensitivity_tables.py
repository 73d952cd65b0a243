"""The tables of a sensitivity analysis: yardsticks, contour lines, bounds by Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._evalue import e_value
from causalrec.effects._linear_confounding import Strength
from causalrec.results import Table

if TYPE_CHECKING:
    from causalrec.effects._sensitivity import Findings

POINTS = 17
"""Of the contour's grid, along either axis."""
MARKS = 8
"""Covariates shown in the contour, the strongest confounders."""
LARGEST = 0.95
"""Share of what is left beyond which the contour does not go."""
BETWEEN = 6
"""Places between Lambda 1 and the largest, for the curve."""


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def benchmark_table(found: Findings) -> Table:
    """Return what each observed covariate is worth, and what one like it would do."""
    lines = []
    for one in found.benchmarks:
        low, high = None, None
        if found.omitted is not None and one.weight_share < 1.0:
            low, high = found.omitted.bounds(one.strength.outcome, one.weight_share)
        lines.append(
            (
                one.covariate,
                one.strength.exposure,
                one.strength.outcome,
                _finite(one.times),
                _finite(one.adjusted),
                one.weight_share,
                low,
                high,
                e_value(one.ratio) if np.isfinite(one.ratio) else None,
                one.lam,
            )
        )
    return Table(
        name="benchmarks",
        title="The observed covariates as yardsticks",
        columns=(
            "covariate", "partial R2 with exposure", "partial R2 with outcome",
            "times as strong to reach zero", "linear estimate under one as strong",
            "share of the weight's variance", "lowest effect under one as strong",
            "highest effect under one as strong", "E-value of leaving it out",
            "Lambda of leaving it out",
        ),
        rows=tuple(lines),
        caption="Each covariate is left out in turn; R2 are partial, given all others and, for the"
        " outcome, the exposure (Cinelli & Hazlett 2020). Lambda is the factor by which the odds of"
        " exposure move in all but 5% of the rows.",
        figure="bars",
        x="covariate",
        y=("partial R2 with exposure", "partial R2 with outcome"),
    )  # fmt: skip


def contour_table(found: Findings) -> Table:
    """Return the linear estimate over a grid of strengths, and at those of observed covariates."""
    linear, marks = found.linear, []
    for one in found.benchmarks[:MARKS]:
        like = one.strength.times(1.0)
        if like.exposure <= LARGEST and like.outcome <= LARGEST:
            marks.append((f"as strong as {one.covariate}", like))
    value = max(found.robustness[0], 0.01)
    tops = (
        min(LARGEST, max(2.0 * value, *(1.2 * like.exposure for _, like in marks), 0.0)),
        min(LARGEST, max(2.0 * value, *(1.2 * like.outcome for _, like in marks), 0.0)),
    )
    # Squares of equal steps: the bias grows with the root of either strength.
    steps = np.linspace(0.0, 1.0, POINTS) ** 2
    grid = [(None, Strength(float(x), float(y))) for y in steps * tops[1] for x in steps * tops[0]]
    unmoved = [("no confounder", Strength(0.0, 0.0))]
    percent = f"{found.level:.0%}"
    names = ("estimate", f"end of its {percent} interval")
    return Table(
        name="contour",
        title="The estimate under confounders of any strength",
        columns=("confounder", "partial R2 with exposure", "partial R2 with outcome", *names),
        rows=tuple(
            (
                name,
                strength.exposure,
                strength.outcome,
                linear.adjusted(strength),
                _finite(linear.adjusted_end(strength, found.half_width)),
            )
            for name, strength in (*marks, *unmoved, *grid)
        ),
        caption="The linear estimate less the worst bias of a confounder that explains these shares"
        " of what is left of the exposure and of the outcome (Cinelli & Hazlett 2020). Beyond the"
        f" thick line it has changed its sign; beyond the dashed one its {percent} interval, with"
        " clustered errors, covers zero.",
        figure="contour",
        x="partial R2 with exposure",
        y=("partial R2 with outcome", *names),
    )


def marginal_table(found: Findings) -> Table:
    """Return bounds and intervals by Lambda."""
    largest = max([*found.bounds, 1.0 + 1e-9])
    between = np.linspace(1.0, largest, BETWEEN).round(4).tolist()
    rows = []
    for lam in sorted({1.0, *found.bounds, *between}):
        bounds = found.bounds.get(lam) or found.marginal.at(lam)
        lower, upper = bounds.interval(found.level)[0].tolist()
        ends = (lower, float(bounds.lower[0]), float(bounds.upper[0]), upper)
        rows.append((lam, *map(_finite, ends)))
    names = ("interval from", "lowest", "highest", "interval to")
    return Table(
        name="marginal sensitivity",
        title="The effect if the odds of exposure were wrong by a factor",
        columns=("Lambda", *names),
        rows=tuple(rows),
        caption=f"Bounds: {found.marginal.method}. Intervals: Imbens and Manski (2004).",
        figure="lines",
        x="Lambda",
        y=names,
    )
