"""The influence of a score's groups: every sum in one pass over the rows, without spreading them.

Both paths add in the order of the rows, so the compiled one gives the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.errors import DataError
from causalrec.inference._clusters import check_clusters, intersect, subsets, sum_by
from causalrec.inference._influence import DESIGN, Frame, Influence
from causalrec.inference._rows import ScoreLike, random_part
from causalrec.inference._sums import (
    DenseSums,
    FloatArray,
    GroupedSums,
    IntArray,
    SmallSums,
    Sums,
    divide,
)

if TYPE_CHECKING:
    from types import ModuleType

# Rows from which the compiled passes repay their compilation, and, where the compiler is loaded
# already, their reading from the cache. The bytes are the same, so the choice shows nowhere else.
WORTH_COMPILING, WORTH_LOADING = 20_000_000, 100_000


def check_groups(groups: IntArray, n_groups: int | None, n_rows: int) -> tuple[IntArray, int]:
    """Return group codes (n,) and their number, rows in no group having the code n_groups."""
    codes = np.asarray(groups)
    if codes.shape != (n_rows,) or not np.issubdtype(codes.dtype, np.integer):
        raise DataError(
            f"groups has shape {codes.shape} and type {codes.dtype}; pass one integer code for"
            f" each of the {n_rows:,} rows, -1 for no group."
        )
    largest = int(codes.max(initial=-1))
    count = largest + 1 if n_groups is None else n_groups
    if largest >= count:
        raise DataError(f"A group code is {largest}, but n_groups={count}.")
    if int(codes.min(initial=0)) >= 0:
        return codes, count
    return np.where(codes >= 0, codes, count), count


def grouped_influence(
    score: ScoreLike,
    clusters: Mapping[str, IntArray],
    sampled: Sequence[str] | None,
    one_row_per_cell: bool,
    groups: IntArray,
    n_groups: int,
) -> tuple[Influence, FloatArray]:
    """Return the same as `row_influence(group_scores(score, groups))`, without spreading rows."""
    codes, chosen = check_clusters(clusters, sampled, len(score.numerator))
    passes = _Passes(groups, n_groups, _kernels(len(groups)))
    totals = passes.totals(score)
    total = totals.denominator
    inverse = divide(np.ones_like(total), total)
    inverse[n_groups] = 0.0  # the last group takes the rows that are in none
    ratio = totals.numerator * inverse
    squares = None
    if chosen:
        per_row, squares = passes.influence(score, ratio, inverse)
    else:
        per_row = random_part(score) * inverse[groups]
    terms: dict[tuple[str, ...], Sums] = {}
    shares: dict[str, FloatArray] = {}
    for subset in subsets(chosen):
        if len(subset) == 1:
            name = subset[0]
            summed, held = passes.by_cluster(codes[name], per_row, score.denominator)
            terms[subset] = SmallSums(summed)
            shares[name] = held * _flat(inverse)
        else:
            cells = [] if one_row_per_cell else [codes[d] for d in subset]
            terms[subset] = _grouped_cells(cells, GroupedSums(per_row, groups, n_groups, squares))
    if not chosen:
        terms[DESIGN] = GroupedSums(per_row, groups, n_groups)
    influence = Influence(
        sampled=chosen,
        terms=terms,
        shares=shares,
        values=_flat(ratio),
        counts=_flat(totals.counts).astype(np.int64),
        sizes=_flat(divide(np.square(totals.weight), totals.squares)),
        frame=Frame("rows", {d: codes[d] for d in chosen}, len(groups)),
    )
    return influence, np.where(_flat(total) != 0.0, _flat(ratio), np.nan)


def _kernels(n_rows: int) -> ModuleType | None:
    """Return the compiled passes where they are worth their wait, or None."""
    if n_rows < (WORTH_LOADING if "numba" in sys.modules else WORTH_COMPILING):
        return None
    from causalrec.inference import _numba_passes

    return _numba_passes


def _flat(by_group: FloatArray) -> FloatArray:
    """Return (groups + 1, q) as (q x groups,): the groups of the first column, then the next."""
    return by_group[:-1].T.ravel()


@dataclass(frozen=True)
class _Totals:
    """Sums by group, each (groups + 1, q): the last is of the rows that are in none."""

    numerator: FloatArray
    denominator: FloatArray
    counts: FloatArray
    weight: FloatArray
    squares: FloatArray


@dataclass(frozen=True)
class _Passes:
    """Passes over rows with group codes, by numpy or compiled."""

    groups: IntArray
    n_groups: int
    kernels: ModuleType | None

    def totals(self, score: ScoreLike) -> _Totals:
        """Sum what the values, the counts and the sample sizes are made of."""
        width = self.n_groups + 1
        numerator, denominator = score.numerator, score.denominator
        weight = denominator if score.weight is None else score.weight
        if self.kernels is not None:
            found = np.zeros((5, width, numerator.shape[1]))
            for j in range(numerator.shape[1]):
                columns = numerator[:, j], denominator[:, j], weight[:, j]
                self.kernels.add_totals(self.groups, *columns, found[:, :, j])
            return _Totals(*found)
        top = sum_by(self.groups, numerator, width)
        if weight is denominator and _is_one(denominator):
            ones = np.bincount(self.groups, minlength=width)[:, None].astype(np.float64)
            ones = np.broadcast_to(ones, top.shape)
            return _Totals(top, ones, ones, ones, ones)
        return _Totals(
            top,
            sum_by(self.groups, denominator, width),
            sum_by(self.groups, (denominator != 0.0).astype(np.float64), width),
            sum_by(self.groups, weight, width),
            sum_by(self.groups, np.square(weight), width),
        )

    def influence(
        self, score: ScoreLike, ratio: FloatArray, inverse: FloatArray
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return each row's influence on its group's value, (n, q); a lone column's squares too."""
        numerator, denominator = score.numerator, score.denominator
        if self.kernels is None:
            centred = np.take(ratio, self.groups, axis=0)  # twice as fast as an index
            centred *= denominator
            np.subtract(numerator, centred, out=centred)
            centred *= np.take(inverse, self.groups, axis=0)
            return centred, None
        rows, squares = np.empty(numerator.shape), np.zeros((numerator.shape[1], len(ratio)))
        for j in range(numerator.shape[1]):
            columns = numerator[:, j], denominator[:, j], ratio[:, j], inverse[:, j]
            self.kernels.centre(self.groups, *columns, rows[:, j], squares[j])
        return rows, squares[0] if len(squares) == 1 else None

    def by_cluster(
        self, codes: IntArray, influence: FloatArray, denominator: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Sum influence and denominator by cluster and group, each (clusters, q x groups)."""
        n_codes, width = int(codes.max(initial=-1)) + 1, self.n_groups + 1
        if self.kernels is not None:
            shape = (n_codes, influence.shape[1], self.n_groups)
            summed, held = np.zeros(shape), np.zeros(shape)
            for j in range(influence.shape[1]):
                columns = influence[:, j], denominator[:, j]
                self.kernels.add_by_cluster(codes, self.groups, *columns, summed[:, j], held[:, j])
            return summed.reshape(n_codes, -1), held.reshape(n_codes, -1)
        joint = codes.astype(np.intp)
        joint *= width
        joint += self.groups

        def spread(summed: FloatArray) -> FloatArray:
            cube = summed.reshape(n_codes, width, -1)[:, : self.n_groups]
            return cube.transpose(0, 2, 1).reshape(n_codes, -1)

        summed = spread(sum_by(joint, influence, n_codes * width))
        if not _is_one(denominator):
            return summed, spread(sum_by(joint, denominator, n_codes * width))
        counts = np.bincount(joint, minlength=n_codes * width).astype(np.float64)
        return summed, np.tile(spread(counts), (1, influence.shape[1]))


def _is_one(values: FloatArray) -> bool:
    """Say whether one number, 1, stands for all of them."""
    return values.strides[0] == 0 and len(values) > 0 and bool((values[0] == 1.0).all())


def _grouped_cells(codes: Sequence[IntArray], rows: GroupedSums) -> Sums:
    """Sum by cell, as long as a cell lies in one group; else spread over columns.

    Without codes every row is a cell of its own.
    """
    joint, n_cells = intersect(codes) if codes else (rows.groups, len(rows.groups))
    if n_cells == len(joint):
        return rows
    groups, width = rows.groups, rows.n_groups + 1
    group_of_cell = np.zeros(n_cells, dtype=groups.dtype)
    group_of_cell[joint] = groups
    if (group_of_cell[joint] == groups).all():
        return GroupedSums(sum_by(joint, rows.values, n_cells), group_of_cell, rows.n_groups)
    summed = sum_by(joint * width + groups, rows.values, n_cells * width)
    cube = summed.reshape(n_cells, width, -1)[:, : rows.n_groups]
    return DenseSums(cube.transpose(0, 2, 1).reshape(n_cells, -1))
