"""Which items a user could be shown at all, as the log declares it: lists hold no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Integers

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class EligibleItems:
    """The eligible cells of a log, or the others, whichever are fewer.

    Users and items that came after are eligible everywhere: nobody has said otherwise.

    Attributes
    ----------
    pointer : int64 array, shape (n_users + 1,)
    items : int32 array
        Listed items, by user.
    n_items : int
        Items of the log that declared them.
    listed_are_eligible : bool
    """

    pointer: Integers
    items: Integers
    n_items: int
    listed_are_eligible: bool

    @classmethod
    def of(cls, log: InteractionLog, item_ids: pd.Index | None = None) -> Self | None:
        """Read them from a log, a block of users at a time; None where every cell is eligible.

        Parameters
        ----------
        log : InteractionLog
        item_ids : pandas.Index, optional
            The items of a model, where they are not those of the log.
        """
        if log.eligible_block(slice(0, 1)) is None:
            return None
        known = log.item_ids if item_ids is None else item_ids
        codes = known.get_indexer(log.item_ids)
        step = max(1, _CELLS_AT_ONCE // max(len(known), 1))
        blocks = [slice(at, at + step) for at in range(0, log.n_users, step)]
        eligible = sum(int(_on(log, block).sum()) for block in blocks)
        listed = 2 * eligible <= log.n_users * log.n_items
        users, items = [], []
        for block in blocks:
            # Items of the model that the log does not have: it has not said that they are not.
            inside = np.ones((len(log.user_ids[block]), len(known)), dtype=np.bool_)
            inside[:, codes] = _on(log, block)
            rows, columns = np.nonzero(inside == listed)
            users.append(rows + block.start)
            items.append(columns.astype(np.int32))
        counts = np.bincount(np.concatenate(users), minlength=log.n_users)
        pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(pointer, np.concatenate(items), len(known), listed)

    def excluded(self, users: Integers, n_items: int) -> NDArray[np.bool_]:
        """Return which items may not be listed for each user, shape (b, n_items)."""
        known = users < len(self.pointer) - 1
        out = np.zeros((len(users), n_items), dtype=np.bool_)
        out[known, : self.n_items] = self.listed_are_eligible
        for row in np.flatnonzero(known):
            part = slice(self.pointer[users[row]], self.pointer[users[row] + 1])
            out[row, self.items[part]] = not self.listed_are_eligible
        return out


def _on(log: InteractionLog, users: slice) -> NDArray[np.bool_]:
    found = log.eligible_block(users)
    assert found is not None  # asked before
    return found
