"""What every solver of this room shares: the cells, the factors, the ridge, the stopping rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
RidgeForm = Literal["uniform", "count"]
Watch = Callable[["Factors"], bool]

# An exactly singular row (no ridge at all, fewer cells than factors) would stop the solver; in
# units of mean-1 weights this much ridge is far below any digit that is ever reported.
SMALLEST_RIDGE = 1e-12


@dataclass(frozen=True)
class Pattern:
    """Observed cells as compressed rows, by user and by item.

    Attributes
    ----------
    users, items : int32 array, shape (n,)
        One entry a cell, sorted by (user, item).
    n_users, n_items : int
        Size of the grid.
    by_item : int64 array, shape (n,)
        The order that sorts the entries by (item, user).
    user_pointer, item_pointer : int64 array, shapes (n_users + 1,), (n_items + 1,)
        Where the entries of each row begin, in either order.
    """

    users: Integers
    items: Integers
    n_users: int
    n_items: int
    by_item: Integers = field(init=False)
    user_pointer: Integers = field(init=False)
    item_pointer: Integers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_item", np.argsort(self.items, kind="stable"))
        object.__setattr__(self, "user_pointer", _pointer(self.users, self.n_users))
        object.__setattr__(self, "item_pointer", _pointer(self.items, self.n_items))

    @property
    def n(self) -> int:
        """Number of observed cells."""
        return len(self.users)

    @property
    def n_cells(self) -> int:
        """Number of cells of the grid."""
        return self.n_users * self.n_items


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix as compressed rows.

    Attributes
    ----------
    pointer : int64 array, shape (rows + 1,)
        Where the entries of each row begin.
    columns : int32 array, shape (n,)
    values : float array, shape (n,)
    """

    pointer: Integers
    columns: Integers
    values: Floats

    def sums(self) -> NDArray[np.float64]:
        """Return the sum of each row."""
        codes = np.repeat(np.arange(len(self.pointer) - 1), np.diff(self.pointer))
        sums = np.bincount(codes, weights=self.values, minlength=len(self.pointer) - 1)
        return sums.astype(np.float64)


