"""The effect by an instrument: what exposure causes among the rows whose exposure the arm moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects import _encouragement as arms
from causalrec.effects._anderson_rubin import RatioSet, anderson_rubin
from causalrec.effects._reached_result import INSTRUMENT, ReachedResult
from causalrec.effects._result import EffectResult
from causalrec.effects._words import amount, interval_method
from causalrec.errors import OverlapError
from causalrec.inference import Estimate
from causalrec.nuisances import KnownPropensity, balance, balance_table
from causalrec.results import Assumption, Row, Table, provenance, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.effects._scores import Computation
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog

WEAK = 104.7
"""First-stage F below which a 95 % t interval of the ratio is too short (Lee et al. 2022)."""
LATE, WALD, FIRST_STAGE, REDUCED = "iv", "wald", "first stage", "intention to treat"


def effect_by_instrument(
    log: InteractionLog,
    graph: CausalGraph,
    identified: Estimand,
    question: Question,
    outcome_model: Any,
    propensity: Any,
) -> EffectResult:
    """Return the effect among compliers, by the ratio of two doubly robust effects of the arm.

    `estimate_effect(estimator="iv")` documents it. Rows: the local effect, the naive difference,
    their difference, the plain ratio of differences (Wald), the first stage and the effect of the
    arm itself. Where the first stage is weak, the interval is Anderson and Rubin's.
    """
    column = str(graph.nodes[identified.instruments[0]].column)
    found = arms.find_encouragement(log, column, question.sampled)
    covariates = arms.columns_of(identified)
    population = arms.arm_population(found, graph, identified, propensity, question)
    seeds = np.random.default_rng(question.random_state).integers(0, 2**31, question.n_repeats)
    tries = []
    for number, seed in enumerate(seeds.tolist()):
        joint, computation = arms.both_effects(
            found, population, graph, covariates, outcome_model, question, seed
        )
        if float(joint[arms.ON_EXPOSURE]) == 0.0:
            raise OverlapError(
                f"The instrument {column!r} does not move the exposure at all: nobody complies,"
                " and there is no effect among nobody."
            )
        value = float(joint[arms.ON_OUTCOME]) / float(joint[arms.ON_EXPOSURE])
        tries.append((value, number, joint, computation))
    ordered = sorted(tries, key=lambda one: one[:2])
    _, _, joint, computation = ordered[(len(ordered) - 1) // 2]
    return _write(joint, computation, found, identified, question, [one[0] for one in tries])


def first_stage_f(joint: Estimate) -> float:
    """Return the squared ratio of the arm's effect on exposure and its clustered error."""
    first = joint[arms.ON_EXPOSURE]
    return float((first.value[0] / first.standard_error[0]) ** 2)


def all_numbers(joint: Estimate, sign: float) -> Estimate:
    """Return the local effect, naive, their difference, Wald, first stage, intention to treat."""
    late = sign * arms.ratio(joint, arms.ON_OUTCOME, arms.ON_EXPOSURE, LATE)
    wald = sign * arms.ratio(joint, arms.PLAIN_OUTCOME, arms.PLAIN_EXPOSURE, WALD)
    naive = sign * joint[arms.NAIVE]
    gap = (naive - late).relabel([f"naive - {LATE}"])
    first = joint[arms.ON_EXPOSURE].relabel([FIRST_STAGE])
    reduced = joint[arms.ON_OUTCOME].relabel([REDUCED])
    return Estimate.stack([late, naive, gap, wald, first, reduced])


def _write(
    joint: Estimate,
    computation: Computation,
    found: arms.Encouragement,
    identified: Estimand,
    question: Question,
    spread: Sequence[float],
) -> EffectResult:
    numbers = all_numbers(joint, question.sign)
    f = first_stage_f(joint)
    allowed = anderson_rubin(joint, arms.ON_OUTCOME, arms.ON_EXPOSURE, question.level)
    if question.sign < 0 and np.isfinite(allowed.lower):
        allowed = RatioSet(allowed.shape, -allowed.upper, -allowed.lower)
    rows = _rows(numbers, question, f, allowed)
    log = computation.population.log
    outcome = str(log.columns.outcome)
    result = ReachedResult(
        kind="effect",
        title=f"The effect of being exposed, on {outcome}, by the instrument {found.column}",
        question=f"What does being exposed cause in {outcome} ({question.direction}), among rows"
        f" whose exposure {found.column} changes?",
        answer=_answer(rows, found, outcome, f, allowed),
        rows=rows,
        tables=_tables(computation, spread),
        assumptions=_assumptions(identified, question, f, allowed, found),
        notes=(
            identified.words,
            f"{computation.population.n_set_aside:,} of {log.n_rows:,} rows could be in one arm"
            " only and are set aside.",
        ),
        graph_dot=identified.graph_dot,
        adjustment=identified.adjustment,
        provenance=provenance(
            log,
            question.random_state,
            {"estimator": LATE, "instrument": found.column, "n_folds": question.n_folds,
             "n_repeats": question.n_repeats, "sampled": list(question.sampled)},
        ),
    )  # fmt: skip
    result._internals = {
        "estimate": numbers,
        "arms": joint,
        "anderson_rubin": allowed,
        "instead": INSTRUMENT,
    }
    return result


