"""Bounds of an effect when the odds of exposure may be wrong by a factor, Lambda.

The marginal sensitivity model (Tan 2006): given the covariates and the potential outcomes, the
odds of exposure lie within [1/Lambda, Lambda] times those of the propensity. Where outcome models
were fitted, the bounds are sharp and doubly robust (Dorn & Guo 2022; Dorn, Guo & Kallus 2024);
where not, those of Zhao, Small & Bhattacharya (2019), which are wider. For the effect on the
exposed only the mean of the unexposed is in doubt, and its weights have no part that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from causalrec.effects._adjustment import Floats
from causalrec.effects._scores import cluster_codes
from causalrec.inference import Bounds, marginal_sensitivity_bounds
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.effects._scores import Computation

LARGEST = 100.0
"""Where the search for a Lambda ends."""


@dataclass(frozen=True, eq=False)
class Law:
    """What the bounds need of the outcome given the covariates, in one arm.

    Attributes
    ----------
    mean : float64 (n,)
    quantile : callable
        Level -> quantile of each row, and the mean excess over it, E (Y - Q)+.
    """

    mean: Floats
    quantile: Callable[[float], tuple[Floats, Floats]]


def two_point_law(mean: Floats, low: float, high: float) -> Law:
    """Return the law of an outcome with two values."""
    chance = np.clip((mean - low) / (high - low), 0.0, 1.0)

    def quantile(level: float) -> tuple[Floats, Floats]:
        at = np.where(chance > 1.0 - level, high, low)
        return at, np.where(at == low, chance * (high - low), 0.0)

    return Law(mean, quantile)


def shifted_law(mean: Floats, residual: Floats) -> Law:
    """Return the law of a mean plus a residual of one shape for all rows.

    Bounds stay valid where the shape differs between rows; they are then not the sharpest.
    """

    def quantile(level: float) -> tuple[Floats, Floats]:
        at = float(np.quantile(residual, level))
        excess = float(np.maximum(residual - at, 0.0).mean())
        return mean + at, np.full(len(mean), excess)

    return Law(mean, quantile)


def extreme_outcome(outcome: Floats, law: Law, lam: float) -> tuple[Floats, Floats]:
    """Return h, and its conditional mean rho: E[Y] is at most rho under the model.

    h = Q + Lambda^sign(Y - Q) (Y - Q) with Q the Lambda / (1 + Lambda) quantile.
    """
    at, excess = law.quantile(lam / (1.0 + lam))
    gap = outcome - at
    worst = at + np.where(gap > 0.0, lam, 1.0 / lam) * gap
    rho = law.mean / lam + (1.0 - 1.0 / lam) * at + (lam - 1.0 / lam) * excess
    return worst, rho


@dataclass(frozen=True, eq=False)
class MarginalSensitivity:
    """The bounds of one effect for any Lambda."""

    computation: Computation

    @property
    def sharp(self) -> bool:
        """Whether outcome models make the sharp bounds available."""
        return self.computation.nuisances.exposed is not None

    @property
    def obstacle(self) -> str:
        """Why there are no bounds, or "" where there are."""
        if not self.sharp and not self.computation.question.sampled:
            return "without outcome models they have no design-based interval"
        return ""

    @property
    def method(self) -> str:
        """Which bounds these are."""
        if self.sharp:
            return "sharp, doubly robust (Dorn & Guo 2022; Dorn, Guo & Kallus 2024)"
        return (
            "of the self-normalised effect by sorted weights (Zhao, Small & Bhattacharya 2019), not"
            " sharp, with the propensities as known"
        )

    def at(self, lam: float) -> Bounds:
        """Return the bounds at a Lambda."""
        return self._sharp(lam) if self.sharp else self._sorted(lam)

    def reaching_zero(self, *, interval: bool) -> float:
        """Return the smallest Lambda whose bounds (or their interval) reach zero, or infinity.

        NaN where there is no interval: under five clusters.
        """
        sign = 1.0 if self.computation.value() > 0.0 else -1.0

        def left(log_lam: float) -> float:
            found = self.at(float(np.exp(log_lam)))
            ends = found.interval()[0] if interval else (found.lower[0], found.upper[0])
            return float(ends[0] if sign > 0.0 else -ends[1])

        now = left(0.0)
        if np.isnan(now):
            return float("nan")
        if not now > 0.0:
            return 1.0
        top = float(np.log(LARGEST))
        if left(top) > 0.0:
            return float("inf")
        return float(np.exp(optimize.brentq(left, 0.0, top, xtol=1e-4)))

    # ------------------------------------------------------------------ sharp

    @cached_property
    def _laws(self) -> tuple[tuple[Law, Law], tuple[Law, Law]]:
        """Return the laws of (Y, -Y) in the unexposed and in the exposed arm."""
        found, population = self.computation.nuisances, self.computation.population
        y, a = population.outcome, population.exposure
        assert found.exposed is not None
        assert found.unexposed is not None
        binary = bool(np.isin(y, (0.0, 1.0)).all())
        laws = []
        for arm, mean in ((0.0, found.unexposed), (1.0, found.exposed)):
            if binary:
                laws.append((two_point_law(mean, 0.0, 1.0), two_point_law(-mean, -1.0, 0.0)))
            else:
                residual = (y - mean)[a == arm]
                laws.append((shifted_law(mean, residual), shifted_law(-mean, -residual)))
        return laws[0], laws[1]

    @cached_property
    def _stacked(self) -> tuple[Score, Floats]:
        """Return the effect's score, and what the error of its nuisances adds to the rows."""
        found = self.computation.nuisances
        score = self.computation.adjusted(self.computation.everybody(), 1)
        population, question = self.computation.population, self.computation.question
        plain = effect_score(
            population.outcome, population.exposure, found.propensity, found.unexposed,
            found.exposed, target=question.estimand, estimator=self._estimator,
        )  # fmt: skip
        return score, score.numerator - plain.numerator

    @property
    def _estimator(self) -> Any:
        name = self.computation.question.estimator
        return "regression" if name == "regression" else "dr"

    def _sharp(self, lam: float) -> Bounds:
        base, correction = self._stacked
        lower = self._rows(lam, -1.0)[:, None] + correction
        upper = self._rows(lam, 1.0)[:, None] + correction
        label = (self.computation.question.estimator,)
        ends = []
        for numerator in (lower, upper):
            score = Score(numerator, base.denominator, base.weight)
            random = numerator - base.denominator * score.value
            ends.append(self.computation.from_score(score.with_design_residual(random), label))
        return self._bounds(ends[0], ends[1], label, lam)

    def _rows(self, lam: float, side: float) -> Floats:
        """Return the numerator of the largest (side 1) or smallest (side -1) effect."""
        computation = self.computation
        y, a = computation.population.outcome, computation.population.exposure
        p, target = computation.nuisances.propensity, computation.question.estimand
        unexposed, exposed = self._laws
        weighted = computation.question.estimator != "regression"
        if_exposed, if_not = (y, y) if weighted else (exposed[0].mean, unexposed[0].mean)
        rows = np.zeros(len(y))
        if target != "atu":  # the exposed would, unexposed, have had at least rho0
            worst, rho = self._end(y, unexposed, lam, -side)
            rows += a * (if_exposed - rho)
            rows -= (1.0 - a) * p / (1.0 - p) * (worst - rho) * weighted
        if target != "att":
            worst, rho = self._end(y, exposed, lam, side)
            rows += (1.0 - a) * (rho - if_not)
            rows += a * (1.0 - p) / p * (worst - rho) * weighted
        # Whom the overlap speaks of is what was supposed, p (1 - p), whatever the true odds are.
        return rows * p * (1.0 - p) if target == "overlap" else rows

    @staticmethod
    def _end(y: Floats, laws: tuple[Law, Law], lam: float, side: float) -> tuple[Floats, Floats]:
        if side > 0.0:
            return extreme_outcome(y, laws[0], lam)
        worst, rho = extreme_outcome(-y, laws[1], lam)
        return -worst, -rho

    # ------------------------------------------------------------------ sorted weights

    def _sorted(self, lam: float) -> Bounds:
        computation = self.computation
        population, question = computation.population, computation.question
        a, p, target = population.exposure, computation.nuisances.propensity, question.estimand
        clusters = cluster_codes(population.rows, question.sampled)
        label = (question.estimator,)
        options: Any = {
            "sampled": question.sampled,
            "level": question.level,
            "row_weight": p * (1.0 - p) if target == "overlap" else 1.0,
        }
        one, none = (
            marginal_sensitivity_bounds(
                population.outcome,
                np.ones_like(p) if target == itself else chance,
                inside,
                lam,
                clusters,
                label,
                of="unobserved" if target == other else "everybody",
                **options,
            )
            for chance, inside, itself, other in (
                (p, a, "att", "atu"),
                (1.0 - p, 1.0 - a, "atu", "att"),
            )
        )
        return self._bounds(
            one.lower_bound - none.upper_bound, one.upper_bound - none.lower_bound, label, lam
        )

    def _bounds(self, lower: Any, upper: Any, label: tuple[str, ...], lam: float) -> Bounds:
        lower, upper = lower.relabel(label), upper.relabel(label)
        if self.computation.question.sign < 0.0:
            lower, upper = -upper, -lower
        return Bounds(label, lower, upper, f"marginal sensitivity model, Lambda {lam:g}")
