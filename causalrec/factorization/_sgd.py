"""Stochastic gradient descent: the same losses as the exact solvers, one entry at a time.

One thread, a seeded order: the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import (
    Factors,
    Floats,
    Integers,
    Pattern,
    dot_rows,
    has_converged,
)
from causalrec.factorization._doubly_robust import Score, centred, loss_over_all_cells
from causalrec.factorization._weighted import Fit, with_mean_residual

# A sweep is noisy: only a loss this share above the best so far means that the step is too long.
TOLERATED_RISE = 0.02


@dataclass(frozen=True)
class Entries:
    """What one sweep visits: entries with loss w (t - f)^2 - 2 pull f.

    Attributes
    ----------
    users, items : int array, shape (n,)
    targets, weights, pulls : float64 array, shape (n,)
    """

    users: Integers
    items: Integers
    targets: Floats
    weights: Floats
    pulls: Floats


def fit_weighted_sgd(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    start: Factors,
    ridge: tuple[Floats, Floats],
    rng: np.random.Generator,
    *,
    n_sweeps: int,
    learning_rate: float,
    tol: float = 0.0,
) -> Fit:
    """Minimise the loss of `fit_weighted` by visiting the observed cells in random order.

    Parameters
    ----------
    pattern, outcome, weights, start, ridge, n_sweeps, tol
        As in `fit_weighted`.
    rng : numpy.random.Generator
        Draws the order of each sweep.
    learning_rate : float
        Step of the first sweep; sweep t takes learning_rate / sqrt(t), halved (and the
        sweep undone) where the loss rises by 2 % or more above the best so far.
    """
    entries = Entries(pattern.users, pattern.items, outcome, weights, np.zeros_like(outcome))

    def sweep(factors: Factors, rate: float) -> Factors:
        moved = _sweep(entries, factors, ridge, rng, rate)
        return with_mean_residual(moved, pattern, outcome, weights)[0]

    def loss(factors: Factors) -> float:
        residual = outcome - factors.predict(pattern.users, pattern.items)
        data = float(np.sum(weights * np.square(residual), dtype=np.float64))
        return (data + factors.penalty(*ridge)) / pattern.n

    return _descend(sweep, loss, _user_start(start, rng), n_sweeps, learning_rate, tol)


def fit_doubly_robust_sgd(
    pattern: Pattern,
    score: Score,
    start: Factors,
    ridge: tuple[Floats, Floats],
    rng: np.random.Generator,
    *,
    n_sweeps: int,
    learning_rate: float,
    tol: float = 0.0,
) -> Fit:
    """Minimise the loss of `fit_doubly_robust` on a random sample of cells a sweep.

    A sweep visits as many uniform cells of the grid (target g) as there are observed cells, and
    every observed cell once (a pull w (y - g), linear in f): together an unbiased gradient.

    Parameters
    ----------
    pattern : Pattern
    score : Score
    start, n_sweeps, tol
        As in `fit_doubly_robust`.
    ridge : pair of float array
        In units of mean-1 weights here, as in `fit_weighted_sgd`.
    rng : numpy.random.Generator
    learning_rate : float
    """
    scale = pattern.n / pattern.n_cells
    pulls = np.concatenate([np.zeros(pattern.n), score.by_user.data * scale])
    weights = np.concatenate([np.ones(pattern.n), np.zeros(pattern.n)])
    grid_ridge = (ridge[0] / scale, ridge[1] / scale)

    def sweep(factors: Factors, rate: float) -> Factors:
        users = rng.integers(0, pattern.n_users, pattern.n)
        items = rng.integers(0, pattern.n_items, pattern.n)
        imputed = dot_rows(score.left, score.right, users, items)
        targets = np.concatenate([imputed, np.zeros(pattern.n)])
        visited = np.concatenate([users, pattern.users]), np.concatenate([items, pattern.items])
        entries = Entries(*visited, targets, weights, pulls)
        return centred(_sweep(entries, factors, ridge, rng, rate), score.mean())

    def loss(factors: Factors) -> float:
        return loss_over_all_cells(pattern, score, factors, grid_ridge)

    return _descend(sweep, loss, _user_start(start, rng), n_sweeps, learning_rate, tol)


def _descend(
    sweep: Callable[[Factors, float], Factors],
    loss: Callable[[Factors], float],
    factors: Factors,
    n_sweeps: int,
    learning_rate: float,
    tol: float,
) -> Fit:
    """Take sweeps with steps that shrink; one that loses ground is undone and halves them."""
    best = current = loss(factors)
    losses: list[float] = []
    for number in range(n_sweeps):
        moved = sweep(factors, learning_rate / np.sqrt(1.0 + number))
        reached = loss(moved)
        if not reached <= best + TOLERATED_RISE * abs(best):
            learning_rate /= 2.0
            losses.append(current)
            continue
        lower = reached < current
        factors, current, best = moved, reached, min(best, reached)
        losses.append(current)
        if lower and has_converged(losses, tol):
            return Fit(factors, losses, True)
    return Fit(factors, losses, False)


def _user_start(start: Factors, rng: np.random.Generator) -> Factors:
    """Give the user side small random factors where it has none: zero is a saddle."""
    if start.n_factors == 0 or np.any(start.user_factors):
        return start
    shape = start.user_factors.shape
    drawn = rng.normal(0.0, 1.0 / np.sqrt(shape[1]), size=shape)
    return replace(
        start,
        user_factors=(0.3 * drawn).astype(start.user_factors.dtype),
        item_factors=0.3 * start.item_factors,
    )


def _sweep(
    entries: Entries,
    factors: Factors,
    ridge: tuple[Floats, Floats],
    rng: np.random.Generator,
    rate: float,
) -> Factors:
    from causalrec.factorization._numba_kernels import sgd_sweep

    user_factors = np.array(factors.user_factors, dtype=np.float64, order="C")
    item_factors = np.array(factors.item_factors, dtype=np.float64, order="C")
    user_biases = np.array(factors.user_biases, dtype=np.float64)
    item_biases = np.array(factors.item_biases, dtype=np.float64)
    sgd_sweep(
        rng.permutation(len(entries.users)),
        entries.users.astype(np.int64),
        entries.items.astype(np.int64),
        np.asarray(entries.targets, dtype=np.float64),
        np.asarray(entries.weights, dtype=np.float64),
        np.asarray(entries.pulls, dtype=np.float64),
        user_factors,
        item_factors,
        user_biases,
        item_biases,
        _per_visit(ridge[0], entries.users),
        _per_visit(ridge[1], entries.items),
        factors.intercept,
        rate,
    )
    moved = user_factors, item_factors, user_biases, item_biases
    dtype = factors.user_factors.dtype
    return Factors(factors.intercept, *(side.astype(dtype) for side in moved))


def _per_visit(ridge: Floats, codes: Integers) -> NDArray[np.float64]:
    """Share a row's ridge out among its visits, so that a sweep applies it once."""
    visits = np.bincount(codes, minlength=len(ridge))
    return np.asarray(ridge / np.maximum(visits, 1), dtype=np.float64)
