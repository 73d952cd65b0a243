"""Folds of users inside one propensity: each user predicted by a model that has not seen him."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._backends import Backend

Floats = NDArray[np.float64]

USER_FOLDS = 5


def deal_users(inside: NDArray[np.bool_], random_state: int | None) -> NDArray[np.int64]:
    """Deal users into folds of equal size, at random; -1 for those who are not inside.

    Examples
    --------
    >>> sorted(deal_users(np.array([True] * 5 + [False]), 0).tolist())
    [-1, 0, 1, 2, 3, 4]
    """
    found = np.full(len(inside), -1, dtype=np.int64)
    order = np.random.default_rng(random_state).permutation(int(inside.sum()))
    found[inside] = order % USER_FOLDS
    return found


@dataclass(frozen=True)
class FoldedUsers:
    """One backend a fold of users; users whom no fold holds get the mean of all models.

    Attributes
    ----------
    models : tuple of Backend
    fold : int64 (n_users,)
    user_ids : pandas.Index (n_users,)
        Of the codes of `fold`: rows of another log are matched by them.
    """

    models: tuple[Backend, ...]
    fold: NDArray[np.int64]
    user_ids: pd.Index

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        number = self.fold[users]
        out = np.zeros(len(number))
        for at, model in enumerate(self.models):
            for mine, share in ((number == at, 1.0), (number < 0, 1.0 / len(self.models))):
                if mine.any():  # scikit-learn refuses to predict nothing
                    out[mine] += share * model.codes(users[mine], items[mine])
        return out

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        return self._choose([model.block(users) for model in self.models], self.fold[users])

    def rows(self, log: InteractionLog) -> Floats | None:
        """Return P of the rows of a log, or None where P is a function of the cell."""
        found = [model.rows(log) for model in self.models]
        by_row = [p for p in found if p is not None]
        if len(by_row) < len(self.models):
            return None
        at = self.user_ids.get_indexer(log.user_ids)[log.user_codes]
        return self._choose(by_row, np.where(at < 0, -1, self.fold[at]))

    def _choose(self, found: list[Floats], number: NDArray[np.int64]) -> Floats:
        out = np.mean(found, axis=0)
        for at, p in enumerate(found):
            out[number == at] = p[number == at]
        return np.asarray(out)
