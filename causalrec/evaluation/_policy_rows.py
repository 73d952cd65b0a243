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
    rows: list[Row] = []
    for name in (*names, LOGGED):
        label = "policy value" if name == names[0] else f"policy value ({name})"
        found = estimate[name] if name == LOGGED else estimate[name].relabel([label])
        row = _described(found, "naive" if name == LOGGED else name, options, level)
        width = None if widths is None else widths[name]
        note = "" if name == LOGGED else _note(name, chosen[name])
        rows.append(_finished(row, options, sizes[name], width, note))
    gap = estimate.difference(names[0], LOGGED, f"policy value - {LOGGED}")
    row = _described(gap, f"{names[0]} - naive", options, level)
    width = None if widths is None else widths["difference"]
    rows.append(_finished(row, options, sizes[names[0]], width, _note(names[0], chosen[names[0]])))
    return tuple(rows)


def _note(name: str, chosen: Chosen) -> str:
    if name == "regression":
        return "the interval takes the reward model as known, and right"
    return chosen.words


def _described(estimate: Estimate, name: str, options: PolicyOptions, level: float) -> Row:
    contrast = name.endswith("- naive")
    held = "weighted by time, " if options.adaptive and name != "naive" else ""
    (row,) = rows_from_estimate(
        estimate,
        metric="difference of values" if contrast else "policy value",
        population="contexts of the log",
        estimator=name,
        unit="rows" if options.slate_model is None else "slates",
        level=level,
        null=0.0 if contrast else None,
        derived_from={estimate.labels[0]: ("policy value", LOGGED)} if contrast else None,
        interval_method=f"t, {held}clustered by {' and '.join(options.sampled)}",
    )
    return row


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
