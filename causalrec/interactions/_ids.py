"""Ids of any hashable type -> integer codes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalrec.errors import DataError, near_miss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from causalrec.interactions._frames import EventTable

NEAR_MISS_POOL = 5_000


def plain_ids(values: Any) -> pd.Index:
    """Return ids as an Index of a plain dtype: int64, str, or object for what is neither.

    The same ids give the same Index whatever library or backend the column came from, so that
    events and tables can be matched. Tuples stay tuples (no MultiIndex). The ids are not null.
    """
    series = _series(values)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    found: pd.Index
    numbers = _as_numbers(series)
    if numbers is not None:
        found = pd.Index(numbers)
    elif pd.api.types.is_datetime64_any_dtype(series):
        found = pd.DatetimeIndex(series, name=None)
    elif pd.api.types.is_string_dtype(series):
        found = pd.Index(series.to_numpy(dtype=object), dtype="str")
    else:
        found = pd.Index(_objects(series), dtype=object, tupleize_cols=False)
    return found


def _as_numbers(series: pd.Series) -> NDArray[Any] | None:
    """Return ids that are numbers: whole ones as int64 (uint64 if they must), or None."""
    if pd.api.types.is_bool_dtype(series):
        return series.to_numpy(dtype=np.bool_)
    if pd.api.types.is_integer_dtype(series):
        too_large = len(series) > 0 and series.max() > np.iinfo(np.int64).max
        return series.to_numpy(dtype=np.uint64 if too_large else np.int64)
    if pd.api.types.is_float_dtype(series):
        floats: NDArray[np.float64] = series.to_numpy(dtype=np.float64)
        whole = np.isfinite(floats) & (floats == np.floor(floats)) & (np.abs(floats) < 2**53)
        return floats.astype(np.int64) if whole.all() else floats
    return None


def _series(values: Any) -> pd.Series:
    """Return any library's column, an array or a sequence of ids as a pandas Series."""
    if isinstance(values, pd.Series):
        return values
    if isinstance(values, np.ndarray | pd.Index | pd.api.extensions.ExtensionArray):
        return pd.Series(values)
    if hasattr(values, "to_pandas"):
        return pd.Series(values.to_pandas())
    return pd.Series(_objects(list(values)), dtype=object).infer_objects()


def _objects(values: Any) -> NDArray[np.object_]:
    """Return an array of the values themselves; equally long tuples do not become a matrix."""
    objects = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        objects[row] = value
    return objects


def family_of(ids: pd.Index) -> str:
    """Return in a word what the ids are: "integers", "text", or the names of their types."""
    if pd.api.types.is_integer_dtype(ids):
        return "integers"
    if isinstance(ids.dtype, pd.StringDtype):
        return "text"
    if ids.dtype == object:
        return ", ".join(sorted({type(value).__name__ for value in ids}))
    return str(ids.dtype)


def event_ids(table: EventTable, role: str) -> pd.Index:
    """Return the ids of the events in one role, none of them null, all hashable."""
    series = table.column(role)
    null = series.isna().to_numpy()
    if null.any():
        way_out = (
            "Every event needs an id: drop these rows, or find out why the join left them empty."
        )
        raise table.bad(role, "has no value", null, way_out)
    return _hashable(plain_ids(series), getattr(table.columns, role), "events")


def table_ids(frame: pd.DataFrame, column: str, table: str) -> pd.Index:
    """Return the ids of a users or items table: not null, hashable, each once."""
    series = frame[column]
    null = series.isna().to_numpy()
    if null.any():
        raise DataError.bad_rows(
            column,
            f"of the {table} table has no value",
            count=int(null.sum()),
            total=len(frame),
            rows=frame.loc[null],
            way_out="Drop these rows, or give them an id.",
        )
    ids = _hashable(plain_ids(series), column, table)
    repeated = ids.duplicated(keep=False)
    if repeated.any():
        raise DataError.bad_rows(
            column,
            f"of the {table} table holds an id more than once",
            count=int(repeated.sum()),
            total=len(frame),
            rows=frame.loc[repeated],
            way_out=f"Keep one row for each id: {table}.drop_duplicates({column!r}).",
        )
    return ids


def code_against(ids: pd.Index, known: pd.Index, table: EventTable, role: str) -> NDArray[np.int32]:
    """Return the code of each event's id in a users or items table, or say which are unknown."""
    codes = known.get_indexer(ids)
    unknown = codes < 0
    if not unknown.any():
        return np.asarray(codes, dtype=np.int32)
    where = f"{role.removesuffix('_id')}s"
    name = getattr(table.columns, role)
    if family_of(ids) != family_of(known):
        raise table.bad(
            role,
            f"holds {family_of(ids)} in the events and {family_of(known)} in the {where} table;"
            " ids of different types never match. It has no match",
            unknown,
            f"Convert one side, for example {where}[{name!r}] ="
            f" {where}[{name!r}].astype(events[{name!r}].dtype).",
        )
    first = str(ids[unknown][0])
    raise table.bad(
        role,
        f"holds ids that the {where} table does not have"
        f" ({first!r} is the first.{near_miss(first, known[:NEAR_MISS_POOL])})",
        unknown,
        f"Add these ids to the {where} table, or drop their events.",
    )


def code_alone(ids: pd.Index) -> tuple[NDArray[np.int32], pd.Index]:
    """Return codes and the ids they stand for: sorted where they can be, else as they appear."""
    codes, uniques = pd.factorize(ids)
    found = pd.Index(uniques, dtype=ids.dtype, tupleize_cols=False)
    order = _order(found)
    if order is None:
        return codes.astype(np.int32), found
    rank = np.empty(len(found), dtype=np.int32)
    rank[order] = np.arange(len(found), dtype=np.int32)
    return rank[codes], found.take(order)


def codes_of_known(ids: Any, known: pd.Index, what: str) -> NDArray[np.int32]:
    """Return the codes of ids that a caller passes in; unknown ones are an error."""
    wanted = _hashable(plain_ids(ids), f"{what}s", "given")
    codes = known.get_indexer(wanted)
    unknown = codes < 0
    if unknown.any():
        hint = near_miss(str(wanted[unknown][0]), known[:NEAR_MISS_POOL])
        if family_of(wanted) != family_of(known):
            hint = f" They are {family_of(wanted)}, the log's are {family_of(known)}: convert them."
        raise DataError.bad_rows(
            f"{what}s",
            f"holds {what} ids that the log does not have",
            count=int(unknown.sum()),
            total=len(wanted),
            rows=list(wanted[unknown]),
            way_out=f"Pass ids of log.{what}_ids.{hint}",
        )
    return np.asarray(codes, dtype=np.int32)


def _order(ids: pd.Index) -> NDArray[np.intp] | None:
    """Return the order that sorts the ids, or None where they cannot be compared."""
    if ids.dtype != object:
        return np.asarray(ids.argsort(), dtype=np.intp)
    values: Sequence[Any] = list(ids)
    try:
        return np.asarray(sorted(range(len(values)), key=values.__getitem__), dtype=np.intp)
    except TypeError:
        return None


def _hashable(ids: pd.Index, column: str, table: str) -> pd.Index:
    if ids.dtype != object:
        return ids
    for row, value in enumerate(ids):
        try:
            hash(value)
        except TypeError:
            raise DataError.bad_rows(
                column,
                f"of the {table} table holds a {type(value).__name__}, which cannot be an id,",
                count=sum(type(other) is type(value) for other in ids),
                total=len(ids),
                rows=[f"{row}  {value!r}"],
                way_out="Make the ids hashable, for example tuple(...) instead of a list.",
            ) from None
    return ids
