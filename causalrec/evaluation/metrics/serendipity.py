"""Serendipity at k: relevant items that a list of the most popular would not have put there.

Ge, Delgado-Battenfeld & Jannach (2010), "Beyond accuracy", with unexpectedness counted by ranks:
how much higher an item stands in the user's list than by popularity. A sum over the list of
relevance times a number that no outcome decides: additive, hence weighted on biased logs.
Popularity comes from the history.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, IntArray, MetricDefinition
from causalrec.evaluation.metrics.precision import equal_shares


def unexpectedness(place: IntArray, popularity_place: IntArray, n_items: int) -> FloatArray:
    """Return max(popularity place - place, 0) / n_items.

    Parameters
    ----------
    place : int array
        1-based places in the user's list; 0 where the item is not listed (then 0).
    popularity_place : int array
        1-based place of the same items by popularity.
    n_items : int

    Examples
    --------
    >>> unexpectedness(np.array([1, 2, 0]), np.array([10, 1, 5]), 10)
    array([0.9, 0. , 0. ])
    """
    ahead = np.maximum(popularity_place - place, 0) / n_items
    return np.where(place > 0, ahead, 0.0)


def popularity_places(known_by: IntArray, *, without_own: bool = False) -> IntArray:
    """Return the 1-based place of each item by popularity; equals share the best place.

    Parameters
    ----------
    known_by : int array (n_items,)
    without_own : bool
        Give the place that each item would have with one less: what a cell that is itself counted
        must be told, or being recorded would decide how unexpected it is.

    Examples
    --------
    >>> popularity_places(np.array([5, 9, 5, 0]))
    array([2, 1, 2, 4])
    >>> popularity_places(np.array([5, 9, 5, 0]), without_own=True)
    array([3, 1, 3, 4])
    """
    ascending = np.sort(-known_by)
    side: Literal["left", "right"] = "right" if without_own else "left"
    before = np.searchsorted(ascending, -known_by, side=side).astype(np.int64)
    return before if without_own else before + 1


DEFINITION = MetricDefinition(
    name="serendipity",
    scope="list",
    form="sum",
    per="user",
    higher_is_better=True,
    paper="Ge, Delgado-Battenfeld & Jannach (2010), with unexpectedness by ranks",
    convention=(
        "relevance times how many places the item stands above its place by popularity, as a share"
        " of the catalogue, over k; popularity counts recorded cells of the history (the training"
        " part, else the log without the cell itself), equals share the best place"
    ),
    outcome="relevance",
    place_weight=equal_shares,
)
