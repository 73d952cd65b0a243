"""Calibration error: by how much the mean outcome of alike predictions misses their mean.

Naeini, Cooper & Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
binning", the expected calibration error: sum over bins of share x |mean outcome - mean prediction|.
An absolute value of a noisy difference is too large on average: a calibrated model would get sqrt(2
/ pi) standard errors a bin (Kumar, Liang & Ma 2019). So the *sign* of each bin's miss is learned
from other users' outcomes of other items, four quarters of the grid in turn: 0 on average for a
calibrated model, and never too large on average; too small where a miss is about as large as its
error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalrec.evaluation.metrics._model import FloatArray, MetricDefinition

N_BINS = 10


def equal_count_bins(
    prediction: FloatArray, reference: FloatArray, n_bins: int = N_BINS
) -> npt.NDArray[np.intp]:
    """Return the bin of each prediction, between quantiles of the reference.

    Equal predictions share a bin, so there are fewer bins where few values are predicted.

    Examples
    --------
    >>> equal_count_bins(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.1, 0.2, 0.3, 0.9]), 2)
    array([0, 0, 1, 1])
    """
    edges = np.unique(np.quantile(reference, np.arange(1, n_bins) / n_bins))
    return np.searchsorted(edges, prediction, side="left")


def signed_miss(
    residual: FloatArray, bins: npt.NDArray[np.integer], quarter: npt.NDArray[np.integer]
) -> FloatArray:
    """Return each cell's miss times the sign that its bin has in the opposite quarter.

    Parameters
    ----------
    residual : float array (n,)
        Weight times (outcome - prediction).
    bins : int array (n,)
    quarter : int array (n,)
        0 to 3: twice the half of its user plus the half of its item; 3 - quarter shares neither.

    Returns
    -------
    float array (n,)
        Its sum over the sum of the weights is the calibration error.

    Examples
    --------
    >>> quarter = np.array([0, 0, 3, 3])
    >>> signed_miss(np.array([0.5, -0.1, 0.2, 0.3]), np.array([0, 1, 0, 1]), quarter)
    array([ 0.5, -0.1,  0.2, -0.3])
    """
    n_bins = int(bins.max(initial=-1)) + 1
    opposite = (3 - quarter) * n_bins + bins
    sums = np.bincount(quarter * n_bins + bins, weights=residual, minlength=4 * n_bins)
    signed: FloatArray = residual * np.sign(sums)[opposite]
    return signed


DEFINITION = MetricDefinition(
    name="calibration-error",
    scope="cell",
    form="sample",
    per="cell",
    higher_is_better=False,
    paper="Naeini, Cooper & Hauskrecht (2015), with signs from other users and items",
    convention=(
        f"{N_BINS} bins of equally many recorded cells by prediction; share of a bin times"
        " |mean outcome - mean prediction|, its sign learned from other users' outcomes of other"
        " items, so that a calibrated model has 0 on average (a value may be below 0); misses of"
        " the size of their error are understated, and within a bin they cancel; the interval"
        " allows for signs that noise decides"
    ),
)
