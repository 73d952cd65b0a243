"""The chain at a glance: one line a question, naive beside debiased beside the truth if known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from causalrec.reporting._marks import estimator_of, is_drawable, is_truth, subject_of
from causalrec.results import Result, Row, Table

_PREFERENCE = ("dr", "mrdr", "econml", "plain", "snips", "ips", "regression")
SUMMARY_COLUMNS = (
    "question",
    "quantity",
    "naive",
    "debiased",
    "lower",
    "upper",
    "estimator",
    "truth",
)


GAPS_FIRST = frozenset({"audit", "decomposition"})
"""Kinds whose first gap is what they say, not the mean of a group."""


@dataclass(frozen=True)
class Headline:
    """What one result says, in a line."""

    result: Result
    debiased: Row
    naive: Row | None
    truth: Row | None

    @property
    def question(self) -> str:
        """The question, or the title where none was put."""
        return self.result.question or self.result.title

    @property
    def quantity(self) -> str:
        """What is measured, and of whom."""
        row = self.debiased
        label = (
            "" if row.label.lower() in {row.estimator.lower(), row.metric.lower()} else row.label
        )
        metric = "" if _names(label, row.metric) else row.metric
        return ", ".join(part for part in (metric, label) if part)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Naive, debiased and true, as far as they are there."""
        return tuple(row for row in (self.naive, self.debiased, self.truth) if row is not None)


def summary_table(results: Sequence[Result]) -> Table:
    """Return one line a question: the naive answer, the debiased one with its interval, the truth.

    Parameters
    ----------
    results : sequence of Result
        Those without a debiased number are left out.

    Returns
    -------
    Table
        Columns "question", "quantity", "naive", "debiased", "lower", "upper", "estimator",
        "truth"; what is not known is None.

    Examples
    --------
    >>> effect = Result(kind="effect", title="Effect", question="Does showing sell?", rows=(
    ...     Row(label="naive", estimator="naive", metric="effect", value=0.2),
    ...     Row(label="dr", estimator="dr", metric="effect", value=0.1, lower=0.05, upper=0.15)))
    >>> summary_table([effect]).rows
    (('Does showing sell?', 'effect', 0.2, 0.1, 0.05, 0.15, 'dr', None),)
    """
    lines = [line for result in results if (line := headline(result)) is not None]
    return Table(
        name="summary",
        title="The answers at a glance",
        columns=SUMMARY_COLUMNS,
        rows=tuple(
            (
                line.question,
                line.quantity,
                line.naive.value if line.naive else None,
                line.debiased.value,
                line.debiased.lower,
                line.debiased.upper,
                line.debiased.estimator,
                line.truth.value if line.truth else None,
            )
            for line in lines
        ),
    )


def headline(result: Result) -> Headline | None:
    """Return what a result says in a line, or None where no debiased number is shown.

    An audit is summed up by its first gap, a tuning by its least loss, everything else by the
    first number of the estimator that is trusted most. The naive and the true number are those of
    the same metric and group.
    """
    usable = [
        row
        for row in result.rows
        if is_drawable(row) and not is_truth(row) and estimator_of(row) != "naive"
    ]
    first = [row for row in usable if row.metric == usable[0].metric]
    gaps = [row for row in first if row.derived_from] if result.kind in GAPS_FIRST else []
    levels = [row for row in first if not row.derived_from]
    candidates = gaps or levels or first
    if not candidates:
        return None
    if result.kind == "tuning":
        candidates = [min(candidates, key=lambda row: (row.value is None, row.value or 0.0))]
    chosen = min(
        candidates, key=lambda row: (subject_of(row) != subject_of(candidates[0]), _rank(row))
    )
    return Headline(
        result,
        chosen,
        _beside(result.rows, chosen, naive=True),
        _beside(result.rows, chosen, naive=False),
    )


def _names(label: str, metric: str) -> bool:
    """Return whether a label says by itself what is measured."""
    return bool(metric) and re.search(rf"\b{re.escape(metric)}(?!\w)", label) is not None


def _rank(row: Row) -> int:
    name = estimator_of(row)
    return _PREFERENCE.index(name) if name in _PREFERENCE else len(_PREFERENCE)


def _beside(rows: Sequence[Row], chosen: Row, *, naive: bool) -> Row | None:
    """Return the naive (or true) number of the same metric and subject."""
    alike = [
        row
        for row in rows
        if row.metric == chosen.metric
        and bool(row.derived_from) == bool(chosen.derived_from)
        and is_drawable(row)
    ]
    found = [
        row
        for row in alike
        if (estimator_of(row) == "naive" and not is_truth(row) if naive else is_truth(row))
    ]
    exact = [row for row in found if subject_of(row) == subject_of(chosen)]
    # Where all rows speak of one subject, a truth without a name is the truth about it.
    alone = len({subject_of(row) for row in alike} - {""}) <= 1
    return next(iter(exact or (found if alone else [])), None)
