"""`KnownPropensity`: propensities that were given, not estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.errors import DataError
from causalrec.nuisances._base import Floats, Of, Propensity
from causalrec.nuisances._clipping import Clipping

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog


class KnownPropensity(Propensity):
    """Propensities given by a logging policy, a data set, or another estimator.

    Parameters
    ----------
    values : array (n_users, n_items), array (n_rows,), str or float
        A value a cell in table order, a value a row of the log, the name of a column of the log
        (events, users or items), or one constant. In [0, 1]; a zero says "could never be shown"
        and must not belong to something that was.
    of : {"observed", "exposure"}, optional
        What it is the probability of. Default: what the log it is used with asks for.
    sampling_rate : float, default 1
        The share of observed cells that the log it speaks of holds, if it was estimated on a part
        of a split.
    clip : float, optional
        Smallest propensity, as in `PropensityModel`.
    covariates : sequence of str
        Columns it was made from, if that is known.
    note : str
        Where it comes from, in a sentence.
    log : InteractionLog, optional
        The log that values by row belong to: parts of it (splits, selections) then find theirs by
        user and item. `resolve_propensity` binds an array to its log.

    Raises
    ------
    DataError
        If a value lies outside [0, 1] or is missing.

    Examples
    --------
    >>> known = KnownPropensity([[0.5, 0.1], [0.2, 1.0]])
    >>> known.predict_codes([0, 1], [1, 1]).tolist()
    [0.1, 1.0]
    """

    user_ids_ = None
    item_ids_ = None

    def __init__(
        self,
        values: ArrayLike | str,
        of: Of | None = None,
        *,
        sampling_rate: float = 1.0,
        clip: float | None = None,
        covariates: tuple[str, ...] = (),
        note: str = "",
        log: InteractionLog | None = None,
    ) -> None:
        self.column_: str | None = values if isinstance(values, str) else None
        self.values_: Floats | None = None
        if not isinstance(values, str):
            self.values_ = np.array(values, dtype=np.float64)
            if self.values_.ndim > 2:
                raise DataError(
                    f"Propensities have {self.values_.ndim} dimensions; give (n_users, n_items),"
                    " one value a row, a column's name or one constant."
                )
            check_values(self.values_, "propensity")
        self.declared_of_ = of
        self.of_ = of or "observed"
        self.sampling_rate_ = sampling_rate
        self.covariates_ = tuple(covariates)
        self.notes_ = (note or self._default_note(),)
        self._rows: CellValues | None = None
        self._log = log
        if log is not None and self.values_ is not None and self.values_.ndim == 1:
            self._rows = CellValues.of(log, self._one_a_row(self.values_, log))
            self.user_ids_, self.item_ids_ = log.user_ids, log.item_ids
        self._clipping = Clipping.of(clip)
        self.clip = clip
        self.n_clipped_, self.share_clipped_ = 0, 0.0
        if self.values_ is not None:
            self.n_clipped_ = self._clipping.count(self.values_, self.of_)
            self.share_clipped_ = self.n_clipped_ / self.values_.size

    def _default_note(self) -> str:
        if self.column_ is not None:
            return f"The propensities were given, in column {self.column_!r}."
        return "The propensities were given."

    @property
    def by_row(self) -> bool:
        """Whether the values belong to rows (an array (n_rows,) or a column) and not to cells."""
        return self.column_ is not None or (self.values_ is not None and self.values_.ndim == 1)

    @property
    def bound(self) -> bool:
        """Whether values by row know the cells that they belong to."""
        return self._rows is not None

    def speaking_of(self, of: Of) -> KnownPropensity:
        """Return the same propensities, said to be of what a log asks for, unless declared."""
        if self.declared_of_ is not None or self.of_ == of:
            return self
        values = self.column_ if self.column_ is not None else self.values_
        assert values is not None  # one of the two was given
        return KnownPropensity(
            values, of, sampling_rate=self.sampling_rate_, clip=self.clip,
            covariates=self.covariates_, note=self.notes_[0], log=self._log,
        )  # fmt: skip

    def of_rows(self, kept: NDArray[np.bool_], log: InteractionLog) -> KnownPropensity:
        """Return the values of some rows of a log; the same where they are not one a row.

        Parameters
        ----------
        kept : bool (n_rows,)
        log : InteractionLog
            The log whose rows they are.
        """
        values = self.values_
        if values is None or values.ndim != 1 or self._log is not None:
            return self
        return KnownPropensity(
            self._one_a_row(values, log)[kept], self.declared_of_, clip=self.clip,
            sampling_rate=self.sampling_rate_, covariates=self.covariates_, note=self.notes_[0],
        )  # fmt: skip

    def predict_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        """Return P of aligned cells by integer codes; float64."""
        if self._rows is not None:
            return self._clipping.apply(self._rows.at(user_codes, item_codes), self.of_)
        values = self._cells()
        if values.ndim == 0:
            return self._clipping.apply(np.full(np.shape(user_codes), float(values)), self.of_)
        return self._clipping.apply(values[user_codes, item_codes], self.of_)

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items, (b, n_items)."""
        values = self._cells()
        if values.ndim == 0:
            raise DataError(
                "A constant propensity does not know the size of the grid; ask through the log"
                " (grid_propensity)."
            )
        return self._clipping.apply(values[users], self.of_)

    def for_rows(self, log: InteractionLog) -> Floats:
        """Return P of each row of a log, float64 (n_rows,).

        Raises
        ------
        DataError
            If the values were given for another number of rows or another grid.
        """
        if self.column_ is not None:
            return self._clipping.apply(column_values(log, self.column_), self.of_)
        values = self.values_
        assert values is not None  # not a column, so an array
        if values.ndim == 1:
            if self._rows is not None and log is not self._log:
                users, items = self.aligned(log)
                return self.predict_codes(
                    log.user_codes if users is None else users[log.user_codes],
                    log.item_codes if items is None else items[log.item_codes],
                )
            return self._clipping.apply(self._one_a_row(values, log), self.of_)
        self.check_grid(log)
        return self.predict_codes(log.user_codes, log.item_codes)

    @staticmethod
    def _one_a_row(values: Floats, log: InteractionLog) -> Floats:
        if len(values) != log.n_rows:
            raise DataError(
                f"{len(values):,} propensities were given, one a row, but this log has"
                f" {log.n_rows:,} rows. Put them in a column of the events and pass its name: it"
                " then follows the rows through splits and selections."
            )
        return values

    def check_grid(self, log: InteractionLog) -> None:
        """Refuse a log whose grid has another shape than the values."""
        values = self.values_
        if values is not None and values.ndim == 2 and values.shape != (log.n_users, log.n_items):
            raise DataError(
                f"The propensities have shape {values.shape}, but the log has {log.n_users:,}"
                f" users and {log.n_items:,} items. Give one row a user and one column an item,"
                " in the order of log.user_ids and log.item_ids."
            )

    def _cells(self) -> Floats:
        if self.values_ is None or self.values_.ndim == 1:
            raise DataError(
                "These propensities were given for rows, so a (user, item) pair outside the log"
                " has none. Give an array (n_users, n_items), or estimate them (PropensityModel)."
            )
        return self.values_


