"""The effect by the front door, as a result."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._front_door import FrontDoorNuisances, fit_front_door, front_door_rows
from causalrec.effects._reached_result import FRONT_DOOR, ReachedResult
from causalrec.effects._result import EffectResult
from causalrec.effects._scores import cluster_codes
from causalrec.effects._words import amount, interval_method
from causalrec.errors import OverlapError, OverlapWarning, StudyError
from causalrec.inference import Estimate
from causalrec.results import Assumption, Row, Table, provenance, rows_from_estimate
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
NAME = "front-door"


def effect_by_front_door(
    log: InteractionLog,
    graph: CausalGraph,
    identified: Estimand,
    question: Question,
    outcome_model: Any,
    propensity: Any,
) -> EffectResult:
    """Return the effect through the mediator that carries all of it.

    `estimate_effect(estimator="front-door")` documents it. Rows: the effect, the naive difference,
    and their difference. Rows whose exposure covariates or mediator give away are set aside.
    """
    if propensity is not None:
        raise StudyError(
            "The front door needs the probability of exposure with and without the mediator, and"
            " estimates both: given propensities answer one of the two. Leave propensity out."
        )
    if not question.sampled:
        raise StudyError(
            "sampled=() asks for what is random in these very rows, which for the front door is the"
            " mediator too. Name what was sampled, e.g. ('user', 'item')."
        )
    mediator = str(graph.nodes[identified.mediators[0]].column)
    covariates = [str(covariate.column) for covariate in identified.covariates]
    seeds = np.random.default_rng(question.random_state).integers(0, 2**31, question.n_repeats)
    tries = []
    for number, seed in enumerate(seeds.tolist()):
        found = fit_front_door(
            log, graph, covariates, mediator, outcome_model, question.n_folds, seed
        )
        joint, inside = estimate(log, found, question)
        tries.append((float(joint[NAME]), number, joint, inside))
    ordered = sorted(tries, key=lambda one: one[:2])
    _, _, joint, inside = ordered[(len(ordered) - 1) // 2]
    aside = int((~inside).sum())
    if aside > 0.01 * log.n_rows:
        warnings.warn(
            f"In {aside:,} of {log.n_rows:,} rows the covariates or the mediator give the exposure"
            f" away (probability outside [{question.floor:g}, {1 - question.floor:g}]); they are"
            " set aside: the effect speaks of the others.",
            OverlapWarning,
            stacklevel=3,
        )
    return _write(joint, log, identified, question, aside, [one[0] for one in tries])


def estimate(
    log: InteractionLog, found: FrontDoorNuisances, question: Question
) -> tuple[Estimate, NDArray[np.bool_]]:
    """Return effect, naive difference and their difference, and the rows with support (n,).

    Raises
    ------
    OverlapError
        If no row of one of the arms is left.
    """
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    inside = np.ones(log.n_rows, dtype=bool)
    for p in (found.exposed, found.exposed_given_mediator):
        inside &= (p >= question.floor) & (p <= 1.0 - question.floor)
    exposure = log.exposure.astype(np.float64)
    if len(np.unique(exposure[inside])) < 2:
        raise OverlapError(
            f"Of {log.n_rows:,} rows {int(inside.sum()):,} could be in either arm given covariates"
            " and mediator, none in one of the arms: the mediator gives the exposure away."
        )
    kept = FrontDoorNuisances(
        found.exposed[inside],
        found.exposed_given_mediator[inside],
        found.outcome[:, inside],
        found.mediated[:, :, inside],
    )
    y, a = log.outcome[inside], exposure[inside]
    naive = effect_score(y, a, 0.5, estimator="snips")
    ours = front_door_rows(y, a, kept)
    score = Score(
        np.column_stack([ours, naive.numerator[:, 0]]),
        np.column_stack([np.ones(len(ours)), naive.denominator[:, 0]]),
    )
    rows = log if inside.all() else log.select(inside)
    joint = Estimate.from_score(
        score,
        cluster_codes(rows, question.sampled),
        (NAME, "naive"),
        sampled=question.sampled,
        level=question.level,
    )
    matrix = question.sign * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    return joint.contrast(matrix, labels=[NAME, "naive", f"naive - {NAME}"]), inside


def _write(
    joint: Estimate,
    log: InteractionLog,
    identified: Estimand,
    question: Question,
    aside: int,
    spread: Sequence[float],
) -> EffectResult:
    rows = rows_from_estimate(
        joint,
        metric="effect",
        population="supported rows",
        estimator=NAME,
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
        derived_from={joint.labels[2]: joint.labels[:2]},
    )
    effect, naive, gap = rows
    rows = (
        effect,
        naive.model_copy(update={"estimator": "naive"}),
        gap.model_copy(update={"estimator": gap.label}),
    )
    outcome, mediator = str(log.columns.outcome), identified.mediators[0]
    result = ReachedResult(
        kind="effect",
        title=f"The effect of being exposed, on {outcome}, through {mediator}",
        question=f"What does being exposed cause in {outcome} ({question.direction})?",
        answer=_answer(rows, outcome, mediator),
        rows=rows,
        tables=(_repeats(spread),),
        assumptions=_assumptions(identified, question, aside, log.n_rows),
        notes=(identified.words,),
        graph_dot=identified.graph_dot,
        adjustment=identified.adjustment,
        provenance=provenance(
            log,
            question.random_state,
            {"estimator": NAME, "mediator": mediator, "n_folds": question.n_folds,
             "n_repeats": question.n_repeats, "sampled": list(question.sampled)},
        ),
    )  # fmt: skip
    result._internals = {"estimate": joint, "instead": FRONT_DOOR}
    return result


def _answer(rows: Sequence[Row], outcome: str, mediator: str) -> str:
    effect, naive, gap = rows
    return (
        f"Being exposed changes {outcome} by {amount(effect)} a row on average, all of it through"
        f" {mediator} as the graph says, by the front-door score over {effect.n:,} rows. The"
        f" observed means differ by {amount(naive)}; the difference between the two is"
        f" {amount(gap)}, which is not called bias: only a randomised comparison could say so."
    )


def _assumptions(
    identified: Estimand, question: Question, aside: int, n_rows: int
) -> tuple[Assumption, ...]:
    return (
        *Assumption.each(identified.assumptions),
        Assumption(
            name="overlap",
            statement="Every row that the effect speaks of could have been in either arm given its"
            " covariates, and given its mediator as well.",
            status="tested",
            evidence=f"{aside:,} of {n_rows:,} rows could not and are set aside.",
        ),
        Assumption(
            name="right nuisances",
            statement="The models of exposure, of exposure given the mediator, and of the outcome"
            " are right, cross-fitted over folds of users. The interval takes them as known.",
            status="untestable",
            evidence="Either the two models of exposure or the models of the outcome and its mean"
            " given the exposure may be wrong alone.",
        ),
        Assumption(
            name="what was sampled",
            statement=f"The interval speaks of new {' and '.join(question.sampled)} clusters"
            f" ({interval_method(question.sampled)}).",
            status="by design",
        ),
    )


def _repeats(spread: Sequence[float]) -> Table:
    return Table(
        name="repeats",
        title="The estimate with other folds",
        columns=("repeat", "effect"),
        rows=tuple((number + 1, value) for number, value in enumerate(spread)),
        caption="How much the deal of the folds moves the estimate; the median is reported.",
    )
