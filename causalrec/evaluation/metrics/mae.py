"""Mean absolute error.

Schnabel, Swaminathan, Singh, Chandak & Joachims (2016), "Recommendations as Treatments", eq. 3,
with delta(Y, f) = |Y - f|. The mean runs over all cells of the population.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def absolute_error(outcome: FloatArray, prediction: FloatArray) -> FloatArray:
    """Return |outcome - prediction|, cell by cell.

    Examples
    --------
    >>> absolute_error(np.array([4.0, 1.0]), np.array([3.0, 1.5]))
    array([1. , 0.5])
    """
    return np.abs(outcome - prediction)


DEFINITION = MetricDefinition(
    name="mae",
    scope="cell",
    form="sum",
    per="cell",
    higher_is_better=False,
    paper="Schnabel et al. (2016), eq. 3",
    convention="mean over cells of the population, predictions taken as they are (not clipped)",
    loss=absolute_error,
)
