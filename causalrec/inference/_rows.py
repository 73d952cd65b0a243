"""The influence of a score given by rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from causalrec.errors import DataError
from causalrec.inference._clusters import check_clusters, intersect, subsets, sum_by
from causalrec.inference._influence import DESIGN, Frame, Influence
from causalrec.inference._sums import (
    DenseSums,
    FloatArray,
    GroupedSums,
    IntArray,
    SmallSums,
    Sums,
    divide,
)


class ScoreLike(Protocol):
    """What `from_score` needs: see `causalrec.scores.Score`."""

    @property
    def numerator(self) -> FloatArray: ...
    @property
    def denominator(self) -> FloatArray: ...
    @property
    def weight(self) -> FloatArray | None: ...
    @property
    def design_residual(self) -> FloatArray | None: ...


def row_influence(
    score: ScoreLike,
    clusters: Mapping[str, IntArray],
    sampled: Sequence[str] | None,
    one_row_per_cell: bool,
) -> tuple[Influence, FloatArray]:
    """Return the summed influence of a score, and its value (q,); NaN where nothing is summed."""
    numerator, denominator = score.numerator, score.denominator
    codes, chosen = check_clusters(clusters, sampled, len(numerator))
    total = denominator.sum(axis=0)
    inverse = divide(np.ones_like(total), total)
    ratio = numerator.sum(axis=0) * inverse
    if chosen:
        per_row = (numerator - denominator * ratio) * inverse
    else:
        per_row = _random_part(score) * inverse
    weight = denominator if score.weight is None else score.weight
    # One column may stand for all of them without copies; sum it once.
    held = denominator[:, :1] if denominator.strides[1] == 0 else denominator
    counts = np.count_nonzero(held, axis=0)
    terms: dict[tuple[str, ...], Sums] = {}
    for subset in subsets(chosen):
        if len(subset) == 1:
            terms[subset] = SmallSums(sum_by(codes[subset[0]], per_row))
        else:
            terms[subset] = _cell_sums([codes[d] for d in subset], per_row, one_row_per_cell)
    if not chosen:
        terms[DESIGN] = DenseSums(per_row)
    influence = Influence(
        sampled=chosen,
        terms=terms,
        shares={d: sum_by(codes[d], held) * inverse[: held.shape[1]] for d in chosen},
        values=ratio,
        counts=np.broadcast_to(counts, ratio.shape),
        sizes=divide(np.square(weight.sum(axis=0)), np.einsum("nk,nk->k", weight, weight)),
        frame=Frame("rows", {d: codes[d] for d in chosen}, len(numerator)),
    )
    return influence, np.where(total != 0.0, ratio, np.nan)


def _random_part(score: ScoreLike) -> FloatArray:
    if score.design_residual is None:
        raise DataError(
            "sampled=() asks for the error over these very rows, but the score does not say what"
            " was random in them. Pass score.with_design_residual(scores.design_residual(...)),"
            ' or sampled=("user", "item").'
        )
    return score.design_residual


def _cell_sums(codes: Sequence[IntArray], influence: FloatArray, one_row_per_cell: bool) -> Sums:
    if one_row_per_cell:
        return DenseSums(influence)
    joint, n_cells = intersect(codes)
    if n_cells == len(joint):
        return DenseSums(influence)
    return DenseSums(sum_by(joint, influence, n_cells))


# ---------------------------------------------------------------------- by group


def check_groups(groups: IntArray, n_groups: int | None, n_rows: int) -> tuple[IntArray, int]:
    """Return group codes (n,) and their number, rows in no group having the code n_groups."""
    codes = np.asarray(groups)
    if codes.shape != (n_rows,) or not np.issubdtype(codes.dtype, np.integer):
        raise DataError(
            f"groups has shape {codes.shape} and type {codes.dtype}; pass one integer code for"
            f" each of the {n_rows:,} rows, -1 for no group."
        )
    count = int(codes.max(initial=-1)) + 1 if n_groups is None else n_groups
    if int(codes.max(initial=-1)) >= count:
        raise DataError(f"A group code is {int(codes.max())}, but n_groups={count}.")
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
    numerator, denominator = score.numerator, score.denominator
    codes, chosen = check_clusters(clusters, sampled, len(numerator))
    width = n_groups + 1  # the last group takes the rows that are in none
    total = sum_by(groups, denominator, width)
    inverse = divide(np.ones_like(total), total)
    inverse[n_groups] = 0.0
    ratio = sum_by(groups, numerator, width) * inverse
    if chosen:
        per_row = (numerator - denominator * ratio[groups]) * inverse[groups]
    else:
        per_row = _random_part(score) * inverse[groups]

    def spread(codes_of: IntArray, values: FloatArray) -> FloatArray:
        n_codes = int(codes_of.max(initial=-1)) + 1
        summed = sum_by(codes_of.astype(np.int64) * width + groups, values, n_codes * width)
        cube = summed.reshape(n_codes, width, -1)[:, :n_groups]
        return cube.transpose(0, 2, 1).reshape(n_codes, -1)

    def flat(by_group: FloatArray) -> FloatArray:
        return by_group[:n_groups].T.ravel()

    terms: dict[tuple[str, ...], Sums] = {}
    for subset in subsets(chosen):
        if len(subset) == 1:
            terms[subset] = SmallSums(spread(codes[subset[0]], per_row))
        else:
            cells = [codes[d] for d in subset]
            terms[subset] = _grouped_cells(cells, per_row, groups, width, one_row_per_cell)
    if not chosen:
        terms[DESIGN] = _grouped_cells([], per_row, groups, width, True)
    weight = denominator if score.weight is None else score.weight
    squares = sum_by(groups, np.square(weight), width)
    influence = Influence(
        sampled=chosen,
        terms=terms,
        shares={d: spread(codes[d], denominator) * flat(inverse) for d in chosen},
        values=flat(ratio),
        counts=flat(sum_by(groups, (denominator != 0.0).astype(np.float64), width)).astype(
            np.int64
        ),
        sizes=flat(divide(np.square(sum_by(groups, weight, width)), squares)),
        frame=Frame("rows", {d: codes[d] for d in chosen}, len(numerator)),
    )
    return influence, np.where(flat(total) != 0.0, flat(ratio), np.nan)


def _grouped_cells(
    codes: Sequence[IntArray],
    influence: FloatArray,
    groups: IntArray,
    width: int,
    one_row_per_cell: bool,
) -> Sums:
    """Sum by cell, as long as a cell lies in one group (or one row); else spread over columns."""
    if one_row_per_cell:
        return GroupedSums(influence, groups, width - 1)
    joint, n_cells = intersect(codes)
    if n_cells == len(joint):
        return GroupedSums(influence, groups, width - 1)
    group_of_cell = np.zeros(n_cells, dtype=groups.dtype)
    group_of_cell[joint] = groups
    if (group_of_cell[joint] == groups).all():
        return GroupedSums(sum_by(joint, influence, n_cells), group_of_cell, width - 1)
    summed = sum_by(joint * width + groups, influence, n_cells * width)
    cube = summed.reshape(n_cells, width, -1)[:, : width - 1]
    return DenseSums(cube.transpose(0, 2, 1).reshape(n_cells, -1))
