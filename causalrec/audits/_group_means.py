"""Gaps of a mean or a metric between groups: naive and corrected side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from causalrec.audits._attributes import Attribute
from causalrec.audits._gaps import (
    Found,
    Measure,
    add_differences,
    add_values,
    clustered,
)
from causalrec.audits._options import MEAN
from causalrec.evaluation import GroupEstimates
from causalrec.evaluation.metrics import parse_metric
from causalrec.inference import Estimate
from causalrec.results import rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

_TRUSTED = ("dr", "snips", "ips", "plain", "naive")


def headline_of(estimators: Sequence[str]) -> str:
    """Return the estimator whose gaps are judged: the most robust one there is.

    Examples
    --------
    >>> headline_of(["naive", "snips", "dr"])
    'dr'
    """
    return min(estimators, key=_TRUSTED.index)


def is_gain(metric: str) -> bool | None:
    """Return whether more of a metric is better; None for an outcome, which may be either."""
    if metric == MEAN:
        return None
    return parse_metric(metric).definition.higher_is_better


def add_group_means(
    found: Found,
    estimates: Sequence[GroupEstimates],
    attributes: Mapping[str, Attribute],
    level: float,
) -> None:
    """Add every metric of every attribute: values, gaps, and naive minus corrected gaps."""
    for by_group in estimates:
        attribute = attributes[by_group.column]
        groups = {group.levels[by_group.column]: group for group in by_group.groups}
        head = headline_of(by_group.estimators)
        for metric in by_group.metrics:
            gaps: dict[str, Estimate | None] = {}
            measures: dict[str, Measure] = {}
            for estimator in by_group.estimators:
                measures[estimator] = Measure(
                    attribute=attribute,
                    estimate=by_group.estimates[metric],
                    labels={
                        name: by_group.label(metric, estimator, groups[name])
                        for name in attribute.levels
                    },
                    metric=metric,
                    estimator=estimator,
                    population=by_group.populations[estimator],
                    headline=estimator == head,
                    higher_is_better=is_gain(metric),
                )
                add_values(found, measures[estimator], level)
            for estimator, measure in measures.items():
                gaps[estimator] = add_differences(found, measure, level)
            if head != "naive" and "naive" in gaps:
                _add_correction(found, measures, gaps, head, level)


def _add_correction(
    found: Found,
    measures: Mapping[str, Measure],
    gaps: Mapping[str, Estimate | None],
    head: str,
    level: float,
) -> None:
    """Add what the correction changes: naive minus corrected gap, with its interval."""
    naive, corrected, measure = gaps["naive"], gaps[head], measures[head]
    if naive is None or corrected is None:
        return
    between = f"naive - {head}"
    attribute = measure.attribute
    change = (naive - corrected).relabel([f"{label} ({between})" for label in corrected.labels])
    smallest = min(attribute.counts[one] for one in attribute.shown)
    rows = rows_from_estimate(
        change,
        metric=f"{measure.metric} gap, {between}",
        population=measure.population,
        estimator=between,
        unit=attribute.unit,
        level=level,
        n=dict.fromkeys(change.labels, smallest),
        derived_from={
            label: (one, other)
            for label, one, other in zip(change.labels, naive.labels, corrected.labels, strict=True)
        },
        interval_method=f"t, {clustered(change)}",
    )
    found.add(rows, judged=False)


def add_shown_means(
    found: Found,
    log: InteractionLog,
    attributes: Sequence[Attribute],
    sampled: Sequence[str],
    level: float,
) -> None:
    """Add the plain mean outcome of the rows that were shown, where only those are logged."""
    assert log.outcome is not None
    for attribute in attributes:
        of_user = attribute.entity == "user"
        clusters = {"user": log.user_codes, "item": log.item_codes}
        if attribute.by_provider and log.provider is not None:
            clusters["provider"] = log.provider[log.item_codes]
        dimensions = dimensions_of(attribute, sampled)
        estimate = Estimate.from_score(
            Score(log.outcome),
            {name: clusters[name] for name in dimensions},
            labels=list(attribute.levels),
            groups=attribute.codes[log.user_codes if of_user else log.item_codes],
            n_groups=len(attribute.levels),
            level=level,
        )
        measure = Measure(
            attribute=attribute,
            estimate=estimate,
            labels={name: name for name in attribute.levels},
            metric="mean",
            estimator="naive",
            population="rows shown",
        )
        add_values(found, measure, level)
        add_differences(found, measure, level)


def dimensions_of(attribute: Attribute, sampled: Sequence[str]) -> tuple[str, ...]:
    """Return the clusters of an attribute: providers in place of items where it lives there.

    Parameters
    ----------
    attribute : Attribute
    sampled : sequence of "user", "item"
    """
    return tuple("provider" if attribute.by_provider and s == "item" else s for s in sampled)
