"""Normalised discounted cumulative gain at k.

Jarvelin & Kekalainen (2002): the DCG of the list over the DCG of the ideal order of the same
items. The normaliser depends on all of the user's outcomes at once, so the metric is not
additive: weighting its terms does not make it unbiased (IPS-NDCG gave .484 where the truth was
.420). It is measured plainly on randomised slices, where only the m recorded items of a user can
be ranked: the name then says "among m of N".
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition
from causalrec.evaluation.metrics.dcg import logarithmic_discount


def normalised_gain(listed: FloatArray, ideal: FloatArray, k: int) -> FloatArray:
    """Return the NDCG@k of each user.

    Parameters
    ----------
    listed : float array (n_users, n_places)
        Gains in the order of the list; 0 pads short lists.
    ideal : float array (n_users, n_places)
        The same gains, sorted from high to low.
    k : int
        Length of the list.

    Returns
    -------
    float array (n_users,)
        NaN for users whose gains are all zero: for them any order is ideal.

    Examples
    --------
    >>> listed = np.array([[0.0, 1.0], [0.0, 0.0]])
    >>> normalised_gain(listed, np.sort(listed)[:, ::-1], 2).round(3)
    array([0.631,   nan])
    """
    discount = logarithmic_discount(np.arange(1, listed.shape[1] + 1), k)
    best = ideal @ discount
    value = np.full(len(listed), np.nan)
    positive = best > 0
    value[positive] = (listed @ discount)[positive] / best[positive]
    return value


def _of_lists(listed: FloatArray, ideal: FloatArray, total: FloatArray, k: int) -> FloatArray:
    return normalised_gain(listed, ideal, k)


DEFINITION = MetricDefinition(
    name="ndcg",
    scope="list",
    form="gains",
    per="user",
    higher_is_better=True,
    paper="Jarvelin & Kekalainen (2002)",
    convention=(
        "only the user's recorded items compete, ties go to the item that comes first in the"
        " log's item table, users without a positive gain are left out and counted"
    ),
    whole_list=_of_lists,
    why_not_weighted="its normaliser depends on all of a user's outcomes",
    range=(0.0, 1.0),
)
