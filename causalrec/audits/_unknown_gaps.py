"""Bounds of gaps where some subjects have no level: they could belong to any group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.audits._gaps import Found
from causalrec.audits._group_means import dimensions_of
from causalrec.inference import Estimate
from causalrec.results import Row
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.audits._attributes import Attribute
    from causalrec.audits._options import AuditQuestion
    from causalrec.evaluation import GroupAnswers

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Extreme:
    """Who has to be added to a group for its mean to be extreme, and that mean."""

    mean: float
    added: npt.NDArray[np.int64]


def extreme_mean(
    top: FloatArray, bottom: FloatArray, known: npt.NDArray[np.bool_], upper: bool
) -> Extreme:
    """Return the largest (smallest) mean of a group that may take any of the unknown subjects.

    Parameters
    ----------
    top, bottom : float64 arrays (n,)
        Weighted sum of outcomes, and of weights, of the group's subjects and of the unknown ones.
    known : bool array (n,)
        Those of the group.
    upper : bool

    Notes
    -----
    It pays to add whoever is above (below) the resulting mean: the best set is a run of the
    subjects in order of their own means, so that cumulated sums find it.

    Examples
    --------
    >>> top, bottom = np.array([4.0, 9.0, 1.0]), np.array([4.0, 3.0, 2.0])
    >>> found = extreme_mean(top, bottom, np.array([True, False, False]), True)
    >>> round(found.mean, 3), found.added.tolist()
    (1.857, [1])
    """
    others = np.flatnonzero(~known & (bottom > 0.0))
    own = top[others] / bottom[others]
    order = others[np.argsort(-own if upper else own, kind="stable")]
    above = top[known].sum() + np.r_[0.0, np.cumsum(top[order])]
    below = bottom[known].sum() + np.r_[0.0, np.cumsum(bottom[order])]
    means = above / below
    best = int(np.argmax(means) if upper else np.argmin(means))
    return Extreme(float(means[best]), order[:best])


def add_unknown_gaps(
    found: Found, answers: GroupAnswers, attribute: Attribute, question: AuditQuestion
) -> list[str]:
    """Add an interval around the bounds of every gap, naive and SNIPS; return notes.

    Notes
    -----
    At the bounds the subjects that are added have means beyond the bound, which is a maximum over
    whom to add: their choice adds nothing to the error in first order, and the interval is that of
    the groups as they then are.
    """
    without = attribute.without
    if not without:
        return []
    if attribute.hides_rest or without < question.min_cell:
        return [
            f"Gaps by {attribute.column} are not bounded: so few {attribute.unit} have no level,"
            " or are in groups that are hidden, that bounds would tell of them."
        ]
    if attribute.reference is None:
        return []
    by_column = next(one for one in answers.found if one.column == attribute.column)
    for metric in by_column.metrics:
        cells = answers.recorded(metric, attribute.column)
        if cells is None or cells.per_user:
            continue
        weights = {"naive": np.ones(len(cells.values))}
        if answers.propensity is not None:
            weights["snips"] = 1.0 / cells.propensity
        subjects = cells.users if attribute.entity == "user" else cells.items
        codes = {"user": cells.users, "item": cells.items}
        if attribute.by_provider and question.log.provider is not None:
            codes["provider"] = question.log.provider[cells.items]
        clusters = {
            name: codes[name].astype(np.int64)
            for name in dimensions_of(attribute, question.sampled)
        }
        for estimator, weight in weights.items():
            rows = _Rows(cells.values, weight, subjects, clusters)
            for level in attribute.compared:
                row = _row(rows, attribute, level, question, metric, estimator)
                found.add([row], judged=False)
    return [
        f"{without:,} {attribute.unit} have no {attribute.column!r}: rows 'whatever the unknown'"
        " bound the gaps over every way to deal them out."
    ]


@dataclass(frozen=True, eq=False)
class _Rows:
    values: FloatArray
    weight: FloatArray
    subjects: Codes
    clusters: dict[str, npt.NDArray[np.int64]]

    def end(
        self, attribute: Attribute, level: str, upper: bool, confidence: float
    ) -> tuple[float, float]:
        """Return the largest (smallest) gap to the reference, and the end of its interval."""
        n = len(attribute.codes)
        top = np.bincount(self.subjects, weights=self.weight * self.values, minlength=n)
        bottom = np.bincount(self.subjects, weights=self.weight, minlength=n)
        assert attribute.reference is not None
        group = np.full(n, -1, dtype=np.int64)
        for place, (name, high) in enumerate(((level, upper), (attribute.reference, not upper))):
            known = attribute.codes == attribute.levels.index(name)
            may = known | (attribute.codes < 0)
            best = extreme_mean(np.where(may, top, 0.0), np.where(may, bottom, 0.0), known, high)
            group[known] = place
            group[best.added] = place
        gap = Estimate.from_score(
            Score(self.weight * self.values, self.weight),
            self.clusters,
            labels=["group", "reference"],
            groups=group[self.subjects],
            n_groups=2,
        ).difference("group", "reference")
        return float(gap.value[0]), float(gap.interval(confidence)[0, int(upper)])


def _row(
    rows: _Rows,
    attribute: Attribute,
    level: str,
    question: AuditQuestion,
    metric: str,
    estimator: str,
) -> Row:
    low, lower = rows.end(attribute, level, False, question.level)
    high, upper = rows.end(attribute, level, True, question.level)
    pair = f"{level} - {attribute.reference}"
    return Row(
        label=f"{metric} gap, {attribute.column}: {pair}, whatever the unknown ({estimator})",
        metric=f"{metric} gap, whatever the unknown",
        lower=lower,
        upper=upper,
        level=question.level,
        n=min(attribute.counts[one] for one in (level, attribute.reference or level)),
        unit=attribute.unit,
        population=f"groups with any of the {attribute.unit} without a level",
        estimator=estimator,
        interval_method=f"t, around both bounds [{low:.4g}, {high:.4g}]",
    )