@dataclass(frozen=True)
class CellValues:
    """One value for each cell that a log has rows in; several rows of a cell are averaged."""

    keys: NDArray[np.int64]
    values: Floats
    n_items: int

    @classmethod
    def of(cls, log: InteractionLog, values: Floats) -> CellValues:
        """Collect the values of a log's rows."""
        key = log.user_codes.astype(np.int64) * log.n_items + log.item_codes
        cells, number = np.unique(key, return_inverse=True)
        mean = np.bincount(number, weights=values) / np.bincount(number)
        return cls(cells, mean, log.n_items)

    def at(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return the values of aligned cells, refusing those without rows."""
        asked = np.asarray(users).astype(np.int64) * self.n_items + np.asarray(items)
        at = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        absent = self.keys[at] != asked
        if absent.any():
            raise DataError(
                f"{int(absent.sum()):,} of {len(asked):,} cells have no row in the log, and the"
                " propensity was given row by row. Give an array (n_users, n_items), or estimate"
                " it (PropensityModel)."
            )
        return np.asarray(self.values[at])


def column_values(log: InteractionLog, column: str) -> Floats:
    """Return a column of propensities, checked."""
    if column == log.columns.logging_propensity and log.logging_propensity is not None:
        return np.asarray(log.logging_propensity, dtype=np.float64)
    values: pd.Series = log.column(column)
    try:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(
            f"Column {column!r} was named as the propensity, but it does not hold numbers"
            f" (dtype {values.dtype})."
        ) from None
    check_values(numbers, column)
    return numbers


def check_values(values: Floats, column: str) -> None:
    """Refuse propensities outside [0, 1], or missing."""
    wrong = ~((values >= 0.0) & (values <= 1.0))
    if wrong.any():
        flat = np.atleast_1d(values).ravel()
        where = np.flatnonzero(np.atleast_1d(wrong).ravel())
        raise DataError.bad_rows(
            column,
            "is not a probability in [0, 1]",
            count=len(where),
            total=flat.size,
            rows=[f"position {at}: {flat[at]!r}" for at in where[:5]],
            way_out="Propensities are probabilities, not inverse weights or scores.",
        )
