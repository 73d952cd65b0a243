"""From a joint estimate by group to rows: values, gaps to the reference, any difference at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from causalrec.audits._attributes import Attribute
from causalrec.audits._lambda import GapLambda
from causalrec.audits._spread import SpreadLine, spread_line
from causalrec.inference import Estimate
from causalrec.results import Row, rows_from_estimate

TestLine = tuple[str, str, str, str, float | None, float | None, float | None, float | None]
TEST_COLUMNS = (
    "attribute",
    "measure",
    "estimator",
    "groups compared",
    "F",
    "degrees of freedom",
    "of the denominator",
    "p-value",
)


@dataclass(frozen=True, eq=False)
class Measure:
    """One quantity by one estimator in the groups of one attribute.

    Attributes
    ----------
    attribute : Attribute
    estimate : Estimate
        Holds one label a level, perhaps others.
    labels : mapping of level to label
    metric, estimator, population : str
        As result rows carry them.
    headline : bool
        Its rows bear no estimator in their label, and its gaps belong to the family.
    higher_is_better : bool or None
        Which end of the groups is the worst; None where neither is.
    """

    attribute: Attribute
    estimate: Estimate
    labels: Mapping[str, str]
    metric: str
    estimator: str
    population: str
    headline: bool = True
    higher_is_better: bool | None = None

    @property
    def suffix(self) -> str:
        """What tells its labels from those of the headline."""
        return "" if self.headline else f" ({self.estimator})"

    def value_label(self, level: str) -> str:
        """Return the label of a group's row."""
        return f"{self.metric}: {self.attribute.column}={level}{self.suffix}"

    def gap_label(self, level: str, sign: str = "-") -> str:
        """Return the label of a gap's row."""
        of = "gap" if sign == "-" else "ratio"
        column, reference = self.attribute.column, self.attribute.reference
        return f"{self.metric} {of}, {column}: {level} {sign} {reference}{self.suffix}"


@dataclass
class Found:
    """Rows of the audit as they come, and what was tested.

    Attributes
    ----------
    rows : list of Row
    family : list of str
        Labels of the rows that are judged together.
    tests : list of TestLine
        "Any difference at all" among the groups of an attribute.
    spreads : list of SpreadLine
        The largest minus the smallest group, beyond chance.
    lambdas : mapping of gap label to GapLambda
        How wrong the propensities would have to be for the gap to vanish.
    """

    rows: list[Row] = field(default_factory=list)
    family: list[str] = field(default_factory=list)
    tests: list[TestLine] = field(default_factory=list)
    spreads: list[SpreadLine] = field(default_factory=list)
    lambdas: dict[str, GapLambda] = field(default_factory=dict)

    def add(self, rows: Sequence[Row], *, judged: bool) -> None:
        """Add rows, to the family too where they are judged."""
        self.rows += rows
        if judged:
            self.family += [row.label for row in rows if row.p_value is not None]


def add_values(found: Found, measure: Measure, level: float, *, at_least: float = -np.inf) -> None:
    """Add the row of every group; hidden ones keep their names only.

    An interval does not go below `at_least`, the smallest value there can be.
    """
    attribute = measure.attribute
    names = {measure.value_label(one): one for one in attribute.levels}
    chosen = measure.estimate[[measure.labels[one] for one in attribute.levels]]
    chosen = chosen.relabel(list(names))
    hidden = {label: "suppressed" for label, one in names.items() if one in attribute.hidden}
    rows = rows_from_estimate(
        chosen.mark(hidden),  # type: ignore[arg-type]
        metric=measure.metric,
        population=measure.population,
        estimator=measure.estimator,
        unit=attribute.unit,
        groups={label: attribute.group(one) for label, one in names.items()},
        level=level,
        null=None,
        n={label: attribute.counts[one] for label, one in names.items()},
        interval_method=f"t, {clustered(chosen)}",
    )
    cut = [
        row if row.lower is None else row.model_copy(update={"lower": max(row.lower, at_least)})
        for row in rows
    ]
    found.add(cut, judged=False)


