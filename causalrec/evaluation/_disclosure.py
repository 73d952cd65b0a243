"""Group numbers are counted in people, and small groups are hidden before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._groups import Group
from causalrec.results import (
    NO_LEVEL,
    Cell,
    Partition,
    Row,
    Table,
    hidden_among,
    suppress_small_cells,
)

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

SUPPRESSED = "suppressed"


def hide_small_groups(
    rows: Sequence[Row],
    tables: Sequence[Table],
    groups: Sequence[Group],
    log: InteractionLog,
    min_cell: int,
) -> tuple[tuple[Row, ...], tuple[Table, ...]]:
    """Count the rows of user groups in users, and hide what speaks of fewer than `min_cell`.

    Items are no persons: groups of items are counted, and shown. Groups of several columns are
    looked at together, because a region tells of its countries by difference.

    Parameters
    ----------
    rows : sequence of Row
        With `group` set where they speak of one.
    tables : sequence of Table
        Lines whose column "group" or "label" names a hidden group lose their numbers.
    groups : sequence of Group
    log : InteractionLog
    min_cell : int

    Returns
    -------
    tuple of Row, tuple of Table
    """
    counts = {
        group.label: (int(side.sum()), unit)
        for group in groups
        for side, unit in ((group.users, "users"), (group.items, "items"))
        if side is not None
    }
    if not counts:
        return tuple(rows), tuple(tables)
    named = {row.label: counts[_name(row)] for row in rows if _name(row) in counts}
    small = hidden_among(_partitions(groups, log), np.ones(log.n_users, dtype=bool), min_cell)
    counted = [_counted(row, named, small) for row in rows]
    shown = suppress_small_cells(counted, min_cell, units=("users",), margins=False)
    hidden = {_name(row) for row in shown if row.status == SUPPRESSED and row.group}
    return shown, tuple(_hide(table, hidden) for table in tables)


def _name(row: Row) -> str:
    return ", ".join(f"{column}={level}" for column, level in row.group.items())


def _partitions(groups: Sequence[Group], log: InteractionLog) -> list[Partition]:
    """Return the users parted by each column of theirs; those without a level come last."""
    by_column: dict[str, list[Group]] = {}
    for group in groups:
        if group.users is not None:
            (column,) = group.levels
            by_column.setdefault(column, []).append(group)
    found = []
    for column, own in by_column.items():
        codes = np.full(log.n_users, len(own), dtype=np.int64)
        for place, group in enumerate(own):
            codes[group.users] = place
        cells: list[Cell] = [frozenset(group.levels.items()) for group in own]
        without = [frozenset({(column, NO_LEVEL)})] if (codes == len(own)).any() else []
        found.append(Partition((*cells, *without), codes))
    return found


def _counted(row: Row, named: dict[str, tuple[int, str]], small: frozenset[Cell]) -> Row:
    """Count a group's row, or a gap's by the smaller of its two groups; mark what is hidden."""
    about = [named[label] for label in (row.label, *row.derived_from) if label in named]
    if not about:
        return row
    n, unit = min(about)
    counted = row.model_copy(update={"n": n, "unit": unit})
    if row.derived_from or frozenset(row.group.items()) not in small:
        return counted
    return counted.model_copy(update={"status": SUPPRESSED})


def _hide(table: Table, hidden: set[str]) -> Table:
    names = [at for at, column in enumerate(table.columns) if column in {"group", "label"}]
    keys = [at for at, column in enumerate(table.columns) if column in _KEYS]

    def line(
        cells: tuple[str | float | int | bool | None, ...],
    ) -> tuple[str | float | int | bool | None, ...]:
        if not any(cells[at] in hidden for at in names):
            return cells
        return tuple(cell if at in keys else SUPPRESSED for at, cell in enumerate(cells))

    return table.model_copy(update={"rows": tuple(map(line, table.rows))})


_KEYS = frozenset({"estimator", "group", "label"})
