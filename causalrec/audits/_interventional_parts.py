"""Interventional parts, where a recanting witness forbids natural ones.

The mediator of each row is drawn from its law in a group given the covariates Z, rather than being
what the row's own would have become (VanderWeele, Vansteelandt & Robins 2014, "Effect
decomposition in the presence of an exposure-induced mediator-outcome confounder"). With L what
stands between group and mediator, on the rows of group b,

    I(x, x') = E[ sum over s of p(s | x', Z) E[Y | x, Z, L, s] integrated over p(L | x, Z) | b ]
    direct = I(1, 0) - I(0, 0), indirect = I(1, 1) - I(1, 0),
    remainder = (E[Y_1 | b] - E[Y | b]) - (I(1, 1) - I(0, 0)), spurious as ever:

they and the remainder sum to the gap. Each I is the mean of its efficient score (Diaz, Hejazi,
Rudolph & van der Laan 2021, "Nonparametric efficient causal mediation with intermediate
confounders", Biometrika 108), for the population of group b.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causalrec.audits._decomposition_fits import (
    Bools,
    Codes,
    Floats,
    RowFeatures,
    linear_or_given,
)
from causalrec.audits._decomposition_parts import (
    Means,
    Parts,
    hidden_cause_scale,
    parts_of,
    weight_summary,
)
from causalrec.audits._fairness_parts import (
    DIRECT,
    INDIRECT,
    SPURIOUS,
    FairnessRows,
    Z,
    add_step,
    membership,
)
from causalrec.errors import OverlapError
from causalrec.threads import one_thread

REMAINDER = "remainder"
MIXED, SECOND, FIRST = "mediator of b", "all of b", "all of a"
PAIRS = {MIXED: (1, 0), SECOND: (0, 0), FIRST: (1, 1)}
"""(group that the outcome's model is of, group that the mediator's law is of); 1 is group a."""


@dataclass(frozen=True, eq=False)
class InterventionalRows:
    """The rows of two groups, with one discrete mediator.

    Attributes
    ----------
    fairness : FairnessRows
        With the step `Z` alone.
    between : RowFeatures
        Of Z and of what stands between group and mediator.
    mediator : int64 (n,)
        Level of each row.
    n_levels : int
    """

    fairness: FairnessRows
    between: RowFeatures
    mediator: Codes
    n_levels: int

    @property
    def outcome(self) -> Floats:
        """Outcomes (n,)."""
        return self.fairness.outcome

    @property
    def side(self) -> Codes:
        """0 in the first group, 1 in the second (n,)."""
        return self.fairness.side

    def rows(self, inside: Bools | Codes) -> InterventionalRows:
        """Return some of the rows."""
        return replace(
            self,
            fairness=self.fairness.rows(inside),
            between=self.between.rows(inside),
            mediator=self.mediator[inside],
        )

    def has_arms(self) -> bool:
        """Return whether there are rows of both groups."""
        return self.fairness.has_arms()

    def supported(self, fold: Codes, floor: float, seed: int | None = 0) -> Bools:
        """Return the rows that by their covariates could be of either group (n,)."""
        return self.fairness.supported(fold, floor, seed)

    def at(self, levels: Codes) -> Floats:
        """Return the design of the outcome with the mediator set to some levels, (n, k)."""
        return np.column_stack([self.between.matrix, np.eye(self.n_levels)[levels]])


@dataclass(frozen=True, eq=False)
class _Models:
    """Out-of-fold predictions by group (first axis: 0 is b, 1 is a).

    Attributes
    ----------
    outcome : float64 (2, n, levels)
        E[Y | x, Z, L, s].
    law, law_between : float64 (2, n, levels)
        p(s | x, Z) and p(s | x, Z, L).
    marginal : float64 (2, n, levels)
        The outcome's mean over L given x and Z.
    inner : dict of name to float64 (n,)
        The same of sum over s of p(s | x', Z) E[Y | x, Z, L, s], by name of `PAIRS`.
    """

    outcome: Floats
    law: Floats
    law_between: Floats
    marginal: Floats
    inner: dict[str, Floats]


@one_thread
def interventional_parts(
    rows: InterventionalRows, fold: Codes, *, floor: float = 0.0, seed: int | None = 0
) -> tuple[Parts, list[dict[str, float]]]:
    """Return interventional parts, the remainder and the spurious part, and diagnostics."""
    fairness = rows.fairness
    first = (rows.side == 0).astype(np.float64)
    second = 1.0 - first
    means = Means()
    means.add("mean a", first * rows.outcome, first)
    means.add("mean b", second * rows.outcome, second)
    scale, told = add_step(means, fairness, Z, fairness.features[Z], fold, floor, seed)
    reach = {Z: scale}
    e = np.clip(membership(fairness, fairness.features[Z], fold, seed).values, floor, 1.0 - floor)
    models = _fit(rows, fold, seed)
    for name, (x, mediated) in PAIRS.items():
        numerator, weight, residual = _score(rows, models, e, name, x, mediated)
        means.add(name, numerator, second, weight + second)
        n = len(e)
        reach[name] = hidden_cause_scale(residual, weight * n / float(second.sum()), n)
    effective, largest = weight_summary(weight[first == 1.0])
    told = {**told, "effective rows, mediated": effective, "largest weight, mediated": largest}
    return _assemble(means, reach), [told]


def _score(
    rows: InterventionalRows, models: _Models, e: Floats, name: str, x: int, mediated: int
) -> tuple[Floats, Floats, Floats]:
    """Return numerator, weight and residual of each row for one I(x, x')."""
    n = np.arange(len(e))
    side = 1 - rows.side  # 1 is group a, as in PAIRS
    odds = {1: (1.0 - e) / e, 0: np.ones(len(e))}
    member, of_law = (side == x).astype(np.float64), (side == mediated).astype(np.float64)
    at = rows.mediator
    ratio = models.law[mediated, n, at] / models.law_between[x, n, at]
    weight = member * odds[x] * ratio
    residual = rows.outcome - models.outcome[x, n, at]
    summed = (models.outcome[x] * models.law[mediated]).sum(axis=1)
    inner = models.inner[name]
    numerator = (
        weight * residual
        + member * odds[x] * (summed - inner)
        + of_law * odds[mediated] * (models.marginal[x, n, at] - inner)
        + (side == 0) * inner
    )
    return numerator, weight, np.where(side == x, residual, 0.0)


def _fit(rows: InterventionalRows, fold: Codes, seed: int | None) -> _Models:
    shape = (2, len(fold), rows.n_levels)
    outcome, law, between, marginal = (np.zeros(shape) for _ in range(4))
    inner = {name: np.zeros(len(fold)) for name in PAIRS}
    numbers = np.unique(fold)
    before = rows.fairness.features[Z]
    for number in numbers:
        learn = fold != number if len(numbers) > 1 else np.ones(len(fold), dtype=bool)
        used = fold == number
        for x in (0, 1):
            train = learn & (rows.side == 1 - x)
            mean = _outcome_at_levels(rows, train, seed)
            law_x = _shares(before, rows.mediator, train, rows.n_levels)
            outcome[x, used] = mean[used]
            law[x, used] = law_x[used]
            between[x, used] = _shares(rows.between, rows.mediator, train, rows.n_levels)[used]
            marginal[x, used] = _ridge(before, mean, train)[used]
        for name, (x, mediated) in PAIRS.items():
            # integrated over L linearly, and over s by the law: the mean of the marginals
            inner[name][used] = (marginal[x, used] * law[mediated, used]).sum(axis=1)
    return _Models(outcome, law, between, marginal, inner)


def _outcome_at_levels(rows: InterventionalRows, train: Bools, seed: int | None) -> Floats:
    """Return E[Y | x, Z, L, s] of every row at every level, fitted on `train`, (n, levels)."""
    penalty = np.concatenate([rows.between.penalty, np.ones(rows.n_levels)])
    predict = linear_or_given(
        rows.at(rows.mediator)[train],
        rows.outcome[train],
        penalty,
        rows.fairness.outcome_model,
        seed,
    )
    levels = range(rows.n_levels)
    each = [predict(rows.at(np.full(len(rows.mediator), level))) for level in levels]
    return np.column_stack(each)


def _shares(features: RowFeatures, mediator: Codes, train: Bools, n_levels: int) -> Floats:
    """Return the probability of each level given features, fitted on `train`, (n, levels)."""
    from sklearn.linear_model import LogisticRegression

    counts = np.bincount(mediator[train], minlength=n_levels)
    if not counts.all():
        raise OverlapError(
            f"Level {int(np.argmin(counts))} of the mediator (in sorted order) does not occur in"
            " one of the groups, or in one of its training folds: its law there cannot be compared."
            " Merge this level with another."
        )
    if features.matrix.shape[1] == 1:
        return np.repeat(counts[None, :] / counts.sum(), len(mediator), axis=0)
    matrix = features.matrix[:, 1:] / np.sqrt(features.penalty[1:])
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=200)
    model.fit(matrix[train], mediator[train])
    return np.asarray(model.predict_proba(matrix), dtype=np.float64)


def _ridge(features: RowFeatures, target: Floats, train: Bools) -> Floats:
    learn = features.matrix[train]
    gram = learn.T @ learn + np.diag(features.penalty)
    fitted = features.matrix @ np.linalg.solve(gram, learn.T @ target[train])
    return np.asarray(fitted, dtype=np.float64)


def _assemble(means: Means, reach: dict[str, float]) -> Parts:
    functions: dict[str, Any] = {
        DIRECT: lambda m: m[MIXED] - m[SECOND],
        INDIRECT: lambda m: m[FIRST] - m[MIXED],
        REMAINDER: lambda m: (m[Z] - m["mean b"]) - (m[FIRST] - m[SECOND]),
        SPURIOUS: lambda m: m["mean a"] - m[Z],
    }
    gradients = {
        DIRECT: {MIXED: 1.0, SECOND: -1.0},
        INDIRECT: {FIRST: 1.0, MIXED: -1.0},
        REMAINDER: {Z: 1.0, "mean b": -1.0, FIRST: -1.0, SECOND: 1.0},
        SPURIOUS: {"mean a": 1.0, Z: -1.0},
    }
    scales = {
        label: sum(reach.get(name, 0.0) * abs(by) for name, by in gradient.items())
        for label, gradient in gradients.items()
    }
    return parts_of(means, functions, gradients, scales)
