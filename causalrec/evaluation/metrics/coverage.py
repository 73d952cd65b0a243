"""Catalogue coverage at k: the share of the catalogue that is in somebody's list.

Ge, Delgado-Battenfeld & Jannach (2010), "Beyond accuracy". No outcome enters, so selection does not
either.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, IntArray, MetricDefinition


def catalogue_coverage(lists: IntArray, n_items: int) -> tuple[float, FloatArray]:
    """Return the share of items listed, and the share that each user alone lists.

    Parameters
    ----------
    lists : int64 array (n_users, k)
        Item codes in the order of the list; -1 pads short lists.
    n_items : int
        Items of the catalogue.

    Returns
    -------
    coverage : float
    alone : float array (n_users,)
        By how much the coverage would fall without this user: what a jackknife needs.

    Examples
    --------
    >>> catalogue_coverage(np.array([[0, 1], [1, 2], [1, -1]]), 4)
    (0.75, array([0.25, 0.25, 0.  ]))
    """
    listed = lists >= 0
    counts = np.bincount(lists[listed], minlength=n_items)
    once = np.zeros(lists.shape, dtype=bool)
    once[listed] = counts[lists[listed]] == 1
    return float((counts > 0).mean()), once.sum(axis=1) / n_items


DEFINITION = MetricDefinition(
    name="coverage",
    scope="list",
    form="lists",
    per="cell",
    higher_is_better=True,
    paper="Ge, Delgado-Battenfeld & Jannach (2010)",
    convention=(
        "items in at least one list over all items of the log's item table; it grows with the"
        " number of users, and its interval (a jackknife, not too narrow by Efron & Stein 1981) is"
        " for as many new users"
    ),
    outcome="none",
    range=(0.0, 1.0),
)
