"""Discounted cumulative gain at k.

Jarvelin & Kekalainen (2002), "Cumulated gain-based evaluation of IR techniques", with the
discount 1 / log2(1 + place) of Burges et al. (2005). Summed over the first k places of each
user's list and averaged over users. A sum of terms of single cells, hence additive: an unbiased
estimate weights each term (Schnabel et al. 2016, section 3.1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def logarithmic_discount(place: npt.NDArray[np.int64], k: int) -> FloatArray:
    """Return 1 / log2(1 + place) for places 1..k, and 0 elsewhere (place 0: not in the list).

    Parameters
    ----------
    place : int array
        1-based places; 0 where the item is not ranked.
    k : int
        Length of the list.

    Examples
    --------
    >>> logarithmic_discount(np.array([1, 3, 4, 0]), 3)
    array([1. , 0.5, 0. , 0. ])
    """
    listed = (place >= 1) & (place <= k)
    return np.where(listed, 1.0 / np.log2(1.0 + np.maximum(place, 1)), 0.0)


DEFINITION = MetricDefinition(
    name="dcg",
    scope="list",
    form="sum",
    per="user",
    higher_is_better=True,
    paper="Jarvelin & Kekalainen (2002); discount of Burges et al. (2005)",
    convention=(
        "all ranked items of the user compete, ties go to the item that comes first in the log's"
        " item table, every user counts once"
    ),
    place_weight=logarithmic_discount,
)
