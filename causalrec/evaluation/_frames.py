"""Recommenders given as tables: a score for each pair, or the lists themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Keys = npt.NDArray[np.int64]

SHOWN = 5


@dataclass(frozen=True, eq=False)
class _Lookup:
    """The pairs of a table in the codes of a log, sorted, with their numbers."""

    user_ids: pd.Index
    item_ids: pd.Index
    keys: Keys
    values: FloatArray


@dataclass(frozen=True, eq=False)
class ModelTable:
    """A table with one row a (user, item) pair.

    Attributes
    ----------
    name : str
        Of the model, for errors.
    frame : pandas.DataFrame
    column : {"score", "rank"}
        Which of the two the table has.
    """

    name: str
    frame: pd.DataFrame
    column: Literal["score", "rank"]
    _found: list[_Lookup] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, name: str, table: object) -> ModelTable | None:
        """Read a pandas, polars or pyarrow table; None for anything else.

        Raises
        ------
        StudyError
            If the table has both "score" and "rank".
        DataError
            If it has neither, or no rows.
        """
        import narwhals as nw
        import pandas as pd

        if isinstance(table, Mapping):
            return None
        native: Any = nw.from_native(table, eager_only=True, pass_through=True)
        if not isinstance(native, nw.DataFrame):
            return None
        frame = pd.DataFrame({name: native[name].to_list() for name in native.columns})
        known = [column for column in ("score", "rank") if column in frame.columns]
        if len(known) == 2:
            raise StudyError(
                f"The table of {name!r} has a score and a rank: drop 'rank' to rank all pairs by"
                " their scores, or 'score' to take the lists as they are."
            )
        if not known:
            raise DataError.missing_column(
                "score", list(frame.columns), role="score (or rank)", table=f"{name!r}"
            )
        if not len(frame):
            raise DataError(f"The table of {name!r} has no rows.")
        return cls(name, frame, "score" if known == ["score"] else "rank")

    @property
    def lists_only(self) -> bool:
        """Whether it says what is listed, and nothing of the rest."""
        return self.column == "rank"

    def predict(self, log: InteractionLog, users: Codes, items: Codes) -> FloatArray:
        """Return the score of each pair; for lists 1 / rank, and 0 where a pair is not listed.

        Raises
        ------
        DataError
            If a score is missing, with the number of pairs and the first of them.
        """
        found = self._lookup(log)
        keys = users.astype(np.int64) * log.n_items + items
        at = np.minimum(np.searchsorted(found.keys, keys), len(found.keys) - 1)
        present = found.keys[at] == keys
        if self.lists_only:
            return np.where(present, 1.0 / found.values[at], 0.0)
        if not present.all():
            without = np.flatnonzero(~present)
            first = without[:SHOWN]
            shown = list(
                zip(log.user_ids.take(users[first]), log.item_ids.take(items[first]), strict=True)
            )
            raise DataError(
                f"The table of {self.name!r} has no score for {len(without):,} of {len(keys):,}"
                f" (user, item) pairs that are needed; the first: {shown}. A list metric ranks"
                " every eligible item of a user, an error by weights needs the recorded pairs, dr"
                " needs all. Add the scores, or give lists as a table with 'rank' instead."
            )
        return found.values[at]

    def notes(self, log: InteractionLog) -> list[str]:
        """Return what is said of users without a list."""
        if not self.lists_only:
            return []
        with_list = len(np.unique(self._lookup(log).keys // log.n_items))
        if with_list == log.n_users:
            return []
        return [
            f"{log.n_users - with_list:,} of {log.n_users:,} users have no list of {self.name!r}:"
            " nothing is listed for them."
        ]

    def _lookup(self, log: InteractionLog) -> _Lookup:
        """Return the pairs in the codes of a log, read once."""
        for known in self._found:
            if known.user_ids is log.user_ids and known.item_ids is log.item_ids:
                return known
        users = self._codes(log.user_ids, log.columns.user_id, "user_id")
        items = self._codes(log.item_ids, log.columns.item_id, "item_id")
        inside = (users >= 0) & (items >= 0)
        if self.lists_only and not inside.all():
            raise self._bad("rank", "stands beside an id that the log does not have", ~inside,
                            "List users and items of the log's tables.")  # fmt: skip
        if not inside.any():
            raise DataError(
                f"The table of {self.name!r} has no pair of a user and an item of the log: are the"
                " ids of the same type?"
            )
        values = self._numbers()
        keys = users * len(log.item_ids) + items
        self._refuse_twice(keys[inside], inside, "item_id", "occurs twice for a user")
        if self.lists_only:
            _, own = np.unique(users, return_inverse=True)
            places = own * (int(values.max()) + 1) + values.astype(np.int64)
            self._refuse_twice(places, inside, "rank", "occurs twice in the list of a user")
        order = np.argsort(keys[inside], kind="stable")
        found = _Lookup(log.user_ids, log.item_ids, keys[inside][order], values[inside][order])
        self._found[:] = [found]
        return found

    def _codes(self, known: pd.Index, name: str, usual: str) -> Keys:
        """Return the code of each id, -1 where the log does not have it."""
        import pandas as pd

        column = name if name in self.frame.columns else usual
        if column not in self.frame.columns:
            raise DataError.missing_column(
                name, list(self.frame.columns), role=usual, table=f"{self.name!r}"
            )
        return np.asarray(known.get_indexer(pd.Index(self.frame[column])), dtype=np.int64)

    def _numbers(self) -> FloatArray:
        import pandas as pd

        column = pd.to_numeric(self.frame[self.column], errors="coerce")
        number = column.to_numpy(dtype=np.float64)
        wrong = ~np.isfinite(number)
        if self.lists_only:
            wrong |= (number < 1) | (number != np.floor(number))
        if wrong.any():
            problem = "is no place of a list" if self.lists_only else "is not a finite number"
            way_out = (
                "Ranks are whole numbers from 1: add 1 to ranks that begin at 0."
                if self.lists_only
                else "Give every pair a score, or leave the pair out."
            )
            raise self._bad(self.column, problem, wrong, way_out)
        return number

    def _refuse_twice(
        self, values: Keys, rows: npt.NDArray[np.bool_], column: str, problem: str
    ) -> None:
        import pandas as pd

        twice = np.zeros(len(self.frame), dtype=bool)
        twice[rows] = pd.Series(values).duplicated().to_numpy()
        if twice.any():
            raise self._bad(column, problem, twice, "Drop the repeats.")

    def _bad(
        self, column: str, problem: str, wrong: npt.NDArray[np.bool_], way_out: str
    ) -> DataError:
        return DataError.bad_rows(
            column,
            problem,
            count=int(wrong.sum()),
            total=len(self.frame),
            rows=self.frame.loc[wrong],
            way_out=way_out,
        )