def _rows(numbers: Estimate, question: Question, f: float, allowed: RatioSet) -> tuple[Row, ...]:
    rows = rows_from_estimate(
        numbers,
        metric="effect on compliers",
        population="rows whose exposure the instrument changes",
        estimator=LATE,
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
        derived_from={numbers.labels[2]: numbers.labels[:2]},
    )
    late, naive, gap, wald, first, reduced = rows
    if f < WEAK:
        bounded = allowed.shape == "interval"
        late = late.model_copy(
            update={
                "lower": allowed.lower if bounded else None,
                "upper": allowed.upper if bounded else None,
                "interval_method": "Anderson and Rubin (1949), clustered",
                "status": late.status if bounded else "not_estimable",
                "note": "" if bounded else f"the interval is {allowed.words}",
            }
        )
    everybody = {"population": "rows that could be in either arm"}
    return (
        late,
        naive.model_copy(update=everybody | {"metric": "effect", "estimator": "naive"}),
        gap.model_copy(update={"metric": "difference", "estimator": gap.label}),
        wald.model_copy(update={"estimator": WALD}),
        first.model_copy(
            update=everybody | {"metric": "effect of the arm on exposure", "estimator": "dr"}
        ),
        reduced.model_copy(
            update=everybody | {"metric": "effect of the arm on the outcome", "estimator": "dr"}
        ),
    )


def _answer(
    rows: Sequence[Row], found: arms.Encouragement, outcome: str, f: float, allowed: RatioSet
) -> str:
    late, naive, _, _, first, _ = rows
    low, high = found.levels
    strength = "weak, so the interval is Anderson and Rubin's" if f < WEAK else "strong"
    bounds = amount(late) if late.lower is not None else f"unknown: {allowed.words}"
    return (
        f"Among rows that are exposed under {found.column}={high} and would not be under"
        f" {low}, or the reverse (compliers, {abs(first.value or 0.0):.1%} of the rows), being"
        f" exposed changes {outcome} by {bounds} a row on average. This is not the effect on"
        f" everybody. The first stage has F = {f:.1f} ({strength}). The observed means differ by"
        f" {amount(naive)}."
    )


def _assumptions(
    identified: Estimand, question: Question, f: float, allowed: RatioSet,
    found: arms.Encouragement,
) -> tuple[Assumption, ...]:  # fmt: skip
    return (
        *Assumption.each(identified.assumptions),
        Assumption(
            name="relevance",
            statement=f"{found.column} changes the exposure.",
            status="tested" if f >= 10.0 else "violated",
            evidence=f"First-stage F = {f:.1f}, clustered by {' and '.join(question.sampled)};"
            f" the Anderson-Rubin set is {allowed.words}, right at any strength.",
        ),
        Assumption(
            name="no interference between items of a slate",
            statement="Showing an item changes its own outcome only, not that of its neighbours."
            " An arm that moves the whole slate also moves the neighbours.",
            status="untestable",
        ),
        Assumption(
            name="what was sampled",
            statement=f"The interval speaks of new {' and '.join(question.sampled)} clusters"
            f" ({interval_method(question.sampled)}).",
            status="by design",
        ),
    )


def _tables(computation: Computation, spread: Sequence[float]) -> tuple[Table, ...]:
    p = KnownPropensity(computation.nuisances.propensity, of="exposure")
    balanced = balance_table(balance(p, computation.population.rows))
    return (
        balanced.model_copy(update={"title": "Balance of the arms of the instrument"}),
        Table(
            name="repeats",
            title="The estimate with other folds",
            columns=("repeat", "effect"),
            rows=tuple((number + 1, value) for number, value in enumerate(spread)),
            caption="How much the deal of the folds moves the estimate; the median is reported.",
        ),
    )
