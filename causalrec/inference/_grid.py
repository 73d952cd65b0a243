"""The influence of a mean over a whole grid of cells, low rank plus sparse, never built.

With outcome model A B' and residual e on the observed cells, the influence of the mean over the
cells of a pair of groups is psi = (A_u . B_i + e_ui - theta) / cells. Its user and item sums and
its Gram matrix need only A, B, their k x k Gram matrices and e: O(nnz + (m + n) k^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from causalrec.errors import DataError
from causalrec.inference._clusters import sum_by
from causalrec.inference._influence import DESIGN, Frame, Influence
from causalrec.inference._sums import FloatArray, IntArray, SmallSums, Sums, divide, not_alike
from causalrec.threads import one_thread

PLACES_AT_ONCE = 16_384


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups of the users and of the items of a grid; a cell belongs to one pair, or to none.

    Parameters
    ----------
    of_user, of_item : int arrays (m,), (n,)
        Group of each; -1 is in none.
    """

    of_user: IntArray
    of_item: IntArray

    @cached_property
    def user_sizes(self) -> IntArray:
        """Users in each user group."""
        return np.bincount(self.of_user[self.of_user >= 0], minlength=1)

    @cached_property
    def item_sizes(self) -> IntArray:
        """Items in each item group."""
        return np.bincount(self.of_item[self.of_item >= 0], minlength=1)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of a user group and an item group."""
        return len(self.user_sizes) * len(self.item_sizes)

    @cached_property
    def cells(self) -> FloatArray:
        """Cells in each pair, user group first, (pairs,)."""
        return np.outer(self.user_sizes, self.item_sizes).ravel().astype(np.float64)

    def pair_of(self, users: IntArray, items: IntArray) -> IntArray:
        """Pair of each cell, -1 for none."""
        a, b = self.of_user[users].astype(np.int64), self.of_item[items].astype(np.int64)
        return np.where((a >= 0) & (b >= 0), a * len(self.item_sizes) + b, -1)


class GridSums(Sums):
    """Cells of a grid: column c holds (A_u . B_i + e_ui - theta_c) / cells_c on the pair c.

    Parameters
    ----------
    factors : (float array (m, k), float array (n, k))
    places : (int array (nnz,), int array (nnz,))
        Users and items of the sparse part, one entry a cell.
    residual : float array (nnz,)
    grouping : Grouping
    pair : int array (nnz,)
        Pair of each place, -1 for none.
    mean : float array (pairs,)
        theta.
    """

    def __init__(
        self,
        factors: tuple[FloatArray, FloatArray],
        places: tuple[IntArray, IntArray],
        residual: FloatArray,
        grouping: Grouping,
        pair: IntArray,
        mean: FloatArray,
    ) -> None:
        self.factors, self.places, self.residual = factors, places, residual
        self.grouping, self.pair, self.mean = grouping, pair, mean

    @cached_property
    def smooth(self) -> FloatArray:
        """Low-rank part minus the mean at the places, (nnz,)."""
        (left, right), (users, items) = self.factors, self.places
        found = np.empty(len(users))
        for start in range(0, len(users), PLACES_AT_ONCE):  # what is gathered stays in the cache
            part = slice(start, start + PLACES_AT_ONCE)
            np.einsum("ij,ij->i", left[users[part]], right[items[part]], out=found[part])
        return found - self.mean[self.pair]

    @cached_property
    def gram(self) -> FloatArray:
        return self.cross(self)

    def cross(self, other: Sums) -> FloatArray:
        if not isinstance(other, GridSums):
            raise not_alike()
        shape = (self.grouping.n_pairs, other.grouping.n_pairs)
        total = self._smooth_cross(other).reshape(shape)
        used = np.flatnonzero((self.pair >= 0) & (other.pair >= 0))
        product = self.residual * (other.smooth + other.residual) + self.smooth * other.residual
        joint = self.pair[used] * shape[1] + other.pair[used]
        total += np.bincount(joint, weights=product[used], minlength=total.size).reshape(shape)
        return divide(total, np.outer(self.grouping.cells, other.grouping.cells))

    def _smooth_cross(self, other: GridSums) -> FloatArray:
        """Sum of the products of the two low-rank parts over the cells that two pairs share."""
        users = _group_grams(
            (self.factors[0], self.grouping.of_user, len(self.grouping.user_sizes)),
            (other.factors[0], other.grouping.of_user, len(other.grouping.user_sizes)),
        )
        items = _group_grams(
            (self.factors[1], self.grouping.of_item, len(self.grouping.item_sizes)),
            (other.factors[1], other.grouping.of_item, len(other.grouping.item_sizes)),
        )
        mine = self.mean.reshape(len(self.grouping.user_sizes), -1)
        theirs = other.mean.reshape(len(other.grouping.user_sizes), -1)
        total = np.zeros((*mine.shape, *theirs.shape))
        for (a, a2), p in users.items():
            for (b, b2), q in items.items():
                # A_u . B_i - mean = [A, 1]_u . [B, -mean]_i; p and q hold the Grams of [., 1].
                weight = np.outer(
                    np.append(np.ones(len(p) - 1), -mine[a, b]),
                    np.append(np.ones(p.shape[1] - 1), -theirs[a2, b2]),
                )
                total[a, b, a2, b2] = np.vdot(weight * p, q)
        return total


@one_thread
def _group_grams(
    mine: tuple[FloatArray, IntArray, int], theirs: tuple[FloatArray, IntArray, int]
) -> dict[tuple[int, int], FloatArray]:
    """Gram matrices of [factors, 1] over the members that two groups share."""
    (left, of_left, _), (right, of_right, width) = mine, theirs
    used = np.flatnonzero((of_left >= 0) & (of_right >= 0))
    joint = of_left[used].astype(np.int64) * width + of_right[used]
    first, second = (np.column_stack([f, np.ones(len(f))]) for f in (left, right))
    grams = {}
    for key in np.unique(joint).tolist():
        members = used[joint == key]
        grams[divmod(key, width)] = first[members].T @ second[members]
    return grams


@one_thread
def grid_influence(
    factors: tuple[FloatArray, FloatArray],
    observed: tuple[IntArray, IntArray, FloatArray],
    groups: tuple[IntArray | None, IntArray | None],
    design_residual: FloatArray | None,
    weight: FloatArray | None,
    sampled: tuple[str, ...],
) -> Influence:
    """Return the influence of the means of `A[u] . B[i] + residual` over pairs of groups."""
    grouping = _check_grid(factors, observed, groups, sampled)
    (users, items, residual), places = observed, observed[:2]
    group_sums = (
        _group_sum(grouping.of_user, factors[0], len(grouping.user_sizes)),
        _group_sum(grouping.of_item, factors[1], len(grouping.item_sizes)),
    )
    smooth = (group_sums[0] @ group_sums[1].T).ravel()
    pair = grouping.pair_of(*places)
    cells = np.maximum(grouping.cells, 1.0)
    mean = (smooth + _sum_by_pair(grouping, pair, residual)) / cells
    terms: dict[tuple[str, ...], Sums] = {}
    shares: dict[str, FloatArray] = {}
    for name in sampled:
        side = _Side.of(name, factors, places, grouping)
        terms[(name,)] = SmallSums(side.sums(group_sums, residual, mean) / cells)
        shares[name] = side.shares()
    if len(sampled) == 2:
        terms[sampled] = GridSums(factors, places, residual, grouping, pair, mean)
    if not sampled:
        terms[DESIGN] = _design_sums(factors, places, design_residual, grouping, pair)
    weights = np.ones(len(residual)) if weight is None else np.asarray(weight, np.float64)
    first = _sum_by_pair(grouping, pair, weights)
    second = _sum_by_pair(grouping, pair, weights**2)
    return Influence(
        sampled=sampled,
        terms=terms,
        shares=shares,
        values=mean,
        counts=grouping.cells.astype(np.int64),
        sizes=divide(first**2, second),
        frame=Frame(
            "cells of a grid", {"user": users, "item": items}, len(factors[0]) * len(factors[1])
        ),
    )


@dataclass(frozen=True)
class _Side:
    """The users of a grid, or its items: own factors and groups, and the group sizes across."""

    axis: int
    factors: FloatArray
    of_group: IntArray
    own_sizes: IntArray
    sizes_across: IntArray
    of_group_across: IntArray
    place: IntArray
    place_across: IntArray

    @classmethod
    def of(
        cls,
        name: str,
        factors: tuple[FloatArray, FloatArray],
        places: tuple[IntArray, IntArray],
        grouping: Grouping,
    ) -> _Side:
        groups = (grouping.of_user, grouping.of_item)
        sizes = (grouping.user_sizes, grouping.item_sizes)
        k = 0 if name == "user" else 1
        return cls(
            k,
            factors[k],
            groups[k],
            sizes[k],
            sizes[1 - k],
            groups[1 - k],
            places[k],
            places[1 - k],
        )

    def sums(
        self, group_sums: tuple[FloatArray, FloatArray], residual: FloatArray, mean: FloatArray
    ) -> FloatArray:
        """Sum of `A_u . B_i + e - mean` over the cells of each member, (members, pairs)."""
        across = len(self.sizes_across)
        shape = (len(self.own_sizes), across)
        by_own = mean.reshape(shape) if self.axis == 0 else mean.reshape(shape[::-1]).T
        inside = self.of_group_across[self.place_across] >= 0
        joint = (
            self.place[inside] * np.int64(across) + self.of_group_across[self.place_across][inside]
        )
        extra = np.bincount(joint, weights=residual[inside], minlength=len(self.factors) * across)
        compact = self.factors @ group_sums[1 - self.axis].T + extra.reshape(-1, across)
        compact = compact - by_own[self.of_group] * self.sizes_across
        return self._spread(compact)

    def shares(self) -> FloatArray:
        """Share of each member in the cells of each pair, (members, pairs)."""
        inverse = 1.0 / np.maximum(self.own_sizes, 1)[self.of_group]
        return self._spread(np.repeat(inverse[:, None], len(self.sizes_across), axis=1))

    def _spread(self, compact: FloatArray) -> FloatArray:
        """Put (members, groups across) into the columns of the member's own group."""
        full = np.zeros((len(compact), len(self.own_sizes), compact.shape[1]))
        members = np.flatnonzero(self.of_group >= 0)
        full[members, self.of_group[members]] = compact[members]
        ordered = full if self.axis == 0 else full.transpose(0, 2, 1)
        return ordered.reshape(len(compact), -1)


