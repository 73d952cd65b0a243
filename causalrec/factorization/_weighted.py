"""Alternating least squares on weighted observed cells: naive, IPS, SNIPS, and MRDR's g."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import (
    Factors,
    Floats,
    Pattern,
    has_converged,
)
from causalrec.factorization._kernels import weighted_half_sweep

HalfSweep = Callable[..., Floats]


@dataclass(frozen=True)
class Fit:
    """What a solver returns.

    Attributes
    ----------
    factors : Factors
    losses : list of float
        Loss after each sweep, ridge included, per observed cell (mean-1 weights).
    converged : bool
        The last sweep lowered the loss by less than `tol`.
    """

    factors: Factors
    losses: list[float]
    converged: bool


def mean_one(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights with mean 1, so that a ridge means the same for every estimator.

    Where all weights are zero (MRDR's, when every cell was certain to be observed) they carry
    no preference, and become ones.

    Examples
    --------
    >>> import numpy as np
    >>> mean_one(np.array([1.0, 3.0])).tolist()
    [0.5, 1.5]
    """
    mean = weights.mean()
    return np.asarray(weights / mean) if mean > 0 else np.ones_like(weights)


def fit_weighted(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    start: Factors,
    ridge: tuple[Floats, Floats],
    *,
    n_sweeps: int,
    tol: float = 0.0,
    half_sweep: HalfSweep = weighted_half_sweep,
) -> Fit:
    """Minimise sum_obs w (y - f)^2 + ridge |factors, biases|^2 by alternating least squares.

    The intercept is not penalised. Every half-sweep solves its side exactly, so the loss never
    rises (up to rounding).

    Parameters
    ----------
    pattern : Pattern
    outcome, weights : float array, shape (n,)
        Aligned with the pattern; weights of mean 1.
    start : Factors
        Its item side is what the first half-sweep regresses on.
    ridge : pair of float array, shapes (n_users,), (n_items,)
    n_sweeps : int
    tol : float
        Stop when a sweep lowers the loss by less than this share of it.
    half_sweep : callable
        `weighted_half_sweep` or its numba twin.
    """
    factors = with_mean_residual(start, pattern, outcome, weights)[0]
    losses: list[float] = []
    for _ in range(n_sweeps):
        factors = solve_users(pattern, outcome, weights, factors, ridge[0], half_sweep)
        factors = solve_items(pattern, outcome, weights, factors, ridge[1], half_sweep)
        factors, residual = with_mean_residual(factors, pattern, outcome, weights)
        data = float(np.sum(weights * np.square(residual), dtype=np.float64))
        losses.append((data + factors.penalty(*ridge)) / pattern.n)
        if has_converged(losses, tol):
            return Fit(factors, losses, True)
    return Fit(factors, losses, False)


def with_mean_residual(
    factors: Factors, pattern: Pattern, outcome: Floats, weights: Floats
) -> tuple[Factors, Floats]:
    """Move the intercept to where the weighted residuals have mean zero."""
    residual = outcome - factors.predict(pattern.users, pattern.items)
    shift = float(np.average(residual, weights=weights))
    return replace(factors, intercept=factors.intercept + shift), residual - shift


def solve_users(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    factors: Factors,
    ridge: Floats,
    half_sweep: HalfSweep = weighted_half_sweep,
) -> Factors:
    """Return the factors with the user side solved for the item side as it stands."""
    targets = outcome - factors.item_biases[pattern.items]
    targets -= np.asarray(factors.intercept, dtype=targets.dtype)
    design = _with_ones(factors.item_factors)
    solved = half_sweep(pattern.user_pointer, pattern.items, weights, targets, design, ridge)
    return replace(factors, user_factors=solved[:, :-1], user_biases=solved[:, -1])


def solve_items(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    factors: Factors,
    ridge: Floats,
    half_sweep: HalfSweep = weighted_half_sweep,
) -> Factors:
    """Return the factors with the item side solved for the user side as it stands."""
    order = pattern.by_item
    users = pattern.users[order]
    targets = outcome[order] - factors.user_biases[users]
    targets -= np.asarray(factors.intercept, dtype=targets.dtype)
    design = _with_ones(factors.user_factors)
    solved = half_sweep(pattern.item_pointer, users, weights[order], targets, design, ridge)
    return replace(factors, item_factors=solved[:, :-1], item_biases=solved[:, -1])


def _with_ones(factors: Floats) -> Floats:
    ones = np.ones((len(factors), 1), dtype=factors.dtype)
    return np.ascontiguousarray(np.hstack([factors, ones]))
