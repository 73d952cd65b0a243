"""From rows to cells: one outcome for each (user, item) pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ObservedCells:
    """The cells whose outcome is recorded, one entry a cell, sorted by (user, item).

    Parameters
    ----------
    users, items : int32 arrays (n_cells,)
        Codes.
    outcome : float64 array (n_cells,)
        The outcome; the mean where several rows fall in the cell.
    rows : int64 array (n_cells,) or None
        The log's row of each cell; None where some cell has several.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    outcome: NDArray[np.float64]
    rows: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.users)


def cell_keys(
    users: NDArray[np.int32], items: NDArray[np.int32], n_items: int
) -> NDArray[np.int64]:
    """Return `user * n_items + item`, the number of the cell in the grid."""
    return users.astype(np.int64) * n_items + items


def collect_cells(
    keys: NDArray[np.int64], outcome: NDArray[np.float64], rows: NDArray[np.int64], n_items: int
) -> ObservedCells:
    """Sort rows into cells, averaging the outcome within a cell.

    Parameters
    ----------
    keys : int64 array (n,)
        Cell of each row.
    outcome : float64 array (n,)
        Outcome of each row.
    rows : int64 array (n,)
        The rows' numbers in the log.
    n_items : int
        Width of the grid.

    Examples
    --------
    >>> cells = collect_cells(np.array([5, 1, 5]), np.array([1.0, 2.0, 4.0]), np.arange(3), 3)
    >>> cells.users.tolist(), cells.items.tolist(), cells.outcome.tolist(), cells.rows
    ([0, 1], [1, 2], [2.0, 2.5], None)
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else order
    found = ordered[starts]
    repeated = len(found) < len(keys)
    values = outcome[order]
    if repeated:
        sizes = np.diff(np.r_[starts, len(keys)])
        values = np.add.reduceat(values, starts) / sizes
    arrays = (
        (found // n_items).astype(np.int32),
        (found % n_items).astype(np.int32),
        values,
    )
    kept = None if repeated else rows[order].astype(np.int64)
    for array in (*arrays, kept):
        if array is not None:
            array.setflags(write=False)
    return ObservedCells(*arrays, kept)
