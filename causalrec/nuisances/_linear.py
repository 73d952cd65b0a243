"""Ridge and logistic regression on rows, with what a stacked influence needs beside the fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.threads import one_thread

Floats = NDArray[np.float64]
MANY = 50_000
"""Rows from which a fit is begun on a part of them, and read in pieces that stay in the cache."""
STEPS = 12
EXACT = 1e-9


def rows_at_a_time(columns: int) -> int:
    """Return how many rows of a design fit into a cache."""
    return int(max(256, 2**17 // max(columns, 1)))


@dataclass(frozen=True)
class LinearFit:
    """A fitted (generalised) linear model: mean = link^-1(design @ coefficients).

    Attributes
    ----------
    link : "identity" or "logit"
    coefficients, penalty : float64 (k,)
        The ridge is penalty_j beta_j^2 / 2 beside the sum of losses; 0 for the intercept.
    curvature : float64 (k, k) or None
        X' diag(slope) X of the rows it was fitted on, weighted as they were; None if the solver
        did not come by it.
    """

    link: Literal["identity", "logit"]
    coefficients: Floats
    penalty: Floats
    curvature: Floats | None = field(default=None, repr=False, compare=False)

    @one_thread
    def predict(self, matrix: Floats) -> Floats:
        """Return the mean of each row, (n,)."""
        eta = matrix @ self.coefficients
        if self.link == "identity":
            return np.asarray(eta, dtype=np.float64)
        from scipy.special import expit

        return np.asarray(expit(eta), dtype=np.float64)

    def slope(self, matrix: Floats) -> Floats:
        """Return d mean / d (design @ coefficients) of each row, (n,)."""
        if self.link == "identity":
            return np.ones(len(matrix))
        mean = self.predict(matrix)
        return mean * (1.0 - mean)

    def scores(self, matrix: Floats, outcome: Floats, weights: Floats | None = None) -> Floats:
        """Return the estimating function of each row, x (y - mean), (n, k)."""
        residual = outcome - self.predict(matrix)
        return matrix * (residual if weights is None else weights * residual)[:, None]

    @one_thread
    def hessian(self, matrix: Floats, weights: Floats | None = None) -> Floats:
        """Return X' diag(slope) X + diag(penalty), (k, k)."""
        curvature = self.slope(matrix)
        curvature = curvature if weights is None else weights * curvature
        return np.asarray(matrix.T @ (curvature[:, None] * matrix) + np.diag(self.penalty))


@one_thread
def fit_linear(
    matrix: Floats,
    outcome: Floats,
    *,
    penalty: Floats,
    binary: bool,
    weights: Floats | None = None,
) -> LinearFit:
    """Fit a ridge (continuous outcome) or an L2 logistic regression (outcome 0/1).

    Parameters
    ----------
    matrix : float64 (n, k)
        The first column is 1.
    outcome : float64 (n,)
    penalty : float64 (k,)
        Ridge of each column in units of rows; the first is ignored, the others are positive.
    binary : bool
    weights : float64 (n,), optional

    Returns
    -------
    LinearFit

    Examples
    --------
    >>> x = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> fit = fit_linear(x, x[:, 1] * 2 + 1, penalty=np.array([0, 1e-9]), binary=False)
    >>> fit.coefficients.round(6).tolist()
    [1.0, 2.0]
    """
    penalty = np.concatenate([[0.0], np.asarray(penalty, dtype=np.float64)[1:]])
    if not binary:
        weighted = matrix if weights is None else matrix * weights[:, None]
        gram = np.asarray(weighted.T @ matrix, dtype=np.float64)
        coefficients = np.linalg.solve(gram + np.diag(penalty), weighted.T @ outcome)
        return LinearFit("identity", np.asarray(coefficients, dtype=np.float64), penalty, gram)
    return LinearFit("logit", _logistic(matrix, outcome, penalty, weights), penalty)


def _logistic(matrix: Floats, outcome: Floats, penalty: Floats, weights: Floats | None) -> Floats:
    from scipy.special import logit

    mean = float(np.average(outcome, weights=weights))
    if matrix.shape[1] == 1:
        return np.array([float(logit(np.clip(mean, 1e-12, 1 - 1e-12)))])
    if len(matrix) >= MANY and 0.0 < mean < 1.0:
        found = _newton(matrix, outcome, penalty, weights)
        if found is not None:
            return found
    from sklearn.linear_model import LogisticRegression

    # scikit-learn has one ridge for all columns: a column over sqrt(its own ridge) is the same fit
    scale = 1.0 / np.sqrt(penalty[1:])
    if mean in {0.0, 1.0}:  # one class: nothing to separate, the intercept says it all
        return np.concatenate([[float(logit(np.clip(mean, 1e-12, 1 - 1e-12)))], 0.0 * scale])
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=200)
    model.fit(matrix[:, 1:] * scale, outcome.astype(np.int64), sample_weight=weights)
    return np.concatenate([model.intercept_, model.coef_[0] * scale])


def _newton(
    matrix: Floats, outcome: Floats, penalty: Floats, weights: Floats | None
) -> Floats | None:
    """Return Newton's solution from that of a part of the rows, or None if it does not settle.

    Where the steps are short the curvature is kept: another gradient then gains three digits at
    a third of the cost.
    """
    part = slice(None, None, max(1, 2 * len(matrix) // MANY))
    some = None if weights is None else weights[part]
    share = float(np.average(outcome[part], weights=some))
    if not 0.0 < share < 1.0 or len(matrix[part]) == len(matrix):
        return None
    few = np.ascontiguousarray(matrix[part])
    at = _logistic(few, outcome[part], penalty, some)
    at_hand: Floats | None = None
    last = np.inf
    for _ in range(STEPS):
        gradient, curvature = _pass(matrix, outcome, weights, at, curved=at_hand is None)
        if curvature is not None:
            at_hand = curvature + np.diag(penalty)
        assert at_hand is not None  # where it was not, it was just asked for
        try:
            step = np.linalg.solve(at_hand, gradient - penalty * at)
        except np.linalg.LinAlgError:
            return None
        longest = float(np.abs(step * np.sqrt(np.diagonal(at_hand) / len(matrix))).max())
        if not longest < last:
            return None
        at, last = at + step, longest
        if longest <= EXACT:
            return np.asarray(at, dtype=np.float64)
        at_hand = at_hand if longest <= 1e-3 else None
    return None


def _pass(
    matrix: Floats, outcome: Floats, weights: Floats | None, at: Floats, *, curved: bool
) -> tuple[Floats, Floats | None]:
    """Return the gradient of the log-likelihood and, if asked, its curvature."""
    from scipy.special import expit

    k = matrix.shape[1]
    gradient, curvature = np.zeros(k), np.zeros((k, k))
    step = rows_at_a_time(k)
    for start in range(0, len(matrix), step):
        piece = slice(start, start + step)
        x = matrix[piece]
        mean = expit(x @ at)
        w = 1.0 if weights is None else weights[piece]
        gradient += x.T @ (w * (outcome[piece] - mean))
        if curved:
            heavy = x * np.sqrt(w * mean * (1.0 - mean))[:, None]
            curvature += heavy.T @ heavy
    return gradient, curvature if curved else None
