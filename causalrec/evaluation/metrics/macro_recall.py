"""Macro recall at k: the mean over users of the share of their relevant items that is listed.

Manning, Raghavan & Schutze (2008), section 8.4. Each user's own denominator is random on a biased
log, and an average of ratios is not a ratio of averages: weights do not repair it. `recall@k`,
which pools the users, can be weighted.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def share_of_relevant(listed: FloatArray, total: FloatArray, k: int) -> FloatArray:
    """Return recall@k of each user.

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
    >>> share_of_relevant(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([4.0, 0.0]), 2)
    array([0.25,  nan])
    """
    found = np.full(len(listed), np.nan)
    some = total > 0
    found[some] = listed[some, :k].sum(axis=1) / total[some]
    return found


def _of_lists(listed: FloatArray, ideal: FloatArray, total: FloatArray, k: int) -> FloatArray:
    return share_of_relevant(listed, total, k)


DEFINITION = MetricDefinition(
    name="macro-recall",
    scope="list",
    form="gains",
    per="user",
    higher_is_better=True,
    paper="Manning, Raghavan & Schutze (2008), section 8.4",
    convention=(
        "relevant items listed over all relevant items of the user (not over k where these are"
        " more), users without a relevant item are left out and counted"
    ),
    outcome="relevance",
    whole_list=_of_lists,
    why_not_weighted="each user's number of relevant items stands below a fraction line",
    range=(0.0, 1.0),
)
