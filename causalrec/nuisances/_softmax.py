"""Multinomial logistic regression on rows: one linear predictor a level, a softmax of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalrec.threads import one_thread

Floats = NDArray[np.float64]
NEWTON = 600
"""Coefficients up to which Newton's steps are cheaper than many small ones."""


@dataclass(frozen=True)
class SoftmaxFit:
    """A fitted multinomial logit.

    Attributes
    ----------
    coefficients : float64 (k, L)
        One column a level; only their differences say something.
    penalty : float64 (k,)
        The ridge is penalty_j beta_jl^2 / 2 for every level; 0 for the intercept.
    """

    coefficients: Floats
    penalty: Floats

    @one_thread
    def predict(self, matrix: Floats) -> Floats:
        """Return P(level) of each row, (n, L)."""
        from scipy.special import softmax

        return np.asarray(softmax(matrix @ self.coefficients, axis=1), dtype=np.float64)


@one_thread
def fit_softmax(
    matrix: Floats,
    levels: NDArray[np.integer],
    *,
    penalty: Floats,
    weights: Floats | None = None,
) -> SoftmaxFit:
    """Fit an L2 multinomial logistic regression.

    Parameters
    ----------
    matrix : float64 (n, k)
        The first column is 1.
    levels : int (n,)
        0 to L - 1, each of them present.
    penalty : float64 (k,)
        Ridge of each column in units of rows; the first is ignored, the others are positive.
    weights : float64 (n,), optional

    Examples
    --------
    >>> x = np.ones((4, 1))
    >>> fit_softmax(x, np.array([0, 1, 1, 2]), penalty=np.zeros(1)).predict(x)[0].tolist()
    [0.25, 0.5, 0.25]
    """
    n_levels = int(levels.max()) + 1
    ridge = np.concatenate([[0.0], np.asarray(penalty, dtype=np.float64)[1:]])
    if matrix.shape[1] == 1:
        shares = np.bincount(levels, weights, minlength=n_levels)
        return SoftmaxFit(np.log(shares / shares.sum())[None, :], ridge)
    from sklearn.linear_model import LogisticRegression

    # scikit-learn has one ridge for all columns: a column over sqrt(its own ridge) is the same fit
    scale = 1.0 / np.sqrt(ridge[1:])
    small = matrix.shape[1] * n_levels <= NEWTON
    model = LogisticRegression(
        C=1.0,
        solver="newton-cholesky" if small else "lbfgs",
        tol=1e-10 if small else 1e-6,
        max_iter=200 if small else 5_000,
    )
    model.fit(matrix[:, 1:] * scale, levels, sample_weight=weights)
    slopes, intercepts = model.coef_.T * scale[:, None], model.intercept_
    if n_levels == 2:  # scikit-learn keeps one column, the difference of the two
        slopes, intercepts = np.hstack([0.0 * slopes, slopes]), np.append(0.0, intercepts)
    return SoftmaxFit(np.vstack([intercepts, slopes]), ridge)
