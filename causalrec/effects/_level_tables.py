"""The evidence beside the effects of several levels: the curve, weights, balance, repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._tables import repeats_table
from causalrec.inference import Estimate
from causalrec.nuisances import BalanceLine, KnownPropensity, balance, effective_sample_size
from causalrec.results import Assumption, Table

if TYPE_CHECKING:
    from causalrec.effects._levels import LevelComputation

TOLERATED = 0.1
"""Standardised difference that is usually tolerated (Austin 2009)."""


def level_tables(
    computation: LevelComputation, joint: Estimate, spread: Sequence[float]
) -> tuple[Table, ...]:
    """Return the tables of the effects of several levels, over the supported rows."""
    return (
        _curve(computation, joint),
        _weights(computation),
        _balance(computation),
        repeats_table(spread),
    )


def _curve(computation: LevelComputation, joint: Estimate) -> Table:
    """Return the mean outcome at each level, adjusted with a simultaneous band, and observed."""
    question, names = computation.question, computation.contrast.names
    adjusted = joint[list(names)]
    band = adjusted.simultaneous_interval(question.level)
    lines = []
    for at, (level, name) in enumerate(zip(computation.contrast.levels, names, strict=True)):
        low, high = (float(end) if np.isfinite(end) else None for end in band[at])
        lines.append(
            (
                str(level),
                int((computation.contrast.codes == at).sum()),
                float(joint[f"{name} (naive)"].value[0]),
                float(adjusted.value[at]),
                low,
                high,
            )
        )
    return Table(
        name="curve",
        title=f"The mean outcome at each {question.column}, had every row been there",
        columns=(question.column, "rows", "observed", "adjusted", "lower", "upper"),
        rows=tuple(lines),
        caption=f"Lower and upper: a {question.level:.0%} band that holds for all of them together"
        " (sup-t).",
        figure="bars",
        x=question.column,
        y=("observed", "adjusted"),
    )


def _weights(computation: LevelComputation) -> Table:
    """Return how many rows the weighted rows at each level are worth."""
    population, found = computation.population, computation.nuisances
    base = np.ones(population.rows.n_rows) if population.weights is None else population.weights
    lines = []
    for at, level in enumerate(computation.contrast.levels):
        inside = computation.contrast.codes == at
        mine = base[inside] / found.propensity[inside, at]
        worth = effective_sample_size(mine)
        lines.append(
            (
                str(level),
                int(inside.sum()),
                worth,
                worth / int(inside.sum()),
                float(mine.sum()) / float(base.sum()),
                float(mine.max()) / float(mine.sum()),
                float((~found.unclipped[inside, at]).mean()),
            )
        )
    return Table(
        name="weights",
        title=f"Weights of the rows at each {computation.question.column}",
        columns=(
            computation.question.column, "rows", "effective sample size", "effective share",
            "sum of weights / rows of all", "largest share", "share clipped",
        ),
        rows=tuple(lines),
        caption="The weights at each value estimate the number of all rows, so their sum over it is"
        " to be 1.",
        figure="bars",
        x=computation.question.column,
        y=("effective share",),
    )  # fmt: skip


def _balance(computation: LevelComputation) -> Table:
    """Return the standardised differences between the rows at each level and all rows."""
    lines = [
        (str(level), line.feature, line.before, line.after)
        for at, level in enumerate(computation.contrast.levels)
        for line in _lines(computation, at)
        if line.group == "all"
    ]
    return Table(
        name="balance",
        title=f"Covariates of the rows at each {computation.question.column} against all rows",
        columns=(computation.question.column, "feature", "before", "after"),
        rows=tuple(lines),
        caption="Standardised differences before and after weighting by one over the propensity"
        " of the value.",
    )


def _lines(computation: LevelComputation, at: int) -> tuple[BalanceLine, ...]:
    p = KnownPropensity(computation.nuisances.propensity[:, at], of="exposure")
    return balance(p, computation.contrast.indicator_log(computation.population.rows, at))


def unbalanced_words(computation: LevelComputation) -> tuple[Assumption, ...]:
    """Return whether weighting makes the rows at each level alike."""
    if not computation.question.uses_propensity:
        return ()
    lines = [
        line
        for at in range(len(computation.contrast.levels))
        for line in _lines(computation, at)
        if line.group == "all"
    ]
    apart = [line for line in lines if line.unbalanced]
    worst = max((abs(line.after) for line in lines), default=0.0)
    return (
        Assumption(
            name="balance after weighting",
            statement="Weighted by one over their propensities, the rows at each value are like all"
            " rows.",
            status="violated" if apart else "tested",
            evidence=f"The largest standardised difference that is left is {worst:.3f}"
            f" (tolerated: {TOLERATED:g}, or noise).",
        ),
    )
