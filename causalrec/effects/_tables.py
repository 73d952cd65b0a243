"""The evidence beside an effect: overlap, balance, weights, repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._econml._own import own_table
from causalrec.nuisances import (
    KnownPropensity,
    balance,
    balance_table,
    effective_sample_size,
    overlap_table,
)
from causalrec.results import Table, rows_from_estimate
from causalrec.scores import effect_score

if TYPE_CHECKING:
    from causalrec.effects._scores import Computation


def evidence_tables(computation: Computation, spread: Sequence[float]) -> tuple[Table, ...]:
    """Return the tables of an effect, over the supported rows.

    Parameters
    ----------
    computation : Computation
    spread : sequence of float
        The estimate of each repeat.
    """
    rows = computation.population.rows
    p = KnownPropensity(computation.nuisances.propensity, of="exposure")
    return (
        overlap_table(p, rows),
        balance_table(balance(p, rows)),
        _weights(computation),
        *_econml(computation),
        repeats_table(spread),
    )


def _econml(computation: Computation) -> list[Table]:
    """Return EconML's own interval beside ours, where it fitted the nuisances."""
    own, question = computation.nuisances.own, computation.question
    if own is None:
        return []
    both = computation.estimate()
    joint = both[both.labels[:1]]
    row = rows_from_estimate(
        joint,
        metric=question.metric,
        population=joint.population,
        estimator=question.estimator,
        unit="rows",
        level=question.level,
    )[0]
    return [own_table(own, row, question.sampled, question.sign)]


def _weights(computation: Computation) -> Table:
    """Return the weights of both arms for the estimand: how many rows they are worth."""
    population, found = computation.population, computation.nuisances
    score = effect_score(
        population.outcome,
        population.exposure,
        found.propensity,
        target=computation.question.estimand,
        estimator="ips",
        weights=population.weights,
    )
    assert score.weight is not None  # an effect's score has weights
    weight, target = score.weight[:, 0], float(score.denominator[:, 0].sum())
    kept = np.ones(len(weight), bool) if found.unclipped is None else found.unclipped
    lines = []
    for name, value in zip(computation.question.arm_names, (1.0, 0.0), strict=True):
        inside = population.exposure == value
        mine = weight[inside]
        ess = effective_sample_size(mine)
        lines.append(
            (
                name,
                int(inside.sum()),
                ess,
                ess / max(int(inside.sum()), 1),
                float(mine.sum()) / target,
                float(mine.max()) / float(mine.sum()),
                float((~kept[inside]).mean()),
            )
        )
    return Table(
        name="weights",
        title="Weights of the two arms",
        columns=(
            "arm", "rows", "effective sample size", "effective share", "sum of weights / target",
            "largest share", "share clipped",
        ),
        rows=tuple(lines),
        caption="The weights of each arm estimate the size of the target population, so their sum"
        " over it is to be 1.",
        figure="bars",
        x="arm",
        y=("effective share",),
    )  # fmt: skip


def repeats_table(spread: Sequence[float]) -> Table:
    """Return the estimate of each repeat."""
    return Table(
        name="repeats",
        title="The estimate with other folds",
        columns=("repeat", "effect"),
        rows=tuple((number + 1, value) for number, value in enumerate(spread)),
        caption="How much the deal of the folds moves the estimate; the median is reported.",
    )
