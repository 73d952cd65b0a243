"""Mean average precision at k.

Buckley & Voorhees (2000), "Evaluating evaluation measure stability": the precision at the place of
each relevant item, averaged over relevant items. Products of the outcomes of two cells of a user
over a number that all of them decide: not additive.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def average_precision(listed: FloatArray, total: FloatArray, k: int) -> FloatArray:
    """Return AP@k of each user.

    Parameters
    ----------
    listed : float array (n_users, n_places)
        Relevance in the order of the list; 0 pads short lists.
    total : float array (n_users,)
        Relevant items of each user, listed or not.
    k : int

    Returns
    -------
    float array (n_users,)
        NaN for users without a relevant item.

    Examples
    --------
    >>> average_precision(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), np.array([2.0, 9.0]), 3)
    array([0.83333333, 0.16666667])
    """
    relevance = listed[:, :k]
    before = np.cumsum(relevance, axis=1) - relevance
    places = np.arange(1, relevance.shape[1] + 1)
    above = (relevance * (1.0 + before) / places).sum(axis=1)
    found = np.full(len(listed), np.nan)
    some = total > 0
    found[some] = above[some] / np.minimum(total[some], k)
    return found


def _of_lists(listed: FloatArray, ideal: FloatArray, total: FloatArray, k: int) -> FloatArray:
    return average_precision(listed, total, k)


DEFINITION = MetricDefinition(
    name="map",
    scope="list",
    form="gains",
    per="user",
    higher_is_better=True,
    paper="Buckley & Voorhees (2000)",
    convention=(
        "divided by the smaller of k and the relevant items of the user, so that the best list has"
        " 1; users without a relevant item are left out and counted"
    ),
    outcome="relevance",
    whole_list=_of_lists,
    why_not_weighted="it multiplies outcomes of one user and divides by their number",
    range=(0.0, 1.0),
)
