"""The passes of `_grouped`, compiled: each adds in the order of the rows, as numpy's do."""

from __future__ import annotations

from causalrec.inference._sums import FloatArray, IntArray
from causalrec.threads import compiled


@compiled
def add_totals(
    groups: IntArray,
    numerator: FloatArray,
    denominator: FloatArray,
    weight: FloatArray,
    out: FloatArray,
) -> None:
    """Add numerator, denominator, its non-zeros, weight and weight^2 by group: out (5, groups)."""
    for row in range(len(groups)):
        g, d, w = groups[row], denominator[row], weight[row]
        out[0, g] += numerator[row]
        out[1, g] += d
        out[2, g] += d != 0.0
        out[3, g] += w
        out[4, g] += w * w


@compiled
def centre(
    groups: IntArray,
    numerator: FloatArray,
    denominator: FloatArray,
    ratio: FloatArray,
    inverse: FloatArray,
    out: FloatArray,
    squares: FloatArray,
) -> None:
    """Fill `out` with each row's influence on its group's ratio, and add its square by group."""
    for row in range(len(groups)):
        g = groups[row]
        influence = (numerator[row] - denominator[row] * ratio[g]) * inverse[g]
        out[row] = influence
        squares[g] += influence * influence


@compiled
def add_by_cluster(
    codes: IntArray,
    groups: IntArray,
    influence: FloatArray,
    denominator: FloatArray,
    summed: FloatArray,
    held: FloatArray,
) -> None:
    """Add both columns by cluster and group, (clusters, groups); a group beyond these is none."""
    n_groups = summed.shape[1]
    for row in range(len(codes)):
        g = groups[row]
        if g < n_groups:
            summed[codes[row], g] += influence[row]
            held[codes[row], g] += denominator[row]
