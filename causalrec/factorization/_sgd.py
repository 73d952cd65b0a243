"""Stochastic gradient descent: the same losses as the exact solvers, one entry at a time.

One thread, a seeded order: the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causalrec.factorization._common import (
    Factors,
    Floats,
    Integers,
    Pattern,
    Watch,
    dot_rows,
    has_converged,
)
from causalrec.factorization._doubly_robust import Score, centred, loss_over_all_cells
from causalrec.factorization._weighted import Fit, Side, item_residuals

# A sweep is noisy: only a loss this share above the best so far means that the step is too long.
TOLERATED_RISE = 0.02

# Entries that stay together when a sweep is put into a new order: short blocks wait for memory at
# the start of each. A small log has fewer, so that there still are many to put in order.
BLOCK, MOST_BLOCKS = 512, 1_024


@dataclass(frozen=True)
class Entries:
    """What one sweep visits, in its order: entries with loss w (t - f)^2 - 2 pull f.

    Attributes
    ----------
    codes : uint32 array, shape (n, 2)
        Users and items.
    values : float array, shape (n, 3)
        Targets, weights and pulls: what an entry needs lies side by side.
    """

    codes: Integers
    values: Floats

    @classmethod
    def of(
        cls,
        cells: tuple[Integers, Integers],
        values: tuple[Floats, Floats, Floats],
        order: Integers,
        dtype: np.dtype[Any],
    ) -> Entries:
        """Put users and items, targets, weights and pulls into an order."""
        codes = np.empty((len(order), 2), dtype=np.uint32)
        numbers = np.empty((len(order), 3), dtype=dtype)
        for out, columns in ((codes, cells), (numbers, values)):
            for place, column in enumerate(columns):
                out[:, place] = column[order]
        return cls(codes, numbers)

    @property
    def block(self) -> int:
        """Entries of a block."""
        return max(1, min(BLOCK, len(self.codes) // MOST_BLOCKS))


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
    watch: Watch | None = None,
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
    watch : callable(factors), optional
        As in `fit_weighted`.
    """
    from causalrec.factorization._numba_kernels import kernels

    # One shuffle, then blocks in an order of their own each sweep: what is next to what in memory
    # stays so, and the visits are as good as random.
    cells, dtype = (pattern.users, pattern.items), start.user_factors.dtype
    values = outcome, weights, np.zeros_like(outcome)
    entries = Entries.of(cells, values, rng.permutation(pattern.n), dtype)
    by_item = Side.of_items(pattern, outcome, weights)
    visit_ridge = _per_visit(ridge, entries)
    mass = float(np.sum(weights, dtype=np.float64))

    def settled(factors: Factors) -> tuple[Factors, float]:
        total, square = item_residuals(by_item, factors, kernels())
        shift = total / mass
        moved = replace(factors, intercept=factors.intercept + shift)
        return moved, (square - shift * total + moved.penalty(*ridge)) / pattern.n

    def sweep(factors: Factors, rate: float) -> tuple[Factors, float]:
        return settled(_sweep(entries, factors, visit_ridge, rng, rate))

    begin = settled(_user_start(start, rng))
    return _descend(sweep, begin, n_sweeps, learning_rate, tol, watch)


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
    watch: Watch | None = None,
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
    watch : callable(factors), optional
        As in `fit_weighted`.
    """
    scale = pattern.n / pattern.n_cells
    pulls = np.concatenate([np.zeros(pattern.n), score.by_user.values * scale])
    weights = np.concatenate([np.ones(pattern.n), np.zeros(pattern.n)])
    grid_ridge = (ridge[0] / scale, ridge[1] / scale)

    def settled(factors: Factors) -> tuple[Factors, float]:
        moved = centred(factors, score.mean())
        return moved, loss_over_all_cells(pattern, score, moved, grid_ridge)

    def sweep(factors: Factors, rate: float) -> tuple[Factors, float]:
        users = rng.integers(0, pattern.n_users, pattern.n)
        items = rng.integers(0, pattern.n_items, pattern.n)
        imputed = dot_rows(score.left, score.right, users, items)
        targets = np.concatenate([imputed, np.zeros(pattern.n)])
        visited = np.concatenate([users, pattern.users]), np.concatenate([items, pattern.items])
        order = rng.permutation(len(targets))
        entries = Entries.of(visited, (targets, weights, pulls), order, start.user_factors.dtype)
        return settled(_sweep(entries, factors, _per_visit(ridge, entries), rng, rate))

    begin = _user_start(start, rng)
    reached = loss_over_all_cells(pattern, score, begin, grid_ridge)
    return _descend(sweep, (begin, reached), n_sweeps, learning_rate, tol, watch)


def _descend(
    sweep: Callable[[Factors, float], tuple[Factors, float]],
    begin: tuple[Factors, float],
    n_sweeps: int,
    learning_rate: float,
    tol: float,
    watch: Watch | None,
) -> Fit:
    """Take sweeps with steps that shrink; one that loses ground is undone and halves them."""
    factors, current = begin
    best = current
    losses: list[float] = []
    for number in range(n_sweeps):
        moved, reached = sweep(factors, learning_rate / np.sqrt(1.0 + number))
        lower = reached < current
        if reached <= best + TOLERATED_RISE * abs(best):
            factors, current, best = moved, reached, min(best, reached)
        else:
            learning_rate /= 2.0
        losses.append(current)
        if lower and has_converged(losses, tol):
            return Fit(factors, losses, True)
        if watch is not None and watch(factors):
            break
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
    visit_ridge: tuple[Floats, Floats],
    rng: np.random.Generator,
    rate: float,
) -> Factors:
    from causalrec.factorization._numba_kernels import padded
    from causalrec.factorization._numba_sgd import sgd_sweep

    k = factors.n_factors
    # Copies: what is undone must still be there.
    users, items = padded(factors.user_factors), padded(factors.item_factors)
    user_side = _side(factors.user_biases, visit_ridge[0], users)
    item_side = _side(factors.item_biases, visit_ridge[1], items)
    blocks = rng.permutation(-(-len(entries.codes) // entries.block))
    sgd_sweep(
        blocks, entries.block, entries.codes, entries.values, users, items, user_side, item_side,
        factors.intercept, rate,
    )  # fmt: skip
    biases = user_side[:, 0].copy(), item_side[:, 0].copy()
    return Factors(factors.intercept, users[:, :k], items[:, :k], *biases)


def _side(biases: Floats, ridge: Floats, factors: Floats) -> Floats:
    """Return what a visit reads of a row beside its factors: see `sgd_sweep`."""
    side = np.zeros((len(factors), 4), dtype=factors.dtype)
    side[:, 0], side[:, 1] = biases, ridge
    np.einsum("ij,ij->i", factors, factors, out=side[:, 2])
    return side


def _per_visit(ridge: tuple[Floats, Floats], entries: Entries) -> tuple[Floats, Floats]:
    """Share each row's ridge out among its visits, so that a sweep applies it once."""
    shares = []
    for side, codes in zip(ridge, entries.codes.T, strict=True):
        visits = np.bincount(codes, minlength=len(side))
        shares.append(side / np.maximum(visits, 1))
    return shares[0], shares[1]
