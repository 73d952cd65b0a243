"""The log of a recommender: one class for its four kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from causalrec.errors import DataError
from causalrec.interactions._cells import ObservedCells, cell_keys, collect_cells
from causalrec.interactions._columns import WHAT_A_KIND_NEEDS, Columns, Kind, one_naming
from causalrec.interactions._content import ROW_ARRAYS, Content
from causalrec.interactions._describe import as_html, as_text, fingerprint
from causalrec.interactions._eligible import Eligibility
from causalrec.interactions._ids import codes_of_known
from causalrec.interactions._lookup import Entity, column_of, entity_of
from causalrec.interactions._normalise import normalise
from causalrec.interactions._split import SplitPart, split_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, init=False, eq=False, repr=False)
class InteractionLog(Content):
    """Who was shown what and what came of it, normalised once: nothing checks it again.

    A log is one of four kinds. *ratings*: rows are the observed cells of the users x items grid,
    the other eligible cells are missing. *candidates*: rows are eligible items, shown or not
    (`exposure`), with the outcome measured in both arms. *impressions*: rows were all shown, with
    slate, position and perhaps the logging propensity. *positives*: only clicks or plays.

    Parameters
    ----------
    events : table
        One row an event; a pandas, polars or pyarrow table. Ids of any hashable type.
    users, items : table, optional
        One row a user (item), keyed by the same column name as in the events. They may hold users
        and items without events. Missing values are allowed in them; `column` refuses to hand
        them out unless asked to.
    kind : {"ratings", "candidates", "impressions", "positives"}, optional
        Inferred when None: an exposure column makes candidates; a slate, position or logging
        propensity makes impressions; outcome=None makes positives; else ratings.
    user_id, item_id, outcome, exposure, position, slate, arm, logging_propensity, provider, \
    timestamp : str, optional
        Names of the columns: see `Columns`.
    randomized : str or bool, optional
        Column that is true for the rows of a randomised slice, or one value for all rows.
    eligible : str, bool array (n_users, n_items), or table of (user_id, item_id), optional
        Cells that could have been shown or rated; None: every cell. A name is a column of
        candidate events. Rows that are not eligible are set aside and counted in `notes`.
    outcome_range : (float, float), optional
        Smallest and largest possible outcome; the observed ones if None.
    columns : Columns, optional
        All names at once, instead of the keywords.

    Attributes
    ----------
    kind : str
        The kind of log.
    columns : Columns
        The original column names.
    n_rows, n_users, n_items : int
        Rows; users and items of the code spaces (those of the tables, where given).
    user_codes, item_codes : int32 arrays (n_rows,)
        Codes into `user_ids` and `item_ids`.
    user_ids, item_ids : pandas.Index
        Code -> id: in the order of the table if one was given, else sorted, else as they appear.
    outcome : float64 array (n_rows,) or None
        None for positives.
    exposure : int8 array (n_rows,) or None
        0/1; candidates only.
    position : int32 array (n_rows,) or None
        From 1; 0 for candidates that were not exposed.
    slate, arm : int32 arrays (n_rows,) or None
        Codes into `slate_ids`, `arm_ids`. A slate belongs to one user.
    logging_propensity : float64 array (n_rows,) or None
        In (0, 1]. Of the item that was shown (impressions), of being exposed (candidates).
    randomized : bool array (n_rows,) or None
        Rows of a uniform or randomised slice.
    provider : int32 array (n_items,) or None
        Provider of each *item*: codes into `provider_ids`.
    timestamp : datetime64[ns] array (n_rows,) or None
        In UTC.
    users, items, events : pandas.DataFrame
        Attributes, aligned with the codes (users, items) or the rows (the other event columns).
    outcome_range : (float, float)
        Declared (`outcome_range_declared`) or observed.
    part : SplitPart or None
        Which part of a split this is, and what that does to propensities.
    notes : tuple of str
        What was done to the data, with counts.
    n_set_aside : int
        Rows that were not eligible.

    Raises
    ------
    DataError
        For data that cannot be used; the message names the column, the count, up to five rows
        and the way out.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"user_id": ["b", "a", "b"], "item_id": [7, 7, 3], "rating": [4, 2, 5]}
    >>> log = InteractionLog(pd.DataFrame(rows), outcome_range=(1, 5))
    >>> log.kind, log.n_users, log.n_items, log.user_codes.tolist()
    ('ratings', 2, 2, [1, 0, 1])
    >>> log.observed_cells().outcome.tolist()
    [2.0, 5.0, 4.0]
    """

    def __init__(
        self,
        events: Any,
        users: Any = None,
        items: Any = None,
        kind: Kind | None = None,
        user_id: str = "user_id",
        item_id: str = "item_id",
        outcome: str | None = "rating",
        exposure: str | None = None,
        position: str | None = None,
        slate: str | None = None,
        arm: str | None = None,
        logging_propensity: str | None = None,
        randomized: str | bool | None = None,
        eligible: Any = None,
        provider: str | None = None,
        timestamp: str | None = None,
        outcome_range: tuple[float, float] | None = None,
        columns: Columns | None = None,
    ) -> None:
        keywords = Columns(
            user_id=user_id,
            item_id=item_id,
            outcome=outcome,
            exposure=exposure,
            position=position,
            slate=slate,
            arm=arm,
            logging_propensity=logging_propensity,
            randomized=randomized if isinstance(randomized, str) else None,
            eligible=eligible if isinstance(eligible, str) else None,
            provider=provider,
            timestamp=timestamp,
        )
        content = normalise(
            events,
            users,
            items,
            one_naming(columns, keywords),
            kind=kind,
            randomized=None if isinstance(randomized, str) else randomized,
            eligible=eligible,
            outcome_range=outcome_range,
        )
        self._fill(content)

    @property
    def users(self) -> pd.DataFrame:
        """Attributes of the users, indexed by id, in the order of the codes."""
        return self._users.copy(deep=False)

    @property
    def items(self) -> pd.DataFrame:
        """Attributes of the items, indexed by id, in the order of the codes."""
        return self._items.copy(deep=False)

    @property
    def events(self) -> pd.DataFrame:
        """The event columns that play no role, one row a row of the log."""
        return self._events.copy(deep=False)

    def require(self, *kinds: Kind, purpose: str) -> None:
        """Raise unless the log is of one of these kinds; say which columns would make it answer.

        Parameters
        ----------
        *kinds : str
            The kinds that can answer.
        purpose : str
            What is asked, as a noun phrase: "the effect of exposure".
        """
        if self.kind in kinds:
            return
        ways = "; or ".join(f"a log of {kind}: {WHAT_A_KIND_NEEDS[kind]}" for kind in kinds)
        raise DataError(f"A log of {self.kind} cannot answer: {purpose}. It takes {ways}.")

    def require_fields(self, *names: str, purpose: str) -> None:
        """Raise unless the log has these optional columns ("slate", "randomized", ...)."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            named = ", ".join(f"{name}=..." for name in missing)
            raise DataError(
                f"The log has no {' and no '.join(missing)}, which {purpose} needs."
                f" Name the column when the log is made: {named}."
            )

    def entity_of(self, name: str) -> Entity:
        """Return whether a column belongs to users, items or events ("user", "item", "event").

        Raises
        ------
        DataError
            If no table has it (with the near miss), or several have.
        """
        return entity_of(self, name)

    def column(self, name: str, missing: Literal["error", "keep"] = "error") -> pd.Series:
        """Return a column of the events, users or items, aligned with the rows.

        Parameters
        ----------
        name : str
            Its original name.
        missing : {"error", "keep"}
            What to do where it has missing values: refuse (the default, so that they cannot slip
            into an estimate), or hand them out as they are.

        Raises
        ------
        DataError
            If no table or several tables have it, or if values are missing.
        """
        return column_of(self, name, missing)

    def codes_of(self, users: Any = None, items: Any = None) -> NDArray[np.int32]:
        """Return the codes of users, or of items (one of the two).

        Parameters
        ----------
        users, items : sequence of ids
            The ids; any library's column, or a list.

        Raises
        ------
        DataError
            For ids that the log does not have.
        """
        if (users is None) == (items is None):
            raise DataError("codes_of takes users=... or items=..., one of them.")
        if users is not None:
            return codes_of_known(users, self.user_ids, "user")
        return codes_of_known(items, self.item_ids, "item")

    def select(self, mask: ArrayLike) -> Self:
        """Return the log of the rows where `mask` is true; ids, tables and codes stay the same.

        Parameters
        ----------
        mask : bool array (n_rows,)
            Rows to keep; at least one.
        """
        keep = np.asarray(mask)
        if keep.dtype != np.bool_ or keep.shape != (self.n_rows,):
            raise DataError(
                f"select takes a boolean array of {self.n_rows:,} rows;"
                f" this is {keep.dtype} with shape {keep.shape}."
            )
        if not keep.any():
            raise DataError(
                f"None of the {self.n_rows:,} rows is selected; a log needs at least one."
            )
        rows = {
            name: None if getattr(self, name) is None else getattr(self, name)[keep]
            for name in ROW_ARRAYS
        }
        return self._derive(**rows, _events=self._events.loc[keep].reset_index(drop=True))

    def with_note(self, note: str) -> Self:
        """Return the same log with a note that its summary and the reports repeat."""
        return self._derive(notes=(*self.notes, note))

    def with_attributes(
        self, users: Mapping[str, Any] | None = None, items: Mapping[str, Any] | None = None
    ) -> Self:
        """Return the same log with these columns (name to values in code order) in its tables."""
        return self._derive(
            _users=self._users.assign(**(users or {})), _items=self._items.assign(**(items or {}))
        )

    def randomized_part(self) -> Self:
        """Return the rows of the randomised slice."""
        return self._slice(randomized=True)

    def selected_part(self) -> Self:
        """Return the rows that are not of the randomised slice."""
        return self._slice(randomized=False)

    def _slice(self, *, randomized: bool) -> Self:
        self.require_fields("randomized", purpose="a randomised slice")
        keep = self.randomized == randomized
        if not np.any(keep):
            which = "randomised" if randomized else "selected (not randomised)"
            raise DataError(f"None of the log's {self.n_rows:,} rows is {which}.")
        return self.select(keep)

    def eligible_block(self, users: slice) -> NDArray[np.bool_] | None:
        """Return which cells of a slice of user codes are eligible: bool (b, n_items).

        None says that every cell is. The part of a split by user holds its users' cells only.
        """
        return None if self._eligible is None else self._eligible.block(users)

    def observed_cells(self) -> ObservedCells:
        """Return the cells whose outcome is recorded, one entry a cell, sorted by (user, item).

        Ratings and impressions: all rows; candidates: the exposed rows. The outcomes of several
        rows in a cell are averaged.
        """
        return self._observed_cells

    @cached_property
    def _observed_cells(self) -> ObservedCells:
        self.require("ratings", "candidates", "impressions", purpose="the outcome of a cell")
        outcome = self.outcome
        assert outcome is not None  # only positives have none, and they were just refused
        keys = cell_keys(self.user_codes, self.item_codes, self.n_items)
        rows = np.arange(self.n_rows, dtype=np.int64)
        if self.exposure is not None:
            rows = rows[self.exposure == 1]
        return collect_cells(keys[rows], outcome[rows], rows, self.n_items)

    def support(self, propensity: Any, floor: float = 1e-3) -> Any:
        """Return which cells have a propensity of at least `floor`: `propensity.support(log)`."""
        return propensity.support(self, floor)

    def split(
        self,
        by: Literal["cell", "user", "time"] = "cell",
        test_size: float = 0.2,
        random_state: int | None = 0,
    ) -> tuple[Self, Self]:
        """Split into a training and a test part, each of which knows what that does to p.

        Parameters
        ----------
        by : {"cell", "user", "time"}
            A random share of the cells with rows (all rows of a cell go together); of the users,
            with all their rows; or the latest share of the rows (equal times go together).
        test_size : float
            The test part's share, in (0, 1).
        random_state : int or None
            Seed; not used by time.

        Returns
        -------
        (InteractionLog, InteractionLog)
            Same ids, tables and codes. `part` says the rate: see `SplitPart`.

        Examples
        --------
        >>> import pandas as pd
        >>> events = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [1, 2, 1, 2, 1],
        ...                        "rating": [1, 2, 3, 4, 5]})
        >>> train, test = InteractionLog(events).split(test_size=0.4)
        >>> train.n_rows, test.n_rows, test.part.rate
        (3, 2, 0.4)
        """
        drawn = split_rows(self, by, test_size, random_state)
        train = self.select(~drawn.in_test)._as_part(drawn.train, drawn.users, held=False)
        return train, self.select(drawn.in_test)._as_part(drawn.test, drawn.users, held=True)

    def _as_part(self, part: SplitPart, users: NDArray[np.bool_] | None, *, held: bool) -> Self:
        if users is None:
            return self._derive(part=part)
        everybody = self._eligible or Eligibility(self.n_users, self.n_items)
        return self._derive(part=part, _eligible=everybody.of_users(users == held))

    def summary(self) -> str:
        """Return what the log holds, in lines of plain text."""
        return as_text(self)

    def fingerprint(self) -> str:
        """Return the sha256 of the normalised content: same data and names, same fingerprint."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self)

    def __repr__(self) -> str:
        return (
            f"<InteractionLog of {self.kind}: {self.n_rows:,} rows, {self.n_users:,} users,"
            f" {self.n_items:,} items>"
        )

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self)
