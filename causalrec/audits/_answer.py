"""The audit's answer in a few sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from causalrec.audits._lambda import GapLambda
from causalrec.results import Row, format_cell

ALPHA = 0.05


def answer_of(
    rows: Sequence[Row], family: Collection[str], lambdas: Mapping[str, GapLambda] | None = None
) -> str:
    """Return the largest gap that stands of each measure, or that none can be told from chance.

    Parameters
    ----------
    rows : sequence of Row
        All rows, after disclosure control.
    family : collection of str
        Labels of the rows that were judged together.
    lambdas : mapping of gap label to GapLambda, optional
        What it would take to explain a gap away.
    """
    judged = [row for row in rows if row.label in family and row.p_adjusted is not None]
    sentences = []
    for metric in dict.fromkeys(row.metric for row in judged):
        standing = [r for r in judged if r.metric == metric and (r.p_adjusted or 0.0) < ALPHA]
        alike = sum(row.metric == metric for row in judged)
        if standing:
            largest = max(standing, key=_size)
            said = _standing(largest, rows, len(standing), alike)
            sentences.append(said + _explained(largest, lambdas or {}))
        else:
            sentences.append(_none(metric, judged, rows))
    hidden = sum(bool(row.group) and row.status == "suppressed" for row in rows)
    if not judged:
        why = "the groups are too small to be shown" if hidden else "there were no two groups"
        sentences.append(f"No gap was tested: {why}.")
    sentences += _concentration(rows)
    return " ".join(sentences)


def _size(row: Row) -> float:
    if row.value is None:
        return 0.0
    if row.metric.endswith(" ratio"):
        return max(row.value, 1.0 / row.value) if row.value > 0 else float("inf")
    return abs(row.value)


def _standing(row: Row, rows: Sequence[Row], standing: int, of: int) -> str:
    subject = row.label.split(", ", 1)[-1].removesuffix(f" ({row.estimator})")
    if row.metric.endswith(" ratio"):
        kind = row.metric.removesuffix(" ratio")
        text = f"{kind[:1].upper()}{kind[1:]}, {subject}: {_with_interval(row)} times"
    else:
        text = f"Gap in {row.metric}, {subject}: {_with_interval(row)} ({row.estimator})"
    if of > 1 and standing == 1:
        text += f", the only one of {of} gaps that stands"
    elif of > 1:
        whole = f"{of} gaps, which all stand" if standing == of else f"{standing} that stand"
        text += f", the largest of {whole}" + ("" if standing == of else f" among {of} gaps")
    return f"{text}{_naive_beside(row, rows)}."


def _explained(row: Row, lambdas: Mapping[str, GapLambda]) -> str:
    """Return how wrong the odds would have to be for a standing gap to vanish."""
    one = lambdas.get(row.label)
    if one is None or not one.of_gap > 1.0 or row.estimator == "naive":
        return ""
    if not np.isfinite(one.of_gap):
        return " No error of the odds of being recorded by a factor up to 100 would explain it."
    return (
        " Odds of being recorded that are wrong by a factor of"
        f" {format_cell(one.of_gap)} within both groups would explain it."
    )


def _none(metric: str, judged: Sequence[Row], rows: Sequence[Row]) -> str:
    alike = [row for row in judged if row.metric == metric]
    largest = max(alike, key=_size)
    if len(alike) == 1:
        name = f"{largest.label[:1].upper()}{largest.label[1:]}"
        text = f"{name}: {_with_interval(largest)}, not distinguishable from none"
        return f"{text}{_naive_beside(largest, rows)}."
    return (
        f"None of the {len(alike)} gaps in {metric} is distinguishable from none; the largest is"
        f" {largest.label.split(', ', 1)[-1]}, {_with_interval(largest)}"
        f"{_naive_beside(largest, rows)}."
    )


def _naive_beside(row: Row, rows: Sequence[Row]) -> str:
    """Return the naive gap, and what the correction changes; not called bias: that is not known."""
    naive = next((one for one in rows if one.label == f"{row.label} (naive)"), None)
    if naive is None or naive.value is None:
        return ""
    what = "ratio" if row.metric.endswith(" ratio") else "gap"
    text = f"; the naive {what} is {_with_interval(naive)}"
    change = next((r for r in rows if naive.label in r.derived_from), None)
    if change is not None and change.value is not None:
        how = "over" if row.metric.endswith(" ratio") else "minus"
        text += f", naive {how} corrected {_with_interval(change)}"
    return text


def _concentration(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if row.metric.startswith("gini of exposure")]
    if len(found) < 2:
        return []
    lists, chance = found[:2]
    return [
        f"The Gini of exposure over the catalogue is {_with_interval(lists)}, against"
        f" {_short(chance.value)} for uniform random lists."
    ]


def _with_interval(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{_short(row.value)} (no interval)"
    return f"{_short(row.value)} [{_short(row.lower)}, {_short(row.upper)}]"


def _short(value: float | None) -> str:
    """Three digits are enough in a sentence; the table has more."""
    return format_cell(value if value is None else float(f"{value:.3g}"))
