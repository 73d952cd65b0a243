"""The observed covariates as yardsticks of an unobserved one: each is left out in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._adjustment import Adjustment, Floats
from causalrec.effects._linear_confounding import LinearConfounding, Strength
from causalrec.nuisances import fit_linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causalrec.effects._scores import Computation

RIDGE = 1e-3
"""Of the logistic refits, in rows: enough to keep separable covariates finite."""
TYPICAL = 0.95
"""A covariate's Lambda is this quantile over rows; its maximum would be one row's."""


@dataclass(frozen=True)
class Benchmark:
    """What one covariate is worth, beside all others.

    Attributes
    ----------
    covariate : str
    strength : Strength
        Its partial R2 with exposure and outcome.
    times : float
        How many times as strong a confounder must be to bring the linear estimate to zero.
    adjusted : float
        The linear estimate less the bias of a confounder exactly as strong.
    weight_share : float
        c_a: share of the variance of the weight A/p - (1-A)/(1-p) that goes without it.
    lam : float
        The factor by which leaving it out moves the odds of exposure, in all but 5 % of rows.
    ratio : float
        The factor by which leaving it out moves the estimate, as a risk ratio.
    """

    covariate: str
    strength: Strength
    times: float
    adjusted: float
    weight_share: float
    lam: float
    ratio: float


def find_benchmarks(
    computation: Computation,
    adjustment: Adjustment,
    linear: LinearConfounding,
    named: Sequence[str] | None,
) -> list[Benchmark]:
    """Measure covariates, the strongest confounder (by `times`) first."""
    exposure = computation.population.exposure
    full = _odds(adjustment.matrix, exposure)
    found = []
    for covariate, places in adjustment.choose(named).items():
        strength = linear.strength_of(places)
        short = _odds(adjustment.without(places), exposure)
        moved = np.abs(np.log(full / short))
        found.append(
            Benchmark(
                covariate=covariate,
                strength=strength,
                times=linear.times_to_zero(strength),
                adjusted=linear.adjusted(strength.times(1.0)),
                weight_share=max(0.0, 1.0 - _weight_variance(short) / _weight_variance(full)),
                lam=float(np.exp(np.quantile(moved, TYPICAL))),
                ratio=_ratio(computation, linear, linear.estimate_without(places)),
            )
        )
    return sorted(found, key=lambda one: (one.times, one.covariate))


def _odds(matrix: Floats, exposure: Floats) -> Floats:
    """Return the odds of exposure of each row by a logistic regression on the rows."""
    penalty = np.full(matrix.shape[1], RIDGE)
    p = fit_linear(matrix, exposure, penalty=penalty, binary=True).predict(matrix)
    return np.asarray(p / (1.0 - p))


def _weight_variance(odds: Floats) -> float:
    """Return E alpha^2 = E 1 / (p (1 - p))."""
    return float(((1.0 + odds) ** 2 / odds).mean())


def _ratio(computation: Computation, linear: LinearConfounding, without: float) -> float:
    """Return how leaving a covariate out moves the estimate, as a factor of a risk ratio."""
    y, a = computation.population.outcome, computation.population.exposure
    if not np.isin(y, (0.0, 1.0)).all():
        spread = float(y.std()) or 1.0
        return float(np.exp(0.91 * abs(without - linear.estimate) / spread))
    base = float(y[a == 0.0].mean())
    if min(base, base + without, base + linear.estimate) <= 0.0:
        return float("nan")
    moved = (base + without) / (base + linear.estimate)
    return max(moved, 1.0 / moved)
