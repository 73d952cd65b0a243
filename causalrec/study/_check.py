"""Can this study be answered? File, log, graph, identification: before anything is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causalrec.errors import StudyError
from causalrec.interactions import InteractionLog, Kind
from causalrec.results import Result, Table
from causalrec.study._context import Context
from causalrec.study._file import (
    AuditQuestion,
    DecompositionQuestion,
    EffectQuestion,
    ImpactRatiosQuestion,
    MeanQuestion,
    UpliftQuestion,
    read_study,
)

_NEEDS: dict[str, tuple[Kind, ...]] = {
    "effect": ("candidates",),
    "mean": ("ratings", "candidates"),
    "bounds": ("ratings",),
    "evaluation": ("ratings", "candidates"),
    "uplift": ("candidates",),
    "policy_value": ("impressions",),
    "audit": ("ratings", "candidates", "impressions"),
    "decomposition": ("candidates",),
    "impact_ratios": ("ratings", "candidates", "impressions", "positives"),
    "randomization_plan": ("ratings", "candidates", "impressions"),
}


def check_study(path: str | Path) -> Result:
    """Read a study and its log, and ask its graph every question, without fitting anything.

    Parameters
    ----------
    path : str or Path
        The study file.

    Returns
    -------
    Result
        Of kind "check": one line a question, with how it is identified.

    Raises
    ------
    StudyError
        If the file does not describe a study.
    DataError
        If the log cannot answer a question, or a named column is missing.
    IdentificationError
        If the graph does not identify a question; the message names the open path.
    """
    study = read_study(path)
    context = Context(study, Path(path).resolve().parent)
    rows = tuple(
        (question.name, question.kind, _identified(context, question))
        for question in study.questions
    )
    table = Table(
        name="questions",
        title="Questions",
        columns=("name", "kind", "how it is identified"),
        rows=rows,
    )
    return Result(
        kind="check",
        title=study.study.title,
        answer=f"{len(rows)} of {len(rows)} questions can be asked of this log.\n\n"
        f"{context.log.summary().rstrip()}",
        tables=(table,),
        notes=tuple(f"{name} ({kind}): {words}" for name, kind, words in rows),
        graph_dot=context.graph.to_dot() if context.graph else "",
        provenance=context.provenance(),
    )


def _identified(context: Context, question: Any) -> str:
    kinds = _NEEDS[question.kind]
    if isinstance(question, EffectQuestion) and question.contrast not in ((1, 0), (0, 1)):
        kinds = (*kinds, "impressions")  # what is shown has positions to compare
    if isinstance(question, DecompositionQuestion) and question.method == "standard_fairness":
        kinds = (*kinds, "impressions")  # paths through mediators need no unexposed rows
    context.log.require(*kinds, purpose=f"the question {question.name!r}")
    for column in _columns(question):
        context.log.column(column)
    if isinstance(question, AuditQuestion):
        for column in _audited(context.log, question):
            context.log.entity_of(column)  # who has no level is counted, not refused
    if isinstance(question, EffectQuestion | UpliftQuestion):
        return _words(context, question.name, "effect")
    if isinstance(question, MeanQuestion) and question.using != "randomized":
        if context.graph is None:
            return "no graph: missing at random given every column is taken on trust"
        return _words(context, question.name, "mean")
    if isinstance(question, DecompositionQuestion):
        return _pathways(context, question)
    return "by its estimator; no causal graph is asked"


def _pathways(context: Context, question: DecompositionQuestion) -> str:
    from causalrec.audits import identify_gap

    found = identify_gap(
        context.require_graph(question.name),
        by=question.by,
        method=question.method,
        effect=question.effect,
        allowed_mediators=question.allowed_mediators,
    )
    for column in (*found.before, *found.allowed, *found.others, *found.between):
        context.log.column(column)
    return found.words


def _audited(log: InteractionLog, question: AuditQuestion) -> list[str]:
    """Return the columns that part users and items, of crossings too."""
    found = []
    for group in (*question.user_groups, *question.item_groups):
        whole = group in log.users.columns or group in log.items.columns
        found += [group] if whole else group.split(" x ")
    return found


def _columns(question: Any) -> tuple[str, ...]:
    if isinstance(question, ImpactRatiosQuestion):
        scored = () if question.scores is None else (question.scores,)
        return (*question.by, *question.among, *scored)
    if isinstance(question, EffectQuestion):
        return question.by if question.weights is None else (*question.by, question.weights)
    by: str | None = getattr(question, "by", None)
    return () if by is None else (by,)


def _words(context: Context, name: str, query: Any) -> str:
    estimand = context.require_graph(name).identify(
        query=query, strategies=("randomised", "back-door")
    )
    for covariate in estimand.covariates:
        try:
            context.log.entity_of(covariate.column)
        except ValueError as error:
            raise StudyError(
                f"Question {name!r} adjusts for {covariate.node!r}, but the log has no such"
                f" column: {error}"
            ) from None
    return estimand.words
