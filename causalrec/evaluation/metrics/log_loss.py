"""Log-loss of predicted probabilities.

Good (1952), "Rational decisions": the mean of -log of the probability that the model gave to what
happened. Additive over cells, so inverse-propensity weights repair it (Schnabel et al. 2016, eq. 3,
with any loss delta).
"""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition

NEAREST = 1e-15
"""A probability is moved at least so far from 0 and 1, where the loss would be infinite."""


def log_loss(outcome: FloatArray, prediction: FloatArray) -> FloatArray:
    """Return -log of the probability of each outcome, in nats.

    Parameters
    ----------
    outcome : float array
        0 or 1.
    prediction : float array
        Probability of a 1; taken as at least 1e-15 and at most 1 - 1e-15.

    Examples
    --------
    >>> log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.75])).round(4)
    array([0.6931, 1.3863])
    """
    p = np.clip(prediction, NEAREST, 1.0 - NEAREST)
    return -(outcome * np.log(p) + (1.0 - outcome) * np.log1p(-p))


DEFINITION = MetricDefinition(
    name="log-loss",
    scope="cell",
    form="sum",
    per="cell",
    higher_is_better=False,
    paper="Good (1952); weighting as in Schnabel et al. (2016), eq. 3",
    convention=(
        "natural logarithm, mean over cells of the population, predictions are probabilities of an"
        " outcome of 1, kept 1e-15 away from 0 and 1"
    ),
    outcome="binary",
    loss=log_loss,
)
