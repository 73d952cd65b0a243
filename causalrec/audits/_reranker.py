"""What every re-ranker does once its lists are made: recommend, and predict their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec import errors
from causalrec.errors import DataError, StudyError
from causalrec.evaluation import contenders
from causalrec.nuisances import Parameters

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Reranker(Parameters):
    """A recommender that orders another one's best items anew.

    Subclasses set `lists_` and `scores_` in `fit`: item codes and the model's scores, best first,
    (n_users, k), with -1 where a list is shorter.
    """

    model: Any
    k: int
    lists_: Codes
    scores_: FloatArray
    _log: InteractionLog

    def recommend(self, users: Sequence[Any] | None = None, k: int | None = None) -> pd.DataFrame:
        """Return the re-ranked lists.

        Parameters
        ----------
        users : sequence of ids, optional
            Default: every user of the log it was fitted on.
        k : int, optional
            At most the k it was fitted with, which is the default.

        Returns
        -------
        pandas.DataFrame
            Columns user_id, rank (from 1), item_id, score (the model's).
        """
        import pandas as pd

        log = self._fitted_log()
        wanted = self.k if k is None else k
        if not 1 <= wanted <= self.k:
            raise StudyError(
                f"k={k!r} of recommend must lie between 1 and {self.k}, the length of the lists"
                " that were made: fit with a larger k for longer ones."
            )
        codes = np.arange(log.n_users) if users is None else log.codes_of(users=users)
        listed = self.lists_[codes, :wanted]
        row, place = np.nonzero(listed >= 0)
        return pd.DataFrame(
            {
                "user_id": log.user_ids[codes[row]],
                "rank": place + 1,
                "item_id": log.item_ids[listed[row, place]],
                "score": self.scores_[codes, :wanted][row, place],
            }
        )

    def predict(self, users: Sequence[Any], items: Sequence[Any]) -> FloatArray:
        """Return numbers that rank as the lists do: k - place + 1, below 1 for what is not listed.

        Parameters
        ----------
        users, items : aligned sequences of ids, (n,)

        Returns
        -------
        float64 array (n,)
            Orders, not outcomes: for metrics of lists only. What is not listed keeps the model's
            order.
        """
        log = self._fitted_log()
        rows = log.codes_of(users=users).astype(np.int64)
        columns = log.codes_of(items=items).astype(np.int64)
        (contender,) = contenders(self.model)
        score = contender.predict(log, rows.astype(np.int32), columns.astype(np.int32))
        below = 0.5 + 0.5 * score / (1.0 + np.abs(score))
        listed_user, place = np.nonzero(self.lists_ >= 0)
        keys = listed_user * log.n_items + self.lists_[listed_user, place]
        order = np.argsort(keys)
        wanted = rows * log.n_items + columns
        at = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
        there = keys[order][at] == wanted
        return np.where(there, self.lists_.shape[1] - place[order][at], below)

    def _fitted_log(self) -> InteractionLog:
        if not hasattr(self, "lists_"):
            raise errors.NotFittedError.of(self)
        return self._log


def check_length(k: int) -> None:
    """Refuse lists without a place."""
    if k < 1:
        raise StudyError(f"k={k!r} must be at least 1: the length of the lists.")


def item_groups(log: InteractionLog, column: str) -> tuple[tuple[str, ...], Codes]:
    """Return the levels of a column of items, and the level of each item (-1 for none).

    Raises
    ------
    DataError
        If the column is not one of the item table.
    """
    import pandas as pd

    if log.entity_of(column) != "item":
        raise DataError(
            f"Column {column!r} is one of {log.entity_of(column)}s: a re-ranker moves items,"
            " so name a column of the item table."
        )
    names = log.items[column].astype("string")
    levels = sorted(names.dropna().unique())
    codes = pd.Categorical(names, categories=levels).codes
    return tuple(map(str, levels)), codes.astype(np.int64)
