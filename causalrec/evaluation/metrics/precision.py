"""Precision at k: the share of the first k places that hold a relevant item.

Manning, Raghavan & Schutze (2008), "Introduction to Information Retrieval", section 8.4. The sum
over the first k places of relevance / k, averaged over users: a sum of terms of single cells, hence
additive like DCG.
"""

from __future__ import annotations

from causalrec.evaluation.metrics._model import FloatArray, IntArray, MetricDefinition
from causalrec.evaluation.metrics.recall import within_list


def equal_shares(place: IntArray, k: int) -> FloatArray:
    """Return 1 / k for places 1..k and 0 elsewhere (place 0: not in the list).

    Examples
    --------
    >>> import numpy as np
    >>> equal_shares(np.array([1, 2, 3, 0]), 2)
    array([0.5, 0.5, 0. , 0. ])
    """
    return within_list(place, k) / k


DEFINITION = MetricDefinition(
    name="precision",
    scope="list",
    form="sum",
    per="user",
    higher_is_better=True,
    paper="Manning, Raghavan & Schutze (2008), section 8.4",
    convention=(
        "relevant items over k, also where a list is shorter than k; all ranked items of the user"
        " compete, every user counts once"
    ),
    outcome="relevance",
    place_weight=equal_shares,
)
