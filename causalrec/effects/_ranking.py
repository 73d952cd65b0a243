"""How well predicted effects rank: AUTOC and Qini, with the influence of every row.

Yadlowsky, Fleming, Shah, Brunskill & Wager (2021), "Evaluating treatment prioritization rules via
rank-weighted average treatment effects": the targeting operator characteristic TOC(u) is the mean
effect among the share u ranked first, minus the mean effect; AUTOC is the area under it, Qini the
area under u TOC(u). Both are means of the effect scores weighted by rank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def rank_weighted(tau: Floats, prediction: Floats) -> tuple[Floats, Floats, Floats]:
    """Return AUTOC and Qini, the influence of each row, and its weight.

    Parameters
    ----------
    tau : float64 (n,)
        Scores of the effect.
    prediction : float64 (n,)
        Rows are ranked from the largest down; ties share their weights.

    Returns
    -------
    value : float64 (2,)
        AUTOC, Qini, in the units of the effect.
    influence : float64 (n, 2)
        n times the influence of a row, ranks included: whoever joins moves the ranks of others.
    weight : float64 (n, 2)
        n times the derivative of the values by each score.

    Examples
    --------
    >>> value, _, _ = rank_weighted(np.array([4.0, 0.0]), np.array([2.0, 1.0]))
    >>> value.tolist()
    [1.0, 0.5]
    >>> rank_weighted(np.array([4.0, 0.0]), np.array([1.0, 1.0]))[0].tolist()
    [0.0, 0.0]
    """
    n = len(tau)
    order = np.argsort(-prediction, kind="stable")
    rank = np.arange(1, n + 1)
    tail = np.cumsum((1.0 / rank)[::-1])[::-1]  # sum of 1 / j over j >= k
    by_rank = np.column_stack([tail - 1.0, (n + 1.0 - 2.0 * rank) / (2.0 * n)])
    # Moving one more row ahead lowers the weight of those behind: d w / d rank.
    slope = np.column_stack([-n / rank, -np.ones(n)])
    group = np.concatenate([[0], np.cumsum(np.diff(prediction[order]) != 0.0)])
    sizes = np.bincount(group)[:, None]
    weights = (_by_group(by_rank, group) / sizes)[group]
    moved = _by_group(slope * tau[order, None], group) / n
    behind = (np.cumsum(moved[::-1], axis=0)[::-1] - moved)[group]  # over those ranked lower
    value = (weights * tau[order, None]).mean(axis=0)
    rows = weights * tau[order, None] + behind
    rows -= rows.mean(axis=0)
    influence, weight = np.empty((n, 2)), np.empty((n, 2))
    influence[order], weight[order] = rows, weights
    return value, influence, weight


def _by_group(values: Floats, group: NDArray[np.int64]) -> Floats:
    columns = [np.bincount(group, values[:, k]) for k in range(values.shape[1])]
    return np.column_stack(columns)
