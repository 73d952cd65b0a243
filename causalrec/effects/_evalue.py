"""E-values: how strongly a confounder must be tied to both exposure and outcome, as risk ratios.

VanderWeele & Ding (2017), "Sensitivity analysis in observational research: introducing the
E-value", Annals of Internal Medicine 167.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.inference import Estimate, FittedNuisance, stack_nuisances
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.effects._scores import Computation

PER_DEVIATION = 0.91
"""Log risk ratio of one standard deviation of a continuous outcome (VanderWeele & Ding 2017)."""


def e_value(ratio: float) -> float:
    """Return the E-value of a risk ratio.

    Examples
    --------
    >>> round(e_value(2.0), 3), round(e_value(0.5), 3), e_value(1.0)
    (3.414, 3.414, 1.0)
    """
    high = max(ratio, 1.0 / ratio)
    return float(high + np.sqrt(high * (high - 1.0)))


@dataclass(frozen=True)
class EValue:
    """The E-value of an estimate and of the end of its interval that is nearer to no effect.

    Attributes
    ----------
    ratio, lower, upper : float
        The risk ratio and its interval.
    by : str
        How the risk ratio came about, in words.
    """

    ratio: float
    lower: float
    upper: float
    by: str

    @property
    def estimate(self) -> float:
        """E-value of the estimate."""
        return e_value(self.ratio)

    @property
    def interval(self) -> float:
        """E-value of the interval; 1 where it covers no effect already."""
        if self.lower <= 1.0 <= self.upper:
            return 1.0
        return e_value(self.lower if self.lower > 1.0 else self.upper)

    @classmethod
    def of_difference(
        cls, difference: float, deviation: float, lower: float, upper: float
    ) -> EValue:
        """Return that of a difference of means of a continuous outcome, through d.

        Parameters
        ----------
        difference, lower, upper : float
            With its interval, in units of the outcome.
        deviation : float
            Standard deviation of the outcome.

        Examples
        --------
        >>> round(EValue.of_difference(0.5, 1.0, 0.3, 0.7).estimate, 3)
        2.529
        """
        ratio, low, high = (
            float(np.exp(PER_DEVIATION * value / deviation)) for value in (difference, lower, upper)
        )
        return cls(ratio, low, high, by="a difference in standard deviations, as exp(0.91 d)")


def find_e_value(computation: Computation, interval: tuple[float, float]) -> EValue | None:
    """Return the E-value of an effect, or None where a mean is not positive."""
    y = computation.population.outcome
    if not np.isin(y, (0.0, 1.0)).all():
        deviation = float(y.std())
        if deviation == 0.0:
            return None
        return EValue.of_difference(computation.value(), deviation, *interval)
    means = arm_means(computation)
    if not (means.value > 0.0).all():
        return None
    names = ("exposed", "unexposed") if computation.question.sign > 0 else ("unexposed", "exposed")
    ratio = means.ratio(*names)
    low, high = ratio.interval(computation.question.level)[0].tolist()
    return EValue(float(ratio), low, high, by="the ratio of the adjusted means of both arms")


def arm_means(computation: Computation) -> Estimate:
    """Return the adjusted means of both arms, jointly, by the estimator of the effect."""
    _, t, w1, w0 = arm_weights(computation)
    y, found = computation.population.outcome, computation.nuisances
    name = computation.question.estimator
    g1, g0 = np.zeros(len(y)), np.zeros(len(y))
    if found.exposed is not None and found.unexposed is not None:
        g1, g0 = found.exposed, found.unexposed
    elif name == "snips":
        g1 = np.full(len(y), (w1 * y).sum() / w1.sum())
        g0 = np.full(len(y), (w0 * y).sum() / w0.sum())
    if name == "regression":
        w1, w0 = np.zeros(len(y)), np.zeros(len(y))
    numerator = np.column_stack([t * g1 + w1 * (y - g1), t * g0 + w0 * (y - g0)])
    score = Score(numerator, t)
    if name == "regression":  # its score does not forgive the error of the outcome models
        score = stack_nuisances(score, _outcome_terms(computation, t))
    score = score.with_design_residual(
        numerator - t[:, None] * np.column_stack([g1, g0])
        if name != "regression"
        else score.numerator - t[:, None] * score.value
    )
    return computation.from_score(score, ("exposed", "unexposed"))


def _outcome_terms(
    computation: Computation, target: np.ndarray
) -> list[tuple[FittedNuisance, np.ndarray]]:
    """Return the fitted outcome models with the derivatives of both arms' means."""
    terms = []
    for one in computation.nuisances.parametric:
        if one.role != "propensity":
            derivative = np.zeros((len(target), 2))
            derivative[:, 0 if one.role == "exposed" else 1] = target * one.slope
            terms.append((one.nuisance(computation.population.outcome), derivative))
    return terms


def arm_weights(
    computation: Computation,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return exposure, target weight and the weights of both arms of each row, all (n,)."""
    a = computation.population.exposure
    score = effect_score(
        np.ones(len(a)),
        a,
        computation.nuisances.propensity,
        target=computation.question.estimand,
        estimator="ips",
    )
    signed = score.numerator[:, 0]
    return a, np.array(score.denominator[:, 0]), signed * a, -signed * (1.0 - a)
