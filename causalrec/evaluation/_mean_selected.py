"""A mean from what selection left: weights, an outcome model, and bounds where support fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causalrec.evaluation import _assumptions
from causalrec.evaluation._bounds import bounds_table, bounds_where_support_fails
from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._engine import NEEDS_MEAN, Sums
from causalrec.evaluation._groups import groups_by
from causalrec.evaluation._imputation import Imputation, imputation_of
from causalrec.evaluation._mean_rows import Named, mean_answer, mean_rows
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._setup import Weighting, weighting
from causalrec.evaluation._terms import OutcomeTerm
from causalrec.results import Assumption, Row, Table

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog


@dataclass(frozen=True, eq=False)
class MeanQuestion:
    """The options of `estimate_mean`, checked."""

    estimator: str
    sampled: tuple[str, ...]
    population: str
    clip: float | None
    floor: float
    level: float
    seed: int | None
    by: str | Sequence[str] | None
    outcome_model: Any
    propensity: Any
    min_cell: int


@dataclass(frozen=True, eq=False)
class MeanAnswer:
    """What a result is made of."""

    plan: Plan
    sums: Sums
    rows: tuple[Row, ...]
    tables: tuple[Table, ...]
    assumptions: tuple[Assumption, ...]
    notes: tuple[str, ...]
    answer: str
    adjustment: tuple[str, ...] = ()


def from_selected(
    log: InteractionLog,
    question: MeanQuestion,
    graph: CausalGraph | None,
    estimand: Estimand | None,
    refusal: str,
) -> MeanAnswer:
    """Estimate a mean from the part of a log that selection made."""
    weights = weighting(question.propensity, log, graph, estimand, question.floor)
    imputation = None
    if question.estimator in NEEDS_MEAN:
        imputation = imputation_of(
            question.outcome_model,
            log,
            graph=graph if estimand is not None else None,
            propensity=weights.propensity,
            seed=question.seed,
        )
    plan, notes = _plan(log, question, weights, imputation)
    sums = plan.run()
    rows, tables = _rows(plan, sums, log, question)
    return MeanAnswer(
        plan=plan,
        sums=sums,
        rows=rows,
        tables=(_assumptions.weights_table(sums.weights, sums.coverage, plan.estimators), *tables),
        assumptions=_stated(weights, imputation, estimand, refusal, sums, question),
        notes=(
            *_assumptions.coverage_notes(sums.coverage, weights.support, question.clip),
            *notes,
            *weights.propensity.notes_,
        ),
        answer=mean_answer(rows, refusal=bool(refusal)),
        adjustment=tuple(weights.propensity.covariates_),
    )


def _plan(
    log: InteractionLog,
    question: MeanQuestion,
    weights: Weighting,
    imputation: Imputation | None,
) -> tuple[Plan, tuple[str, ...]]:
    """Return the computation, and notes on its groups."""
    groups, notes = groups_by(log, question.by)
    head = question.estimator
    plan = Plan(
        source=CellSource(
            log,
            propensity=weights.propensity,
            support=weights.support,
            imputation=imputation,
            clip=question.clip,
        ),
        terms=(OutcomeTerm(),),
        estimators=(head,) if head == "naive" else (head, "naive"),
        groups=groups,
        law=None if imputation is None else imputation.law,
        sampled=question.sampled,
        level=question.level,
    )
    return plan, notes


def _rows(
    plan: Plan, sums: Sums, log: InteractionLog, question: MeanQuestion
) -> tuple[tuple[Row, ...], tuple[Table, ...]]:
    """Return the rows; bounds come first where all cells are asked for and support fails."""
    head = plan.estimators[0]
    share = sums.coverage.share_unsupported
    bounded = question.population == "all" and share > 0
    what = "cells" if log.kind == "ratings" else "candidate rows, all exposed"
    population = (
        f"supported {what} ({1 - share:.1%} of the eligible)" if share else f"eligible {what}"
    )
    suffix = ", supported cells" if bounded else ""
    names = {
        head: Named(suffix, head, population if head != "naive" else "recorded cells"),
        "naive": Named(suffix if head == "naive" else " (naive)", "naive", "recorded cells"),
    }
    rows = mean_rows(plan, sums, names, beside=[] if head == "naive" else ["naive"])
    if not bounded:
        return rows, ()
    found, first = bounds_where_support_fails(plan, sums, log)
    return (*first, *rows), (bounds_table(found, plan.level),)


def _stated(
    weights: Weighting,
    imputation: Imputation | None,
    estimand: Estimand | None,
    refusal: str,
    sums: Sums,
    question: MeanQuestion,
) -> tuple[Assumption, ...]:
    """Return what the mean rests on."""
    covariates = weights.propensity.covariates_
    by_outcome = weights.propensity.depends_on_outcome
    found = [
        _assumptions.recorded_by_outcome(stacked=weights.propensity.rating_slice is not None)
        if by_outcome
        else _assumptions.missing_at_random(estimand, covariates, forced=refusal),
        _assumptions.overlap(weights.support, sums.coverage),
    ]
    if question.estimator in {"ips", "snips", "dr"}:
        found.append(_assumptions.propensity_model(weights, question.estimator))
    if imputation is not None:
        found.append(_assumptions.outcome_model(imputation, question.estimator))
    return (*found, _assumptions.speaks_of(question.sampled))
