"""Top-k lists, a block of users at a time: never users x items at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from causalrec.factorization._common import Floats, Integers
from causalrec.factorization._state import State

USERS_AT_ONCE = 256


def top_k(scores: Floats, k: int) -> tuple[Integers, Integers, Integers]:
    """Return the k best columns of each row; ties go to the lower column.

    Parameters
    ----------
    scores : float array, shape (b, n)
        Minus infinity marks what must not be listed.
    k : int

    Returns
    -------
    rows, ranks, columns : int array, shape (listed,)
        Sorted by row, then rank (from 1). A row with fewer than k finite scores lists those.

    Examples
    --------
    >>> top_k(np.array([[1.0, 3.0, 3.0], [0.5, -np.inf, -np.inf]]), 2)[2].tolist()
    [1, 2, 0]
    """
    n = scores.shape[1]
    k = min(k, n)
    threshold = np.partition(scores, n - k, axis=1)[:, n - k, None]
    rows, columns = np.nonzero((scores >= threshold) & (scores > -np.inf))
    order = np.lexsort((columns, -scores[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    counts = np.bincount(rows, minlength=len(scores))
    ranks = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    keep = ranks <= k
    return rows[keep], ranks[keep], columns[keep]


def ranked_blocks(
    state: State, users: Integers, k: int, *, exclude_seen: bool
) -> Iterator[tuple[Integers, Integers, Integers, Floats]]:
    """Yield (user codes, ranks, item codes, scores) for blocks of users."""
    for start in range(0, len(users), USERS_AT_ONCE):
        part = users[start : start + USERS_AT_ONCE]
        scores = state.block(part)
        if exclude_seen:
            scores[state.seen_in(part)] = -np.inf
        rows, ranks, columns = top_k(scores, k)
        yield part[rows], ranks, columns, scores[rows, columns]