def _pointer(codes: Integers, size: int) -> Integers:
    counts = np.bincount(codes, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@dataclass(frozen=True)
class Factors:
    """A low-rank prediction f = intercept + a_u + b_i + U_u . V_i.

    Attributes
    ----------
    intercept : float
    user_factors, item_factors : float array, shapes (n_users, k), (n_items, k)
    user_biases, item_biases : float array, shapes (n_users,), (n_items,)
    biased : bool
        Whether the biases are fitted; else they stay zero and the intercept stays at the mean.
    """

    intercept: float
    user_factors: Floats
    item_factors: Floats
    user_biases: Floats
    item_biases: Floats
    biased: bool = True

    @property
    def n_factors(self) -> int:
        """Rank of the interaction, biases not counted."""
        return int(self.user_factors.shape[1])

    def item_design(self) -> Floats:
        """Return what users are regressed on: item factors, and the column of the user bias."""
        return _with_level(self.item_factors, self.biased)

    def user_design(self) -> Floats:
        """Return what items are regressed on: user factors, and the column of the item bias."""
        return _with_level(self.user_factors, self.biased)

    def without_biases(self) -> Factors:
        """Return the factors with biases that are zero and stay so."""
        none = np.zeros_like(self.user_biases), np.zeros_like(self.item_biases)
        return replace(self, user_biases=none[0], item_biases=none[1], biased=False)

    def low_rank(self) -> tuple[Floats, Floats]:
        """Return (A, B) with f = A B': the biases are two more columns."""
        one_user = np.ones((len(self.user_biases), 1), dtype=self.user_factors.dtype)
        one_item = np.ones((len(self.item_biases), 1), dtype=self.item_factors.dtype)
        level = (self.user_biases + self.intercept)[:, None].astype(self.user_factors.dtype)
        left = np.hstack([self.user_factors, level, one_user])
        right = np.hstack([self.item_factors, one_item, self.item_biases[:, None]])
        return left, right

    def predict(self, users: Integers, items: Integers) -> Floats:
        """Return f on aligned codes."""
        interaction = dot_rows(self.user_factors, self.item_factors, users, items)
        return interaction + self.user_biases[users] + self.item_biases[items] + self.intercept

    def block(self, users: slice | Integers) -> Floats:
        """Return f for some users and every item, shape (b, n_items)."""
        level = self.user_biases[users, None] + self.item_biases + self.intercept
        return np.asarray(self.user_factors[users] @ self.item_factors.T + level)

    def penalty(self, ridge_users: Floats, ridge_items: Floats) -> float:
        """Return the ridge term of the loss."""
        users, items = _squares(self.user_factors), _squares(self.item_factors)
        users += self.user_biases**2
        items += self.item_biases**2
        return float(ridge_users @ users + ridge_items @ items)


def _with_level(factors: Floats, biased: bool) -> Floats:
    """Append the bias's column: ones, or zeros, whose ridge solution is a bias of zero."""
    column = np.full((len(factors), 1), float(biased), dtype=factors.dtype)
    return np.hstack([factors, column])


def _squares(factors: Floats) -> NDArray[np.float64]:
    """Return the squared length of each row."""
    double = factors.astype(np.float64)
    return np.asarray(np.einsum("ij,ij->i", double, double))


def dot_rows(left: Floats, right: Floats, users: Integers, items: Integers) -> Floats:
    """Return A_u . B_i on aligned codes, in pieces that stay in cache.

    Examples
    --------
    >>> import numpy as np
    >>> dot_rows(np.eye(2), np.arange(4.0).reshape(2, 2), np.array([0, 1]), np.array([1, 1]))
    array([2., 3.])
    """
    out = np.empty(len(users), dtype=np.result_type(left, right))
    for start in range(0, len(users), 65_536):
        part = slice(start, start + 65_536)
        np.einsum("ij,ij->i", left[users[part]], right[items[part]], out=out[part])
    return out


def random_start(
    n_users: int, n_items: int, n_factors: int, rng: np.random.Generator, dtype: str
) -> Factors:
    """Return a start whose item factors are small and random, everything else zero."""
    scale = 1.0 / np.sqrt(max(n_factors, 1))
    items = rng.normal(0.0, scale, size=(n_items, n_factors))
    return Factors(
        0.0,
        np.zeros((n_users, n_factors), dtype=dtype),
        items.astype(dtype),
        np.zeros(n_users, dtype=dtype),
        np.zeros(n_items, dtype=dtype),
    )


def row_ridge(ridge: float, counts: Integers, form: RidgeForm) -> NDArray[np.float64]:
    """Return the ridge of each row: one for all, or in proportion to the row's cells.

    Parameters
    ----------
    ridge : float
        Ridge in units of mean-1 weights: a row's prior counts as much as `ridge` cells.
    counts : int array, shape (m,)
        Observed cells of each row.
    form : {"uniform", "count"}
        "count" multiplies by the row's cells over their mean, so that both forms spend the same
        total on the rows that were observed (Zhou et al. 2008 scale by the count alone).

    Examples
    --------
    >>> import numpy as np
    >>> row_ridge(6.0, np.array([1, 3]), "count").tolist()
    [3.0, 9.0]
    """
    floor = max(ridge, SMALLEST_RIDGE)
    if form == "uniform":
        return np.full(len(counts), floor)
    seen = np.maximum(counts, 1)
    return np.asarray(floor * seen / seen.mean(), dtype=np.float64)


def has_converged(losses: list[float], tol: float) -> bool:
    """Say whether the last sweep lowered the loss by less than a share `tol` of it.

    A `tol` of zero never says so: where rounding hides the last digits of the loss, the factors
    still move.
    """
    return tol > 0 and len(losses) > 1 and losses[-2] - losses[-1] <= tol * abs(losses[-2])
