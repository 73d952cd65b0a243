"""The standard fairness model: direct, indirect through declared mediators, spurious.

With X = 1 in group a and 0 in group b, mediators W and confounders Z (Zhang & Bareinboim 2018;
Plecko & Bareinboim 2024, "Causal fairness analysis", Foundations and Trends in Machine Learning),
all on the rows of group b:

    B = E[Y | b]                      as it is
    A = E[Y_{1, W_0} | b]             as group a, but with their own mediators
    C = E[Y_{1, W_1} | b]             as group a, mediators too
    D = E[Y | a]
    gap = D - B = (A - B) direct + (C - A) indirect + (D - C) spurious.

Where only some mediators S are allowed, and none of the others R decides S, one more step
A_S = E[Y_{1, S_0} | b] stands between: A_S - A runs through R beside S, C - A_S through S.
Each of A, A_S and C is the mean over group b of a regression fitted in group a, by its cross-fitted
doubly robust score with weights of the odds (1 - e) / e.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from causalrec.audits._decomposition_fits import Bools, Codes, Fitted, Floats, RowFeatures, fit_rows
from causalrec.audits._decomposition_parts import (
    Means,
    Parts,
    hidden_cause_scale,
    parts_of,
    weight_summary,
)

DIRECT, INDIRECT, SPURIOUS = "direct", "indirect", "spurious"
OTHERS = "indirect (others)"
Z, S, R = "spurious", "allowed", "all mediators"
"""Steps: the covariates alone, with the allowed mediators, with all of them."""


@dataclass(frozen=True, eq=False)
class FairnessRows:
    """The rows of two groups, as the standard fairness model reads them.

    Attributes
    ----------
    outcome : float64 (n,)
    side : int64 (n,)
        0 in the first group (X = 1), 1 in the second (X = 0).
    features : dict of step to RowFeatures
        `Z` always; `S` where mediators are allowed; `R` where others are told apart.
    outcome_model, propensity_model : scikit-learn estimators or None
    """

    outcome: Floats
    side: Codes
    features: Mapping[str, RowFeatures]
    outcome_model: Any = None
    propensity_model: Any = None

    def rows(self, inside: Bools | Codes) -> FairnessRows:
        """Return some of the rows."""
        return replace(
            self,
            outcome=self.outcome[inside],
            side=self.side[inside],
            features={step: found.rows(inside) for step, found in self.features.items()},
        )

    def has_arms(self) -> bool:
        """Return whether there are rows of both groups."""
        return len(np.unique(self.side)) == 2

    def supported(self, fold: Codes, floor: float, seed: int | None = 0) -> Bools:
        """Return the rows that by every step's covariates could be of either group (n,)."""
        inside = np.ones(len(self.outcome), dtype=bool)
        for features in self.features.values():
            e = membership(self, features, fold, seed).values
            inside &= (e >= floor) & (e <= 1.0 - floor)
        return inside


def membership(rows: FairnessRows, features: RowFeatures, fold: Codes, seed: int | None) -> Fitted:
    """Return the probability of the first group given features, each row out of fold."""
    every = np.ones(len(rows.outcome), dtype=bool)
    first = (rows.side == 0).astype(np.float64)
    return fit_rows(features, first, every, every, fold, rows.propensity_model, seed=seed)


def fairness_parts(
    rows: FairnessRows, fold: Codes, *, floor: float = 0.0, seed: int | None = 0
) -> tuple[Parts, list[dict[str, float]]]:
    """Return the parts of the standard fairness model, and what stands behind each step.

    Parameters
    ----------
    rows : FairnessRows
        Supported ones, of both groups.
    fold : int64 (n,)
    floor : float
        Fitted probabilities of the group are held within [floor, 1 - floor].
    seed : int or None

    Returns
    -------
    (Parts, one dict of diagnostics a step)
    """
    first = (rows.side == 0).astype(np.float64)
    second = 1.0 - first
    means, told = Means(), []
    reach: dict[str, float] = {}
    means.add("mean a", first * rows.outcome, first)
    means.add("mean b", second * rows.outcome, second)
    for step, features in rows.features.items():
        scale, found = add_step(means, rows, step, features, fold, floor, seed)
        reach[step] = scale
        told.append(found)
    return _assemble(means, tuple(rows.features), reach), told


def add_step(
    means: Means,
    rows: FairnessRows,
    step: str,
    features: RowFeatures,
    fold: Codes,
    floor: float,
    seed: int | None,
) -> tuple[float, dict[str, float]]:
    """Add E[Y as group a | b] with what a step holds fixed; return its scale and diagnostics."""
    first = (rows.side == 0).astype(np.float64)
    second = 1.0 - first
    member = membership(rows, features, fold, seed)
    e = np.clip(member.values, floor, 1.0 - floor)
    every = np.ones(len(e), dtype=bool)
    model = fit_rows(
        features, rows.outcome, rows.side == 0, every, fold, rows.outcome_model, seed=seed
    )
    weight = first * (1.0 - e) / e
    residual = rows.outcome - model.values
    means.add(step, second * model.values + weight * residual, second, weight + second)
    means.error_of(model, {step: second - weight})
    means.error_of(member, {step: -weight * residual}, by_logit=True)
    n = len(e)
    scale = hidden_cause_scale(first * residual, weight * n / float(second.sum()), n)
    effective, largest = weight_summary(weight[rows.side == 0])
    low, high = np.quantile(e, [0.01, 0.99]).tolist()
    return scale, {
        "rows, first": float(first.sum()),
        "rows, second": float(second.sum()),
        "probability of first, 1 %": low,
        "99 %": high,
        "effective rows": effective,
        "largest weight": largest,
    }


def _assemble(means: Means, steps: tuple[str, ...], reach: Mapping[str, float]) -> Parts:
    """Return the differences between the steps, from b's own mean to that of a."""
    order = ["mean b", *(step for step in (R, S, Z) if step in steps), "mean a"]
    names = {R: DIRECT, S: DIRECT if R not in steps else OTHERS, Z: INDIRECT, "mean a": SPURIOUS}
    if S not in steps:
        names[Z] = DIRECT
    functions: dict[str, Any] = {}
    gradients: dict[str, dict[str, float]] = {}
    scales: dict[str, float] = {}
    for before, after in pairwise(order):
        label = names[after]
        functions[label] = partial(_difference, after=after, before=before)
        gradients[label] = {after: 1.0, before: -1.0}
        scales[label] = reach.get(before, 0.0) + reach.get(after, 0.0)
    return parts_of(means, functions, gradients, scales)


def _difference(m: Mapping[str, float], *, after: str, before: str) -> float:
    return m[after] - m[before]
