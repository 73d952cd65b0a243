"""`CellTotals`: totals over cells, accumulated block by block, and ratios of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.errors import DataError, near_miss
from causalrec.inference._clusters import intersect, sum_by
from causalrec.inference._estimate import Estimate
from causalrec.inference._influence import DESIGN, Frame, Influence
from causalrec.inference._sums import FloatArray, GramSums, IntArray, SmallSums, Sums, divide
from causalrec.threads import one_thread

CELLS = -1
"""As a denominator: every cell of the grid counts one, without a column of ones."""


@dataclass(frozen=True, eq=False)
class _Totals:
    """Sums of z and of its squares, by user, by item cluster and by cell, at one moment."""

    by_user: FloatArray
    by_item: FloatArray
    gram: FloatArray
    squares: FloatArray
    counts: IntArray

    @classmethod
    def zero(cls, n_users: int, n_items: int, q: int) -> _Totals:
        return cls(
            np.zeros((n_users, q)),
            np.zeros((n_items, q)),
            np.zeros((q, q)),
            np.zeros(q),
            np.zeros(q, dtype=np.int64),
        )

    def copy(self) -> _Totals:
        return _Totals(*(part.copy() for part in vars(self).values()))

    def with_ones(self, items_in_cluster: FloatArray) -> _Totals:
        """Append a column that is one in every cell, by arithmetic."""
        n_users, n_items = len(self.by_user), items_in_cluster.sum()
        mixed = items_in_cluster @ self.by_item
        square = n_users * np.square(items_in_cluster).sum()
        return _Totals(
            np.column_stack([self.by_user, np.full(n_users, n_items)]),
            np.column_stack([self.by_item, items_in_cluster * n_users]),
            np.block([[self.gram, mixed[:, None]], [mixed[None, :], np.array([[square]])]]),
            np.append(self.squares, n_users * n_items),
            np.append(self.counts, int(n_users * n_items)),
        )


class CellTotals:
    """Totals of a joint vector z of q columns over the cells of a grid, with what inference needs.

    A cell's z is whatever is added for it: by rows (`add_rows`, sparse) and by blocks of users
    (`add`, dense). Only sums by user, by item, and the q x q Gram matrix are kept, so a grid of
    any size is streamed in the memory of one block. Ratios of the totals then have a joint
    covariance: naive, IPS, SNIPS and DR of several metrics and models, compared in pairs.

    Rows have to be added before the block that holds their users, because the Gram matrix needs
    the whole z of a cell.

    Parameters
    ----------
    n_users, n_items, n_columns : int
    item_clusters : int array (n_items,), optional
        Coarser clusters that take the place of items, such as the provider of each.
    item_dimension : str
        Name of the second dimension: "item" by default; "provider", say, with `item_clusters`.

    Examples
    --------
    >>> import numpy as np
    >>> totals = CellTotals(n_users=50, n_items=20, n_columns=2)
    >>> rng = np.random.default_rng(0)
    >>> users, items = np.divmod(rng.permutation(1000)[:300], 20)
    >>> loss = rng.exponential(size=300)
    >>> totals.add_rows(users, items, np.column_stack([loss, np.ones(300)]))
    >>> naive = totals.to_estimate(numerators=[0], denominators=[1], labels=["mse"])
    >>> bool(np.isclose(float(naive), loss.mean())), naive.n.tolist()
    (True, [300])
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_columns: int,
        *,
        item_clusters: IntArray | None = None,
        item_dimension: str = "item",
    ) -> None:
        self.n_users, self.n_items, self.n_columns = n_users, n_items, n_columns
        self.dimensions = ("user", item_dimension)
        self._of_item = None if item_clusters is None else np.asarray(item_clusters)
        if self._of_item is not None and self._of_item.shape != (n_items,):
            raise DataError(
                f"item_clusters has shape {self._of_item.shape}; pass one code for each of the"
                f" {n_items:,} items."
            )
        codes = np.arange(n_items) if self._of_item is None else self._of_item
        self._items_in_cluster = np.bincount(codes, minlength=1).astype(np.float64)
        self._totals = _Totals.zero(n_users, len(self._items_in_cluster), n_columns)
        self._design_gram: FloatArray | None = None
        self._waiting: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._closed = np.zeros(n_users, dtype=bool)
        self._snapshot: _Totals | None = None

    # ------------------------------------------------------------------ accumulation

    @one_thread
    def add_rows(
        self,
        users: IntArray,
        items: IntArray,
        values: FloatArray,
        *,
        design_residual: FloatArray | None = None,
    ) -> None:
        """Add z for some cells; rows of one cell are summed.

        Parameters
        ----------
        users, items : int arrays (nnz,)
        values : float array (nnz, q)
        design_residual : float array (nnz, q), optional
            The random part of z for `sampled=()` (see `causalrec.scores.design_residual`).

        Raises
        ------
        DataError
            If shapes differ, or the block of one of these users was added before.
        """
        rows = np.asarray(values, dtype=np.float64)
        if rows.shape != (len(users), self.n_columns) or len(items) != len(users):
            raise DataError(
                f"values has shape {rows.shape} for {len(users):,} users and {len(items):,} items;"
                f" it must be (rows, {self.n_columns})."
            )
        late = np.unique(users[self._closed[users]])
        if late.size:
            raise DataError(
                f"The dense block of {late.size:,} of these users was added before their rows"
                f" (user codes {late[:5].tolist()}...). Call add_rows first, then add."
            )
        self._snapshot = None
        self._waiting.append((np.asarray(users), np.asarray(items), rows))
        if design_residual is not None:
            random = np.asarray(design_residual, dtype=np.float64)
            gram = random.T @ random
            self._design_gram = gram if self._design_gram is None else self._design_gram + gram

    @one_thread
    def add(self, users: slice, values: FloatArray) -> None:
        """Add z for every cell of a block of users, once per user.

        Parameters
        ----------
        users : slice
            A contiguous range of user codes.
        values : float array (b, n_items, q)
            Left as it is; rows added earlier for these users are added to a copy.
        """
        start, stop, step = users.indices(self.n_users)
        if values.shape != (stop - start, self.n_items, self.n_columns) or step != 1:
            raise DataError(
                f"The block of users {start}:{stop} has shape {values.shape}; it must be"
                f" {(stop - start, self.n_items, self.n_columns)}."
            )
        if self._closed[start:stop].any():
            raise DataError(f"A block with users of {start}:{stop} was added before; add it once.")
        self._snapshot = None
        row_users, row_items, rows = self._rows()
        first, last = np.searchsorted(row_users, [start, stop])
        block = np.asarray(values, dtype=np.float64)
        if last > first:
            block = block.copy()
            block[row_users[first:last] - start, row_items[first:last]] += rows[first:last]
        self._closed[start:stop] = True
        totals = self._totals
        totals.by_user[start:stop] += block.sum(axis=1)
        flat = block.reshape(-1, self.n_columns)
        totals.squares[:] += np.einsum("ij,ij->j", flat, flat)
        totals.counts[:] += np.count_nonzero(flat, axis=0)
        if self._of_item is not None:
            across = block.transpose(1, 0, 2).reshape(self.n_items, -1)
            flat = sum_by(self._of_item, across, len(self._items_in_cluster))
            totals.by_item[:] += flat.reshape(len(flat), -1, self.n_columns).sum(axis=1)
            flat = flat.reshape(-1, self.n_columns)
        else:
            totals.by_item[:] += block.sum(axis=0)
        totals.gram[:] += flat.T @ flat

    def _rows(self) -> tuple[IntArray, IntArray, FloatArray]:
        """All rows waiting, one entry a cell, sorted by user and item."""
        if not self._waiting:
            empty = np.empty(0, dtype=np.int64)
            return empty, empty, np.empty((0, self.n_columns))
        if len(self._waiting) > 1 or not _is_sorted_cells(*self._waiting[0][:2], self.n_items):
            users, items, values = (
                np.concatenate(part) for part in zip(*self._waiting, strict=True)
            )
            cells, place = np.unique(users * np.int64(self.n_items) + items, return_inverse=True)
            row_users, row_items = np.divmod(cells, self.n_items)
            self._waiting = [(row_users, row_items, sum_by(place, values, len(cells)))]
        return self._waiting[0]

    @one_thread
    def _now(self) -> _Totals:
        """Totals including the rows whose users have no dense block, and a column of ones."""
        if self._snapshot is not None:
            return self._snapshot
        users, items, rows = self._rows()
        totals = self._totals.copy()
        open_rows = ~self._closed[users]
        users, items, rows = users[open_rows], items[open_rows], rows[open_rows]
        totals.by_user[:] += sum_by(users, rows, self.n_users)
        totals.squares[:] += np.einsum("ij,ij->j", rows, rows)
        totals.counts[:] += np.count_nonzero(rows, axis=0)
        if self._of_item is not None and len(rows):
            items = self._of_item[items]
            joint, n_joint = intersect([users, items])
            totals.by_item[:] += sum_by(items, rows, len(totals.by_item))
            rows = sum_by(joint, rows, n_joint)
        else:
            totals.by_item[:] += sum_by(items, rows, len(totals.by_item))
        totals.gram[:] += rows.T @ rows
        self._snapshot = totals.with_ones(self._items_in_cluster)
        return self._snapshot

    @property
    def totals(self) -> FloatArray:
        """Sum of each column over the grid, (q,)."""
        total: FloatArray = self._now().by_user.sum(axis=0)
        return total[:-1]

    # ------------------------------------------------------------------ ratios

    def to_estimate(
        self,
        numerators: Sequence[int],
        denominators: Sequence[int],
        labels: Sequence[str] | None = None,
        *,
        weights: Sequence[int] | None = None,
        sampled: Sequence[str] | None = None,
        level: float = 0.95,
        population: str = "",
        estimator: str = "",
    ) -> Estimate:
        """Return ratios of the totals with their joint covariance (delta method).

        Estimates made of the same totals can be stacked, subtracted and compared.

        Parameters
        ----------
        numerators, denominators : sequences of int
            Columns of z, one pair a label; `CELLS` as a denominator is the number of cells.
        labels : sequence of str, optional
        weights : sequence of int, optional
            Columns that hold the weights of each label, for its effective sample size; default
            the denominators.
        sampled : sequence of str, optional
            Default both dimensions.
        level, population, estimator
            As in `Estimate.from_score`.
        """
        chosen = self.dimensions if sampled is None else tuple(sampled)
        for name in chosen:
            if name not in self.dimensions:
                raise DataError(
                    f"sampled={chosen} names {name!r}; these totals have the dimensions"
                    f" {self.dimensions}.{near_miss(name, self.dimensions)}"
                )
        now = self._now()
        top, bottom = self._columns(numerators), self._columns(denominators)
        weight = bottom if weights is None else self._columns(weights)
        total = now.by_user.sum(axis=0)
        empty = total[bottom] == 0.0
        inverse = divide(np.ones(len(bottom)), total[bottom])
        ratio = total[top] * inverse
        matrix = np.zeros((len(total), len(top)))
        np.add.at(matrix, (top, np.arange(len(top))), inverse)
        np.add.at(matrix, (bottom, np.arange(len(top))), -ratio * inverse)
        influence = Influence(
            sampled=chosen,
            terms=self._terms(now, matrix, chosen),
            shares={name: self._side(now, name)[:, bottom] * inverse for name in chosen},
            values=ratio,
            counts=now.counts[bottom],
            sizes=divide(np.square(total[weight]), now.squares[weight]),
            frame=Frame("totals", {}, token=now),
        )
        value = np.where(empty, np.nan, ratio)
        return Estimate.of_atoms(influence, value, labels, level, population, estimator)

    def _columns(self, columns: Sequence[int]) -> IntArray:
        found = np.asarray(columns, dtype=np.int64)
        if len(found) and (found.min() < CELLS or found.max() >= self.n_columns):
            raise DataError(
                f"columns {list(columns)} must lie in 0..{self.n_columns - 1} or be CELLS."
            )
        return np.where(found == CELLS, self.n_columns, found)

    def _side(self, now: _Totals, name: str) -> FloatArray:
        return now.by_user if name == self.dimensions[0] else now.by_item

    @one_thread
    def _terms(
        self, now: _Totals, matrix: FloatArray, chosen: tuple[str, ...]
    ) -> dict[tuple[str, ...], Sums]:
        terms: dict[tuple[str, ...], Sums] = {
            (name,): SmallSums(self._side(now, name) @ matrix) for name in chosen
        }
        if len(chosen) == 2:
            terms[chosen] = GramSums(now.gram, matrix)
        if not chosen:
            if self._design_gram is None:
                raise DataError(
                    "sampled=() asks for the error over these very cells: pass design_residual=..."
                    ' to add_rows, or sampled=("user", "item").'
                )
            terms[DESIGN] = GramSums(np.pad(self._design_gram, (0, 1)), matrix)
        return terms


def _is_sorted_cells(users: IntArray, items: IntArray, n_items: int) -> bool:
    cells = users * np.int64(n_items) + items
    return bool((np.diff(cells) > 0).all())
