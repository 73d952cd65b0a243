"""Alternating least squares where each side's factors are drawn around what its features say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import (
    Factors,
    Floats,
    Integers,
    Pattern,
    SparseRows,
    has_converged,
)
from causalrec.factorization._doubly_robust import Score, centred, loss_over_all_cells
from causalrec.factorization._feature_prior import (
    OwnGrams,
    Rows,
    SharedGram,
    SidePrior,
    solve_with_prior,
)
from causalrec.factorization._kernels import sparse_times_dense
from causalrec.factorization._weighted import Fit, with_mean_residual

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """The features of both sides as the prior sees them, and its ridge.

    Attributes
    ----------
    x, z : float64 array, shapes (n_users, p), (n_items, q)
        Scaled by `scaled_features`; without columns where a side has no features.
    ridge : float
        l_w, in units of mean-1 weights.
    """

    x: _Array
    z: _Array
    ridge: float


@dataclass(frozen=True)
class PriorFit(Fit):
    """A fit whose factors have a prior.

    Attributes
    ----------
    user_prior, item_prior : SidePrior
    """

    user_prior: SidePrior
    item_prior: SidePrior


def no_prior(n_factors: int, n_features: int) -> SidePrior:
    """Return the prior before anything was learned: zero."""
    return SidePrior(np.zeros((n_factors + 1, n_features)))


def fit_weighted_with_prior(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    start: Factors,
    ridge: tuple[_Array, _Array],
    sides: Sides,
    *,
    n_sweeps: int,
    tol: float = 0.0,
) -> PriorFit:
    """Minimise sum_obs w (y - f)^2 + l |delta|^2 + l_w |W|^2 by alternating least squares.

    Each half-sweep solves W and delta of its side together, so the loss never rises (up to the
    tolerance of the conjugate gradients). Rows without cells get what their features say.

    Parameters
    ----------
    pattern : Pattern
    outcome, weights : float array, shape (n,)
        Aligned with the pattern; weights of mean 1.
    start : Factors
    ridge : pair of float64 array, shapes (n_users,), (n_items,)
        l of each row, around its prior.
    sides : Sides
    n_sweeps : int
    tol : float
    """
    priors = _no_priors(start, sides)
    factors = with_mean_residual(start, pattern, outcome, weights)[0]
    losses: list[float] = []
    for _ in range(n_sweeps):
        rows = weighted_user_rows(pattern, outcome, weights, factors, ridge[0])
        factors, user = _users_solved(rows, factors, ridge[0], sides, priors[0])
        rows = _weighted_item_rows(pattern, outcome, weights, factors, ridge[1])
        factors, item = _items_solved(rows, factors, ridge[1], sides, priors[1])
        factors, residual = with_mean_residual(factors, pattern, outcome, weights)
        priors = user, item
        data = float(np.sum(weights * np.square(residual), dtype=np.float64))
        losses.append((data + _penalty(factors, ridge, sides, priors)) / pattern.n)
        if has_converged(losses, tol):
            break
    mass = _mass(pattern.users, weights, pattern.n_users)
    mass_items = _mass(pattern.items, weights, pattern.n_items)
    factors, priors = _cold_rows_centred(factors, sides, priors, (mass, mass_items))
    return PriorFit(factors, losses, has_converged(losses, tol), *priors)


def fit_doubly_robust_with_prior(
    pattern: Pattern,
    score: Score,
    start: Factors,
    ridge: tuple[_Array, _Array],
    sides: Sides,
    *,
    n_sweeps: int,
    tol: float = 0.0,
) -> PriorFit:
    """Minimise sum_all (s - f)^2 + l |delta|^2 + l_w |W|^2 by alternating least squares.

    Rows without cells are left out and get what their features say: their score is their
    imputation, which would pull them, with the weight of the whole grid, to what nobody saw.

    Parameters
    ----------
    pattern : Pattern
    score : Score
    start : Factors
    ridge : pair of float64 array, shapes (n_users,), (n_items,)
        In units of the grid.
    sides : Sides
        Its ridge in units of the grid too.
    n_sweeps : int
    tol : float
    """
    warm = Warm.of(pattern)
    if not warm.everything:
        inner = warm.part(pattern, score, start, ridge, sides)
        found = fit_doubly_robust_with_prior(*inner, n_sweeps=n_sweeps, tol=tol)
        return warm.spread(found, sides)
    mean = score.mean()
    factors, priors = centred(start, mean), _no_priors(start, sides)
    zero = np.zeros_like(ridge[0]), np.zeros_like(ridge[1])
    losses: list[float] = []
    for _ in range(n_sweeps):
        rows = grid_user_rows(score, factors, ridge[0])
        factors, user = _users_solved(rows, factors, ridge[0], sides, priors[0])
        rows = _grid_item_rows(score, factors, ridge[1])
        factors, item = _items_solved(rows, factors, ridge[1], sides, priors[1])
        factors, priors = centred(factors, mean), (user, item)
        data = loss_over_all_cells(pattern, score, factors, zero)
        losses.append(data + _penalty(factors, ridge, sides, priors) / pattern.n_cells)
        if has_converged(losses, tol):
            break
    ones = np.ones(pattern.n_users), np.ones(pattern.n_items)
    factors, priors = _cold_rows_centred(factors, sides, priors, ones)
    return PriorFit(factors, losses, has_converged(losses, tol), *priors)


@dataclass(frozen=True)
class Warm:
    """Which users and items have cells.

    Attributes
    ----------
    users, items : bool array, shapes (n_users,), (n_items,)
    """

    users: NDArray[np.bool_]
    items: NDArray[np.bool_]

    @classmethod
    def of(cls, pattern: Pattern) -> Warm:
        """Look them up."""
        return cls(np.diff(pattern.user_pointer) > 0, np.diff(pattern.item_pointer) > 0)

    @property
    def everything(self) -> bool:
        """Whether every row has cells."""
        return bool(self.users.all() and self.items.all())

    @property
    def n_cells(self) -> int:
        """Cells of the grid of rows that have any."""
        return int(self.users.sum()) * int(self.items.sum())

    def part(
        self,
        pattern: Pattern,
        score: Score,
        start: Factors,
        ridge: tuple[_Array, _Array],
        sides: Sides,
    ) -> tuple[Pattern, Score, Factors, tuple[_Array, _Array], Sides]:
        """Return the problem of the rows that have cells."""
        users = (np.cumsum(self.users) - 1).astype(np.int32)
        items = (np.cumsum(self.items) - 1).astype(np.int32)
        shape = int(self.users.sum()), int(self.items.sum())
        inner = Pattern(users[pattern.users], items[pattern.items], *shape)
        kept = replace(
            score,
            left=score.left[self.users],
            right=score.right[self.items],
            by_user=_recoded(score.by_user, items, self.users),
            by_item=_recoded(score.by_item, users, self.items),
        )
        begun = with_items(
            with_users(start, solutions(start.user_factors, start.user_biases)[self.users]),
            solutions(start.item_factors, start.item_biases)[self.items],
        )
        seen = replace(sides, x=sides.x[self.users], z=sides.z[self.items])
        return inner, kept, begun, (ridge[0][self.users], ridge[1][self.items]), seen

    def spread(self, fit: PriorFit, sides: Sides) -> PriorFit:
        """Return the fit of every row: those without cells get what their features say."""
        factors = fit.factors
        users, items = fit.user_prior.cold(sides.x), fit.item_prior.cold(sides.z)
        users[self.users] = solutions(factors.user_factors, factors.user_biases)
        items[self.items] = solutions(factors.item_factors, factors.item_biases)
        return replace(fit, factors=with_items(with_users(factors, users), items))


def _recoded(rows: SparseRows, codes: Integers, keep: NDArray[np.bool_]) -> SparseRows:
    """Return compressed rows without the rows and columns that are empty."""
    pointer = rows.pointer[np.concatenate([[True], keep])]
    return SparseRows(pointer, codes[rows.columns], rows.values)


def _mass(codes: Integers, weights: Floats, size: int) -> _Array:
    return np.bincount(codes, weights=weights, minlength=size).astype(np.float64)


def _no_priors(start: Factors, sides: Sides) -> tuple[SidePrior, SidePrior]:
    k = start.n_factors
    return no_prior(k, sides.x.shape[1]), no_prior(k, sides.z.shape[1])


# ------------------------------------------------------------------ normal equations


def weighted_user_rows(
    pattern: Pattern, outcome: Floats, weights: Floats, factors: Factors, ridge: _Array
) -> Rows:
    """Return the users' normal equations for the items as they are, over observed cells."""
    targets = outcome - factors.item_biases[pattern.items] - factors.intercept
    design = _with_ones(factors.item_factors)
    return OwnGrams.of(pattern.user_pointer, pattern.items, weights, targets, design, ridge)


