"""How far an omitted variable could move the doubly robust effect.

Chernozhukov, Cinelli, Newey, Sharma & Syrgkanis (2022), "Long story short: omitted variable bias
in causal machine learning". The bias is at most S sqrt(c_y c_a / (1 - c_a)): S^2 = sigma^2 nu^2
with sigma^2 = E (Y - g)^2 and nu^2 = E alpha^2 for the weight alpha = A/p - (1-A)/(1-p); c_y is
the share of the outcome's residual variance that the variable explains, c_a the share of the
variance of the true weight that the covariates miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from causalrec.effects._adjustment import Floats
from causalrec.effects._evalue import arm_weights
from causalrec.effects._linear_confounding import robustness_value
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.effects._scores import Computation


def bias_factor(outcome: float, weight: float) -> float:
    """Return sqrt(c_y c_a / (1 - c_a)).

    Examples
    --------
    >>> bias_factor(0.5, 0.5) ** 2
    0.5000000000000001
    """
    return float(np.sqrt(outcome * weight / (1.0 - weight)))


@dataclass(frozen=True, eq=False)
class OmittedVariables:
    """An effect and the scale S of its omitted-variable bias, jointly.

    Attributes
    ----------
    effect, scale : float
    covariance : float64 (2, 2)
        Of both, for what was sampled.
    critical : float
        Half the width of the effect's interval over its standard error.
    """

    effect: float
    scale: float
    covariance: Floats
    critical: float

    @classmethod
    def of(cls, computation: Computation) -> OmittedVariables:
        """Compute them from the nuisances of an effect; it needs outcome models."""
        effect = computation.adjusted(computation.everybody(), 1)
        value, influence = scale_influence(*residual_variance_and_weight(computation))
        numerator = (value + influence)[:, None]
        random = effect.numerator if effect.design_residual is None else effect.design_residual
        weight = effect.denominator if effect.weight is None else effect.weight
        ones = np.ones_like(numerator)
        joint = computation.from_score(
            Score(
                np.hstack([effect.numerator, numerator]),
                np.hstack([effect.denominator, ones]),
                np.hstack([weight, ones]),
                np.hstack([random, influence[:, None]]),
            ),
            ("effect", "scale"),
        )
        signs = np.array([computation.question.sign, 1.0])
        low, high = joint["effect"].interval()[0].tolist()
        return cls(
            float(joint.value[0] * signs[0]),
            value,
            joint.covariance * np.outer(signs, signs),
            (high - low) / 2.0 / float(joint.standard_error[0]),
        )

    def bounds(self, outcome: float, weight: float) -> tuple[float, float]:
        """Return the lowest and the highest effect under a confounder of this strength."""
        reach = bias_factor(outcome, weight) * self.scale
        return self.effect - reach, self.effect + reach

    def interval(self, outcome: float, weight: float) -> tuple[float, float]:
        """Return the interval that covers both bounds' uncertainty."""
        factor = bias_factor(outcome, weight)
        found = []
        for sign in (-1.0, 1.0):
            gradient = np.array([1.0, sign * factor])
            error = float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))
            centre = float(gradient @ np.array([self.effect, self.scale]))
            found.append(centre + sign * self.critical * error)
        return found[0], found[1]

    @property
    def robustness_value(self) -> float:
        """The strength, with the outcome and with the weight, that brings a bound to zero."""
        return robustness_value(self.effect / self.scale)

    @property
    def robustness_value_interval(self) -> float:
        """The strength at which the interval first covers zero; NaN where there is none."""
        if not np.isfinite(self.critical):
            return float("nan")

        def left(strength: float) -> float:
            low, high = self.interval(strength, strength)
            return low if self.effect > 0.0 else -high

        if left(0.0) <= 0.0:
            return 0.0
        largest = 1.0 - 1e-9
        if left(largest) > 0.0:
            return 1.0
        return float(optimize.brentq(left, 0.0, largest, xtol=1e-12))


def residual_variance_and_weight(computation: Computation) -> tuple[Floats, Floats]:
    """Return the rows whose means are sigma^2 and nu^2, each (n,).

    nu^2 is estimated by 2 E m(alpha) - E alpha^2, which an error in p moves to second order only.
    """
    a, target, exposed, unexposed = arm_weights(computation)
    found, y = computation.nuisances, computation.population.outcome
    assert found.exposed is not None  # the caller asks only where outcome models were fitted
    assert found.unexposed is not None
    residual = y - np.where(a == 1.0, found.exposed, found.unexposed)
    p = found.propensity
    tilt = {"ate": np.ones_like(p), "att": p, "atu": 1.0 - p, "overlap": p * (1.0 - p)}
    share = tilt[computation.question.estimand]
    size = float(target.mean())
    alpha = (exposed - unexposed) / size
    moment = share**2 / (p * (1.0 - p)) / size**2
    weight = 2.0 * moment - alpha**2
    return residual**2, weight if weight.mean() > 0.0 else alpha**2


def scale_influence(residual: Floats, weight: Floats) -> tuple[float, Floats]:
    """Return S = sqrt(mean residual x mean weight) and the influence of each row times n."""
    sigma, nu = float(residual.mean()), float(weight.mean())
    scale = float(np.sqrt(sigma * nu))
    if scale == 0.0:
        return 0.0, np.zeros_like(residual)
    influence = (nu * (residual - sigma) + sigma * (weight - nu)) / (2.0 * scale)
    return scale, influence
