"""Least squares over a grid whose every cell is known and weighs the same."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Pattern, random_start
from causalrec.factorization._weighted import Fit

Floats = NDArray[np.float64]


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


def fit_whole_grid(solver: Any, target: Floats, weight: float) -> Fit:
    """Fit the weighted loss as a doubly robust score with p = 1, which is the outcome itself.

    The two are one optimum; the score needs one k x k inverse a half-sweep, where weights need one
    a row: k times less work.

    Parameters
    ----------
    solver : Solver
        Both stages of the recipe on the pattern.
    target : float64 array, shape (n_cells,)
    weight : float
        Of every cell; the ridge is divided by it, and the losses are multiplied.
    """
    pattern, dtype = solver.pattern, solver.recipe.dtype
    mean = random_start(pattern.n_users, pattern.n_items, 0, solver.rng, dtype)
    mean = replace(mean, intercept=float(target.mean()))
    scaled = copy.copy(solver)
    scaled.ridge = tuple(ridge / weight for ridge in solver.ridge)
    fit: Fit = scaled.doubly_robust(target, np.ones(pattern.n), mean)
    return replace(fit, losses=[loss * weight for loss in fit.losses])
