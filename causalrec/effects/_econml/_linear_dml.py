"""EconML's partially linear learner: residual of the outcome on residual of the exposure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects._econml import _models as models
from causalrec.effects._econml._own import OwnAnswer
from causalrec.effects._nuisances import Nuisances
from causalrec.effects._scores import Computation
from causalrec.scores import Score, group_scores

if TYPE_CHECKING:
    from causalrec.effects._econml._models import Floats
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question
    from causalrec.effects._scores import Codes

LINEAR_DML = "linear-dml"


@dataclass(frozen=True, eq=False)
class Residuals:
    """What is left of outcome and exposure, each (n,), out of fold."""

    outcome: Floats
    exposure: Floats


@dataclass(frozen=True, eq=False)
class ResidualComputation(Computation):
    """An effect by the partially linear moment, in place of the doubly robust score.

    Attributes
    ----------
    residuals : Residuals

    Notes
    -----
    The moment (Y - m - theta (A - p)) (A - p) of Robinson (1988), with m = E[Y | X]; cross-fitted
    and orthogonal (Chernozhukov et al. 2018, equation 4.4), so that the error of m and p is of
    second order. Where the effect tau varies, theta is E[p (1 - p) tau] / E[p (1 - p)]: the effect
    weighted by overlap.
    """

    residuals: Residuals

    def _plain(self, groups: Codes, n_groups: int) -> Score:
        if self.question.estimator != LINEAR_DML:  # another, asked on the same nuisances
            return super()._plain(groups, n_groups)
        v = self.residuals.exposure
        whole = Score((v * self.residuals.outcome)[:, None], (v * v)[:, None])
        return group_scores(whole, groups, n_groups)

    def _random_part(self, score: Score, groups: Codes, n_groups: int) -> Floats:
        if self.question.estimator != LINEAR_DML:
            return super()._random_part(score, groups, n_groups)
        # Conservative: how the effect differs between rows is counted as if it were random.
        return np.asarray(score.numerator - score.denominator * score.value)


def fit_linear_dml(
    population: Population, question: Question, outcome_model: Any, seed: int
) -> tuple[Nuisances, Residuals]:
    """Fit `LinearDML` without modifiers on our folds and return its residuals."""
    from econml.dml import LinearDML

    template, design = models.covariates_for(population, question)
    y, a = population.outcome, population.exposure
    learner = LinearDML(
        model_y=models.outcome_model_of(outcome_model, models.is_binary(y)),
        model_t=models.exposure_model(template),
        discrete_outcome=models.is_binary(y),
        discrete_treatment=True,
        cv=models.our_folds(population, question, seed),
        random_state=question.random_state,
    )
    with models.quiet():
        learner.fit(models.as_target(y), a.astype(np.int64), X=None, W=design, cache_values=True)
    left, v = (np.asarray(part, dtype=np.float64).ravel() for part in learner.residuals_[:2])
    theta = float(np.ravel(learner.intercept_)[0])
    p, mean = a - v, y - left
    fitted = Nuisances(
        propensity=p,
        unexposed=mean - p * theta,
        exposed=mean + (1.0 - p) * theta,
        notes=(
            "LinearDML regresses what is left of the outcome on what is left of the exposure. Where"
            " the effect varies, that weights each row by p (1 - p): it is not the average over all"
            " rows. Ask dr, or dr-learner, for that.",
        ),
        own=OwnAnswer(
            "LinearDML",
            "rows weighted by overlap p (1 - p)",
            theta,
            float(np.ravel(learner.intercept__inference().stderr)[0]),
        ),
    )
    return fitted, Residuals(left, v)
