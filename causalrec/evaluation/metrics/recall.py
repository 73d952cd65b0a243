"""Micro recall at k: the share of all relevant cells that the lists hold.

The sum over users of relevant items among the first k, over the sum over users of relevant
items. Both are sums over cells, so the ratio can be weighted (Schnabel et al. 2016, section 3.1);
the mean over users of each user's own recall cannot, since its denominators are random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def within_list(place: npt.NDArray[np.int64], k: int) -> FloatArray:
    """Return 1 for places 1..k and 0 elsewhere (place 0: not in the list).

    Examples
    --------
    >>> within_list(np.array([1, 3, 4, 0]), 3)
    array([1., 1., 0., 0.])
    """
    return ((place >= 1) & (place <= k)).astype(np.float64)


DEFINITION = MetricDefinition(
    name="recall",
    scope="list",
    form="sum",
    per="relevant",
    higher_is_better=True,
    paper="micro-averaged recall; weighting as in Schnabel et al. (2016)",
    convention=(
        "micro: relevant cells of all users are pooled, so users count by their relevant items;"
        " ties go to the item that comes first in the log's item table"
    ),
    outcome="relevance",
    place_weight=within_list,
)
