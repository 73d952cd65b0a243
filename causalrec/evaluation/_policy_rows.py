"""Rows of a policy value: each estimator, the logging policy's mean, and the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.evaluation._policy_estimators import (
    LOGGED,
    LOW_SUPPORT,
    Replay,
    effective_size,
    weights_of,
)
from causalrec.inference import Estimate
from causalrec.results import Row, rows_from_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causalrec.evaluation._policy_options import PolicyOptions
    from causalrec.evaluation._policy_tuning import Chosen


def policy_rows(
    estimate: Estimate,
    replay: Replay,
    chosen: Mapping[str, Chosen],
    options: PolicyOptions,
    widths: Mapping[str, float] | None,
    level: float,
) -> tuple[Row, ...]:
    """Return the value by each estimator, the logging policy's mean, and the difference.

    Parameters
    ----------
    estimate : Estimate
        One label an estimator, and the logging policy.
    replay, chosen, options
    widths : mapping, optional
        Half-widths of the empirical Bernstein bound, in place of clustered intervals.
    level : float
    """
    names = options.names
    sizes = {}
    for name in names:
        weight = weights_of(replay, name, chosen[name].parameter)
        held = replay.time_weight
        sizes[name] = effective_size(weight if held is None else weight * held)
        if name == "regression":
            sizes[name] = float(len(weight))
    sizes[LOGGED] = float(len(replay.outcome))
    rows = _described(estimate, options, level)
    notes = {name: _note(name, chosen[name]) for name in names}
    finished: list[Row] = []
    for row, name in zip(rows, (*names, LOGGED, names[0]), strict=True):
        contrast = len(finished) == len(names) + 1
        width = None if widths is None else widths["difference" if contrast else name]
        finished.append(_finished(row, options, sizes[name], width, notes.get(name, "")))
    return tuple(finished)


def _note(name: str, chosen: Chosen) -> str:
    if name == "regression":
        return "the interval takes the reward model as known, and right"
    return chosen.beside


def _described(estimate: Estimate, options: PolicyOptions, level: float) -> list[Row]:
    """Return one row for each estimator, the logging policy, and the difference, in one reading."""
    names = options.names
    labels = ["policy value", *(f"policy value ({name})" for name in names[1:]), LOGGED]
    gap = f"policy value - {LOGGED}"
    matrix = np.vstack([np.eye(len(labels)), np.eye(len(labels))[0] - np.eye(len(labels))[-1]])
    rows = rows_from_estimate(
        estimate.contrast(matrix, [*labels, gap]),
        metric="policy value",
        population="contexts of the log",
        estimator="",
        unit="rows" if options.slate_model is None else "slates",
        level=level,
        null=0.0,
        derived_from={gap: (labels[0], LOGGED)},
    )
    by = f"clustered by {' and '.join(options.sampled)}"
    described = []
    for row, name in zip(rows, (*names, "naive", f"{names[0]} - naive"), strict=True):
        held = "weighted by time, " if options.adaptive and name != "naive" else ""
        changes: dict[str, Any] = {"estimator": name}
        if row.lower is not None:
            changes["interval_method"] = f"t, {held}{by}"
        if row.label == gap:
            changes["metric"] = "difference of values"
        else:
            changes["p_value"] = None
        described.append(row.model_copy(update=changes))
    return described


def _finished(row: Row, options: PolicyOptions, size: float, width: float | None, note: str) -> Row:
    """Return a row with its effective sample size, its note, and perhaps the other interval."""
    low = size < LOW_SUPPORT and row.estimator not in {"naive", "regression"}
    changes: dict[str, Any] = {
        "effective_sample_size": size,
        "status": "low_support" if low else row.status,
        "note": note,
    }
    if width is not None and row.value is not None:
        bounded = bool(np.isfinite(width))
        changes |= {
            "lower": row.value - width if bounded else None,
            "upper": row.value + width if bounded else None,
            "p_value": None,
            "interval_method": f"empirical Bernstein, on sums by {options.sampled[0]}",
        }
    return row.model_copy(update=changes)
