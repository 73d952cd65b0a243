"""The compiled choice of the best columns; see `_numba_kernels` for how it is built."""

from __future__ import annotations

import numpy as np

from causalrec.factorization._common import Floats, Integers
from causalrec.factorization._vectors import VECTOR_BYTES, any_above
from causalrec.threads import compiled

# Vectors that are passed over together where none of their scores is among the best so far.
_SKIP = 4


@compiled
def _insert(value: float, column: int, found: Integers, best: Floats, held: int) -> None:
    """Put a score where it belongs; behind equal ones, which have lower columns."""
    at = held
    while at > 0 and best[at - 1] < value:
        best[at] = best[at - 1]
        found[at] = found[at - 1]
        at -= 1
    best[at] = value
    found[at] = column


@compiled
def best_columns(
    scores: Floats,
    users: Integers,
    pointer: Integers,
    seen: Integers,
    found: Integers,
    best: Floats,
) -> None:
    """Write the best columns of each row and their scores; ties go to the lower column.

    One pass with the last of the best so far as the bar. What a user has seen is set to minus
    infinity in `scores` first; ranks that nothing is left for are -1.
    """
    n, k = scores.shape[1], found.shape[1]
    lanes = VECTOR_BYTES // scores.itemsize
    step = _SKIP * lanes
    flat = scores.reshape(-1)
    for row in range(len(users)):
        if len(pointer) > 0:
            for entry in range(pointer[users[row]], pointer[users[row] + 1]):
                scores[row, seen[entry]] = -np.inf
        found[row] = -1
        best[row] = -np.inf
        held = 0
        for start in range(0, n, step):
            stop, at = min(start + step, n), row * n
            if start + step <= n and not any_above(flat, at + start, _SKIP, best[row, k - 1]):
                continue
            for first in range(start, stop, lanes):
                last = min(first + lanes, n)
                if first + lanes <= n and not any_above(flat, at + first, 1, best[row, k - 1]):
                    continue
                for column in range(first, last):
                    value = scores[row, column]
                    if value > best[row, k - 1]:
                        _insert(value, column, found[row], best[row], min(held, k - 1))
                        held += 1
