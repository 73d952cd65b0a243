"""What users are known to have met before: the training part, else the log itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """The recorded cells of a log, whatever their outcome, in the codes of another one.

    Attributes
    ----------
    users, items : int64 arrays (n,)
        Codes, each cell once, sorted by user.
    n_users, n_items : int
        Of the log whose codes they are.
    """

    users: IntArray
    items: IntArray
    n_users: int
    n_items: int

    @classmethod
    def of(cls, log: InteractionLog, train: InteractionLog | None) -> History:
        """Return the cells of `train` (of `log`, without one) in the codes of `log`."""
        past = log if train is None else train
        users, items = past.user_codes.astype(np.int64), past.item_codes.astype(np.int64)
        if past.exposure is not None:
            users, items = users[past.exposure == 1], items[past.exposure == 1]
        if not past.user_ids.equals(log.user_ids):
            users = log.codes_of(users=past.user_ids).astype(np.int64)[users]
        if not past.item_ids.equals(log.item_ids):
            items = log.codes_of(items=past.item_ids).astype(np.int64)[items]
        users, items = np.divmod(np.unique(users * log.n_items + items), log.n_items)
        return cls(users, items, log.n_users, log.n_items)

    @property
    def known_by(self) -> IntArray:
        """Users of each item, (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items)

    @property
    def n_with(self) -> int:
        """Users that have a history."""
        return len(np.unique(self.users))

    @property
    def keys(self) -> IntArray:
        """The cells as user code times number of items plus item code, sorted."""
        return self.users * self.n_items + self.items
