"""The effects of an instrument on exposure and on outcome, each by the doubly robust score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._nuisances import Fitter, as_outcome_model
from causalrec.effects._population import Population, find_population
from causalrec.effects._scores import Computation, _side_by_side
from causalrec.errors import DataError, StudyError
from causalrec.nuisances import KnownPropensity, PropensityModel
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
ON_OUTCOME, ON_EXPOSURE = "arm on outcome", "arm on exposure"
PLAIN_OUTCOME, PLAIN_EXPOSURE, NAIVE = "means of outcome", "means of exposure", "naive"


@dataclass(frozen=True, eq=False)
class Encouragement:
    """An instrument of two levels in a log of candidates.

    Attributes
    ----------
    column : str
    levels : tuple of str
        Discouraged, encouraged.
    outcome_log, exposure_log : InteractionLog
        The log with the instrument as its exposure; the outcome of the second is the exposure.
    """

    column: str
    levels: tuple[str, str]
    outcome_log: InteractionLog
    exposure_log: InteractionLog


def find_encouragement(log: InteractionLog, column: str, sampled: tuple[str, ...]) -> Encouragement:
    """Return the instrument as an exposure.

    Raises
    ------
    DataError
        If it has other than two levels.
    StudyError
        If it was drawn user by user, and users are not among what was sampled.
    """
    names = log.column(column).astype("string")
    levels = sorted(map(str, names.unique()))
    if len(levels) != 2:
        raise DataError(
            f"The instrument {column!r} has {len(levels):,} levels ({', '.join(levels[:5])}); two"
            " arms are compared. Select the rows of two arms, or cut it in two."
        )
    z = (names == levels[1]).to_numpy(dtype=np.int8)
    users = int(np.unique(log.user_codes).size)
    pairs = int(np.unique(log.user_codes.astype(np.int64) * 2 + z).size)
    if pairs == users and "user" not in sampled:
        raise StudyError(
            f"The instrument {column!r} was drawn user by user: rows of one user share it, and"
            f" sampled={tuple(sampled)!r} would count each as a draw of its own. Name 'user'."
        )
    assert log.exposure is not None  # candidates have one
    outcome_log = log._derive(exposure=z, logging_propensity=None)
    exposure_log = outcome_log._derive(
        outcome=log.exposure.astype(np.float64), outcome_range=(0.0, 1.0)
    )
    return Encouragement(column, (levels[0], levels[1]), outcome_log, exposure_log)


def drawn_at_random(identified: Estimand) -> bool:
    """Whether the graph gives the instrument no cause, so that its share is its probability."""
    return any(
        name.startswith("instrument") and status == "by design"
        for name, _, status in identified.assumptions
    )


def arm_population(
    found: Encouragement,
    graph: CausalGraph,
    identified: Estimand,
    propensity: Any,
    question: Question,
) -> Population:
    """Return the rows that could have been in either arm of the instrument.

    An instrument drawn at random by design has one probability, its share; covariates then serve
    the outcome models alone. (A model would see the few users of a tail, all in one arm by chance,
    as users who could not be in the other.)
    """
    covariates = columns_of(identified)
    model: Any = PropensityModel(covariates=covariates, random_state=question.random_state)
    if drawn_at_random(identified) or not covariates:
        z = found.outcome_log.exposure
        assert z is not None  # the instrument
        model = KnownPropensity(np.full(len(z), float(z.mean())), of="exposure")
    given = model if propensity is None else propensity
    return find_population(found.outcome_log, graph, given, question)


def columns_of(identified: Estimand) -> list[str]:
    """Return the columns of the adjustment set."""
    return [str(covariate.column) for covariate in identified.covariates]


def both_effects(
    found: Encouragement,
    population: Population,
    graph: CausalGraph,
    covariates: list[str],
    outcome_model: Any,
    question: Question,
    seed: int,
) -> tuple[Estimate, Computation]:
    """Return the joint estimate of one deal of the folds, and the computation on the outcome.

    Labels: the arm's effects on outcome and exposure, adjusted; the same as plain differences of
    means; and the naive difference of the outcome by exposure.
    """
    exposures = found.exposure_log
    if population.n_set_aside:
        exposures = exposures.select(population.supported)
    if not covariates:  # nothing to model: differences of means
        question = replace(question, estimator="snips")
    computations, scores = [], []
    for rows in (population.rows, exposures):
        asked = replace(population, rows=rows)
        model = as_outcome_model(outcome_model, rows, question.random_state)
        if hasattr(model, "covariates") and model.covariates is None:
            model = model.clone()
            model.covariates = covariates
        fitted = Fitter(asked, graph, question, model).fit(seed)
        computations.append(Computation(asked, question, fitted))
    everybody = computations[0].everybody()
    scores += [one.adjusted(everybody, 1) for one in computations]
    scores += [one.naive(everybody, 1) for one in computations]
    scores.append(_by_exposure(population.outcome, computations[1].population.outcome))
    labels = (ON_OUTCOME, ON_EXPOSURE, PLAIN_OUTCOME, PLAIN_EXPOSURE, NAIVE)
    joint = computations[0].from_score(_side_by_side(scores), labels)
    return joint, computations[0]


def _by_exposure(outcome: Floats, exposure: Floats) -> Score:
    """Return the score of the naive difference of mean outcomes by exposure."""
    score = effect_score(outcome, exposure, 0.5, estimator="snips")
    return replace(score, design_residual=score.numerator - score.denominator * score.value)


def ratio(joint: Estimate, top: str, bottom: str, label: str) -> Estimate:
    """Return a ratio with its influence (psi_top - ratio x psi_bottom) / bottom."""
    over, under = float(joint[top]), float(joint[bottom])
    value = over / under
    linear = joint.contrast({label: {top: 1.0 / under, bottom: -value / under}})
    return linear.shift(value)
