"""Mitigations as rows, as a frontier, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.audits._gaps import clustered
from causalrec.audits._mitigation_axes import Axis, Span, Verdict, listed
from causalrec.inference import Estimate
from causalrec.results import Row, Table, rows_from_estimate


@dataclass(frozen=True)
class About:
    """What the rows of an axis have in common.

    Attributes
    ----------
    population, estimator : str
    level : float
    n : int
        Users.
    """

    population: str
    estimator: str
    level: float
    n: int


def value_rows(axis: Axis, estimate: Estimate, about: About) -> list[Row]:
    """Return a row a model."""
    errors = dict(zip(estimate.labels, estimate.standard_error.tolist(), strict=True))
    status = dict(zip(estimate.labels, estimate.status, strict=True))
    return [
        Row(
            label=f"{model}: {axis.name}",
            metric=axis.name,
            value=_finite(value),
            standard_error=_finite(errors[model]),
            lower=_finite(lower),
            upper=_finite(upper),
            level=about.level,
            n=about.n,
            unit="users",
            population=about.population,
            estimator=about.estimator,
            status=status[model],
            clusters=dict(estimate.clusters),
            interval_method=f"t, {clustered(estimate)}" if np.isfinite(lower) else "",
        )
        for model, (value, lower, upper) in axis.values.items()
    ]


def difference_rows(axis: Axis, deployed: str, about: About) -> list[Row]:
    """Return a row a candidate: its difference from the deployed model."""
    rows = []
    for model in axis.values:
        if model == deployed:
            continue
        value, lower, upper = axis.difference(model, deployed)
        fine = bool(np.isfinite(lower) and np.isfinite(upper))
        rows.append(
            Row(
                label=f"difference of {axis.name}, {model} - {deployed}",
                metric=f"difference of {axis.name}",
                value=_finite(value),
                lower=_finite(lower),
                upper=_finite(upper),
                level=about.level,
                n=about.n,
                unit="users",
                population=about.population,
                estimator=about.estimator,
                status="ok" if fine else "not_estimable",
                derived_from=(f"{model}: {axis.name}", f"{deployed}: {axis.name}"),
                interval_method=f"paired, {axis.method}; holds with all differences of the result"
                if fine
                else "",
                note=_judged(axis, model, deployed),
            )
        )
    return rows


def _judged(axis: Axis, model: str, deployed: str) -> str:
    if axis.surely_better(model, deployed):
        return "better than deployed, beyond chance"
    if axis.surely_better(deployed, model):
        return "worse than deployed, beyond chance"
    return "not distinguishable from deployed"


def share_rows(shares: Estimate, group: str, about: About) -> list[Row]:
    """Return the group's share of exposure by each model, and of the catalogue."""
    metric = f"share of exposure, {group}"
    labels = [f"{name}: {metric}" for name in shares.labels]
    return list(
        rows_from_estimate(
            shares.relabel(labels),
            metric=metric,
            population=about.population,
            estimator=about.estimator,
            unit="users",
            level=about.level,
            null=None,
            n=dict.fromkeys(labels, about.n),
            interval_method=f"t, {clustered(shares)}",
        )
    )


def frontier_table(accuracy: Axis, fairness: Axis, standing: Mapping[str, Verdict]) -> Table:
    """Return the frontier: both axes of every model, and where it stands."""
    short = fairness.name.split(",")[0]
    columns = (
        "model",
        accuracy.name,
        f"{accuracy.name}, lower",
        f"{accuracy.name}, upper",
        short,
        f"{short}, lower",
        f"{short}, upper",
        "stands",
    )
    return Table(
        name=f"frontier: {fairness.name}",
        title=f"{accuracy.name} against {fairness.name}",
        columns=columns,
        rows=tuple(
            (
                model,
                *map(_finite, accuracy.values[model]),
                *map(_finite, fairness.values[model]),
                verdict.words,
            )
            for model, verdict in standing.items()
        ),
        caption=f"The best corner is the upper left one: more {accuracy.name}, less"
        f" {short}. Crosses are pointwise intervals of each model. Models are"
        " compared by their paired differences, which are less uncertain than the crosses suggest.",
        figure="frontier",
        x=short,
        y=(accuracy.name,),
    )


def answer_of_frontier(
    accuracy: Axis, fairness: Axis, standing: Mapping[str, Verdict], deployed: str
) -> str:
    """Return what the fairest candidate gains and costs, and who is on the frontier."""
    candidates = [model for model in standing if model != deployed]
    fairest = min(candidates, key=lambda model: fairness.values[model][0])
    if fairness.surely_better(fairest, deployed):
        gained = (
            f"{fairest} has the least {fairness.name}:"
            f" {_span(fairness.difference(fairest, deployed))} beside {deployed}"
        )
    else:
        gained = (
            f"No candidate has less {fairness.name} than {deployed} beyond chance"
            f" ({fairest}: {_span(fairness.difference(fairest, deployed))})"
        )
    cost = f"{accuracy.name} changes by {_span(accuracy.difference(fairest, deployed))}"
    if accuracy.surely_better(deployed, fairest):
        cost += ", a loss beyond chance"
    elif accuracy.surely_better(fairest, deployed):
        cost += ", a gain beyond chance"
    else:
        cost += ", which cannot be told from none"
    frontier = [model for model, verdict in standing.items() if verdict.on_frontier]
    beaten = [
        f"{model} is {verdict.words}"
        for model, verdict in standing.items()
        if not verdict.on_frontier and "beyond" in verdict.words
    ]
    ends = "; ".join([f"On the frontier: {listed(frontier)}", *beaten])
    return f"{gained[:1].upper()}{gained[1:]}; its {cost}. {ends}."


def _span(span: Span) -> str:
    value, lower, upper = span
    if not np.isfinite(lower):
        return f"{value:+.3g} (no interval)"
    return f"{value:+.3g} [{lower:+.3g}, {upper:+.3g}]"


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
