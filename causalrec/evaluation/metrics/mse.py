"""Mean squared error.

Schnabel, Swaminathan, Singh, Chandak & Joachims (2016), "Recommendations as Treatments", eq. 3,
with delta(Y, f) = (Y - f)^2. The mean runs over all cells of the population, not over the
recorded ones; which population, and by which estimator, the result says.
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition


def squared_error(outcome: FloatArray, prediction: FloatArray) -> FloatArray:
    """Return (outcome - prediction)^2, cell by cell.

    Examples
    --------
    >>> squared_error(np.array([4.0, 1.0]), np.array([3.0, 1.5]))
    array([1.  , 0.25])
    """
    return np.square(outcome - prediction)


DEFINITION = MetricDefinition(
    name="mse",
    scope="cell",
    form="sum",
    per="cell",
    higher_is_better=False,
    paper="Schnabel et al. (2016), eq. 3",
    convention="mean over cells of the population, predictions taken as they are (not clipped)",
    loss=squared_error,
)
