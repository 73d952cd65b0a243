"""Matrix factorisation of the doubly robust score over all cells, as sparse + low rank.

The score of a cell is s = g + (O / p)(y - g). With g = A B' it is A B' + S, where S is sparse
with entries w (y - g) on the observed cells, so a sweep over every cell of the grid costs
O(nnz k + (m + n) k^2) and never builds the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from causalrec.factorization._common import (
    Factors,
    Floats,
    Pattern,
    has_converged,
)
from causalrec.factorization._kernels import shared_gram_half_sweep
from causalrec.factorization._weighted import Fit


@dataclass(frozen=True)
class Score:
    """The doubly robust score of every cell: s = A B' + S.

    Attributes
    ----------
    left, right : float array, shapes (n_users, r), (n_items, r)
        The imputation g = left right'.
    by_user, by_item : csr_array, shapes (n_users, n_items), (n_items, n_users)
        S and its transpose, both with compressed rows.
    constant : float
        sum_obs w (y - g)(y + g): what the loss of `fit_doubly_robust` holds besides f.
    """

    left: Floats
    right: Floats
    by_user: sparse.csr_array
    by_item: sparse.csr_array
    constant: float

    def mean(self) -> float:
        """Return the mean score over all cells."""
        low_rank = _total(self.left, self.right)
        sparse_part = float(self.by_user.data.sum(dtype=np.float64))
        return (low_rank + sparse_part) / (len(self.left) * len(self.right))


def _total(left: Floats, right: Floats) -> float:
    """Return the sum of all cells of left right'."""
    return float(left.sum(0, dtype=np.float64) @ right.sum(0, dtype=np.float64))


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
    shape = (pattern.n_users, pattern.n_items)
    values = correction.astype(dtype)
    by_user = sparse.csr_array((values, pattern.items, pattern.user_pointer), shape=shape)
    transposed = (values[pattern.by_item], pattern.users[pattern.by_item], pattern.item_pointer)
    by_item = sparse.csr_array(transposed, shape=shape[::-1])
    return Score(left, right, by_user, by_item, constant)


def fit_doubly_robust(
    score: Score,
    start: Factors,
    ridge: tuple[Floats, Floats],
    *,
    n_sweeps: int,
    tol: float = 0.0,
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
    """
    mean, n_cells = score.mean(), len(score.left) * len(score.right)
    factors = centred(start, mean)
    losses: list[float] = []
    for _ in range(n_sweeps):
        factors = solve_users(score, factors, ridge[0])
        solved, cross = _solve_items(score, factors, ridge[1])
        factors = centred(solved, mean)
        cross += (factors.intercept - solved.intercept) * float(score.by_user.data.sum())
        losses.append(_loss(score, factors, ridge, cross) / n_cells)
        if has_converged(losses, tol):
            return Fit(factors, losses, True)
    return Fit(factors, losses, False)


def solve_users(score: Score, factors: Factors, ridge: Floats) -> Factors:
    """Return the factors with the user side solved for the item side as it stands."""
    design, offset = _design(factors.item_factors, factors.item_biases, factors.intercept)
    right_side = score.left @ (score.right.T @ design) + score.by_user @ design
    solved = shared_gram_half_sweep(right_side - offset @ design, design, ridge)
    return replace(factors, user_factors=solved[:, :-1], user_biases=solved[:, -1])


def _solve_items(score: Score, factors: Factors, ridge: Floats) -> tuple[Factors, float]:
    """Return the factors with the item side solved, and the sum over observed cells of S f."""
    design, offset = _design(factors.user_factors, factors.user_biases, factors.intercept)
    gathered = score.by_item @ design
    right_side = score.right @ (score.left.T @ design) + gathered
    solved = shared_gram_half_sweep(right_side - offset @ design, design, ridge)
    # sum S f = sum_i z_i . (S' X)_i + sum_ui S (mu + a_u): the product is already there.
    cross = float(np.sum(gathered * solved, dtype=np.float64))
    cross += float(np.sum(score.by_item @ offset.astype(design.dtype), dtype=np.float64))
    return replace(factors, item_factors=solved[:, :-1], item_biases=solved[:, -1]), cross


def _design(factors: Floats, biases: Floats, intercept: float) -> tuple[Floats, Floats]:
    ones = np.ones((len(factors), 1), dtype=factors.dtype)
    return np.hstack([factors, ones]), biases + np.asarray(intercept, dtype=factors.dtype)


def centred(factors: Factors, mean: float) -> Factors:
    """Move the intercept to where f has the mean of the score over all cells."""
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
    cross = float(np.sum(score.by_user.data * predicted, dtype=np.float64))
    return _loss(score, factors, ridge, cross) / pattern.n_cells


def _loss(score: Score, factors: Factors, ridge: tuple[Floats, Floats], cross: float) -> float:
    data = _squared_distance(score, factors) + score.constant - 2.0 * cross
    return data + factors.penalty(*ridge)


def _squared_distance(score: Score, factors: Factors) -> float:
    """Return sum_all (g - f)^2 from the Gram matrices of the stacked factors."""
    left, right = factors.low_rank()
    left = np.hstack([score.left, -left]).astype(np.float64)
    right = np.hstack([score.right, right]).astype(np.float64)
    return float(np.sum((left.T @ left) * (right.T @ right)))
