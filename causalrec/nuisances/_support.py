"""Which cells (or rows) the data speak of: eligible, and with a propensity above a floor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.nuisances._base import Floats, Propensity
from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._resolve import grid_propensity, row_propensity

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Support:
    """The supported part of a population, decided once and shared by every estimator.

    *Eligible* could have been shown; *supported* is eligible with a propensity of at least the
    floor (for exposures: and at most 1 - floor, so that both arms exist). What is not eligible
    is a structural zero, neither supported nor unsupported. Never-observed profiles, to which a
    `PropensityModel` gives no propensity at all, are unsupported whatever the floor.

    Attributes
    ----------
    floor : float
    unit : "cells" or "rows"
        Cells of the grid (ratings), or rows of the log (candidates, impressions).
    n_eligible, n_supported : int
    share_unsupported : float
        Of the eligible ones.
    hash : str
        sha256 of the mask and the floor: two results with one hash speak of the same population.
    """

    floor: float
    unit: str
    n_eligible: int
    n_supported: int
    hash: str
    _log: InteractionLog = field(repr=False, compare=False)
    _packed: NDArray[np.uint8] = field(repr=False, compare=False)

    @property
    def share_unsupported(self) -> float:
        """Share of the eligible cells (rows) that are not supported."""
        return 1.0 - self.n_supported / max(self.n_eligible, 1)

    def block(self, users: slice) -> Bools:
        """Return the supported cells of a block of users, bool (b, n_items)."""
        if self.unit != "cells":
            raise DataError("The support of this log is a matter of rows: use .rows().")
        return np.unpackbits(self._packed[users], axis=1, count=self._log.n_items).astype(bool)

    def rows(self, log: InteractionLog | None = None) -> Bools:
        """Return which rows of the log are supported, bool (n_rows,).

        Parameters
        ----------
        log : InteractionLog, optional
            Another part of the same grid (cells); default: the log it was decided on.
        """
        asked = self._log if log is None else log
        if self.unit == "rows":
            if asked is not self._log:
                raise DataError(
                    "The support of rows belongs to the log it was decided on; decide it again"
                    " for this one."
                )
            return np.unpackbits(self._packed[0], count=asked.n_rows).astype(bool)
        return self.cells(asked.user_codes, asked.item_codes)

    def cells(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Bools:
        """Return whether aligned cells are supported, bool."""
        if self.unit != "cells":
            raise DataError("The support of this log is a matter of rows: use .rows().")
        users, items = np.asarray(user_codes), np.asarray(item_codes)
        return np.asarray((self._packed[users, items >> 3] >> (7 - (items & 7))) & 1, dtype=bool)

    def restricted(
        self, users: NDArray[np.bool_] | None = None, items: NDArray[np.bool_] | None = None
    ) -> Support:
        """Return the support within some users and some items, such as those common to groups.

        Parameters
        ----------
        users, items : bool arrays (n_users,), (n_items,), optional
            Which of them stay; None for all. `n_eligible` is left as it was.
        """
        log = self._log
        kept_users = np.ones(log.n_users, dtype=bool) if users is None else np.asarray(users)
        kept_items = np.ones(log.n_items, dtype=bool) if items is None else np.asarray(items)
        if self.unit == "rows":
            inside = self.rows() & kept_users[log.user_codes] & kept_items[log.item_codes]
            packed = np.packbits(inside)[None, :]
        else:
            packed = self._packed & np.packbits(kept_items)[None, :]
            packed = np.where(kept_users[:, None], packed, np.uint8(0))
        count = int(np.bitwise_count(packed).sum())
        return replace(self, n_supported=count, hash=_digest(packed, self.floor), _packed=packed)

    def counts_of(self, column: str, level: str) -> tuple[Floats, Floats]:
        """Return eligible and supported cells of one group with each member of the other side.

        Parameters
        ----------
        column : str
            A column of users (then the counts are by item) or of items (by user).
        level : str

        Returns
        -------
        (float64 array, float64 array)
        """
        log = self._log
        of_user = log.entity_of(column) == "user"
        frame = log.users if of_user else log.items
        member = (frame[column].astype("string") == level).fillna(False).to_numpy(dtype=bool)
        size = log.n_items if of_user else log.n_users
        if self.unit == "rows":
            own, other = log.user_codes, log.item_codes
            own, other = (own, other) if of_user else (other, own)
            held = member[own]
            inside = held & self.rows()
            counts = (np.bincount(other[kept], minlength=size) for kept in (held, inside))
            eligible, supported = (found.astype(np.float64) for found in counts)
            return eligible, supported
        eligible, supported = np.zeros(size), np.zeros(size)
        for users in blocks(log.n_users, log.n_items):
            inside = self.block(users)
            allowed = log.eligible_block(users)
            allowed = np.ones_like(inside) if allowed is None else allowed
            if of_user:
                eligible += member[users] @ allowed.astype(np.float64)
                supported += member[users] @ inside.astype(np.float64)
            else:
                eligible[users] = allowed @ member.astype(np.float64)
                supported[users] = inside @ member.astype(np.float64)
        return eligible, supported

    def share_by(self, column: str) -> dict[str, float]:
        """Return the share of unsupported eligible cells (rows) in each level of a column.

        Parameters
        ----------
        column : str
            A column of users or items; for rows, of events too.
        """
        log = self._log
        if self.unit == "rows":
            levels = log.column(column).astype(str).to_numpy()
            return _shares(levels, np.ones(log.n_rows), self.rows().astype(np.float64))
        entity = log.entity_of(column)
        if entity == "event":
            raise DataError(
                f"Column {column!r} belongs to events: unobserved cells have none. Choose a"
                " column of users or items."
            )
        side = 1 if entity == "user" else 0
        frame = log.users if entity == "user" else log.items
        eligible, supported = self._totals(side)
        return _shares(frame[column].astype(str).to_numpy(), eligible, supported)

    def _totals(self, axis: int) -> tuple[Floats, Floats]:
        """Eligible and supported cells of each user (axis 1) or item (axis 0)."""
        log = self._log
        size = log.n_users if axis == 1 else log.n_items
        eligible, supported = np.zeros(size), np.zeros(size)
        for users in blocks(log.n_users, log.n_items):
            inside = self.block(users)
            allowed = log.eligible_block(users)
            allowed = np.ones_like(inside) if allowed is None else allowed
            if axis == 1:
                eligible[users], supported[users] = allowed.sum(axis=1), inside.sum(axis=1)
            else:
                eligible, supported = eligible + allowed.sum(axis=0), supported + inside.sum(axis=0)
        return eligible, supported


def _shares(levels: NDArray[Any], eligible: Floats, supported: Floats) -> dict[str, float]:
    totals = pd.DataFrame({"eligible": eligible, "supported": supported}).groupby(levels).sum()
    share = 1.0 - totals["supported"] / totals["eligible"].clip(lower=1.0)
    return {str(level): float(value) for level, value in share.items()}


def support(
    propensity: Propensity,
    log: InteractionLog,
    floor: float = 1e-3,
    *,
    both_arms: bool | None = None,
) -> Support:
    """Decide which eligible cells (ratings) or rows (candidates, impressions) are supported.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
        The floor holds for its part of a split: propensities are rescaled first.
    floor : float
        Smallest propensity that counts as overlap; in (0, 0.5).
    both_arms : bool, optional
        Also ask for 1 - p >= floor. Default: on candidates, whose questions compare two arms.

    Returns
    -------
    Support

    Examples
    --------
    >>> import pandas as pd
    >>> from causalrec import InteractionLog, KnownPropensity
    >>> ratings = pd.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"], "rating": [5, 3]})
    >>> log = InteractionLog(ratings)
    >>> found = support(KnownPropensity([[0.5, 0.0], [0.1, 0.5]]), log)
    >>> found.block(slice(0, 2)).tolist(), found.share_unsupported
    ([[True, False], [True, True]], 0.25)
    """
    if not 0.0 < floor < 0.5:
        raise StudyError(f"floor must lie between 0 and 0.5, not {floor!r}.")
    two_sided = log.kind == "candidates" if both_arms is None else both_arms
    if log.kind in {"candidates", "impressions"}:
        inside = _inside(row_propensity(propensity, log), floor, two_sided)
        packed = np.packbits(inside)[None, :]
        counts = (log.n_rows, int(inside.sum()))
        return Support(floor, "rows", *counts, _digest(packed, floor), log, packed)
    eligible, supported, lines = 0, 0, []
    for users in blocks(log.n_users, log.n_items):
        inside = _inside(grid_propensity(propensity, log, users), floor, two_sided)
        allowed = log.eligible_block(users)
        eligible += inside.size if allowed is None else int(allowed.sum())
        inside = inside if allowed is None else inside & allowed
        supported += int(inside.sum())
        lines.append(np.packbits(inside, axis=1))
    packed = np.vstack(lines)
    return Support(floor, "cells", eligible, supported, _digest(packed, floor), log, packed)


def _inside(p: Floats, floor: float, two_sided: bool) -> Bools:
    inside = p >= floor
    return np.asarray(inside & (p <= 1.0 - floor) if two_sided else inside)


def _digest(packed: NDArray[np.uint8], floor: float) -> str:
    return hashlib.sha256(f"{floor!r} {packed.shape}".encode() + packed.tobytes()).hexdigest()
