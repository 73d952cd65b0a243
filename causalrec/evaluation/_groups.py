"""Groups of cells by columns of the user and item tables; everybody is the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalrec.errors import DataError

if TYPE_CHECKING:
    from causalrec.evaluation._cells import CellBlock
    from causalrec.interactions import InteractionLog

BoolArray = npt.NDArray[np.bool_]
MOST_LEVELS = 50
MOST_NUMBERS = 10


@dataclass(frozen=True, eq=False)
class Group:
    """Cells whose user (or item) has one level of one attribute.

    Attributes
    ----------
    label : str
        "genre=jazz"; "" for everybody.
    levels : mapping of str to str
        Attribute -> level, as results carry it.
    users, items : bool array or None
        Members by code; None for all.
    """

    label: str = ""
    levels: Mapping[str, str] = field(default_factory=dict)
    users: BoolArray | None = None
    items: BoolArray | None = None

    def holds(self, block: CellBlock) -> BoolArray | None:
        """Return which cells of the block are in the group; None for all of them."""
        if self.users is not None:
            return self.users[block.users]
        if self.items is not None:
            return self.items[block.items]
        return None


EVERYBODY = Group()


def as_columns(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns asked for, in order."""
    if by is None:
        return ()
    return (by,) if isinstance(by, str) else tuple(by)


def groups_by(
    log: InteractionLog, by: str | Sequence[str] | None
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Return everybody, one group a level of each column, and notes on rows without a level.

    Raises
    ------
    DataError
        If a column belongs to the events (a cell without a row has none), has one level, or more
        than fifty.
    """
    groups: list[Group] = [EVERYBODY]
    notes: list[str] = []
    for column in as_columns(by):
        entity = log.entity_of(column)
        if entity == "event":
            raise DataError(
                f"Column {column!r} belongs to the events, and a cell that was not recorded has no"
                " event: groups of a mean come from the user or the item table."
            )
        values = (log.users if entity == "user" else log.items)[column]
        missing = int(values.isna().sum())
        if missing:
            # How many users have none would tell of a small group by difference.
            count = f"{missing:,}" if entity == "item" else "Some"
            notes.append(
                f"{count} {entity}s have no {column!r}; they count for everybody and belong"
                " to no group."
            )
        groups += _of_column(column, values, entity)
    return tuple(groups), tuple(notes)


def _of_column(column: str, values: pd.Series, entity: str) -> list[Group]:
    names = values.astype("string")
    levels = sorted(names.dropna().unique())
    if len(levels) < 2:
        raise DataError(f"Column {column!r} has only the level {levels}: there is nothing to part.")
    if len(levels) > MOST_NUMBERS and pd.api.types.is_numeric_dtype(values):
        raise DataError(
            f"Column {column!r} holds numbers with {len(levels):,} different values: a group each"
            " would say little. Cut it first, for example"
            f" users[{column + '_group'!r}] = pandas.qcut(users[{column!r}], 4).astype(str)."
        )
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"Column {column!r} has {len(levels):,} levels, more than {MOST_LEVELS}: cut it into a"
            " few named groups first."
        )
    found = []
    for level in levels:
        mask = (names == level).fillna(False).to_numpy(dtype=bool)
        sides = {"users": mask} if entity == "user" else {"items": mask}
        found.append(Group(f"{column}={level}", {column: str(level)}, **sides))
    return found
