"""Area under the ROC curve, over the cells of all users together.

Hanley & McNeil (1982): the chance that a relevant cell has a higher prediction than another one,
ties counting one half. Over pairs of cells, each with its own weight: with 1/p as weights this is
the area over the whole population, up to a term that vanishes with the number of cells (the pairs
of a cell with itself add nothing). That holds because the denominator pools all users; an area
within each user, averaged, has a random denominator a user, as NDCG has, and is not offered.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def area_under_curve(
    prediction: FloatArray, positive: FloatArray, negative: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the area, and what mass at each cell does to it.

    Parameters
    ----------
    prediction : float array (n,)
    positive, negative : float array (n,)
        Mass of each cell as a relevant and as another one: weight times outcome, and weight times
        1 - outcome (for a doubly robust area, scores of the two, which may be negative).

    Returns
    -------
    area : float
        NaN where there is no positive or no negative mass.
    of_positive, of_negative : float arrays (n,)
        Derivative of the area by the cell's positive and negative mass. The influence of a cell is
        positive x of_positive + negative x of_negative: it sums to 0, and the root of the sum of
        its squares is the standard error if cells are independent.

    Examples
    --------
    >>> clicked = np.array([1.0, 0.0, 1.0, 0.0])
    >>> area, _, _ = area_under_curve(np.array([0.9, 0.8, 0.5, 0.5]), clicked, 1 - clicked)
    >>> area
    0.625
    """
    _, value = np.unique(prediction, return_inverse=True)
    count = int(value.max(initial=-1)) + 1
    up = np.bincount(value, weights=positive, minlength=count)
    down = np.bincount(value, weights=negative, minlength=count)
    total_up, total_down = float(up.sum()), float(down.sum())
    if total_up <= 0.0 or total_down <= 0.0:
        return float("nan"), np.zeros(len(prediction)), np.zeros(len(prediction))
    beaten = (np.cumsum(down) - 0.5 * down)[value] / total_down
    beating = (total_up - np.cumsum(up) + 0.5 * up)[value] / total_up
    area = float(positive @ beaten) / total_up
    return area, (beaten - area) / total_up, (beating - area) / total_down


DEFINITION = MetricDefinition(
    name="auc",
    scope="cell",
    form="sample",
    per="cell",
    higher_is_better=True,
    paper="Hanley & McNeil (1982), with a weight a cell",
    convention=(
        "over pairs of cells of all users together (not user by user), equal predictions count one"
        " half; weighted pair by pair, which is right up to 1 / cells"
    ),
    outcome="relevance",
    range=(0.0, 1.0),
)
