"""Least squares over a grid whose every cell is known and weighs the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.factorization._common import Factors, Floats, Pattern, Watch
from causalrec.factorization._doubly_robust import doubly_robust_score, fit_doubly_robust
from causalrec.factorization._kernels import SCIPY, Kernels
from causalrec.factorization._weighted import Fit


def is_whole_grid(pattern: Pattern, weights: Floats) -> bool:
    """Say whether every cell of the grid is observed, all with one weight.

    Examples
    --------
    >>> users, items = np.divmod(np.arange(6, dtype=np.int32), 3)
    >>> is_whole_grid(Pattern(users, items, 2, 3), np.ones(6))
    True
    >>> is_whole_grid(Pattern(users, items, 2, 4), np.ones(6))
    False
    """
    return pattern.n == pattern.n_cells and bool(np.ptp(weights) == 0.0)


def fit_whole_grid(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    start: Factors,
    ridge: tuple[Floats, Floats],
    *,
    n_sweeps: int,
    tol: float = 0.0,
    kernels: Kernels = SCIPY,
    watch: Watch | None = None,
) -> Fit:
    """Do what `fit_weighted` does, as a doubly robust score with p = 1: the outcome itself.

    The two have one optimum; the score needs one k x k inverse a half-sweep, where weights need
    one a row, and so k times less work.

    Parameters
    ----------
    pattern, outcome, weights, start, ridge, n_sweeps, tol, kernels, watch
        As in `fit_weighted`; the weights are all the same.
    """
    weight = float(weights[0])
    m, n = pattern.n_users, pattern.n_items
    mean = float(outcome.mean(dtype=np.float64))
    left, right = np.full((m, 1), mean, outcome.dtype), np.ones((n, 1), outcome.dtype)
    ones, predicted = np.ones(pattern.n), np.full(pattern.n, mean)
    score = doubly_robust_score(pattern, outcome, ones, left, right, predicted)
    scaled = ridge[0] / weight, ridge[1] / weight
    fit = fit_doubly_robust(
        score, start, scaled, n_sweeps=n_sweeps, tol=tol, kernels=kernels, watch=watch
    )
    return replace(fit, losses=[loss * weight for loss in fit.losses])
