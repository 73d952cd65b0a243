"""The boundary: pandas, polars and pyarrow tables become pandas here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalrec.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causalrec.interactions._columns import Columns


def to_pandas(frame: Any, table: str, keys: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a table of any supported library as pandas, rows numbered from 0.

    Parameters
    ----------
    frame : pandas, polars or pyarrow table, or a lazy one that narwhals can collect
    table : str
        What messages call it: "events", "users", "items".
    keys : tuple of str
        Id columns that may stand in a pandas index instead.

    Raises
    ------
    DataError
        If it is not a table, or has two columns of one name.
    """
    if isinstance(frame, pd.DataFrame):
        levels = [n for n in frame.index.names if n in keys and n not in frame.columns]
        found = frame.reset_index(level=levels) if levels else frame
    else:
        found = _through_narwhals(frame, table)
    twice = found.columns[found.columns.duplicated()].unique()
    if len(twice):
        raise DataError(
            f"The {table} table has {len(twice)} column names more than once:"
            f" {', '.join(map(repr, twice[:5]))}. Rename or drop the copies."
        )
    return found.reset_index(drop=True)


def _through_narwhals(frame: Any, table: str) -> pd.DataFrame:
    import narwhals as nw

    try:
        native = nw.from_native(frame)
    except TypeError:
        raise DataError(
            f"The {table} table is a {type(frame).__name__}, which is not a table."
            " Pass a pandas, polars or pyarrow table; files are read by read_log(path, ...)."
        ) from None
    eager = native.collect() if isinstance(native, nw.LazyFrame) else native
    return eager.to_pandas()


@dataclass(frozen=True)
class EventTable:
    """The events with the roles of their columns; builds the errors that show their rows."""

    frame: pd.DataFrame
    columns: Columns

    def column(self, role: str) -> pd.Series:
        """Return the column that plays `role`."""
        name = getattr(self.columns, role)
        if name not in self.frame.columns:
            raise DataError.missing_column(name, list(self.frame.columns), role=role)
        series: pd.Series = self.frame[name]
        return series

    def bad(self, role: str, problem: str, mask: NDArray[np.bool_], way_out: str) -> DataError:
        """Build the error for the rows of `mask`, shown with their ids."""
        name = getattr(self.columns, role)
        shown = dict.fromkeys([self.columns.user_id, self.columns.item_id, name])
        present = [column for column in shown if column in self.frame.columns]
        rows = self.frame[present].iloc[np.flatnonzero(mask)[:5]]
        return DataError.bad_rows(
            name,
            problem,
            count=int(mask.sum()),
            total=len(self.frame),
            rows=rows,
            way_out=way_out,
        )

    def select(self, mask: NDArray[np.bool_]) -> EventTable:
        """Return the table of the rows of `mask`; they keep their numbers, for messages."""
        return EventTable(self.frame.loc[mask], self.columns)


def require_column(frame: pd.DataFrame, column: str, role: str, table: str) -> pd.Series:
    """Return a column of a users or items table, or raise with the near miss."""
    if column not in frame.columns:
        raise DataError.missing_column(column, list(frame.columns), role=role, table=table)
    return frame[column]
