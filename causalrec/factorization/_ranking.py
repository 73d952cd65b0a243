"""Top-k lists, a block of users at a time: never users x items at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from causalrec.factorization._common import Floats, Integers
from causalrec.factorization._state import State
from causalrec.threads import one_blas_thread

Kernel = Literal["auto", "scipy", "numba"]

USERS_AT_ONCE = 256

# Below this many scores numpy has sorted them before a cold compilation is done.
SCORES_WORTH_COMPILING = 1e8


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
    state: State,
    users: Integers,
    k: int,
    *,
    exclude_seen: bool,
    eligible_only: bool = True,
    kernel: Kernel = "auto",
) -> Iterator[tuple[Integers, Integers, Integers, Floats]]:
    """Yield (user codes, ranks, item codes, scores) for blocks of users.

    Parameters
    ----------
    state : State
    users : int array, shape (b,)
        Codes of the users, in any order.
    k : int
    exclude_seen : bool
        Leave out what the user has an outcome for.
    eligible_only : bool
        Leave out what the log declared not eligible.
    kernel : {"auto", "scipy", "numba"}
        "auto" compiles (numba) from 10^8 scores on; the lists are the same.
    """
    n_items = len(state.low_rank[1])
    worth = len(users) * n_items >= SCORES_WORTH_COMPILING
    if n_items and (kernel == "numba" or (kernel == "auto" and worth)):
        yield from _by_numba(state, users, min(k, n_items), exclude_seen, eligible_only)
        return
    for start in range(0, len(users), USERS_AT_ONCE):
        part = users[start : start + USERS_AT_ONCE]
        scores = state.block(part)
        outside = state.may_not_list(part, seen=exclude_seen, eligible=eligible_only)
        if outside is not None:
            scores[outside] = -np.inf
        rows, ranks, columns = top_k(scores, k)
        yield part[rows], ranks, columns, scores[rows, columns]


def _by_numba(
    state: State, users: Integers, k: int, exclude_seen: bool, eligible_only: bool
) -> Iterator[tuple[Integers, Integers, Integers, Floats]]:
    """Score each block into the same memory, and choose in one pass over it."""
    from causalrec.factorization._numba_ranking import best_columns

    left, right = state.low_rank
    across = np.asfortranarray(right.T)
    memory = np.empty((min(USERS_AT_ONCE, len(users)), len(right)), dtype=left.dtype)
    pointer = np.asarray(state.seen_pointer if exclude_seen else [], dtype=np.int64)
    seen = np.asarray(state.seen_items, dtype=np.int32)
    for start in range(0, len(users), USERS_AT_ONCE):
        part = np.asarray(users[start : start + USERS_AT_ONCE], dtype=np.int64)
        scores = memory[: len(part)]
        with one_blas_thread(scipy=False):
            np.matmul(left[part], across, out=scores)
        outside = state.may_not_list(part, seen=False, eligible=eligible_only)
        if outside is not None:
            scores[outside] = -np.inf
        found = np.empty((len(part), k), dtype=np.int64)
        best = np.empty((len(part), k), dtype=left.dtype)
        best_columns(scores, part, pointer, seen, found, best)
        rows, ranks = np.nonzero(found >= 0)
        yield part[rows], ranks + 1, found[rows, ranks], best[rows, ranks]
