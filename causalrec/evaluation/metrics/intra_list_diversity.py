"""Intra-list diversity at k: the mean distance between two items of a list.

Ziegler, McNee, Konstan & Lausen (2005), "Improving recommendation lists through topic
diversification" (their similarity, as a distance). No outcome enters, so selection does not either.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, IntArray, MetricDefinition


def intra_list_diversity(lists: IntArray, levels: IntArray) -> FloatArray:
    """Return the mean over pairs of a list of the share of columns in which the two differ.

    Parameters
    ----------
    lists : int64 array (n_users, k)
        Item codes in the order of the list; -1 pads short lists.
    levels : int64 array (n_items, n_columns)
        Codes of each item's levels (Hamming distance).

    Returns
    -------
    float array (n_users,)
        NaN for lists of less than two items.

    Examples
    --------
    >>> genre = np.array([[0], [0], [1]])
    >>> intra_list_diversity(np.array([[0, 1, 2], [0, 1, -1], [2, -1, -1]]), genre).round(3)
    array([0.667, 0.   ,   nan])
    """
    listed = lists >= 0
    own = levels[lists]
    total, pairs = np.zeros(len(lists)), np.zeros(len(lists))
    for first in range(lists.shape[1] - 1):
        both = listed[:, first, None] & listed[:, first + 1 :]
        differ = (own[:, first, None] != own[:, first + 1 :]).mean(axis=2)
        total += (differ * both).sum(axis=1)
        pairs += both.sum(axis=1)
    found = np.full(len(lists), np.nan)
    found[pairs > 0] = total[pairs > 0] / pairs[pairs > 0]
    return found


DEFINITION = MetricDefinition(
    name="intra-list-diversity",
    scope="list",
    form="lists",
    per="user",
    higher_is_better=True,
    paper="Ziegler et al. (2005), as a distance",
    convention=(
        "mean over pairs of a list of the share of item_columns in which the two items differ"
        " (equal or not, a missing value being a level), lists of one item left out and counted"
    ),
    outcome="none",
    item_columns=True,
    range=(0.0, 1.0),
)
