"""Hit rate at k: the share of users with a relevant item among the first k.

Deshpande & Karypis (2004), "Item-based top-N recommendation algorithms". A maximum over the places
of a list: with two relevant items recorded with probabilities p and q, no weights of the two give
1.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def any_relevant(listed: FloatArray, k: int) -> FloatArray:
    """Return 1 - prod (1 - relevance) over the first k places: 1 where one of them is relevant.

    Parameters
    ----------
    listed : float array (n_users, n_places)
        Relevance, 0 or 1, in the order of the list; with chances of relevance, the chance that at
        least one is relevant if they are independent.
    k : int

    Examples
    --------
    >>> any_relevant(np.array([[0.0, 1.0], [0.0, 0.0], [0.5, 0.5]]), 2)
    array([1.  , 0.  , 0.75])
    """
    missed: FloatArray = np.prod(1.0 - listed[:, :k], axis=1)
    return 1.0 - missed


def _of_lists(listed: FloatArray, ideal: FloatArray, total: FloatArray, k: int) -> FloatArray:
    return np.where(total > 0, any_relevant(listed, k), np.nan)


DEFINITION = MetricDefinition(
    name="hit",
    scope="list",
    form="gains",
    per="user",
    higher_is_better=True,
    paper="Deshpande & Karypis (2004)",
    convention=(
        "1 where a relevant item is among the first k, users without a relevant item are left out"
        " and counted"
    ),
    outcome="relevance",
    whole_list=_of_lists,
    why_not_weighted="it is the largest of several outcomes of a user",
    range=(0.0, 1.0),
)