def _sum_by_pair(grouping: Grouping, pair: IntArray, values: FloatArray) -> FloatArray:
    # The code -1 of no pair becomes 0, and the first sum is dropped.
    summed = np.bincount(pair + 1, weights=values, minlength=grouping.n_pairs + 1)[1:]
    return np.asarray(summed, dtype=np.float64)


def _group_sum(of_group: IntArray, factors: FloatArray, n_groups: int) -> FloatArray:
    inside = of_group >= 0
    return sum_by(of_group[inside], factors[inside], n_groups)


def _design_sums(
    factors: tuple[FloatArray, FloatArray],
    places: tuple[IntArray, IntArray],
    design_residual: FloatArray | None,
    grouping: Grouping,
    pair: IntArray,
) -> GridSums:
    if design_residual is None:
        raise DataError(
            "sampled=() asks for the error over these very cells: pass"
            " design_residual=scores.design_residual(...) at the observed cells, or"
            ' sampled=("user", "item").'
        )
    nothing = (factors[0][:, :0], factors[1][:, :0])
    residual = np.asarray(design_residual, np.float64).reshape(-1)
    return GridSums(nothing, places, residual, grouping, pair, np.zeros(grouping.n_pairs))


def _check_grid(
    factors: tuple[FloatArray, FloatArray],
    observed: tuple[IntArray, IntArray, FloatArray],
    groups: tuple[IntArray | None, IntArray | None],
    sampled: tuple[str, ...],
) -> Grouping:
    left, right = factors
    users, items, residual = observed
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise DataError(
            f"user_factors {left.shape} and item_factors {right.shape} must be (users, k) and"
            " (items, k) with the same k."
        )
    if not (users.shape == items.shape == residual.shape) or residual.ndim != 1:
        raise DataError(
            f"users {users.shape}, items {items.shape} and residual {residual.shape} must be"
            " vectors of one length, one entry an observed cell."
        )
    if set(sampled) - {"user", "item"}:
        raise DataError(f"sampled={sampled}: a grid has the dimensions 'user' and 'item' only.")
    if len(users) and (users.max() >= len(left) or items.max() >= len(right)):
        raise DataError("A code of an observed cell lies outside the factors' rows.")
    of_user, of_item = (
        np.zeros(len(f), dtype=np.int64) if g is None else np.asarray(g, dtype=np.int64)
        for f, g in zip(factors, groups, strict=True)
    )
    if of_user.shape != (len(left),) or of_item.shape != (len(right),):
        raise DataError("user_groups and item_groups need one group a user and one an item.")
    return Grouping(of_user, of_item)
