"""Alternating least squares on weighted observed cells: naive, IPS, SNIPS, and MRDR's g."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import (
    Factors,
    Floats,
    Integers,
    Pattern,
    Watch,
    has_converged,
)
from causalrec.factorization._kernels import SCIPY, HalfSweep, Kernels, weighted_half_sweep


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
    kernels: Kernels = SCIPY,
    watch: Watch | None = None,
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
    kernels : Kernels
        `_kernels.SCIPY` or the compiled ones.
    watch : callable(factors), optional
        Sees the factors after each sweep; stops where it returns True.
    """
    by_user, by_item = (
        Side.of_users(pattern, outcome, weights),
        Side.of_items(pattern, outcome, weights),
    )
    mass = float(np.sum(weights, dtype=np.float64))
    factors = with_mean_residual(start, pattern, outcome, weights)[0]
    if not start.biased:
        factors = replace(factors, intercept=float(np.average(outcome, weights=weights)))
    losses: list[float] = []
    for _ in range(n_sweeps):
        factors = _users_solved(by_user, factors, ridge[0], kernels.weighted_half_sweep)
        factors = _items_solved(by_item, factors, ridge[1], kernels.weighted_half_sweep)
        total, square = item_residuals(by_item, factors, kernels)
        # The intercept moves to where the weighted residuals have mean zero.
        shift = total / mass if start.biased else 0.0
        factors = replace(factors, intercept=factors.intercept + shift)
        losses.append((square - shift * total + factors.penalty(*ridge)) / pattern.n)
        if has_converged(losses, tol):
            return Fit(factors, losses, True)
        if watch is not None and watch(factors):
            break
    return Fit(factors, losses, False)


@dataclass(frozen=True)
class Side:
    """The observed cells as compressed rows of one side.

    Attributes
    ----------
    pointer : int64 array, shape (rows + 1,)
    columns : int32 array, shape (n,)
    outcome, weights : float array, shape (n,)
    """

    pointer: Integers
    columns: Integers
    outcome: Floats
    weights: Floats

    @classmethod
    def of_users(cls, pattern: Pattern, outcome: Floats, weights: Floats) -> Side:
        """Return the cells by user."""
        return cls(pattern.user_pointer, pattern.items, outcome, weights)

    @classmethod
    def of_items(cls, pattern: Pattern, outcome: Floats, weights: Floats) -> Side:
        """Return the cells by item."""
        order = pattern.by_item
        return cls(pattern.item_pointer, pattern.users[order], outcome[order], weights[order])


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
    side = Side.of_users(pattern, outcome, weights)
    return _users_solved(side, factors, ridge, half_sweep)


def _users_solved(side: Side, factors: Factors, ridge: Floats, half_sweep: HalfSweep) -> Factors:
    other = factors.item_design(), factors.item_biases
    solved = _solved(side, other, factors.intercept, ridge, half_sweep)
    return replace(factors, user_factors=solved[:, :-1], user_biases=solved[:, -1])


def _items_solved(side: Side, factors: Factors, ridge: Floats, half_sweep: HalfSweep) -> Factors:
    other = factors.user_design(), factors.user_biases
    solved = _solved(side, other, factors.intercept, ridge, half_sweep)
    return replace(factors, item_factors=solved[:, :-1], item_biases=solved[:, -1])


def _solved(
    side: Side,
    other: tuple[Floats, Floats],
    intercept: float,
    ridge: Floats,
    half_sweep: HalfSweep,
) -> Floats:
    """Return factors and biases of one side for the design and the biases of the other."""
    cells = side.pointer, side.columns, side.weights, side.outcome
    offset = other[1] + np.asarray(intercept, dtype=other[1].dtype)
    return half_sweep(*cells, other[0], ridge, offset)


def item_residuals(side: Side, factors: Factors, kernels: Kernels) -> tuple[float, float]:
    """Return the sums of w r and w r^2 over all cells."""
    return kernels.residual_sums(
        side.pointer,
        side.columns,
        side.weights,
        side.outcome,
        factors.user_factors,
        factors.item_factors,
        factors.user_biases + np.asarray(factors.intercept, dtype=factors.user_biases.dtype),
        factors.item_biases,
    )
