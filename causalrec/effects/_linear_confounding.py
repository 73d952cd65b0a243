"""How strong a confounder would have to be, in a partially linear regression.

Cinelli & Hazlett (2020), "Making sense of sensitivity", JRSS B 82. The regression of the outcome
on the exposure and the adjustment set is a simpler question than the effect itself: its bias from
an omitted variable has a closed form in two partial R2, whatever the variable is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

from causalrec.effects._adjustment import (
    Adjustment,
    Floats,
    coefficients,
    cross_products,
    residual_sum,
)
from causalrec.errors import DataError
from causalrec.scores import Score
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Sequence


def robustness_value(f: float, f_critical: float = 0.0) -> float:
    """Return the partial R2 with exposure and outcome that brings an estimate to zero.

    Cinelli & Hazlett (2020), equations 14 and 18 and their extreme case.

    Parameters
    ----------
    f : float
        The share of the estimate to explain away times its partial Cohen's f, |t| / sqrt(df).
    f_critical : float
        Half the width of the interval on the same scale; 0 for the point estimate.

    Examples
    --------
    >>> round(robustness_value(0.5), 4), robustness_value(0.5, 0.6)
    (0.3904, 0.0)
    """
    left = abs(f) - f_critical
    if left <= 0.0:
        return 0.0
    if f_critical > 0.0 and abs(f) > 1.0 / f_critical:
        return float((f**2 - f_critical**2) / (1.0 + f**2))
    # the same as (sqrt(left^4 + 4 left^2) - left^2) / 2, without its cancellation
    return float(2.0 / (1.0 + np.sqrt(1.0 + 4.0 / left**2)))


@dataclass(frozen=True)
class Strength:
    """Partial R2 of a variable with the exposure, and with the outcome given the exposure."""

    exposure: float
    outcome: float

    def times(self, factor: float) -> Strength:
        """Return the bound on a confounder `factor` times as strong as this covariate.

        Cinelli & Hazlett (2020), equations 19 and 20; both at most 1.
        """
        given = self.exposure / (1.0 - self.exposure)
        exposure = factor * given
        if exposure >= 1.0:
            return Strength(1.0, 1.0)
        share = factor * self.exposure * given / (1.0 - factor * self.exposure)
        if share >= 1.0:
            return Strength(exposure, 1.0)
        scale = (np.sqrt(factor) + np.sqrt(share)) ** 2 / (1.0 - share)
        return Strength(exposure, min(1.0, scale * self.outcome / (1.0 - self.outcome)))

    @property
    def bias_factor(self) -> float:
        """The bias in units of classical standard error times sqrt(degrees of freedom)."""
        if self.exposure >= 1.0:
            return float("inf")
        return float(np.sqrt(self.outcome * self.exposure / (1.0 - self.exposure)))


@dataclass(frozen=True, eq=False)
class LinearConfounding:
    """A partially linear regression and what an omitted variable would do to it.

    Attributes
    ----------
    estimate : float
        Coefficient of the exposure.
    classical_error : float
        Its standard error, had the rows been independent and equally spread.
    degrees_of_freedom : int
    score : Score
        Its influence, to be clustered.
    gram : float64 (k + 2, k + 2)
        Of covariates, exposure and outcome.
    """

    estimate: float
    classical_error: float
    degrees_of_freedom: int
    score: Score
    gram: Floats

    @classmethod
    @one_thread
    def fit(cls, adjustment: Adjustment, exposure: Floats, outcome: Floats) -> LinearConfounding:
        """Regress the outcome on the exposure and the covariates.

        Raises
        ------
        DataError
            If the covariates leave nothing of the exposure to learn from.
        """
        x = adjustment.matrix
        n, k = x.shape
        both = np.column_stack([exposure, outcome])
        across = x.T @ both
        gram = np.block([[cross_products(x), across], [across.T, cross_products(both)]])
        every = list(range(k))
        left = residual_sum(gram, k, every)
        if left <= 1e-10 * gram[k, k]:
            raise DataError(
                "The covariates determine the exposure: a regression has nothing left to compare."
            )
        by_covariates = [coefficients(gram, at, every) for at in (k, k + 1)]
        by_exposure, by_outcome = (both - x @ np.column_stack(by_covariates)).T
        numerator, denominator = by_exposure * by_outcome, by_exposure**2
        score = Score(numerator, denominator, np.ones(n))
        estimate = float(score.value[0])
        rank = int(np.linalg.matrix_rank(gram[:k, :k], hermitian=True))
        freedom = n - rank - 1
        variance = residual_sum(gram, k + 1, [*every, k]) / freedom / left
        residual = numerator - estimate * denominator
        return cls(
            estimate, float(np.sqrt(variance)), freedom, score.with_design_residual(residual), gram
        )

    @property
    def scale(self) -> float:
        """What a bias factor is multiplied by to give a bias."""
        return self.classical_error * float(np.sqrt(self.degrees_of_freedom))

    def robustness_value(self, half_width: float = 0.0) -> float:
        """Return the robustness value.

        Parameters
        ----------
        half_width : float
            Half of a confidence interval, clustered or not; 0 asks about the point estimate. NaN
            (no interval) gives NaN.
        """
        if np.isnan(half_width):
            return float("nan")
        correction = np.sqrt(self.degrees_of_freedom / (self.degrees_of_freedom - 1))
        return robustness_value(self.estimate / self.scale, half_width / self.scale * correction)

    def classical_half_width(self, level: float = 0.95) -> float:
        """Return half of the interval of independent rows, as Cinelli & Hazlett have it."""
        quantile = stats.t.ppf((1.0 + level) / 2.0, self.degrees_of_freedom - 1)
        return float(quantile) * self.classical_error

    def adjusted(self, strength: Strength) -> float:
        """Return the estimate brought towards zero (and past it) by a confounder's bias."""
        sign = np.sign(self.estimate) or 1.0
        return float(sign * (abs(self.estimate) - self.scale * strength.bias_factor))

    def adjusted_end(self, strength: Strength, half_width: float) -> float:
        """Return the end, towards zero, of the interval of the adjusted estimate.

        Cinelli & Hazlett (2020), equation 8: the confounder takes from the outcome's residual
        variance, and from the exposure's. NaN where there is no interval.
        """
        sign = np.sign(self.estimate) or 1.0
        shrunk = np.sqrt((1.0 - strength.outcome) / (1.0 - strength.exposure))
        shrunk *= np.sqrt(self.degrees_of_freedom / (self.degrees_of_freedom - 1))
        return float(self.adjusted(strength) - sign * half_width * shrunk)

    def strength_of(self, places: Sequence[int]) -> Strength:
        """Return the partial R2 of a group of covariates, given all others."""
        k = len(self.gram) - 2
        others = [j for j in range(k) if j not in set(places)]
        every = list(range(k))
        return Strength(
            _partial(residual_sum(self.gram, k, others), residual_sum(self.gram, k, every)),
            _partial(
                residual_sum(self.gram, k + 1, [*others, k]),
                residual_sum(self.gram, k + 1, [*every, k]),
            ),
        )

    def estimate_without(self, places: Sequence[int]) -> float:
        """Return the coefficient of the exposure when a group of covariates is left out."""
        k = len(self.gram) - 2
        others = [j for j in range(k) if j not in set(places)]
        return float(coefficients(self.gram, k + 1, [*others, k])[-1])

    def times_to_zero(self, strength: Strength) -> float:
        """Return how many times as strong as a covariate a confounder must be, to reach zero.

        Infinity where the covariate is no confounder at all (it leaves exposure or outcome alone).
        """
        if strength.exposure <= 0.0 or strength.outcome <= 0.0:
            return float("inf")
        largest = (1.0 - strength.exposure) / strength.exposure * (1.0 - 1e-12)
        goal = abs(self.estimate)

        def left(factor: float) -> float:
            return goal - self.scale * strength.times(factor).bias_factor

        if left(largest) > 0.0:
            return float(largest)
        return float(optimize.brentq(left, 0.0, largest, xtol=1e-10))


def _partial(without: float, within: float) -> float:
    """Return a partial R2 from two residual sums; what rounding leaves of none is none."""
    share = (without - within) / without if without > 0.0 else 0.0
    return share if share > 1e-12 else 0.0
