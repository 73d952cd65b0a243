"""From the joint estimate of an evaluation to rows: values, naive beside them, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from causalrec.evaluation._engine import Sums, key
from causalrec.evaluation._mean_rows import interval_method
from causalrec.evaluation._new_users import for_new_users
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._terms import ListTerm, LossTerm, Named
from causalrec.evaluation.metrics import parse_metric
from causalrec.inference import Estimate, holm
from causalrec.results import Row, Table, format_cell, rows_from_estimate

ALPHA = 0.05
LEAST_FOR_BAND = 3
"""Two models have one difference, whose own interval is the band."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Some terms with their joint estimate.

    Attributes
    ----------
    estimate : Estimate
        Labelled by `key(term, estimator)`.
    terms : tuple of terms
    estimators : tuple of str
        The first is the headline.
    populations : mapping of estimator to str
    counts : mapping of estimator to int
        Recorded cells (or users) behind its numbers.
    unit : str
    name : mapping of metric to str
        What a metric is called in the rows.
    higher_is_better : mapping of metric to bool
    """

    estimate: Estimate
    terms: tuple[Named, ...]
    estimators: tuple[str, ...]
    populations: Mapping[str, str]
    counts: Mapping[str, int]
    unit: str
    name: Mapping[str, str]
    higher_is_better: Mapping[str, bool]

    @property
    def models(self) -> tuple[str, ...]:
        """The models, in order."""
        return tuple(dict.fromkeys(term.model for term in self.terms))


def value_rows(found: Measured, level: float) -> list[Row]:
    """Return a row for each term and estimator, and naive minus headline."""
    several = len(found.models) > 1
    rows: list[Row] = []
    head = found.estimators[0]
    for term in found.terms:
        base = f"{term.model}: " if several else ""
        base += found.name[term.metric]
        for estimator in found.estimators:
            label = base if estimator == head else f"{base} ({estimator})"
            rows += _described(found, key(term, estimator), label, term, estimator, level)
        if "naive" in found.estimators and head != "naive":
            gap = found.estimate.difference(
                key(term, "naive"), key(term, head), f"{base}: naive - {head}"
            )
            rows += rows_from_estimate(
                gap,
                metric=f"{term.metric}, naive - {head}",
                population=found.populations[head],
                estimator=f"naive - {head}",
                level=level,
                n={gap.labels[0]: found.counts[head]},
                derived_from={gap.labels[0]: (f"{base} (naive)", base)},
                interval_method=interval_method(gap.sampled),
            )
    return rows


def _described(
    found: Measured, label: str, shown: str, term: Named, estimator: str, level: float
) -> Sequence[Row]:
    one = found.estimate[label].relabel([shown])
    rows = rows_from_estimate(
        one,
        metric=term.metric,
        population=found.populations[estimator],
        estimator=estimator,
        unit=found.unit,
        level=level,
        null=None,
        n={shown: found.counts[estimator]},
        interval_method=interval_method(one.sampled),
    )
    limits = parse_metric(term.metric).definition.range
    return rows if limits is None else [_within(row, *limits) for row in rows]


def _within(row: Row, low: float, high: float) -> Row:
    """End an interval where the metric ends; one whose value lies outside stays as it is."""
    if row.value is None or row.lower is None or row.upper is None:
        return row
    if not low <= row.value <= high:
        return row
    return row.model_copy(update={"lower": max(row.lower, low), "upper": min(row.upper, high)})


def difference_rows(measured: Sequence[Measured], level: float) -> list[Row]:
    """Return every pair of models on every metric, with Holm over all of them together."""
    rows = [row for found in measured for row in _pairs(found, level)]
    if not rows:
        return []
    raw = np.array([np.nan if row.p_value is None else row.p_value for row in rows])
    known = np.isfinite(raw)
    adjusted = np.full(len(raw), np.nan)
    adjusted[known] = holm(raw[known])
    better = {m.name[t.metric]: m.higher_is_better[t.metric] for m in measured for t in m.terms}
    return [
        row.model_copy(
            update={
                "p_adjusted": float(p) if np.isfinite(p) else None,
                "note": _verdict(row, float(p), higher=better[row.label.split(": ")[0]]),
            }
        )
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _pairs(found: Measured, level: float) -> list[Row]:
    head = found.estimators[0]
    rows: list[Row] = []
    by_metric: dict[str, list[Named]] = {}
    for term in found.terms:
        by_metric.setdefault(term.metric, []).append(term)
    for metric, terms in by_metric.items():
        for first, second in combinations(terms, 2):
            label = f"{found.name[metric]}: {first.model} - {second.model}"
            gap = found.estimate.difference(key(first, head), key(second, head), label)
            rows += rows_from_estimate(
                gap,
                metric=f"difference of {metric}",
                population=found.populations[head],
                estimator=head,
                unit=found.unit,
                level=level,
                n={label: found.counts[head]},
                derived_from={
                    label: tuple(f"{t.model}: {found.name[metric]}" for t in (first, second))
                },
                null=None if head == "regression" else 0.0,
                interval_method=f"paired, {interval_method(gap.sampled)}",
            )
    return rows


def _verdict(row: Row, adjusted: float, *, higher: bool) -> str:
    """Return which of two models is better, or that they cannot be told apart."""
    if row.estimator == "regression":
        return "the outcome model's opinion, not judged"
    if not np.isfinite(adjusted) or row.value is None:
        return "not testable"
    if adjusted >= ALPHA:
        return f"indistinguishable (Holm p = {adjusted:.2g})"
    first, second = row.label.split(": ", 1)[1].split(" - ", 1)
    winner = first if (row.value > 0) == higher else second
    return f"{winner} is better (Holm p = {adjusted:.2g})"


def measured_sums(plan: Plan, sums: Sums, populations: Mapping[str, str]) -> list[Measured]:
    """Return the additive metrics of a plan as measured terms: of cells, and of lists."""
    found = []
    for kind, estimate in ((LossTerm, sums.estimate), (ListTerm, for_new_users(sums.estimate))):
        terms = [term for term in plan.terms if isinstance(term, kind)]
        if not terms:
            continue
        definitions = {term.metric: term.definition.definition for term in terms}
        found.append(
            Measured(
                estimate=estimate,
                terms=tuple(terms),
                estimators=plan.estimators,
                populations=populations,
                counts={e: sums.weights[e, ""].n for e in plan.estimators},
                unit="cells",
                name={metric: metric for metric in definitions},
                higher_is_better={m: d.higher_is_better for m, d in definitions.items()},
            )
        )
    return found


def simultaneous_tables(measured: Sequence[Measured], level: float) -> list[Table]:
    """Return, for each metric of three models or more, all pairs under one band (sup-t)."""
    lines: list[tuple[str, str, float, float, float]] = []
    for found in measured:
        head = found.estimators[0]
        if head == "regression":
            continue
        for metric in dict.fromkeys(term.metric for term in found.terms):
            own = [term for term in found.terms if term.metric == metric]
            if len(own) < LEAST_FOR_BAND:
                continue
            gaps = {
                f"{a.model} - {b.model}": {key(a, head): 1.0, key(b, head): -1.0}
                for a, b in combinations(own, 2)
            }
            contrasts = found.estimate.contrast(gaps)
            band = contrasts.simultaneous_interval(level)
            lines += [
                (found.name[metric], label, float(value), float(low), float(high))
                for label, value, (low, high) in zip(gaps, contrasts.value, band, strict=True)
            ]
    if not lines:
        return []
    return [
        Table(
            name="simultaneous",
            title="All pairs of models at once",
            columns=("metric", "difference", "value", "lower", "upper"),
            rows=tuple(lines),
            caption=f"Within each metric all intervals hold together with {level:.0%} confidence"
            " (sup-t): the best of several is better than another where theirs leaves 0 out.",
        )
    ]


def evaluation_answer(rows: Sequence[Row], differences: Sequence[Row]) -> str:
    """Return the first metric of every model, and what can be said of their differences."""
    answered = [row for row in rows if row.value is not None]
    if not answered:
        return f"{rows[0].label} is {rows[0].note or 'not estimable'}."
    metric, estimator = answered[0].metric, answered[0].estimator
    first = [row for row in answered if row.metric == metric and row.estimator == estimator]
    how = "Of lists" if estimator == "lists" else f"By {estimator}"
    parts = [f"{row.label} {_with_interval(row)}" for row in first]
    text = f"{how} over {first[0].population}: {'; '.join(parts)}."
    if rows[0].value is None:
        text = f"{rows[0].label} has no point ({rows[0].note or rows[0].status}). {text}"
    on_first = [row for row in differences if row.metric == f"difference of {metric}"]
    if not on_first:
        return text
    verdicts = [f"{row.label}: {format_cell(row.value)}, {row.note}" for row in on_first]
    return f"{text} {'; '.join(verdicts)}."


def _with_interval(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval)"
    return f"{format_cell(row.value)} [{format_cell(row.lower)}, {format_cell(row.upper)}]"
