"""The average local effect in rows, words and assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._econml._own import own_table
from causalrec.effects._reached_result import INSTRUMENT, ReachedResult
from causalrec.effects._words import amount, interval_method
from causalrec.inference import Estimate
from causalrec.results import Assumption, Row, Table, provenance, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.effects._econml._driv import Driv
    from causalrec.effects._encouragement import Encouragement
    from causalrec.effects._question import Question
    from causalrec.effects._scores import Computation
    from causalrec.graph import Estimand

STRONG = 10.0
ALL = "rows that could be in either arm"
"""Whom the average is taken over."""


def write_driv(
    joint: Estimate,
    fitted: Driv,
    computation: Computation,
    found: Encouragement,
    identified: Estimand,
    spread: Sequence[float],
) -> ReachedResult:
    """Return the result of a joint estimate of "driv", "naive" and "first stage"."""
    question, log = computation.question, computation.population.log
    numbers = _numbers(joint, question.sign)
    rows = _rows(numbers, question)
    first = joint["first stage"]
    f = float((first.value[0] / first.standard_error[0]) ** 2)
    outcome = str(log.columns.outcome)
    result = ReachedResult(
        kind="effect",
        title=f"The local effects of being exposed, on {outcome}, by {found.column} and EconML",
        question=f"What does being exposed cause in {outcome} ({question.direction}), among rows"
        f" whose exposure {found.column} changes, given covariates, averaged over all rows?",
        answer=_answer(rows, found, outcome, f),
        rows=rows,
        tables=(
            own_table(fitted.own, rows[0], question.sampled, question.sign),
            _repeats(spread),
        ),
        assumptions=_assumptions(identified, question, f, found),
        notes=(
            identified.words,
            f"The covariance of {found.column} and exposure given covariates was raised to .001 in"
            f" {fitted.n_clipped:,} rows (EconML's cov_clip).",
            "A model of the exposure given covariates and the instrument is needed: where it is"
            " wrong, the average is right only if the effect does not vary with covariates."
            " estimator='iv' does not need it.",
        ),
        graph_dot=identified.graph_dot,
        adjustment=identified.adjustment,
        provenance=provenance(
            log,
            question.random_state,
            {"estimator": "driv", "instrument": found.column, "n_folds": question.n_folds,
             "n_repeats": question.n_repeats, "sampled": list(question.sampled)},
        ),
    )  # fmt: skip
    result._internals = {
        "estimate": numbers,
        "arms": joint,
        "instead": INSTRUMENT.partition(" An effect of")[0],
    }
    return result


def _numbers(joint: Estimate, sign: float) -> Estimate:
    local, naive = sign * joint["driv"], sign * joint["naive"]
    gap = (naive - local).relabel(["naive - driv"])
    return Estimate.stack([local, naive, gap, joint["first stage"]])


def _rows(numbers: Estimate, question: Question) -> tuple[Row, ...]:
    local, naive, gap, first = rows_from_estimate(
        numbers,
        metric="average local effect",
        population=ALL,
        estimator="driv",
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
        derived_from={numbers.labels[2]: numbers.labels[:2]},
    )
    return (
        local,
        naive.model_copy(update={"metric": "effect", "estimator": "naive"}),
        gap.model_copy(update={"metric": "difference", "estimator": gap.label}),
        first.model_copy(
            update={"metric": "effect of the arm on exposure", "estimator": "difference of means"}
        ),
    )


def _answer(rows: Sequence[Row], found: Encouragement, outcome: str, f: float) -> str:
    low, high = found.levels
    return (
        f"Being exposed changes {outcome} by {amount(rows[0])} a row on average of the local"
        f" effects: in rows with the same covariates, the effect on those that are exposed under"
        f" {found.column}={high} and would not be under {low}; averaged over all rows, not over"
        f" the ones that {found.column} moves. The first stage has F = {f:.1f}. The observed means"
        f" differ by {amount(rows[1])}."
    )


def _assumptions(
    identified: Estimand, question: Question, f: float, found: Encouragement
) -> tuple[Assumption, ...]:
    return (
        *Assumption.each(identified.assumptions),
        Assumption(
            name="relevance",
            statement=f"{found.column} changes the exposure, in rows of all covariates.",
            status="tested" if f >= STRONG else "violated",
            evidence=f"First-stage F = {f:.1f} over all rows, clustered by"
            f" {' and '.join(question.sampled)}; where it is weak, estimator='iv' has Anderson and"
            " Rubin's interval, and this one has not.",
        ),
        Assumption(
            name="right model of who is moved",
            statement="The logistic model of exposure given covariates and the instrument is right,"
            " or the effect does not vary with the covariates.",
            status="untestable",
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
        caption=f"How much the deal of the folds moves the estimate (sd {np.std(spread):.3g}); the"
        " median is reported.",
    )
