"""EconML's learner of local effects by a randomised encouragement, averaged with our interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects import _encouragement as arms
from causalrec.effects._econml import _models as models
from causalrec.effects._econml._own import OwnAnswer
from causalrec.effects._econml._write_driv import write_driv
from causalrec.effects._nuisances import Nuisances
from causalrec.effects._scores import Computation, _side_by_side
from causalrec.errors import IdentificationError, StudyError
from causalrec.nuisances import PropensityModel
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question
    from causalrec.effects._result import EffectResult
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
SMALLEST = 1e-3
"""The floor of |cov(exposure, instrument | X)|, EconML's own."""
DRIV, NAIVE, FIRST_STAGE = "driv", "naive", "first stage"


@dataclass(frozen=True, eq=False)
class Driv:
    """One fit.

    Attributes
    ----------
    score : float64 (n,)
        Whose mean is the average local effect.
    own : OwnAnswer
    n_clipped : int
        Rows whose covariance of exposure and instrument was raised to `SMALLEST`.
    """

    score: Floats
    own: OwnAnswer
    n_clipped: int


def effect_by_driv(
    log: InteractionLog,
    graph: CausalGraph,
    identified: Estimand,
    question: Question,
    outcome_model: Any,
    propensity: Any,
) -> EffectResult:
    """Return the average over all rows of the local effects given covariates, by EconML.

    `estimate_effect(estimator="driv")` documents it. Rows: the average local effect, the naive
    difference, their difference, and the effect of the instrument on exposure.
    """
    column = str(graph.nodes[identified.instruments[0]].column)
    found = arms.find_encouragement(log, column, question.sampled)
    _refuse(identified, column, propensity)
    population = arms.arm_population(found, graph, identified, None, question)
    exposure = _exposure(found.exposure_log, population)
    design = _design(population, graph, arms.columns_of(identified), question)
    seeds = np.random.default_rng(question.random_state).integers(0, 2**31, question.n_repeats)
    model, tries = regressor(outcome_model), []
    for number, seed in enumerate(seeds.tolist()):
        fitted = fit_driv(population, exposure, design, question, model, seed)
        tries.append((float(fitted.score.mean()), number, fitted))
    _, _, kept = sorted(tries, key=lambda one: one[:2])[(len(tries) - 1) // 2]
    joint, computation = average_local_effect(population, exposure, kept, question)
    spread = [question.sign * one[0] for one in tries]
    return write_driv(joint, kept, computation, found, identified, spread)


def average_local_effect(
    population: Population, exposure: Floats, fitted: Driv, question: Question
) -> tuple[Estimate, Computation]:
    """Return "driv", "naive" and "first stage" jointly, with clustered errors."""
    psi = fitted.score[:, None]
    scores = [
        Score(psi, np.ones_like(psi), design_residual=psi - psi.mean()),
        arms._by_exposure(population.outcome, exposure),
        arms._by_exposure(exposure, population.exposure),
    ]
    nuisances = Nuisances(population.values[population.supported])
    computation = Computation(population, question, nuisances)
    return computation.from_score(_side_by_side(scores), (DRIV, NAIVE, FIRST_STAGE)), computation


def fit_driv(
    population: Population,
    exposure: Floats,
    design: Floats,
    question: Question,
    outcome_model: Any,
    seed: int,
) -> Driv:
    """Fit `LinearIntentToTreatDRIV` on our folds and return the score of its average.

    Parameters
    ----------
    population : Population
        With the instrument as its exposure.
    exposure : float64 (n,)
    design : float64 (n, k)
        Covariates.
    question, outcome_model, seed

    Notes
    -----
    Syrgkanis, Lei, Oprescu, Hei, Battocchi & Lewis (2019): with e, z and y the residuals of
    exposure, instrument and outcome given covariates, and b(X) = cov(A, Z | X), the mean of
    t + (y - t e) z / b(X) is that of the local effects given X, where b is right or the
    preliminary effect t is.
    """
    from econml.iv.dr import LinearIntentToTreatDRIV
    from sklearn.linear_model import LinearRegression, LogisticRegression

    learner = LinearIntentToTreatDRIV(
        model_y_xw=outcome_model,
        model_t_xwz=LogisticRegression(max_iter=1000),
        flexible_model_effect=LinearRegression(fit_intercept=False),
        cov_clip=SMALLEST,
        cv=models.our_folds(population, question, seed),
        random_state=question.random_state,
    )
    with models.quiet():
        learner.fit(
            population.outcome,
            exposure.astype(np.int64),
            Z=population.exposure.astype(np.int64),
            X=None,
            W=design,
            cache_values=True,
        )
    prior, left, taken, z, covariance = (
        np.asarray(part, dtype=np.float64).ravel() for part in learner._cached_values.nuisances
    )
    floored = np.where(covariance < 0.0, -1.0, 1.0) * np.maximum(np.abs(covariance), SMALLEST)
    error = float(np.ravel(learner.intercept__inference().stderr)[0])
    value = float(np.ravel(learner.intercept_)[0])
    return Driv(
        prior + (left - prior * taken) * z / floored,
        OwnAnswer("LinearIntentToTreatDRIV", "rows that could be in either arm", value, error),
        int((np.abs(covariance) < SMALLEST).sum()),
    )


def regressor(given: Any) -> Any:
    """Return the model of the outcome given covariates.

    Any model serves, since the instrument is independent of the covariates; a good one shortens
    the interval.

    Raises
    ------
    StudyError
        If a classifier was given: EconML's preliminary stage would take its labels for means.
    """
    if hasattr(given, "predict_proba"):
        raise StudyError(
            "estimator='driv' takes a regressor as outcome_model, also for an outcome of 0 and 1:"
            " EconML's preliminary stage would take a classifier's labels for means. Leave it out"
            " (ridge), or pass a regressor."
        )
    return models.outcome_model_of(given, binary=False)


def _refuse(identified: Estimand, column: str, propensity: Any) -> None:
    if propensity is not None:
        raise StudyError(
            "estimator='driv' takes the share of the instrument's arms as its probability: EconML"
            " cannot take given ones. Use estimator='iv', which takes them."
        )
    if not arms.drawn_at_random(identified):
        raise IdentificationError(
            f"LinearIntentToTreatDRIV is for an instrument drawn at random, and {column!r} is one"
            " given covariates only, as the graph has it. Use estimator='iv', which adjusts."
        )


def _exposure(log: InteractionLog, population: Population) -> Floats:
    assert log.outcome is not None  # the exposure, as an outcome of the instrument
    return log.outcome[population.supported]


def _design(
    population: Population, graph: CausalGraph, columns: list[str], question: Question
) -> Floats:
    model = PropensityModel(covariates=columns, random_state=question.random_state)
    fitted = model.fit(population.rows, graph) if columns else None
    if fitted is None or fitted.row_design_ is None:
        raise StudyError(
            "estimator='driv' averages local effects given covariates, and the graph names none:"
            " without them it is the ratio of differences of means. Use estimator='iv'."
        )
    return fitted.row_design_.matrix[:, 1:]
