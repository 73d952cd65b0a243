"""From the joint estimate of a mean to rows: headline, naive, their difference, gaps, the slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._common_support import common_support, shared_words
from causalrec.evaluation._engine import Sums, key
from causalrec.evaluation._groups import Group
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._terms import Term
from causalrec.inference import Estimate, holm
from causalrec.results import Row, format_cell, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.nuisances import Support


@dataclass(frozen=True)
class Named:
    """How an estimator's numbers are called in a result."""

    suffix: str
    """After the label: "" for the headline, " (naive)" beside it."""
    estimator: str
    population: str


def mean_rows(
    plan: Plan, sums: Sums, names: Mapping[str, Named], *, beside: Sequence[str]
) -> tuple[Row, ...]:
    """Return the rows of a mean.

    Parameters
    ----------
    plan, sums
        What was computed; the plan's first estimator is the headline.
    names : mapping of internal estimator to Named
    beside : sequence of str
        Estimators whose difference to the headline gets a row.
    """
    term, head = plan.terms[0], plan.estimators[0]
    rows: list[Row] = []
    for group in plan.groups:
        rows += _values(plan, sums, names, term, group)
    everybody = plan.groups[0]
    for other in beside:
        label = f"{_word(names[other])} - {_word(names[head])}"
        gap = sums.estimate.difference(
            key(term, other, everybody), key(term, head, everybody), label
        )
        n = {label: sums.weights[head, everybody.label].n}
        parents = {label: (term.metric + names[other].suffix, term.metric + names[head].suffix)}
        between = Named("", label, names[head].population)
        rows += _contrast(gap, plan, between, "difference of means", parents, n)
    return (*rows, *_gaps(plan, sums, names[head], term, head))


def _word(name: Named) -> str:
    return name.estimator


def _values(
    plan: Plan, sums: Sums, names: Mapping[str, Named], term: Term, group: Group
) -> list[Row]:
    found: list[Row] = []
    for estimator in plan.estimators:
        named = names[estimator]
        label = f"{group.label or term.metric}{named.suffix}"
        one = sums.estimate[key(term, estimator, group)].relabel([label])
        found += rows_from_estimate(
            one,
            metric=term.metric,
            population=named.population,
            estimator=named.estimator,
            groups={label: group.levels},
            level=plan.level,
            null=None,
            n={label: sums.weights[estimator, group.label].n},
            interval_method=interval_method(plan.sampled),
        )
    return found


def _gaps(plan: Plan, sums: Sums, named: Named, term: Term, head: str) -> list[Row]:
    """Return the gaps between the levels of each attribute, with Holm over all of them."""
    attributes: dict[str, list[Group]] = {}
    for group in plan.groups[1:]:
        attributes.setdefault(next(iter(group.levels)), []).append(group)
    rows: list[Row] = []
    for groups in attributes.values():
        rows += _gaps_of(plan, sums, named, term, head, groups)
    tested = [at for at, row in enumerate(rows) if row.p_value is not None]
    if len(tested) > 1:
        adjusted = holm(np.array([rows[at].p_value for at in tested], dtype=np.float64))
        for at, p in zip(tested, adjusted.tolist(), strict=True):
            rows[at] = rows[at].model_copy(update={"p_adjusted": p})
    return rows


def _gaps_of(
    plan: Plan, sums: Sums, named: Named, term: Term, head: str, groups: Sequence[Group]
) -> list[Row]:
    """Return the gaps of one attribute, over the cells that all of its groups support.

    Where the groups are supported on different cells, the difference of their means would be one
    of catalogues too: the gap is computed again on what they share.
    """
    shared, left_out = common_support(plan.source.support, groups)
    if left_out:
        if not _any_recorded(plan, shared):
            return [_no_gap(plan, named, pair) for pair in combinations(groups, 2)]
        source = replace(plan.source, support=shared)
        everybody = plan.groups[0]
        plan = replace(plan, source=source, groups=(everybody, *groups), estimators=(head,))
        sums = plan.run()
        named = replace(named, population=shared_words(groups, left_out))
    contrasts: dict[str, dict[str, float]] = {}
    derived: dict[str, tuple[str, str]] = {}
    n: dict[str, int] = {}
    for first, second in combinations(groups, 2):
        label = _gap_label(first, second)
        contrasts[label] = {key(term, head, first): 1.0, key(term, head, second): -1.0}
        derived[label] = (first.label + named.suffix, second.label + named.suffix)
        n[label] = min(sums.weights[head, group.label].n for group in (first, second))
    return _contrast(sums.estimate.contrast(contrasts), plan, named, "gap", derived, n)


def _gap_label(first: Group, second: Group) -> str:
    attribute = next(iter(first.levels))
    return f"gap in {attribute}: {first.levels[attribute]} - {second.levels[attribute]}"


def _any_recorded(plan: Plan, support: Support | None) -> bool:
    """Whether a population holds a cell with a recorded outcome."""
    assert support is not None  # only a support leaves something out
    log = plan.source.log
    if support.unit == "rows":
        assert log.exposure is not None
        return bool((support.rows() & (log.exposure == 1)).any())
    cells = log.observed_cells()
    return bool(support.cells(cells.users, cells.items).any())


def _no_gap(plan: Plan, named: Named, pair: tuple[Group, Group]) -> Row:
    return Row(
        label=_gap_label(*pair),
        metric="gap",
        population=named.population,
        estimator=named.estimator,
        level=plan.level,
        status="not_estimable",
        derived_from=tuple(group.label + named.suffix for group in pair),
        note="no gap: the groups share no supported cells with a recorded outcome",
    )


def _contrast(
    estimate: Estimate,
    plan: Plan,
    named: Named,
    metric: str,
    derived: Mapping[str, Sequence[str]],
    n: Mapping[str, int],
) -> list[Row]:
    return list(
        rows_from_estimate(
            estimate,
            metric=metric,
            population=named.population,
            estimator=named.estimator,
            level=plan.level,
            n=n,
            derived_from=derived,
            interval_method=interval_method(plan.sampled),
        )
    )


def mean_answer(rows: Sequence[Row], *, refusal: bool, randomised: bool = False) -> str:
    """Return the answer in two sentences."""
    head = rows[0]
    source = "from the randomised slice" if randomised else f"by {head.estimator.upper()}"
    if head.estimator == "shadow":
        source = "through a shadow variable"
    if head.value is None:
        text = f"The mean over {head.population} has no point estimate: {head.note}"
        point = next((row for row in rows if row.value is not None), None)
        if point is not None:
            text += f"; over {point.population} it is {_with_interval(point)}"
    else:
        text = f"The mean over {head.population} is {_with_interval(head)} {source}"
    naive = next((row for row in rows if row.estimator == "naive" and not row.group), head)
    gap = next((row for row in rows if row.metric == "difference of means"), None)
    text += "."
    if gap is not None:
        text += f" The naive mean is {format_cell(naive.value)}; difference {_with_interval(gap)}."
    if refusal:
        text += " The declared graph says that this mean is not identified; it was forced."
    return text


def _with_interval(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval)"
    return f"{format_cell(row.value)} [{format_cell(row.lower)}, {format_cell(row.upper)}]"


def interval_method(sampled: Sequence[str]) -> str:
    """Return how the intervals were made, in words.

    Examples
    --------
    >>> interval_method(("user", "item"))
    't, clustered by user and item'
    """
    if not sampled:
        return "normal, over these very cells"
    return f"t, clustered by {' and '.join(sampled)}"
