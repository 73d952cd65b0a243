"""Which cells could have been shown or rated at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import DataError
from causalrec.interactions._frames import require_column, to_pandas
from causalrec.interactions._ids import codes_of_known

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from causalrec.interactions._columns import Columns


@dataclass(frozen=True)
class Eligibility:
    """Eligible cells of the grid, as an array, as pairs, or as the rows of some users.

    Parameters
    ----------
    n_users, n_items : int
        The grid.
    dense : bool array (n_users, n_items), optional
        True where the cell is eligible.
    keys : int64 array, optional
        Sorted `user * n_items + item` of the cells that are listed.
    listed_are_eligible : bool
        Whether the listed cells are the eligible ones or the ineligible ones.
    users : bool array (n_users,), optional
        Users that the part of a split by user holds; the others' cells are not in it.
    """

    n_users: int
    n_items: int
    dense: NDArray[np.bool_] | None = None
    keys: NDArray[np.int64] | None = None
    listed_are_eligible: bool = True
    users: NDArray[np.bool_] | None = None

    def block(self, users: slice) -> NDArray[np.bool_]:
        """Return the rows of a slice of user codes as a new bool array (b, n_items)."""
        start, stop, step = users.indices(self.n_users)
        if self.dense is not None:
            found = self.dense[start:stop].copy()
        else:
            found = np.full((max(stop - start, 0), self.n_items), not self.listed_are_eligible)
            if self.keys is None:
                found[:] = True
            else:
                first, last = np.searchsorted(
                    self.keys, [start * self.n_items, stop * self.n_items]
                )
                inside = self.keys[first:last] - start * self.n_items
                found.reshape(-1)[inside] = self.listed_are_eligible
        if self.users is not None:
            found &= self.users[start:stop, None]
        return found[::step]

    def contains(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return whether each (user, item) pair of codes is eligible."""
        if self.dense is not None:
            found = self.dense[users, items]
        elif self.keys is None:
            found = np.ones(len(users), dtype=np.bool_)
        else:
            listed = np.isin(users.astype(np.int64) * self.n_items + items, self.keys)
            found = listed == self.listed_are_eligible
        return found if self.users is None else found & self.users[users]

    @property
    def count(self) -> int:
        """Number of eligible cells."""
        step = max(1, 2_000_000 // max(self.n_items, 1))
        starts = range(0, self.n_users, step)
        return int(sum(self.block(slice(start, start + step)).sum() for start in starts))

    def of_users(self, users: NDArray[np.bool_]) -> Eligibility:
        """Return the eligibility within the rows of these users."""
        both = users if self.users is None else users & self.users
        both.setflags(write=False)
        return replace(self, users=both)


def read_eligible(
    eligible: Any, columns: Columns, user_ids: pd.Index, item_ids: pd.Index
) -> Eligibility | None:
    """Return the eligibility that was passed as an array or as a table of pairs.

    Raises
    ------
    DataError
        For an array of the wrong shape or type, or pairs with unknown ids.
    """
    if eligible is None or isinstance(eligible, str):
        return None
    shape = (len(user_ids), len(item_ids))
    if isinstance(eligible, np.ndarray):
        if eligible.dtype != np.bool_ or eligible.shape != shape:
            raise DataError(
                f"eligible is an array of {eligible.dtype} with shape {eligible.shape}; it must be"
                f" boolean with shape {shape}: users x items, in the order of log.user_ids and"
                " log.item_ids (the order of the tables, where they were given)."
            )
        dense = eligible.copy()
        dense.setflags(write=False)
        return Eligibility(*shape, dense=dense)
    pairs = to_pandas(eligible, "eligible", (columns.user_id, columns.item_id))
    users = require_column(pairs, columns.user_id, "user_id", "eligible")
    items = require_column(pairs, columns.item_id, "item_id", "eligible")
    codes = codes_of_known(users, user_ids, "user").astype(np.int64) * shape[1]
    return pairs_eligible(*shape, codes + codes_of_known(items, item_ids, "item"))


def pairs_eligible(
    n_users: int, n_items: int, keys: NDArray[np.int64], *, listed_are_eligible: bool = True
) -> Eligibility:
    """Return the eligibility of a list of cell keys, `user * n_items + item`."""
    unique = np.unique(keys)
    unique.setflags(write=False)
    return Eligibility(n_users, n_items, keys=unique, listed_are_eligible=listed_are_eligible)