def add_differences(found: Found, measure: Measure, level: float) -> Estimate | None:
    """Add the gaps to the reference under one band, and test whether there is any difference."""
    attribute = measure.attribute
    if attribute.reference is None:
        return None
    base = measure.labels[attribute.reference]
    gaps = measure.estimate.contrast(
        {
            measure.gap_label(one): {measure.labels[one]: 1.0, base: -1.0}
            for one in attribute.compared
        }
    )
    parents = {
        measure.gap_label(one): (
            measure.value_label(one),
            measure.value_label(attribute.reference),
        )
        for one in attribute.compared
    }
    add_band(found, measure, gaps, parents, level)
    if len(attribute.shown) > 2:
        line = spread_line(
            measure.estimate[[measure.labels[one] for one in attribute.shown]],
            attribute.shown,
            attribute=attribute.column,
            measure=measure.metric,
            estimator=measure.estimator,
            higher_is_better=measure.higher_is_better,
        )
        found.spreads += [] if line is None else [line]
    return gaps


def add_ratios(found: Found, measure: Measure, level: float) -> None:
    """Add the ratios to the reference, symmetric on the log scale, under one band."""
    attribute = measure.attribute
    if attribute.reference is None:
        return
    base = measure.labels[attribute.reference]
    labels = [measure.gap_label(one, "/") for one in attribute.compared]
    ratios = Estimate.stack(
        [
            measure.estimate.ratio(measure.labels[one], base, label)
            for one, label in zip(attribute.compared, labels, strict=True)
        ]
    )
    parents = {
        label: (measure.value_label(one), measure.value_label(attribute.reference))
        for one, label in zip(attribute.compared, labels, strict=True)
    }
    add_band(found, measure, ratios, parents, level, of="ratio")


def add_band(
    found: Found,
    measure: Measure,
    contrasts: Estimate,
    parents: Mapping[str, tuple[str, ...]],
    level: float,
    *,
    of: str = "gap",
) -> None:
    """Add contrasts under one simultaneous band, and test them together."""
    attribute = measure.attribute
    counts = {measure.value_label(one): attribute.counts[one] for one in attribute.shown}
    smaller = {gap: min(counts[one] for one in parents[gap]) for gap in contrasts.labels}
    is_ratio = contrasts.scale == "log"
    rows = rows_from_estimate(
        contrasts,
        metric=f"{measure.metric} ratio" if is_ratio else measure.metric,
        population=measure.population,
        estimator=measure.estimator,
        unit=attribute.unit,
        level=level,
        null=1.0 if is_ratio else 0.0,
        n=smaller,
        derived_from=parents,
    )
    band = contrasts.simultaneous_interval(level)
    several = f"sup-t over {len(contrasts)} {of}s" if len(contrasts) > 1 else "t"
    scale = " on the log scale" if is_ratio else ""
    how = f"{several}{scale}, {clustered(contrasts)}"
    found.add(
        [
            row.model_copy(update=_ends(lower, upper, how))
            for row, (lower, upper) in zip(rows, band.tolist(), strict=True)
        ],
        judged=measure.headline,
    )
    found.tests.append(
        (
            attribute.column,
            rows[0].metric,
            measure.estimator,
            ", ".join(attribute.shown),
            *any_difference(contrasts),
        )
    )


def _ends(lower: float, upper: float, how: str) -> dict[str, object]:
    if not (np.isfinite(lower) and np.isfinite(upper)):
        few = "fewer than five clusters in a group: a permutation p, no interval"
        return {"lower": None, "upper": None, "interval_method": "", "note": few}
    return {"lower": lower, "upper": upper, "interval_method": how}


def clustered(estimate: Estimate) -> str:
    """Return the clusters in words."""
    return f"clustered by {' and '.join(estimate.sampled)}"


def any_difference(
    contrasts: Estimate,
) -> tuple[float | None, float | None, float | None, float | None]:
    """Test that all contrasts are null together: (F, degrees of freedom, denominator's, p).

    Wald's statistic over its rank, with the t interval's inflation and smallest degrees of
    freedom. A largest minus smallest group is always above zero; this is not. Ratios are tested
    on the log scale. None where a contrast has no interval.
    """
    if any(status in {"not_estimable", "suppressed"} for status in contrasts.status):
        return None, None, None, None
    value, covariance = contrasts.value, contrasts.covariance
    if contrasts.scale == "log":
        covariance = covariance / np.outer(value, value)
        value = np.log(value)
    freedom, inflation = contrasts.small_sample
    covariance = covariance * np.outer(inflation, inflation)
    rank = int(np.linalg.matrix_rank(covariance))
    if rank == 0:
        return None, None, None, None
    statistic = float(value @ np.linalg.pinv(covariance) @ value) / rank
    denominator = float(freedom.min())
    p = float(stats.f.sf(statistic, rank, denominator))
    return statistic, float(rank), denominator, p
