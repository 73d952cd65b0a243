"""Mean reciprocal rank at k.

Voorhees (1999), "The TREC-8 question answering track report": 1 over the place of the first
relevant item. Which item is the first depends on all above it: not additive.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def reciprocal_rank(listed: FloatArray, k: int) -> FloatArray:
    """Return 1 / place of the first relevant item of each user, 0 where none is among k.

    Parameters
    ----------
    listed : float array (n_users, n_places)
        Relevance, 0 or 1, in the order of the list; with chances of relevance, the expected
        reciprocal rank if they are independent.
    k : int

    Examples
    --------
    >>> reciprocal_rank(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), 3)
    array([0.5, 0. ])
    """
    relevance = listed[:, :k]
    none_above = np.cumprod(1.0 - relevance, axis=1)
    none_above = np.c_[np.ones(len(listed)), none_above[:, :-1]]
    found: FloatArray = (relevance * none_above) @ (1.0 / np.arange(1, relevance.shape[1] + 1))
    return found


def _of_lists(listed: FloatArray, ideal: FloatArray, total: FloatArray, k: int) -> FloatArray:
    return np.where(total > 0, reciprocal_rank(listed, k), np.nan)


DEFINITION = MetricDefinition(
    name="mrr",
    scope="list",
    form="gains",
    per="user",
    higher_is_better=True,
    paper="Voorhees (1999)",
    convention=(
        "0 where no relevant item is among the first k, users without a relevant item are left out"
        " and counted"
    ),
    outcome="relevance",
    whole_list=_of_lists,
    why_not_weighted="which item comes first depends on all outcomes above it",
    range=(0.0, 1.0),
)
