"""The influence of a score given by rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.errors import DataError
from causalrec.inference._clusters import check_clusters, sum_by
from causalrec.inference._influence import Influence
from causalrec.inference._sums import FloatArray, IntArray, divide

if TYPE_CHECKING:
    from causalrec.inference._estimate import ScoreLike


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
    value = np.where(total != 0.0, ratio, np.nan)
    if chosen:
        per_row = (numerator - denominator * ratio) * inverse
    elif score.design_residual is not None:
        per_row = score.design_residual * inverse
    else:
        raise DataError(
            "sampled=() asks for the error over these very rows, but the score does not say what"
            " was random in them. Pass score.with_design_residual(scores.design_residual(...)),"
            ' or sampled=("user", "item").'
        )
    weight = denominator if score.weight is None else score.weight
    first, second = weight.sum(axis=0), np.einsum("nk,nk->k", weight, weight)
    size = divide(np.square(first), second)
    influence = Influence.from_rows(
        per_row,
        {name: _shares(codes[name], denominator, inverse) for name in chosen},
        codes,
        chosen,
        one_row_per_cell=one_row_per_cell,
        values=ratio,
        counts=np.count_nonzero(denominator, axis=0),
        sizes=np.broadcast_to(size, value.shape),
    )
    return influence, value


def _shares(codes: IntArray, denominator: FloatArray, inverse: FloatArray) -> FloatArray:
    if denominator.strides[1] == 0:  # one column stands for all
        return sum_by(codes, denominator[:, :1]) * inverse[:1]
    return sum_by(codes, denominator) * inverse
