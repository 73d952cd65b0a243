"""A mean where the outcome decides its own recording, through a shadow variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import IdentificationError, StudyError
from causalrec.evaluation import _assumptions
from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._groups import groups_by
from causalrec.evaluation._mean_rows import Named, mean_answer, mean_rows
from causalrec.evaluation._mean_selected import MeanAnswer, MeanQuestion
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._shadow_assumptions import (
    require_telling,
    shadow_assumptions,
    weakness,
)
from causalrec.evaluation._shadow_influence import ShadowInfluence
from causalrec.evaluation._terms import OutcomeTerm
from causalrec.graph import checked_graph
from causalrec.results import Table

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import ShadowPropensity


def shadow_of(
    log: InteractionLog, propensity: Any, graph: CausalGraph | None, estimator: str
) -> tuple[ShadowPropensity, Estimand | None] | None:
    """Return the shadow propensity to use, where one was given or the graph asks for one."""
    from causalrec.nuisances import ShadowPropensity

    if propensity is not None and not isinstance(propensity, ShadowPropensity):
        return None
    if estimator == "naive" or log.kind != "ratings":
        return None
    estimand = _estimand(graph)
    if propensity is None:
        return None if estimand is None else (ShadowPropensity().fit(log, graph), estimand)
    if not hasattr(propensity, "of_"):
        return propensity.clone().fit(log, graph), estimand
    if propensity.fitted.log is not log:
        # The influence reads the equations, so they have to be those of this very log.
        named = ShadowPropensity(
            propensity.shadow_,
            covariates=propensity.covariates_,
            crosses=propensity.crosses,
            tolerance=propensity.tolerance,
            max_iterations=propensity.max_iterations,
        )
        return named.fit(log), estimand
    return propensity, estimand


def _estimand(graph: CausalGraph | None) -> Estimand | None:
    if graph is None:
        return None
    try:
        found = checked_graph(graph).identify("mean", strategies=("shadow",))
    except IdentificationError:
        return None
    return found if found.strategy == "shadow variable" else None


def from_shadow(
    log: InteractionLog,
    question: MeanQuestion,
    propensity: ShadowPropensity,
    estimand: Estimand | None,
) -> MeanAnswer:
    """Estimate a mean with weights that depend on the outcome.

    Raises
    ------
    IdentificationError
        If the shadow does not tell how the outcome decides its recording.
    """
    _check(question)
    groups, notes = groups_by(log, question.by)
    source, term = CellSource(log, propensity=propensity), OutcomeTerm()
    influence = ShadowInfluence.of(propensity, source, term, groups)
    require_telling(propensity, influence.unsolved)
    plan = Plan(
        source=source,
        terms=(term,),
        estimators=("shadow", "naive"),
        groups=groups,
        sampled=question.sampled,
        level=question.level,
        shadow=influence,
    )
    sums = plan.run()
    names = {
        "shadow": Named("", "shadow", "eligible cells"),
        "naive": Named(" (naive)", "naive", "recorded cells"),
    }
    rows = mean_rows(plan, sums, names, beside=["naive"])
    return MeanAnswer(
        plan=plan,
        sums=sums,
        rows=rows,
        tables=(
            _shadow_table(propensity),
            _assumptions.weights_table(sums.weights, sums.coverage, plan.estimators),
        ),
        assumptions=(
            *shadow_assumptions(propensity, estimand, stacked=True),
            _assumptions.speaks_of(question.sampled),
        ),
        notes=(*notes, *propensity.notes_),
        answer=mean_answer(rows, refusal=False) + weakness(propensity),
        adjustment=tuple(propensity.covariates_),
    )


def _check(question: MeanQuestion) -> None:
    if question.estimator == "regression" or question.outcome_model is not None:
        raise StudyError(
            "The outcome decides its own recording here, so an outcome model learned from the"
            " recorded cells is not that of the others: a shadow variable needs weights alone."
            " Leave outcome_model and estimator out."
        )
    if question.clip is not None:
        raise StudyError(
            "Clipped weights no longer balance the shadow variable and the covariates, which is all"
            " that they are made for: leave clip out, or give fewer covariates"
            " (ShadowPropensity(crosses=False))."
        )


def _shadow_table(propensity: ShadowPropensity) -> Table:
    excess, freedom, p_value = propensity.overidentification_
    return Table(
        name="shadow",
        title="Shadow variable",
        columns=(
            "shadow",
            "slope of the outcome",
            "standard error",
            "strength (F)",
            "overidentification (F)",
            "degrees of freedom",
            "p",
        ),
        rows=(
            (
                propensity.shadow_,
                propensity.slope_,
                propensity.slope_error_,
                propensity.strength_,
                excess if np.isfinite(excess) else None,
                freedom,
                p_value if np.isfinite(p_value) else None,
            ),
        ),
        caption="Slope: what a unit of the outcome adds to the logit of being recorded. A strength"
        " below 10 is weak, one below 1 is refused. A small p says that no propensity of this form"
        " balances the shadow and the covariates.",
    )
