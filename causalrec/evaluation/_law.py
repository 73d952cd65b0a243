"""What an outcome is worth, and what it is worth in expectation where it was not recorded.

The score of a metric is not the metric of the score: the imputation of a squared error has the
variance of the outcome in it, that of a relevance the probability of passing the threshold. Both
follow from a law of the outcome given the outcome model's mean: Bernoulli for 0/1 outcomes, shares
of the levels that change with the mean where there are few (`_level_law`), else the mean plus a
residual of the recorded cells (the same law everywhere, which is said).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation.metrics import absolute_error, squared_error
from causalrec.evaluation.metrics._model import FloatArray

MOST_RESIDUALS = 4096
"""A law of more residuals than this keeps the means of so many equal parts: chances to 1 / 4096."""

GainForm = Literal["linear", "exponential"]


@dataclass(frozen=True)
class Gain:
    """What a listed item's outcome is worth.

    Attributes
    ----------
    threshold : float or None
        With a threshold the gain is relevance: 1 where the outcome reaches it, else 0.
    form : {"linear", "exponential"}
        Without a threshold, the outcome itself (Jarvelin & Kekalainen 2002) or 2^outcome - 1
        (Burges et al. 2005).

    Examples
    --------
    >>> Gain(4.0).of(np.array([3.0, 4.0, 5.0]))
    array([0., 1., 1.])
    """

    threshold: float | None = None
    form: GainForm = "linear"

    def of(self, outcome: FloatArray) -> FloatArray:
        """Return the gain of each recorded outcome."""
        if self.threshold is not None:
            return (outcome >= self.threshold).astype(np.float64)
        return outcome if self.form == "linear" else np.exp2(outcome) - 1.0

    @property
    def words(self) -> str:
        """The gain in words, for the conventions of a result."""
        if self.threshold is not None:
            return f"gain 1 where the outcome is at least {self.threshold:g}, else 0"
        return "gain is the outcome" if self.form == "linear" else "gain is 2^outcome - 1"


class OutcomeLaw(Protocol):
    """The law of an outcome given the outcome model's mean."""

    words: str

    def squared_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return the expected squared error of `prediction`."""

    def absolute_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return the expected absolute error of `prediction`."""

    def gain(self, mean: FloatArray, gain: Gain) -> FloatArray:
        """Return the expected gain."""


class BernoulliLaw:
    """The outcome is 0 or 1 and the model's mean is its probability.

    Examples
    --------
    >>> law = BernoulliLaw()
    >>> law.squared_error(np.array([0.5]), np.array([0.5]))
    array([0.25])
    """

    words = "the recorded outcomes are 0 or 1 and the outcome model's mean is the probability"

    def squared_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return p (1 - f)^2 + (1 - p) f^2."""
        ones, zeros = np.ones_like(prediction), np.zeros_like(prediction)
        return self._mixture(
            mean, squared_error(ones, prediction), squared_error(zeros, prediction)
        )

    def absolute_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return p |1 - f| + (1 - p) |f|."""
        ones, zeros = np.ones_like(prediction), np.zeros_like(prediction)
        return self._mixture(
            mean, absolute_error(ones, prediction), absolute_error(zeros, prediction)
        )

    def gain(self, mean: FloatArray, gain: Gain) -> FloatArray:
        """Return p gain(1) + (1 - p) gain(0)."""
        one, zero = gain.of(np.array([1.0, 0.0]))
        return self._mixture(mean, one, zero)

    @staticmethod
    def _mixture(mean: FloatArray, one: FloatArray | float, zero: FloatArray | float) -> FloatArray:
        probability = np.clip(mean, 0.0, 1.0)
        return probability * one + (1.0 - probability) * zero


def _binned(residuals: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the share of each of `MOST_RESIDUALS` equal parts of a sorted law."""
    part = np.minimum((np.cumsum(shares) * MOST_RESIDUALS).astype(np.int64), MOST_RESIDUALS - 1)
    used, part = np.unique(part, return_inverse=True)
    share = np.bincount(part, weights=shares, minlength=len(used))
    return np.bincount(part, weights=shares * residuals) / share, share.astype(np.float64)


class ResidualLaw:
    """The outcome is the model's mean plus a residual drawn from the recorded cells.

    Parameters
    ----------
    residuals : float array (n,)
        Outcome minus mean on recorded cells, out of fold where the model is cross-fitted (an
        in-sample residual is too small).
    weights : float array (n,), optional
        Share of each residual; equal shares when not given.

    Examples
    --------
    >>> law = ResidualLaw(np.array([-1.0, 1.0]))
    >>> law.squared_error(np.array([3.0]), np.array([3.0]))
    array([1.])
    >>> law.absolute_error(np.array([3.0]), np.array([5.0]))
    array([2.])
    >>> law.gain(np.array([3.0]), Gain(4.0))
    array([0.5])
    """

    words = "an outcome is the outcome model's mean plus a residual, with one law for all cells"

    def __init__(self, residuals: FloatArray, weights: FloatArray | None = None) -> None:
        if len(residuals) == 0:
            raise StudyError("A residual law needs at least one recorded cell.")
        order = np.argsort(residuals, kind="stable")
        shares = np.ones(len(order)) if weights is None else weights[order]
        shares = shares / shares.sum()
        self._residuals = residuals[order]
        self._square = float(shares @ np.square(self._residuals))
        self._power = float(shares @ np.exp2(self._residuals))
        if len(order) > MOST_RESIDUALS:
            self._residuals, shares = _binned(self._residuals, shares)
        self._below = np.r_[0.0, np.cumsum(shares)]
        self._sum_below = np.r_[0.0, np.cumsum(shares * self._residuals)]
        self._mean = float(self._sum_below[-1])

    @property
    def variance(self) -> float:
        """The mean square of the residuals: the variance term of a squared error."""
        return self._square

    def squared_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return E (mean + e - f)^2, which is (mean - f)^2 + Var(e) where the residuals centre."""
        miss = mean - prediction
        return np.square(miss) + 2.0 * miss * self._mean + self._square

    def absolute_error(self, mean: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return E |mean + e - f|, exactly, from the sorted residuals."""
        gap = prediction - mean
        at = np.searchsorted(self._residuals, gap, side="right")
        below, sum_below = self._below[at], self._sum_below[at]
        found: FloatArray = (
            gap * (2.0 * below - self._below[-1]) + self._sum_below[-1] - 2.0 * sum_below
        )
        return found

    def gain(self, mean: FloatArray, gain: Gain) -> FloatArray:
        """Return the expected gain: a mean, a chance of passing the threshold, or a power."""
        if gain.threshold is not None:
            at = np.searchsorted(self._residuals, gain.threshold - mean, side="left")
            above: FloatArray = self._below[-1] - self._below[at]
            return above
        if gain.form == "linear":
            return mean + self._mean
        return np.exp2(mean) * self._power - 1.0
