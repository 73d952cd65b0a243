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
        per_row = random_part(score) * inverse
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


def random_part(score: ScoreLike) -> FloatArray:
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
