"""Attention for merit: disparate treatment and impact of item groups, and inequity of attention.

Attention is seen, merit is estimated; both are sums over the same cells, so the ratios carry both
errors. Merit by naive means of what was recorded stands beside, and what the correction changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute
from causalrec.audits._distance import distance_row
from causalrec.audits._gaps import Found, Measure, add_ratios, add_values, clustered
from causalrec.audits._group_means import headline_of
from causalrec.audits._lists import Lists
from causalrec.audits._options import means_under_exposure
from causalrec.evaluation import (
    Attention,
    Group,
    MeritAnswers,
    MeritEstimates,
    merit_estimates,
)
from causalrec.inference import Estimate
from causalrec.results import Row, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.audits._options import AuditQuestion
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
NO_OUTCOMES = (
    "no listed cell has a recorded outcome, so nothing but a model could tell what the lists earn:"
    " pass the other part of a split as train=..., lists that may hold recorded items"
    " (exclude_seen=False), or a log of candidates"
)
NO_MERIT = "its merit is not above zero, and exposure for no merit is not defined"


def groups_of(attribute: Attribute) -> tuple[Group, ...]:
    """Return the groups of an attribute of items, for sums over cells."""
    return tuple(
        Group(f"{attribute.column}={level}", {attribute.column: level}, items=attribute.codes == i)
        for i, level in enumerate(attribute.levels)
    )


def relevance_refused(question: AuditQuestion) -> str:
    """Return why a log cannot tell merit, or ""."""
    log = question.log
    if log.kind not in {"ratings", "candidates"}:
        return (
            f"Merit is not estimable from {log.kind}: what was not shown has no outcome here, and"
            " who was shown what is not declared."
        )
    if log.kind == "candidates" and not log.one_row_per_cell:
        return "Merit is not estimated: some (user, item) pairs have several candidate rows."
    return ""


def attention_of(lists: Lists, log: InteractionLog) -> Attention:
    """Return what lists give to cells: of several lists of a user, their mean."""
    keys, place = np.unique(lists.users * np.int64(log.n_items) + lists.items, return_inverse=True)
    users, items = np.divmod(keys, log.n_items)
    share = 1.0 / lists.repeats[lists.users]
    weight, listed = (
        np.bincount(place, weights=each, minlength=len(keys)).astype(np.float64)
        for each in (lists.weight, share)
    )
    return Attention(users, items, weight, listed, logged=lists.k is None)


def relevance_of(
    question: AuditQuestion, lists: Lists, attributes: Sequence[Attribute]
) -> MeritAnswers | str:
    """Return attention, merit and listed relevance of every group, or why there is none."""
    log, refused = question.log, relevance_refused(question)
    if refused:
        return refused
    if not attributes:
        return "Merit belongs to groups of items: name item_groups=[...]."
    propensity, graph, _ = means_under_exposure(question)
    return merit_estimates(
        log,
        {one.column: groups_of(one) for one in attributes},
        attention_of(lists, log),
        estimators=question.estimators,
        provider_columns=[one.column for one in attributes if one.by_provider],
        propensity=propensity,
        graph=graph,
        sampled=question.sampled,
        **question.estimation,
    )


def add_merit(
    found: Found,
    lists: Lists,
    attributes: Sequence[Attribute],
    answers: MeritAnswers,
    level: float,
) -> str:
    """Add merit, exposure and impact for it, and inequity of attention; return what they are.

    Notes
    -----
    With E(G) the mean attention and M(G) the mean merit of a cell of the group, the ratio of
    E(G) / M(G) between groups is the disparate treatment ratio; with the mean of attention x gain
    in place of E, the disparate impact ratio (Singh & Joachims 2018; log scale as Raj & Ekstrand
    2022). Inequity of amortised attention is sum |A_g - R_g| over the groups' shares of attention
    and of merit (Biega, Gummadi & Weikum 2018).
    """
    by_column = {one.column: one for one in attributes}
    for estimates in answers.found:
        one = _Merits(found, lists, by_column[estimates.column], estimates, level)
        one.add_values_of_merit()
        one.add_for_merit(f"exposure for merit (DTR{lists.at_k})", "exposure")
        impact = f"impact for merit (DIR{lists.at_k})"
        if estimates.listed:
            one.add_for_merit(impact, "impact")
        else:
            found.add([one.declined(impact, NO_OUTCOMES)], judged=False)
        one.add_inequity()
    return (
        f"Merit is the mean of what every cell of the group would have brought: {answers.gain}."
        " Exposure for merit compares attention an item gets with it (disparate treatment), impact"
        " for merit what that attention earns with it (disparate impact)."
    )


@dataclass(frozen=True, eq=False)
class _Merits:
    """The measures of one attribute."""

    found: Found
    lists: Lists
    attribute: Attribute
    estimates: MeritEstimates
    level: float

    @property
    def head(self) -> str:
        """The estimator whose ratios are judged."""
        return headline_of(self.estimates.estimators)

    def label(self, quantity: str, level: str, estimator: str = "") -> str:
        """Return the internal label of a number of a group."""
        group = Group(f"{self.attribute.column}={level}")
        return self.estimates.label(quantity, group, estimator)

    def measure(
        self, metric: str, estimate: Estimate, labels: Mapping[str, str], estimator: str
    ) -> Measure:
        """Return the numbers of all groups as what rows are made of."""
        return Measure(
            attribute=self.attribute,
            estimate=estimate,
            labels=labels,
            metric=metric,
            estimator=estimator,
            population=self.estimates.populations[estimator],
            headline=estimator == self.head,
        )

    def add_values_of_merit(self) -> None:
        """Add the merit of each group by each estimator."""
        for estimator in self.estimates.estimators:
            labels = {x: self.label("merit", x, estimator) for x in self.attribute.levels}
            measure = self.measure("merit", self.estimates.estimate, labels, estimator)
            add_values(self.found, measure, self.level)

    def add_for_merit(self, metric: str, quantity: str) -> None:
        """Add a quantity over merit in each group, its ratios, and what the correction changes."""
        measures: dict[str, Measure] = {}
        for estimator in self.estimates.estimators:
            own = "" if quantity == "exposure" else estimator
            names = {x: f"{metric}|{estimator}|{x}" for x in self.attribute.levels}
            estimate = Estimate.stack(
                [
                    self.estimates.estimate.ratio(
                        self.label(quantity, x, own), self.label("merit", x, estimator), names[x]
                    )
                    for x in self.attribute.levels
                ]
            )
            measures[estimator] = self.measure(metric, estimate, names, estimator)
        for measure in measures.values():
            start = len(self.found.rows)
            add_values(self.found, measure, self.level)
            self._say_of_no_merit(start, measure)
        for measure in measures.values():
            add_ratios(self.found, measure, self.level)
        self._add_by_chance(measures[self.head], metric, quantity)
        self._add_correction(measures, metric)

    def _say_of_no_merit(self, start: int, measure: Measure) -> None:
        """Say of groups without merit why they have no ratio."""
        merits = self.estimates.estimate
        for at, row in enumerate(self.found.rows[start:], start):
            level = row.group.get(self.attribute.column)
            if level is None or row.status == "suppressed":
                continue
            merit = float(merits[self.label("merit", level, measure.estimator)].value[0])
            if not merit > 0.0:
                nothing = {"value": None, "status": "not_estimable", "note": NO_MERIT}
                self.found.rows[at] = row.model_copy(update=nothing)

    def _add_by_chance(self, measure: Measure, metric: str, quantity: str) -> None:
        """Add the ratio that uniform random lists would have: the merits' ratio turned over."""
        attribute = self.attribute
        if quantity != "exposure" or attribute.reference is None:
            return
        base = self.label("merit", attribute.reference, measure.estimator)
        rows: list[Row] = []
        for one in attribute.compared:
            own = self.label("merit", one, measure.estimator)
            label = f"{measure.gap_label(one, '/')} (uniform random lists)"
            rows += rows_from_estimate(
                self.estimates.estimate.ratio(base, own, label),
                metric=f"{metric} ratio",
                population="the same attention to every cell",
                estimator=f"uniform random, {measure.estimator}",
                unit=attribute.unit,
                level=self.level,
                null=None,
                n={label: min(attribute.counts[one], attribute.counts[attribute.reference])},
                derived_from={
                    label: (measure.value_label(one), measure.value_label(attribute.reference))
                },
                interval_method=f"t on the log scale, {clustered(self.estimates.estimate)}",
            )
        self.found.add(rows, judged=False)

    def _add_correction(self, measures: Mapping[str, Measure], metric: str) -> None:
        """Add the naive ratio over the corrected one, with its interval."""
        attribute, head = self.attribute, self.head
        if head == "naive" or "naive" not in measures or attribute.reference is None:
            return
        between = f"naive / {head}"
        rows: list[Row] = []
        for one in attribute.compared:
            ratios = Estimate.stack(
                [
                    m.estimate.ratio(m.labels[one], m.labels[attribute.reference], name)
                    for name, m in ((name, measures[name]) for name in ("naive", head))
                ]
            )
            corrected = measures[head].gap_label(one, "/")
            label = f"{corrected} ({between})"
            rows += rows_from_estimate(
                ratios.ratio("naive", head, label),
                metric=f"{metric}, {between} ratio",
                population=self.estimates.populations[head],
                estimator=between,
                unit=attribute.unit,
                level=self.level,
                null=1.0,
                n={label: min(attribute.counts[one], attribute.counts[attribute.reference])},
                derived_from={label: (measures["naive"].gap_label(one, "/"), corrected)},
                interval_method=f"t on the log scale, {clustered(ratios)}",
            )
        self.found.add(rows, judged=False)

    def declined(self, metric: str, why: str) -> Row:
        """Return the row of a measure that this log cannot answer."""
        return Row(
            label=f"{metric}: {self.attribute.column}",
            metric=metric,
            population=self.estimates.populations[self.head],
            estimator=self.head,
            unit=self.attribute.unit,
            level=self.level,
            status="not_estimable",
            note=why,
        )

    def add_inequity(self) -> None:
        """Add the sum over groups of |share of attention - share of merit|, and by chance."""
        if self.attribute.reference is None:
            return
        for estimator in self.estimates.estimators:
            suffix = "" if estimator == self.head else f" ({estimator})"
            parts = "sum over groups of |share of attention - share of merit|, from 0 to 2"
            self._add_inequity("exposure share", estimator, estimator, suffix, parts)
        head, chance = self.head, " (uniform random lists)"
        why = "what merit alone leaves to lists that do not look at it"
        self._add_inequity("cells share", head, f"uniform random, {head}", chance, why)

    def _add_inequity(
        self, shared: str, estimator: str, shown_as: str, suffix: str, note: str
    ) -> None:
        attribute, metric = self.attribute, f"inequity of attention (IAA{self.lists.at_k})"
        of_merit = "" if estimator == self.head else f" ({estimator})"
        row = distance_row(
            self._away(shared, estimator)[list(attribute.shown[:-1])],
            total_inequity,
            label=f"{metric}: {attribute.column}{suffix}",
            metric=metric,
            population=f"{self.estimates.populations[estimator]}, groups shown",
            estimator=shown_as,
            unit=attribute.unit,
            n=min(attribute.counts[x] for x in attribute.shown),
            level=self.level,
            derived_from=[f"merit: {attribute.column}={x}{of_merit}" for x in attribute.shown],
            note=note,
        )
        self.found.add([row], judged=False)

    def _away(self, shared: str, estimator: str) -> Estimate:
        """Return a share minus the share of merit, among the groups shown."""
        shown, whole = self.attribute.shown, self.estimates.estimate
        attention = normalised(whole, [self.label(shared, x) for x in shown])
        merit = normalised(whole, [self.label("merit share", x, estimator) for x in shown])
        return (attention.relabel(shown) - merit.relabel(shown)).relabel(shown)


def normalised(estimate: Estimate, labels: Sequence[str]) -> Estimate:
    """Return shares of the sum of some labels: d (x / s) = (dx - (x / s) ds) / s."""
    value = estimate[list(labels)].value
    total = float(value.sum())
    shares = value / total if total != 0.0 else np.full(len(value), np.nan)
    rows = (np.eye(len(value)) - shares[:, None]) / (total if total != 0.0 else np.nan)
    linear = estimate[list(labels)].contrast(np.nan_to_num(rows), list(labels))
    return linear.shift(shares - linear.value)


def total_inequity(points: FloatArray) -> FloatArray:
    """Return sum |d| over groups whose differences sum to zero, the last one left out."""
    return np.asarray(np.abs(points).sum(axis=1) + np.abs(points.sum(axis=1)))
