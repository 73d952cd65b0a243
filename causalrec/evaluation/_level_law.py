"""The law of an outcome with few levels, as it changes with the outcome model's mean.

A residual has another law where the mean is near the end of a scale: there it cannot go further.
So the shares of the levels are counted in bins of the mean and joined by straight lines. Where
outcomes depend on a cell through its mean alone, no weights within a bin can make them wrong: the
imputed score then stays right under wrong propensities.
"""

from __future__ import annotations

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._law import Gain
from causalrec.evaluation.metrics import absolute_error
from causalrec.evaluation.metrics._model import FloatArray

MOST_LEVELS = 12
"""An outcome with more levels than this is treated as continuous."""

FEWEST_CELLS = 1000
"""With fewer recorded cells the bins would be too wide: a residual's one law tells more."""

CELLS_A_BIN = 40
EDGES = (0.01, 0.03, 0.06, *np.arange(0.1, 0.91, 0.05).tolist(), 0.94, 0.97, 0.99)
"""Quantiles of the mean between bins: finer where the law changes most, at the ends."""


class LevelLaw:
    """Shares of an outcome's levels, by the outcome model's mean.

    Parameters
    ----------
    outcome : float array (n,)
        Of recorded cells, with at most `MOST_LEVELS` levels.
    mean : float array (n,)
        The outcome model's means of these cells, out of fold where it is cross-fitted.
    weights : float array (n,), optional
        Share of each cell in its bin; equal shares when not given.

    Examples
    --------
    >>> law = LevelLaw(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0, 2.0]))
    >>> law.gain(np.array([2.0]), Gain(2.0))
    array([0.75])
    >>> law.absolute_error(np.array([2.0]), np.array([2.0]))
    array([0.5])
    """

    words = (
        "the shares of an outcome's levels follow the outcome model's mean, as counted in bins of"
        " it among the recorded cells"
    )

    def __init__(
        self, outcome: FloatArray, mean: FloatArray, weights: FloatArray | None = None
    ) -> None:
        if len(outcome) == 0:
            raise StudyError("A law of the outcome needs at least one recorded cell.")
        weight = np.ones(len(outcome)) if weights is None else weights
        self._levels, level = np.unique(outcome, return_inverse=True)
        bins = _bins(mean)
        total = np.bincount(bins, weights=weight)
        self._centres = np.bincount(bins, weights=weight * mean) / total
        cell = bins * len(self._levels) + level
        counts = np.bincount(cell, weights=weight, minlength=len(total) * len(self._levels))
        self._shares = counts.reshape(len(total), -1) / total[:, None]
        residual = outcome - mean
        self._square = np.bincount(bins, weights=weight * np.square(residual)) / total
        self._mean = float(weight @ residual / weight.sum())

    def squared_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return E (outcome - f)^2, from the mean square of the residuals about this mean."""
        miss = mean - prediction
        square = np.interp(mean, self._centres, self._square)
        return np.asarray(np.square(miss) + 2.0 * miss * self._mean + square)

    def absolute_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return E |outcome - f|."""
        errors = [absolute_error(np.full_like(prediction, x), prediction) for x in self._levels]
        return self._expected(mean, errors)

    def gain(self, mean: FloatArray, gain: Gain) -> FloatArray:
        """Return the expected gain; a linear one is the mean, which needs no law."""
        if gain.threshold is None and gain.form == "linear":
            return mean + self._mean
        return self._expected(mean, list(gain.of(self._levels)))

    def _expected(self, mean: FloatArray, values: list[FloatArray]) -> FloatArray:
        found = np.zeros_like(mean)
        for share, value in zip(self._shares.T, values, strict=True):
            found += np.interp(mean, self._centres, share) * value
        return found


def _bins(mean: FloatArray) -> np.ndarray:
    """Return the bin of each cell, in order of the mean; no bin is empty."""
    ordered = np.sort(mean)
    edges: list[float] = []
    last = 0
    for quantile in EDGES:
        at = int(quantile * len(mean))
        if at - last >= CELLS_A_BIN and len(mean) - at >= CELLS_A_BIN:
            edges.append(float(ordered[at]))
            last = at
    _, found = np.unique(np.searchsorted(edges, mean, side="right"), return_inverse=True)
    return found
