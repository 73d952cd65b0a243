"""Times of events: one time zone, in UTC, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causalrec.interactions._frames import EventTable

OFFSET = r"\d[T ]?\d\d:?\d\d.*?(Z|UTC|[+-]\d\d(?::?\d\d)?)\s*$"
UTC_NAMES = ("Z", "UTC", "-0000")


def event_times(table: EventTable) -> NDArray[np.datetime64] | None:
    """Return the events' times as datetime64[ns] in UTC (naive times are left as they are).

    Raises
    ------
    DataError
        For a missing or unreadable time, a bare number (its unit is unknown), or a column that
        mixes time zones.
    """
    if table.columns.timestamp is None:
        return None
    series = table.column("timestamp")
    null = series.isna().to_numpy()
    if null.any():
        way_out = "Drop these rows, or leave timestamp out: a split by time needs every row's."
        raise table.bad("timestamp", "has no value", null, way_out)
    if pd.api.types.is_numeric_dtype(series):
        raise table.bad(
            "timestamp",
            "holds numbers, whose unit is unknown,",
            np.ones(len(series), dtype=np.bool_),
            f"Convert them: pd.to_datetime(events[{table.columns.timestamp!r}], unit='s').",
        )
    if not pd.api.types.is_datetime64_any_dtype(series):
        series = _parsed(series.astype("str"), table)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    times: NDArray[np.datetime64] = series.to_numpy(dtype="datetime64[ns]")
    return times.copy()


def _parsed(text: pd.Series, table: EventTable) -> pd.Series:
    times = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    unread = times.isna().to_numpy()
    if unread.any():
        way_out = (
            "Write times as ISO 8601 (2026-08-31 13:45:00), or parse them before:"
            " pd.to_datetime(column, format=...)."
        )
        raise table.bad("timestamp", "cannot be read as a time", unread, way_out)
    offset = text.str.extract(OFFSET, expand=False).str.replace(":", "", regex=False)
    offset = offset.replace(list(UTC_NAMES), "+0000").str.pad(5, "right", "0").fillna("none")
    zones = offset.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    if len(zones) > 1:
        other = (offset != zones.index[0]).to_numpy()
        raise table.bad(
            "timestamp",
            f"mixes time zones ({', '.join(sorted(zones.index))}): it differs from"
            f" the most frequent one ({zones.index[0]})",
            other,
            "Write all times in one zone: pd.to_datetime(column, utc=True) where every time has"
            " an offset; times without one must be given theirs first.",
        )
    return times
