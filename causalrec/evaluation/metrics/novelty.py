"""Novelty at k: the mean self-information of the items listed.

Zhou, Kuscsik, Liu, Medo, Wakeling & Zhang (2010), "Solving the apparent diversity-accuracy
dilemma": -log2 of the share of users who know the item. No outcome of the lists enters; who knows
what comes from the history, which holds what the recommender of the day made known.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, IntArray, MetricDefinition


def self_information(known_by: IntArray, n_users: int) -> FloatArray:
    """Return -log2 of the share of users that know each item, in bits.

    Parameters
    ----------
    known_by : int array (n_items,)
        Users with the item in their history; an item that nobody knows counts as known by one.
    n_users : int

    Examples
    --------
    >>> self_information(np.array([8, 2, 0]), 8).round(2) + 0.0
    array([0., 2., 3.])
    """
    return np.log2(n_users / np.maximum(known_by, 1))


def mean_of_listed(lists: IntArray, of_item: FloatArray) -> FloatArray:
    """Return the mean of an item's number over each list, NaN for empty lists.

    Examples
    --------
    >>> mean_of_listed(np.array([[0, 1], [1, -1], [-1, -1]]), np.array([1.0, 3.0]))
    array([ 2.,  3., nan])
    """
    listed = lists >= 0
    length = listed.sum(axis=1)
    found = np.full(len(lists), np.nan)
    total = np.where(listed, of_item[lists], 0.0).sum(axis=1)
    found[length > 0] = total[length > 0] / length[length > 0]
    return found


DEFINITION = MetricDefinition(
    name="novelty",
    scope="list",
    form="lists",
    per="user",
    higher_is_better=True,
    paper="Zhou et al. (2010)",
    convention=(
        "-log2 of the share of the users with a history (the training part, else the log) who have"
        " the item in it, in bits, an item that nobody has counting as one user's; mean over the"
        " list, then over users; the history is taken as known"
    ),
    outcome="none",
    range=(0.0, float("inf")),
)
