"""Columns of events -> arrays that nothing checks again, or a refusal in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalrec.errors import DataError
from causalrec.interactions._columns import WHAT_A_KIND_NEEDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causalrec.interactions._columns import Kind
    from causalrec.interactions._frames import EventTable

OUTCOME_WAY_OUT: dict[Kind, str] = {
    "ratings": "Drop the rows without a rating: a cell without a row is what counts as missing.",
    "candidates": (
        "An outcome that did not happen in the window is 0, not missing: fill it;"
        " drop rows whose window is not over, in both arms."
    ),
    "impressions": "An impression without a click is 0, not missing: fill it, or drop the rows.",
    "positives": "",
}


def numbers(table: EventTable, role: str, way_out: str) -> NDArray[np.float64]:
    """Return a column as finite float64 numbers, or raise with the rows that are not."""
    series = table.column(role)
    null = series.isna().to_numpy()
    if null.any():
        raise table.bad(role, "has no value (NaN)", null, way_out)
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        values = series.to_numpy(dtype=np.float64, copy=True)
    else:
        values = pd.to_numeric(series.astype("object"), errors="coerce").to_numpy(np.float64)
        if np.isnan(values).any():
            text_way_out = "Convert the column to numbers first."
            raise table.bad(role, "is not a number", np.isnan(values), text_way_out)
    if not np.isfinite(values).all():
        raise table.bad(role, "is not finite", ~np.isfinite(values), way_out)
    return values


def flags(table: EventTable, role: str) -> NDArray[np.bool_]:
    """Return a 0/1 or boolean column as booleans."""
    values = numbers(table, role, f"Give every row its {role}: 0 or 1.")
    other = (values != 0) & (values != 1)
    if other.any():
        way_out = f"Write {role} as 0/1 or False/True; for several arms use arm=..."
        raise table.bad(role, "is neither 0 nor 1", other, way_out)
    found: NDArray[np.bool_] = values == 1
    return found


def outcomes(
    table: EventTable, kind: Kind, outcome_range: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Return the outcome of each row: finite, varying, inside the declared range."""
    values = numbers(table, "outcome", OUTCOME_WAY_OUT[kind])
    if outcome_range is not None:
        low, high = outcome_range
        outside = (values < low) | (values > high)
        if outside.any():
            way_out = "Correct these rows, or declare the range that the outcome really has."
            problem = f"lies outside the declared outcome_range ({low:g}, {high:g})"
            raise table.bad("outcome", problem, outside, way_out)
    if values.min() == values.max():
        raise table.bad(
            "outcome",
            f"is constant: it is {values[0]:g}",
            np.ones(len(values), dtype=np.bool_),
            "Nothing can be learned from it. If the rows are only the clicks or plays, pass"
            " outcome=None (a log of positives); else log the rows where it did not happen too.",
        )
    return values


def check_range(outcome_range: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the declared range as two floats, or raise."""
    if outcome_range is None:
        return None
    low, high = (float(end) for end in outcome_range)
    if not low < high:
        raise DataError(
            f"outcome_range=({low:g}, {high:g}) is empty: write it as (lowest, highest)."
        )
    return low, high


def exposures(table: EventTable, outcome: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return exposure as 0/1 with both arms present, and an outcome that can occur in both."""
    exposed = flags(table, "exposure")
    everything = np.ones(len(exposed), dtype=np.bool_)
    if exposed.all() or not exposed.any():
        raise table.bad(
            "exposure",
            f"has one arm only: it is {int(exposed[0])}",
            everything,
            f"There is nobody to compare with. Log {WHAT_A_KIND_NEEDS['candidates']}."
            " If only shown items can be logged, leave exposure out: a log of impressions answers"
            " questions about positions, policies and preferences.",
        )
    shown_rate = float((outcome[exposed] != 0).mean())
    if not outcome[~exposed].any():
        name = table.columns.outcome
        raise table.bad(
            "exposure",
            f"has an unexposed arm in which the outcome {name!r} never occurs (a structural zero):"
            f" it is 0 among the exposed in {1 - shown_rate:.1%}, among the unexposed",
            ~exposed,
            "An outcome that cannot occur unexposed, such as a click on the shown slot, says"
            " nothing about what exposure causes. Log an outcome that can occur in both arms over"
            " the same window: purchases, plays or visits from any source, organic ones included.",
        )
    return exposed.astype(np.int8)


def propensities(table: EventTable) -> NDArray[np.float64] | None:
    """Return the logging propensities, all inside (0, 1]."""
    if table.columns.logging_propensity is None:
        return None
    way_out = (
        "Log the probability with which the policy took the action that it took; an action"
        " that was taken had a probability above 0, and none is above 1."
    )
    values = numbers(table, "logging_propensity", way_out)
    outside = (values <= 0) | (values > 1)
    if outside.any():
        raise table.bad("logging_propensity", "lies outside (0, 1]", outside, way_out)
    return values


def positions(table: EventTable, exposure: NDArray[np.int8] | None) -> NDArray[np.int32] | None:
    """Return positions from 1; 0 for candidates that were not exposed (they have none)."""
    if table.columns.position is None:
        return None
    way_out = "A position is the rank within the list that was shown, a whole number from 1."
    shown = np.ones(len(table.frame), dtype=np.bool_) if exposure is None else exposure == 1
    values = np.zeros(len(table.frame))
    values[shown] = numbers(table.select(shown), "position", way_out)
    wrong = shown & ((values < 1) | (values != np.floor(values)))
    if wrong.any():
        add_one = " These count from 0: add 1." if values[wrong].max() == 0 else ""
        raise table.bad("position", "is not a whole number from 1", wrong, way_out + add_one)
    return values.astype(np.int32)