def _weighted_item_rows(
    pattern: Pattern, outcome: Floats, weights: Floats, factors: Factors, ridge: _Array
) -> Rows:
    order = pattern.by_item
    users = pattern.users[order]
    targets = outcome[order] - factors.user_biases[users] - factors.intercept
    design = _with_ones(factors.user_factors)
    return OwnGrams.of(pattern.item_pointer, users, weights[order], targets, design, ridge)


def grid_user_rows(
    score: Score, factors: Factors, ridge: _Array, items: NDArray[np.bool_] | None = None
) -> Rows:
    """Return the users' normal equations for the items as they are, over their whole rows.

    With `items` a row is the cells of these items; those of S must be among them.
    """
    design = _with_ones(factors.item_factors)
    right_side = _product(score.by_user, design)
    level, imputed = factors.item_biases + factors.intercept, score.right
    if items is not None:
        design, level, imputed = design[items], level[items], imputed[items]
    right_side += score.left @ (imputed.T @ design) - level @ design
    return SharedGram.of(design, ridge, right_side)


def _grid_item_rows(score: Score, factors: Factors, ridge: _Array) -> Rows:
    design = _with_ones(factors.user_factors)
    right_side = score.right @ (score.left.T @ design) + _product(score.by_item, design)
    right_side -= (factors.user_biases + factors.intercept) @ design
    return SharedGram.of(design, ridge, right_side)


