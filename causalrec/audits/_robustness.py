"""Lambda* of every gap that is corrected by weights: what would have to be wrong to explain it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from causalrec.audits._gaps import Found
from causalrec.audits._group_means import dimensions_of, headline_of
from causalrec.audits._lambda import Extremes, GapLambda, gap_lambda
from causalrec.results import Assumption, Table
from causalrec.threads import two_at_a_time

if TYPE_CHECKING:
    from causalrec.audits._attributes import Attribute
    from causalrec.audits._options import AuditQuestion
    from causalrec.evaluation import GroupAnswers, GroupEstimates

NORMAL = 1.959964
WEIGHTED = frozenset({"snips", "ips", "dr"})
RESTS_ON = frozenset({"missing at random", "no unmeasured confounding"})
COLUMNS = (
    "attribute",
    "measure",
    "gap",
    "gap by SNIPS",
    "Lambda* of the gap",
    "Lambda* of its interval",
)
Line = tuple[str, str, str, float | None, float | None, float | None]


def add_robustness(
    found: Found,
    answers: GroupAnswers,
    attributes: Mapping[str, Attribute],
    question: AuditQuestion,
) -> tuple[Table, ...]:
    """Find Lambda* of every gap, keep those of the headline by label, and return the table.

    Notes
    -----
    Marginal sensitivity model (Tan 2006; Zhao, Small & Bhattacharya 2019): the odds of being
    recorded, given covariates *and* outcome, are within a factor Lambda of those of the propensity.
    It is the SNIPS gap that is bounded; a DR gap rests on the same propensity and is marked by it.
    """
    lines: list[Line] = []
    for by_group in answers.found:
        if not WEIGHTED & set(by_group.estimators) or answers.propensity is None:
            continue
        attribute = attributes[by_group.column]
        lambdas = two_at_a_time(
            partial(_lambdas, answers, by_group, attribute, question), by_group.metrics
        )
        for metric, found_of in zip(by_group.metrics, lambdas, strict=True):
            for level, one in found_of.items():
                name = f"{metric} gap, {attribute.column}: {level} - {attribute.reference}"
                found.lambdas[name] = one
                lines.append(
                    (
                        attribute.column,
                        metric,
                        f"{level} - {attribute.reference}",
                        one.gap,
                        one.of_gap if np.isfinite(one.of_gap) else None,
                        one.of_interval if np.isfinite(one.of_interval) else None,
                    )
                )
    if not lines:
        return ()
    return (
        Table(
            name="sensitivity of gaps",
            title="How wrong would the propensities have to be for a gap to vanish?",
            columns=COLUMNS,
            rows=tuple(lines),
            caption="Lambda*: the factor by which the odds of being recorded, given covariates and"
            " outcome, would have to differ from those of the propensity (in opposite directions"
            " within both groups) before zero lies within the bounds of the gap, or within the"
            " interval around them. 1: the gap does not stand as it is. Empty: more than 100.",
        ),
    )


def _lambdas(
    answers: GroupAnswers,
    by_group: GroupEstimates,
    attribute: Attribute,
    question: AuditQuestion,
    metric: str,
) -> dict[str, GapLambda]:
    """Return Lambda* by compared level."""
    if attribute.reference is None:
        return {}
    cells = answers.recorded(metric, attribute.column)
    if cells is None:
        return {}
    of_user = attribute.entity == "user"
    own = attribute.codes[cells.users if of_user else cells.items]
    codes = {"user": cells.users, "item": cells.items}
    if attribute.by_provider and question.log.provider is not None:
        codes["provider"] = question.log.provider[cells.items]
    clusters = {name: codes[name] for name in dimensions_of(attribute, question.sampled)}
    scale = {
        level: cells.coverage.cells_a_user(attribute.codes == code) if cells.per_user else 1.0
        for code, level in enumerate(attribute.levels)
        if level in attribute.shown
    }
    extremes = {
        level: Extremes.of(
            cells.values * factor,
            cells.propensity,
            np.flatnonzero(own == attribute.levels.index(level)),
        )
        for level, factor in scale.items()
    }
    if not all(len(one.x) for one in extremes.values()):
        return {}
    critical = _critical(by_group, attribute, metric)
    return {
        level: gap_lambda(
            extremes[level], extremes[attribute.reference], clusters, critical.get(level, NORMAL)
        )
        for level in attribute.compared
    }


def _critical(by_group: GroupEstimates, attribute: Attribute, metric: str) -> dict[str, float]:
    """Return the half width of each gap's own t interval in standard errors."""
    groups = {group.levels[by_group.column]: group for group in by_group.groups}
    estimator = "snips" if "snips" in by_group.estimators else headline_of(by_group.estimators)
    labels = {level: by_group.label(metric, estimator, groups[level]) for level in attribute.shown}
    found = {}
    for level in attribute.compared:
        assert attribute.reference is not None
        gap = by_group.estimates[metric].difference(
            labels[level], labels[attribute.reference], "gap"
        )
        lower, upper = gap.interval()[0].tolist()
        error = float(gap.standard_error[0])
        if error > 0.0 and np.isfinite(upper - lower):
            found[level] = (upper - lower) / 2.0 / error
    return found


def said_of_robustness(assumptions: list[Assumption], found: Found) -> list[Assumption]:
    """Set the figures beside the assumption that they stand for."""
    standing = [one.of_interval for one in found.lambdas.values() if one.of_interval > 1.0]
    if not standing:
        return assumptions
    least, most = min(standing), max(standing)
    largest = f"{most:.2f}" if np.isfinite(most) else "more than 100"
    between = f"{least:.2f}" if least == most else f"{least:.2f} to {largest}"
    said = (
        f"A gap that stands loses its interval where the odds are wrong by a factor of {between}"
        " (Lambda*, by gap in the table)."
    )
    return [
        _with_evidence(one, said) if one.name in RESTS_ON and one.status == "untestable" else one
        for one in assumptions
    ]


def _with_evidence(one: Assumption, said: str) -> Assumption:
    """Add a sentence to what is known about an assumption."""
    evidence = f"{one.evidence.rstrip('.')}. {said}" if one.evidence else said
    return one.model_copy(update={"evidence": evidence})
