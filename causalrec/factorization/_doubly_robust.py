"""Matrix factorisation of the doubly robust score over all cells, as sparse + low rank.

The score of a cell is s = g + (O / p)(y - g). With g = A B' it is A B' + S, where S is sparse
with entries w (y - g) on the observed cells, so a sweep over every cell of the grid costs
O(nnz k + (m + n) k^2) and never builds the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import (
    Factors,
    Floats,
    Pattern,
    SparseRows,
    Watch,
    has_converged,
)
from causalrec.factorization._kernels import SCIPY, Kernels, shared_gram_half_sweep
from causalrec.factorization._weighted import Fit


@dataclass(frozen=True)
class Score:
    """The doubly robust score of every cell: s = A B' + S.

    Attributes
    ----------
    left, right : float array, shapes (n_users, r), (n_items, r)
        The imputation g = left right'.
    by_user, by_item : SparseRows
        S, of n_users rows, and its transpose.
    constant : float
        sum_obs w (y - g)(y + g): what the loss of `fit_doubly_robust` holds besides f.
    """

    left: Floats
    right: Floats
    by_user: SparseRows
    by_item: SparseRows
    constant: float

    def mean(self) -> float:
        """Return the mean score over all cells."""
        low_rank = _total(self.left, self.right)
        sparse_part = float(self.by_user.values.sum(dtype=np.float64))
        return (low_rank + sparse_part) / (len(self.left) * len(self.right))

    @cached_property
    def user_sums(self) -> NDArray[np.float64]:
        """Sums of S over each user's cells, shape (n_users,)."""
        return self.by_user.sums()

    @cached_property
    def item_sums(self) -> NDArray[np.float64]:
        """Sums of S over each item's cells, shape (n_items,)."""
        return self.by_item.sums()

    @cached_property
    def _in_double(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """A, B and sum_all g^2 in double precision: the loss is a difference of large sums."""
        left, right = self.left.astype(np.float64), self.right.astype(np.float64)
        return left, right, float(np.sum((left.T @ left) * (right.T @ right)))

    def squared_distance(self, factors: Factors) -> float:
        """Return sum_all (g - f)^2 from Gram matrices: never the grid."""
        left, right, own = self._in_double
        users, items = (side.astype(np.float64) for side in factors.low_rank())
        theirs = float(np.sum((users.T @ users) * (items.T @ items)))
        both = float(np.sum((left.T @ users) * (right.T @ items)))
        return own + theirs - 2.0 * both


def _total(left: Floats, right: Floats) -> float:
    """Return the sum of all cells of left right'."""
    # To double precision first: a sum that casts on the way is several times as slow.
    return float(left.astype(np.float64).sum(0) @ right.astype(np.float64).sum(0))


def doubly_robust_score(
    pattern: Pattern,
    outcome: Floats,
    inverse_propensity: Floats,
    left: Floats,
    right: Floats,
    predicted: Floats,
) -> Score:
    """Build the score from the imputation's factors and its values on the observed cells.

    Parameters
    ----------
    pattern : Pattern
    outcome, inverse_propensity, predicted : float array, shape (n,)
        y, 1 / p and g on the observed cells.
    left, right : float array, shapes (n_users, r), (n_items, r)
        g = left right' on every cell.
    """
    dtype = left.dtype
    correction = inverse_propensity * (outcome - predicted)
    constant = float(np.sum(correction * (outcome + predicted), dtype=np.float64))
    values = correction.astype(dtype)
    by_user = SparseRows(pattern.user_pointer, pattern.items, values)
    order = pattern.by_item
    by_item = SparseRows(pattern.item_pointer, pattern.users[order], values[order])
    return Score(left, right, by_user, by_item, constant)


def fit_doubly_robust(
    score: Score,
    start: Factors,
    ridge: tuple[Floats, Floats],
    *,
    n_sweeps: int,
    tol: float = 0.0,
    kernels: Kernels = SCIPY,
    watch: Watch | None = None,
) -> Fit:
    """Minimise sum_all (s - f)^2 + ridge |factors, biases|^2 by alternating least squares.

    `losses` reports the equal loss sum_all (g - f)^2 + sum_obs w [(y - f)^2 - (g - f)^2], which
    differs by a constant in f and does not carry the noise of w^2, per cell of the grid.

    Parameters
    ----------
    score : Score
    start : Factors
        Its item side is what the first half-sweep regresses on.
    ridge : pair of float array, shapes (n_users,), (n_items,)
        In units of the grid: the ridge of mean-1 weights times cells over observed cells.
    n_sweeps : int
    tol : float
    kernels : Kernels
        `_kernels.SCIPY` or the compiled ones.
    watch : callable(factors), optional
        Sees the factors after each sweep; stops where it returns True.
    """
    mean, n_cells = score.mean(), len(score.left) * len(score.right)
    factors = centred(start, mean)
    losses: list[float] = []
    for _ in range(n_sweeps):
        factors = solve_users(score, factors, ridge[0], kernels)
        solved, gathered = _solve_items(score, factors, ridge[1], kernels)
        factors = centred(solved, mean)
        # sum S f = sum_i V_i . (S'U)_i + sum_ui S (mu + a_u + b_i): the product is already there.
        cross = float(np.sum((gathered * factors.item_factors).astype(np.float64)))
        cross += float(score.user_sums @ (factors.user_biases + factors.intercept))
        cross += float(score.item_sums @ factors.item_biases)
        losses.append(_loss(score, factors, ridge, cross) / n_cells)
        if has_converged(losses, tol):
            return Fit(factors, losses, True)
        if watch is not None and watch(factors):
            break
    return Fit(factors, losses, False)


def solve_users(score: Score, factors: Factors, ridge: Floats, kernels: Kernels = SCIPY) -> Factors:
    """Return the factors with the user side solved for the item side as it stands."""
    gathered = _gathered(score.by_user, factors.item_factors, kernels)
    other = factors.item_design(), factors.item_biases + factors.intercept
    solved = _solved((score.left, score.right), gathered, score.user_sums, other, ridge)
    return replace(factors, user_factors=solved[:, :-1], user_biases=solved[:, -1])


def _solve_items(
    score: Score, factors: Factors, ridge: Floats, kernels: Kernels
) -> tuple[Factors, Floats]:
    """Return the factors with the item side solved, and S'U of the users as they stand."""
    gathered = _gathered(score.by_item, factors.user_factors, kernels)
    other = factors.user_design(), factors.user_biases + factors.intercept
    solved = _solved((score.right, score.left), gathered, score.item_sums, other, ridge)
    items = replace(factors, item_factors=solved[:, :-1], item_biases=solved[:, -1])
    return items, gathered


def _gathered(rows: SparseRows, factors: Floats, kernels: Kernels) -> Floats:
    return kernels.sparse_times_dense(rows.pointer, rows.columns, rows.values, factors)


def _solved(
    low_rank: tuple[Floats, Floats],
    gathered: Floats,
    sums: NDArray[np.float64],
    other: tuple[Floats, Floats],
    ridge: Floats,
) -> Floats:
    """Return factors and biases of one side, shape (m, k + 1), for those of the other.

    Parameters
    ----------
    low_rank : pair of float array
        The imputation, this side's first.
    gathered, sums : float array, shapes (m, k), (m,)
        S times the other side's factors, and times ones.
    other : pair of float array, shapes (n, k + 1), (n,)
        Design of the other side (factors and the bias's column), and its biases with the
        intercept.
    ridge : float array, shape (m,)
    """
    design, level = other
    dtype = design.dtype
    right_side = low_rank[0] @ (low_rank[1].T @ design)
    right_side[:, :-1] += gathered
    if design[0, -1]:  # there is a bias to solve for
        right_side[:, -1] += sums.astype(dtype)
    right_side -= level.astype(dtype) @ design
    return shared_gram_half_sweep(right_side, design, ridge)


def centred(factors: Factors, mean: float) -> Factors:
    """Move the intercept to where f has the mean of the score over all cells.

    Without biases it is that mean itself.
    """
    if not factors.biased:
        return replace(factors, intercept=mean)
    interaction = _total(factors.user_factors, factors.item_factors)
    n_users, n_items = len(factors.user_biases), len(factors.item_biases)
    level = float(factors.user_biases.mean(dtype=np.float64))
    level += float(factors.item_biases.mean(dtype=np.float64))
    level += interaction / (n_users * n_items)
    return replace(factors, intercept=mean - level)


def loss_over_all_cells(
    pattern: Pattern, score: Score, factors: Factors, ridge: tuple[Floats, Floats]
) -> float:
    """Return the loss that `fit_doubly_robust` reports, per cell, for any factors."""
    predicted = factors.predict(pattern.users, pattern.items)
    cross = float(np.sum(score.by_user.values * predicted, dtype=np.float64))
    return _loss(score, factors, ridge, cross) / pattern.n_cells


def _loss(score: Score, factors: Factors, ridge: tuple[Floats, Floats], cross: float) -> float:
    data = score.squared_distance(factors) + score.constant - 2.0 * cross
    return data + factors.penalty(*ridge)
