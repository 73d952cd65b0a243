"""What a decomposition says: its parts in words, its answer, its assumptions, its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.audits import _exposure_parts as four
from causalrec.audits import _fairness_parts as model
from causalrec.audits._decomposition_parts import GAP, Parts, robustness_value
from causalrec.audits._interventional_parts import REMAINDER
from causalrec.results import Assumption, Row, Table, format_cell

if TYPE_CHECKING:
    from causalrec.audits._decomposer import Computed
    from causalrec.audits._decomposition_graph import Pathways
    from causalrec.audits._decomposition_question import GapQuestion

UNMEASURED = "no unmeasured confounding"


def meanings(question: GapQuestion, pathways: Pathways, labels: Sequence[str]) -> dict[str, str]:
    """Return what each part is, in words, by its label."""
    a, b = question.names
    through = _listed(pathways.allowed)
    others = _listed(pathways.others)
    told = (*pathways.allowed, *pathways.others)
    own = f" with its own {_listed(told)}" if told else ""
    if pathways.left_in:
        own += f" ({_listed(pathways.left_in)} as in {a}: its part cannot be told apart)"
    interventional = question.effect == "interventional"
    known = {
        four.BASELINE: "the gap that there would be without any exposure",
        four.PREVALENCE: f"{a} and {b} are not exposed equally often, at the effect in {b}",
        four.EFFECT: f"the same exposure does not work alike, at the exposure of {a}",
        four.SELECTION: "exposure does not go alike to those on whom it works",
        model.DIRECT: f"what would change for {b}, were it taken for {a}{own}",
        model.OTHERS: f"through {others} (not allowed), beside {through}",
        model.INDIRECT: f"through {through}"
        + (", its distribution shifted" if interventional else ""),
        REMAINDER: f"of the effect that total and interventional parts differ by: what {through}"
        f" and {_listed(pathways.between)} do together in one row",
        model.SPURIOUS: f"{a} and {b} differ in {_listed(pathways.before)}, which the groups do not"
        " cause",
    }
    return {label: known[label] for label in labels}


def not_estimable(question: GapQuestion, computed: Computed) -> str:
    """Say why there is nothing to compare."""
    a, b = question.names
    if question.method == "exposure":
        return f"{a} or {b} has no row with a counterpart in the other arm of exposure"
    aside = int((~computed.supported).sum())
    return f"no row of {a} is like one of {b} ({aside:,} of {len(computed.supported):,} set aside)"


def answer(question: GapQuestion, rows: Sequence[Row], outcome: str) -> str:
    """Return the gap and its parts in a paragraph."""
    a, b = question.first, question.second
    gap, parts = rows[0], [row for row in rows if row.label in _parts(rows)]
    start = f"The gap in {outcome}, {question.by}: {a} - {b}"
    if gap.status == "suppressed":
        return f"{start}, is hidden: a group is too small to be shown."
    if gap.value is None:
        return f"{start}, cannot be decomposed: {gap.note}."
    said = "; ".join(f"{row.label} {_amount(row)}" for row in parts)
    return (
        f"{start}, is {_amount(gap)}. Its parts: {said}. Each part is the disparity through its"
        f" pathway between these groups as they are, not an effect of {question.by}."
    )


def _parts(rows: Sequence[Row]) -> set[str]:
    return {row.label for row in rows if row.derived_from and row.estimator != "naive"} - {GAP}


def _amount(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval)"
    return f"{format_cell(row.value)} [{format_cell(row.lower)}, {format_cell(row.upper)}]"


def waterfall(rows: Sequence[Row], what: str) -> Table:
    """Return the parts one after the other, and the gap that they sum to."""
    shown = [row for row in rows if row.label in _parts(rows)]
    lines = [(row.label, row.value, row.lower, row.upper) for row in (*shown, rows[0])]
    return Table(
        name="parts",
        title=f"The parts of the {what}",
        columns=("part", "value", "lower", "upper"),
        rows=tuple(lines),
        caption="Each part begins where the one before ends; the last bar is the gap, their sum."
        " Thin lines are the intervals of the parts.",
        figure="waterfall",
        x="part",
        y=("value", "lower", "upper"),
    )


def robustness(parts: Parts, rows: Sequence[Row]) -> Table:
    """Return how strong a hidden cause would have to be to bring each part to zero."""
    by_label = {row.label: row for row in rows}
    lines = []
    for label in parts.labels:
        row, scale = by_label[label], parts.reach[label]
        lines.append(
            (
                label,
                robustness_value(row.value or 0.0, scale),
                None if row.lower is None else robustness_value(_nearest(row), scale),
                scale,
            )
        )
    return Table(
        name="robustness",
        title="What a hidden cause would have to do",
        columns=("part", "robustness value", "of the interval", "scale"),
        rows=tuple(lines),
        caption="A hidden cause that explains at least this share of the outcome's residual"
        " variance, and would move the weights as much, could bring the part (its interval) to"
        " zero; a weaker one could not. At strength c it moves a part by at most"
        " c / sqrt(1 - c) x scale (Chernozhukov et al. 2022).",
        figure="bars",
        x="part",
        y=("robustness value",),
    )


def _nearest(row: Row) -> float:
    """Return the end of the interval nearest to zero; zero if it is inside."""
    lower, upper = float(row.lower or 0.0), float(row.upper or 0.0)
    if lower <= 0.0 <= upper:
        return 0.0
    return lower if lower > 0.0 else upper


def behind(question: GapQuestion, pathways: Pathways, computed: Computed) -> Table:
    """Return what stands behind each group (or each step): overlap and weights."""
    names: Sequence[str] = question.names
    if question.method != "exposure":
        held = {
            model.Z: "covariates alone",
            model.S: f"with {_listed(pathways.allowed)}",
            model.R: f"with {_listed((*pathways.allowed, *pathways.others))}",
        }
        steps = getattr(computed.rows, "features", {model.Z: None})
        names = [held[step] for step in steps]
    columns = tuple(computed.behind[0])
    return Table(
        name="behind the parts",
        title="What stands behind the parts",
        columns=("group" if question.method == "exposure" else "held fixed", *columns),
        rows=tuple(
            (name, *(_whole(column, line[column]) for column in columns))
            for name, line in zip(names, computed.behind, strict=True)
        ),
        caption="Two quantiles of the probability of being exposed (of the first group). Effective"
        " rows are Kish's, of the weights by which one arm (one group) stands for"
        " the other; the largest weight is a share of all.",
    )


def _whole(column: str, value: float) -> float | int:
    return int(value) if column.startswith("rows") else value


def assumptions(
    question: GapQuestion, pathways: Pathways, computed: Computed, table: Table | None
) -> tuple[Assumption, ...]:
    """Return what the parts rest on, with the figure of each."""
    aside = computed.supported.size - int(computed.supported.sum())
    stated = [
        Assumption(
            name=one.name.replace("of the exposure", "of the groups"),
            statement=one.statement,
            status=one.status,
            evidence=one.evidence if table is None else _robust_words(table, one),
        )
        for one in pathways.assumptions
    ]
    arms = "in either arm" if question.method == "exposure" else "of either group"
    fixed = " and mediators" if pathways.allowed and question.effect == "natural" else ""
    return (
        Assumption(
            name="pathways, not attributes",
            statement=f"A part is the disparity through a pathway between {question.names[0]} and"
            f" {question.names[1]} as they are. Nobody could have set {question.by}, and no part is"
            f" an effect of it.",
            status="by design",
        ),
        *stated,
        Assumption(
            name="overlap",
            statement=f"Every row could by its covariates{fixed} have been {arms}.",
            status="tested",
            evidence=f"{aside:,} of {computed.supported.size:,} rows could not and are set aside.",
        ),
        Assumption(
            name="right nuisances",
            statement=_nuisances(question),
            status="untestable",
        ),
    )


def _nuisances(question: GapQuestion) -> str:
    if question.method == "exposure":
        return "Within each group the models of exposure or those of the outcome are right."
    if question.effect == "interventional":
        return (
            "The models of the outcome and its means, or those of the group and of the mediator's"
            " law, are right. The interval takes all of them as known."
        )
    return (
        "At each step the model of the group or that of the outcome in"
        f" {question.names[0]} is right."
    )


def _robust_words(table: Table, assumption: Assumption) -> str:
    """Return how strong a hidden cause would have to be, for the parts that rest on this."""
    if not assumption.name.startswith(UNMEASURED):
        return assumption.evidence
    spared = {model.SPURIOUS} if assumption.name.endswith("mediator") else set()
    said = [f"{row[0]} {format_cell(row[1])}" for row in table.rows if row[0] not in spared]
    return (
        f"Robustness values: {_listed(said)}. A hidden cause that explains less than that share of"
        " the outcome's residual variance, and moves the weights no more, leaves the part's sign."
    )


def notes(
    question: GapQuestion,
    pathways: Pathways,
    computed: Computed,
    said: Mapping[str, str],
) -> tuple[str, ...]:
    """Return what each part is, and what was left out."""
    found = [f"{label.capitalize()}: {words}." for label, words in said.items()]
    found.append(pathways.words)
    left = question.whole.n_rows - question.log.n_rows
    if left and not question.attribute.hidden:
        found.append(f"{left:,} of {question.whole.n_rows:,} rows are of neither group.")
    if len(computed.spread) and question.n_repeats > 1:
        found.append(
            f"Over {question.n_repeats} deals of the folds no part moves by more than"
            f" {format_cell(float(np.max(computed.spread)))}."
        )
    if question.attribute.by_provider:
        found.append(
            f"{question.by!r} is an attribute of providers: clustered by provider, with t on the"
            " effective number of them, and folds are dealt among them."
        )
    if question.attribute.note:
        found.append(question.attribute.note)
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
