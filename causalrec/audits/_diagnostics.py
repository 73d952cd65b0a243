"""What stands behind the corrected gaps, group by group, and whether the propensity can help."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from causalrec.audits._attributes import Attribute
from causalrec.audits._group_means import headline_of
from causalrec.errors import PropensityWarning
from causalrec.evaluation import GroupAnswers
from causalrec.nuisances import BalanceLine, balance
from causalrec.results import Assumption, Table

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

COLUMNS = (
    "attribute",
    "group",
    "label",
    "subjects",
    "recorded cells",
    "effective sample size",
    "largest weight over mean",
    "share clipped",
    "share unsupported",
    "largest imbalance before",
    "largest imbalance after",
)
Cell = str | float | int | None


def group_diagnostics(
    answers: GroupAnswers,
    attributes: Mapping[str, Attribute],
    log: InteractionLog,
    others: Sequence[Attribute] = (),
) -> tuple[Table, tuple[Assumption, ...]]:
    """Return the diagnostics of every group, and what balance says of the propensity.

    Parameters
    ----------
    answers : GroupAnswers
    attributes : mapping of column to Attribute
    log : InteractionLog
    others : sequence of Attribute
        Further attributes of the audit, whose hidden groups are no features here.

    Warns
    -----
    PropensityWarning
        If weighting leaves features unbalanced within the audited groups.
    """
    lines: tuple[BalanceLine, ...] = ()
    if answers.propensity is not None:
        lines = balance(answers.propensity, log, answers.support)
        lines = _without_hidden(lines, (*attributes.values(), *others))
    rows: list[tuple[Cell, ...]] = []
    for by_group in answers.found:
        attribute = attributes[by_group.column]
        head = headline_of(by_group.estimators)
        missing = {}
        if answers.support is not None:
            missing = answers.support.share_by(by_group.column)
        for group in by_group.groups:
            level = group.levels[by_group.column]
            weights = by_group.weights[head, group.label]
            mean = weights.total / weights.n if weights.n else 0.0
            rows.append(
                (
                    by_group.column,
                    level,
                    group.label,
                    attribute.counts[level],
                    weights.n,
                    weights.effective,
                    weights.largest / mean if mean else None,
                    by_group.share_clipped,
                    missing.get(level),
                    *_largest(lines, group.label),
                )
            )
    table = Table(
        name="group diagnostics",
        title="What stands behind each group",
        columns=COLUMNS,
        rows=tuple(rows),
        caption="Imbalance: the largest standardised difference of a feature of the other side"
        " between recorded and all eligible cells of the group, before and after weighting.",
        figure="bars",
        x="label",
        y=("effective sample size",),
    )
    if not lines:
        return table, ()
    return table, (_verdict(lines, answers, attributes),)


def _without_hidden(
    lines: Sequence[BalanceLine], attributes: Sequence[Attribute]
) -> tuple[BalanceLine, ...]:
    """Drop what hidden groups are as features of the other side: it tells of them."""
    hidden = {f"{one.column}={level}" for one in attributes for level in one.hidden}
    return tuple(line for line in lines if line.feature not in hidden)


def _largest(lines: Sequence[BalanceLine], group: str) -> tuple[float | None, float | None]:
    inside = [line for line in lines if line.group == group]
    if not inside:
        return None, None
    return max(abs(line.before) for line in inside), max(abs(line.after) for line in inside)


def _verdict(
    lines: Sequence[BalanceLine], answers: GroupAnswers, attributes: Mapping[str, Attribute]
) -> Assumption:
    """Return whether weighting balances the groups, without a word on hidden ones."""
    shown = {
        f"{column}={level}" for column, attribute in attributes.items() for level in attribute.shown
    }
    audited = [line for line in lines if line.group in shown]
    off = [line for line in audited if line.unbalanced]
    name = "propensity repairs the groups' selection"
    statement = (
        "Weighted by 1/p, the recorded cells of each audited group look like all its eligible"
        " cells, so that a gap compares like with like."
    )
    if not off:
        largest = max((abs(line.after) for line in audited), default=float("nan"))
        evidence = f"largest standardised difference {largest:.2f} in {len(audited)} comparisons"
        return Assumption(name=name, statement=statement, status="tested", evidence=evidence)
    worst = sorted(off, key=lambda line: (-abs(line.after), line.group, line.feature))[:3]
    named = ", ".join(f"{x.feature} within {x.group} ({x.after:+.2f})" for x in worst)
    evidence = (
        f"This propensity cannot repair group gaps: weighting leaves {len(off)} of"
        f" {len(audited)} standardised differences unbalanced ({named}). It lacks the crosses of"
        " user and item features on which selection depends (popularity and activity alone have"
        " none)."
    )
    if "dr" in answers.found[0].estimators:
        evidence += " The DR gaps then rest on the outcome model alone."
    warnings.warn(evidence, PropensityWarning, stacklevel=4)
    return Assumption(name=name, statement=statement, status="violated", evidence=evidence)
