"""From the joint estimate of an evaluation to rows: values, naive beside them, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from causalrec.evaluation._engine import Sums, key
from causalrec.evaluation._mean_rows import interval_method
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._terms import ListTerm, LossTerm, Term
from causalrec.inference import Estimate, holm
from causalrec.results import Row, format_cell, rows_from_estimate

ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Measured:
    """Some terms with their joint estimate.

    Attributes
    ----------
    estimate : Estimate
        Labelled by `key(term, estimator)`.
    terms : tuple of Term
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
    terms: tuple[Term, ...]
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
    found: Measured, label: str, shown: str, term: Term, estimator: str, level: float
) -> Sequence[Row]:
    one = found.estimate[label].relabel([shown])
    return rows_from_estimate(
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
    by_metric: dict[str, list[Term]] = {}
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


def measured_sums(plan: Plan, sums: Sums, populations: Mapping[str, str]) -> Measured:
    """Return the additive metrics of a plan as measured terms."""
    definitions = {
        term.metric: term.definition.definition
        for term in plan.terms
        if isinstance(term, LossTerm | ListTerm)
    }
    return Measured(
        estimate=sums.estimate,
        terms=plan.terms,
        estimators=plan.estimators,
        populations=populations,
        counts={e: sums.weights[e, ""].n for e in plan.estimators},
        unit="cells",
        name={metric: metric for metric in definitions},
        higher_is_better={m: d.higher_is_better for m, d in definitions.items()},
    )


def evaluation_answer(rows: Sequence[Row], differences: Sequence[Row], estimator: str) -> str:
    """Return the first metric of every model, and what can be said of their differences."""
    first = [row for row in rows if row.metric == rows[0].metric and row.estimator == estimator]
    parts = [f"{row.label} {_with_interval(row)}" for row in first]
    text = f"By {estimator} over {rows[0].population}: {'; '.join(parts)}."
    on_first = [row for row in differences if row.metric == f"difference of {rows[0].metric}"]
    if not on_first:
        return text
    verdicts = [f"{row.label}: {format_cell(row.value)}, {row.note}" for row in on_first]
    return f"{text} {'; '.join(verdicts)}."


def _with_interval(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval)"
    return f"{format_cell(row.value)} [{format_cell(row.lower)}, {format_cell(row.upper)}]"
