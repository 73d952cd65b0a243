"""A mean from a randomised slice: its known rate is the propensity, so nothing is assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import DataError
from causalrec.evaluation import _assumptions
from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._engine import NEEDS_MEAN
from causalrec.evaluation._groups import groups_by
from causalrec.evaluation._imputation import Imputation, imputation_of
from causalrec.evaluation._mean_rows import Named, mean_answer, mean_rows
from causalrec.evaluation._mean_selected import MeanAnswer, MeanQuestion
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._setup import Parts, slice_rate
from causalrec.evaluation._terms import OutcomeTerm

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

POPULATION = "all eligible cells"


def from_slice(parts: Parts, question: MeanQuestion, declared: float | None) -> MeanAnswer:
    """Estimate a mean from the randomised slice of a log, helped by the rest of it."""
    from causalrec.nuisances import KnownPropensity

    log = _slice_of(parts)
    rate, own = slice_rate(log, declared)
    imputation = _learned(parts, log, question)
    head: Any = "plain" if imputation is None else question.estimator
    groups, notes = groups_by(log, question.by)
    others: tuple[Any, ...] = ("plain",) if head != "plain" else ()
    if parts.selected is not None:
        others += ("randomized",)
    plan = Plan(
        source=CellSource(
            log,
            propensity=KnownPropensity(rate, "observed", sampling_rate=own),
            imputation=imputation,
            randomized=parts.selected,
        ),
        terms=(OutcomeTerm(),),
        estimators=(head, *others),
        groups=groups,
        law=None if imputation is None else imputation.law,
        sampled=question.sampled,
        level=question.level,
    )
    sums = plan.run()
    names = {
        "plain": Named(" (plain mean of the slice)", "plain", POPULATION),
        "randomized": Named(" (naive)", "naive", "recorded cells"),
        head: Named("", head, POPULATION),
    }
    rows = mean_rows(plan, sums, names, beside=[e for e in others if e == "randomized"])
    stated = [_assumptions.uniform_slice(rate, declared is not None)]
    if imputation is not None:
        stated.append(_assumptions.outcome_model(imputation, head, known_rate=head == "dr"))
    return MeanAnswer(
        plan=plan,
        sums=sums,
        rows=rows,
        tables=(_assumptions.weights_table(sums.weights, sums.coverage, plan.estimators),),
        assumptions=(*stated, _assumptions.speaks_of(question.sampled)),
        notes=(*notes, f"The slice holds {len(log.observed_cells()):,} cells."),
        answer=mean_answer(rows, refusal=False, randomised=True),
    )


def _slice_of(parts: Parts) -> InteractionLog:
    if parts.randomized is None:
        raise DataError(
            "using='randomized' needs a randomised slice, and the log has none. Name the boolean"
            " column that marks its rows: InteractionLog(..., randomized='is_random')."
        )
    parts.randomized.require("ratings", purpose="a mean from a uniform slice of cells")
    return parts.randomized


def _learned(parts: Parts, log: InteractionLog, question: MeanQuestion) -> Imputation | None:
    """Return an outcome model that has not seen the slice, where the estimator has use for one."""
    if question.estimator not in NEEDS_MEAN:
        return None
    if parts.selected is None:
        if question.outcome_model is None:
            return None
        return imputation_of(question.outcome_model, log, seed=question.seed)
    apart = _apart(parts.selected, log)
    return imputation_of(question.outcome_model, apart, cross_fitted=False, seed=question.seed)


def _apart(selected: InteractionLog, slice_log: InteractionLog) -> InteractionLog:
    """Return the rows of the selected part whose cell is not in the slice."""
    held = slice_log.observed_cells()
    width = np.int64(selected.n_items)
    keys = selected.user_codes * width + selected.item_codes
    shared = np.isin(keys, held.users * width + held.items)
    return selected.select(~shared) if shared.any() else selected