def _product(rows: SparseRows, design: Floats) -> Floats:
    return sparse_times_dense(rows.pointer, rows.columns, rows.values, design)


def _with_ones(factors: Floats) -> Floats:
    return np.hstack([factors, np.ones((len(factors), 1), dtype=factors.dtype)])


def _users_solved(
    rows: Rows, factors: Factors, ridge: _Array, sides: Sides, prior: SidePrior
) -> tuple[Factors, SidePrior]:
    prior, solved = solve_with_prior(rows, ridge, sides.x, prior, sides.ridge)
    return with_users(factors, solved), prior


def with_users(factors: Factors, solved: _Array) -> Factors:
    """Return the factors with these solutions (n_users, k + 1) as their user side."""
    solved = solved.astype(factors.user_factors.dtype)
    return replace(factors, user_factors=solved[:, :-1], user_biases=solved[:, -1])


def _items_solved(
    rows: Rows, factors: Factors, ridge: _Array, sides: Sides, prior: SidePrior
) -> tuple[Factors, SidePrior]:
    prior, solved = solve_with_prior(rows, ridge, sides.z, prior, sides.ridge)
    return with_items(factors, solved), prior


def with_items(factors: Factors, solved: _Array) -> Factors:
    """Return the factors with these solutions (n_items, k + 1) as their item side."""
    solved = solved.astype(factors.item_factors.dtype)
    return replace(factors, item_factors=solved[:, :-1], item_biases=solved[:, -1])


# ------------------------------------------------------------------ loss and cold rows


def _penalty(
    factors: Factors,
    ridge: tuple[_Array, _Array],
    sides: Sides,
    priors: tuple[SidePrior, SidePrior],
) -> float:
    total = 0.0
    for features, row_ridge, prior, rows in (
        (sides.x, ridge[0], priors[0], solutions(factors.user_factors, factors.user_biases)),
        (sides.z, ridge[1], priors[1], solutions(factors.item_factors, factors.item_biases)),
    ):
        delta = rows - prior.means(features)
        total += float(row_ridge @ np.square(delta).sum(1))
        total += sides.ridge * float(np.square(prior.weights).sum())
    return total


def solutions(factors: Floats, biases: Floats) -> _Array:
    """Return factors and biases side by side, shape (n, k + 1)."""
    return np.column_stack([factors, biases]).astype(np.float64)


def _cold_rows_centred(
    factors: Factors,
    sides: Sides,
    priors: tuple[SidePrior, SidePrior],
    mass: tuple[_Array, _Array],
) -> tuple[Factors, tuple[SidePrior, SidePrior]]:
    """Centre the prior of rows without cells on the cells that the loss weighs.

    The shift is sum_i mass_i (b_i - (W x_i)_b) / sum_i mass_i. Where the mass is that of the
    ratings, films that get rated are better than the average film, and so is a new one of which
    a rating is to be predicted; over the whole grid every row has the same mass.
    """
    centred_priors = []
    for features, prior, biases, weight in (
        (sides.x, priors[0], factors.user_biases, mass[0]),
        (sides.z, priors[1], factors.item_biases, mass[1]),
    ):
        off = biases - prior.means(features)[:, -1]
        shift = float(weight @ off / weight.sum()) if features.shape[1] else 0.0
        centred_priors.append(replace(prior, shift=shift))
    user, item = centred_priors
    users = solutions(factors.user_factors, factors.user_biases)
    items = solutions(factors.item_factors, factors.item_biases)
    users[mass[0] == 0, -1] += user.shift
    items[mass[1] == 0, -1] += item.shift
    return with_items(with_users(factors, users), items), (user, item)
