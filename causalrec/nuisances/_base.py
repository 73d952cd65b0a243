"""What every propensity can do, whether given, counted or fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._by_rating import RatingSlice
    from causalrec.nuisances._support import Support
    from causalrec.results import Result

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Of = Literal["observed", "exposure"]


def subject_of(log: InteractionLog) -> Of:
    """Return what a propensity of this log is the probability of.

    Rating logs and positives: that the cell is "observed"; candidates and impressions: "exposure".
    """
    return "observed" if log.kind in {"ratings", "positives"} else "exposure"


def sampling_rate(log: InteractionLog) -> float:
    """Return the share of the original observed cells that this part of a split holds.

    Only where rows *are* the observed cells does a random split thin the propensity (the part
    knows). The rows of candidates are eligible cells, shown or not: a split leaves P(shown | row)
    as it was.
    """
    return 1.0 if log.part is None else float(log.part.rate)


class Propensity(ABC):
    """P(observed) or P(exposed) of cells and of rows.

    Attributes
    ----------
    of_ : "observed" or "exposure"
    sampling_rate_ : float
        The share of observed cells that the log it speaks of holds (1.0 for a whole log); the
        module functions rescale by it.
    share_clipped_ : float
        Share of what it was fitted on (cells or rows) whose propensity was clipped.
    covariates_ : tuple of str
        Columns that it depends on; empty where it was given.
    notes_ : tuple of str
        How it was made, and what to know about it.
    depends_on_outcome : bool
        Whether P is a function of the outcome too, so that only recorded cells have one.
    rating_slice : RatingSlice or None
        The randomised ratings that P(observed | rating) was learned from, whose error intervals
        include.
    """

    depends_on_outcome: bool = False
    rating_slice: RatingSlice | None = None
    of_: Of
    sampling_rate_: float
    share_clipped_: float
    covariates_: tuple[str, ...]
    notes_: tuple[str, ...]
    user_ids_: pd.Index | None
    item_ids_: pd.Index | None

    @abstractmethod
    def predict_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        """Return P of aligned cells, by integer codes; float64 in (0, 1]."""

    @abstractmethod
    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items, float64 (b, n_items)."""

    @abstractmethod
    def for_rows(self, log: InteractionLog) -> Floats:
        """Return P of each row of a log, float64 (n_rows,)."""

    def of_cells(
        self, log: InteractionLog, user_codes: NDArray[Any], item_codes: NDArray[Any]
    ) -> Floats:
        """Return P of aligned cells, by the integer codes of a log; float64.

        Where P depends on the outcome, it is that of the outcome which the log records.
        """
        to_user, to_item = self.aligned(log)
        users, items = np.asarray(user_codes), np.asarray(item_codes)
        return self.predict_codes(
            users if to_user is None else to_user[users],
            items if to_item is None else to_item[items],
        )

    def predict_propensity(self, users: Sequence[Any], items: Sequence[Any]) -> Floats:
        """Return P of aligned (user id, item id) pairs, float64.

        Raises
        ------
        DataError
            If an id is unknown, or the propensity is not a function of user and item alone.
        """
        if self.user_ids_ is None or self.item_ids_ is None:
            raise DataError(
                "This propensity knows no ids: it was given as an array. Ask by codes"
                " (predict_codes), or through the log it belongs to (for_rows)."
            )
        return self.predict_codes(
            known_codes(self.user_ids_, pd.Index(users), "user"),
            known_codes(self.item_ids_, pd.Index(items), "item"),
        )

    def support(self, log: InteractionLog, floor: float = 1e-3) -> Support:
        """Return which eligible cells have a propensity above a floor; see `support`."""
        from causalrec.nuisances._support import support

        return support(self, log, floor)

    def diagnostics(self, log: InteractionLog, by: str | None = None) -> Result:
        """Return overlap, balance, calibration, weights and support as a result."""
        from causalrec.nuisances._report import propensity_result

        return propensity_result(self, log, by)

    def aligned(self, log: InteractionLog) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """Return maps from the codes of a log to the codes of this propensity (None: the same)."""
        return (
            code_map(log.user_ids, self.user_ids_, "user"),
            code_map(log.item_ids, self.item_ids_, "item"),
        )


def code_map(asked: pd.Index, known: pd.Index | None, what: str) -> NDArray[Any] | None:
    """Return the known code of each asked id, or None where both code spaces are the same."""
    if known is None or asked is known or asked.equals(known):
        return None
    return known_codes(known, asked, what)


def known_codes(known: pd.Index, asked: pd.Index, what: str) -> NDArray[Any]:
    """Return the codes of ids, refusing the unknown ones."""
    codes = known.get_indexer(asked)
    unknown = codes < 0
    if unknown.any():
        raise DataError.bad_rows(
            f"{what}_id",
            f"holds {what}s that the propensity was not fitted on",
            count=int(unknown.sum()),
            total=len(asked),
            rows=asked[unknown].tolist(),
            way_out="Fit the propensity on a log that has them in its tables.",
        )
    return np.asarray(codes)
