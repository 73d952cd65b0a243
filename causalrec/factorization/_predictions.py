"""What a fitted factorisation answers: its arrays, predictions and top-k lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec import errors
from causalrec.errors import DataError, check_whole_number
from causalrec.factorization._common import Floats, Integers, dot_rows
from causalrec.factorization._ranking import ranked_blocks
from causalrec.factorization._state import State, codes_of

if TYPE_CHECKING:
    import pandas as pd

Bools = NDArray[np.bool_]

UNKNOWN_USER = (
    "Users without events are predicted from the log's user table; users who came later are"
    " folded in: model.fold_in(log_of_their_events)."
)
UNKNOWN_ITEM = "Fit on a log whose items table has every item that is to be scored."


class Predictions:
    """The part of `DebiasedMF` that needs a fitted state and no options but `clip_to_range`."""

    clip_to_range: bool
    _state: State

    @property
    def _fitted(self) -> State:
        if not hasattr(self, "_state"):
            raise errors.NotFittedError.of(self)
        return self._state

    @property
    def user_factors_(self) -> Floats:
        """U, shape (n_users, k)."""
        return self._fitted.factors.user_factors

    @property
    def item_factors_(self) -> Floats:
        """V, shape (n_items, k)."""
        return self._fitted.factors.item_factors

    @property
    def user_biases_(self) -> Floats:
        """User biases a, shape (n_users,)."""
        return self._fitted.factors.user_biases

    @property
    def item_biases_(self) -> Floats:
        """Item biases b, shape (n_items,)."""
        return self._fitted.factors.item_biases

    @property
    def intercept_(self) -> float:
        """The intercept mu (of what the features leave, where there are features)."""
        return self._fitted.factors.intercept

    @property
    def user_ids_(self) -> pd.Index:
        """Ids of the users, by code."""
        return self._fitted.user_ids

    @property
    def item_ids_(self) -> pd.Index:
        """Ids of the items, by code."""
        return self._fitted.item_ids

    def factors(self) -> tuple[Floats, Floats]:
        """Return (A, B) with f = A B' on every cell: factors, biases and features in one."""
        return self._fitted.low_rank

    # ------------------------------------------------------------------ predictions

    def predict(self, users: Sequence[Any] | pd.Index, items: Sequence[Any] | pd.Index) -> Floats:
        """Return the predicted outcome of aligned pairs of ids.

        Parameters
        ----------
        users, items : sequence of ids, length n
            Users and items of the fitted log's tables, with or without events.

        Returns
        -------
        float array, shape (n,)

        Raises
        ------
        DataError
            If an id is unknown, or the lengths differ.
        """
        state = self._fitted
        if len(users) != len(items):
            raise DataError(
                f"predict takes aligned pairs: {len(users):,} users and {len(items):,} items were"
                " given. Repeat the user for each of its items, or use recommend."
            )
        return self.predict_codes(
            codes_of(state.user_ids, users, "user", UNKNOWN_USER),
            codes_of(state.item_ids, items, "item", UNKNOWN_ITEM),
        )

    def predict_codes(self, user_codes: Integers, item_codes: Integers) -> Floats:
        """Return the prediction of aligned pairs of integer codes, shape (n,)."""
        left, right = self._fitted.low_rank
        return self._cut(dot_rows(left, right, np.asarray(user_codes), np.asarray(item_codes)))

    def predict_block(self, users: slice) -> Floats:
        """Return the prediction of a slice of user codes and every item, shape (b, n_items)."""
        return self._cut(self._fitted.block(users))

    def seen(self, users: Sequence[Any] | pd.Index, items: Sequence[Any] | pd.Index) -> Bools:
        """Return which aligned (user id, item id) pairs the model was trained on, shape (n,).

        A pair with an unknown id was not.
        """
        import pandas as pd

        state = self._fitted
        user_codes, item_codes = (
            known.get_indexer(pd.Index(ids, tupleize_cols=False))
            for known, ids in ((state.user_ids, users), (state.item_ids, items))
        )
        counts = np.diff(state.seen_pointer)
        width = len(state.item_ids)
        trained = np.repeat(np.arange(len(counts)), counts) * width + state.seen_items
        asked = np.where((user_codes < 0) | (item_codes < 0), -1, user_codes * width + item_codes)
        return np.isin(asked, trained)

    def _cut(self, values: Floats) -> Floats:
        return values.clip(*self._fitted.outcome_range) if self.clip_to_range else values

    def recommend(
        self,
        users: Sequence[Any] | pd.Index | None = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        eligible_only: bool = True,
    ) -> pd.DataFrame:
        """Return the k items with the highest prediction for each user.

        Parameters
        ----------
        users : sequence of ids, optional
            Default: every user.
        k : int
        exclude_seen : bool, default True
            Leave out items that the user has an outcome for.
        eligible_only : bool, default True
            Leave out cells that the log declared not eligible, where it declared any.

        Returns
        -------
        pandas.DataFrame
            Columns user_id, rank (from 1), item_id, score; fewer than k rows for a user who has
            fewer items left. Ties go to the item that comes first in `item_ids_`.
        """
        import pandas as pd

        check_whole_number("k", k, least=1)
        state = self._fitted
        codes: Integers = np.arange(len(state.user_ids))
        if users is not None:
            codes = codes_of(state.user_ids, users, "user", UNKNOWN_USER)
        ranked = ranked_blocks(
            state, codes, k, exclude_seen=exclude_seen, eligible_only=eligible_only
        )
        blocks = list(ranked)
        columns = [np.concatenate([b[j] for b in blocks] or [np.zeros(0, int)]) for j in range(4)]
        return pd.DataFrame(
            {
                "user_id": state.user_ids[columns[0]],
                "rank": columns[1],
                "item_id": state.item_ids[columns[2]],
                "score": columns[3],
            }
        )
