"""Miscalibration at k: how far the levels of a list are from those of the user's history.

Steck (2018), "Calibrated recommendations": the Kullback-Leibler divergence from p, the shares of
levels (genres) in the history, to q, those in the list. No outcome of the list enters; p is what
was recorded, which holds what was shown.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, IntArray, MetricDefinition

ALPHA = 0.01


def shares_of_lists(lists: IntArray, level: IntArray, n_levels: int) -> FloatArray:
    """Return the share of each level in each list, (n_users, n_levels); NaN for empty lists.

    Examples
    --------
    >>> shares_of_lists(np.array([[0, 1], [2, -1]]), np.array([0, 1, 1]), 2)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    users, places = np.nonzero(lists >= 0)
    flat = users * n_levels + level[lists[users, places]]
    counts = np.bincount(flat, minlength=len(lists) * n_levels).reshape(len(lists), n_levels)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.nan)


def miscalibration(wanted: FloatArray, listed: FloatArray, alpha: float = ALPHA) -> FloatArray:
    """Return sum p log(p / q~), q~ = (1 - alpha) q + alpha p, for each user, in nats.

    Parameters
    ----------
    wanted, listed : float array (n_users, n_levels)
        Shares p in the history and q in the list.
    alpha : float
        Keeps the divergence finite where a level of the history is not listed.

    Examples
    --------
    >>> p = np.array([[0.5, 0.5], [1.0, 0.0]])
    >>> miscalibration(p, np.array([[0.5, 0.5], [0.0, 1.0]])).round(3) + 0.0
    array([0.   , 4.605])
    """
    mixed = (1.0 - alpha) * listed + alpha * wanted
    present = wanted > 0
    ratio = np.divide(wanted, mixed, out=np.ones_like(wanted), where=present)
    found: FloatArray = (np.where(present, wanted, 0.0) * np.log(ratio)).sum(axis=1)
    return np.where(np.isnan(wanted).any(axis=1) | np.isnan(listed).any(axis=1), np.nan, found)


DEFINITION = MetricDefinition(
    name="miscalibration",
    scope="list",
    form="lists",
    per="user",
    higher_is_better=False,
    paper="Steck (2018)",
    convention=(
        "Kullback-Leibler divergence in nats, alpha = 0.01, of the shares of item_columns' levels"
        " in the history (the training part, else the log; every recorded cell alike) from those in"
        " the list (every place alike), the mean over several columns; users without a history or a"
        " list are left out and counted"
    ),
    outcome="none",
    item_columns=True,
    range=(0.0, float("inf")),
)
