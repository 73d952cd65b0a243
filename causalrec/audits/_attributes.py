"""What parts users or items into groups, which groups are too small to show, and the reference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from causalrec.audits._crossed import Crossed
from causalrec.errors import DataError
from causalrec.evaluation import groups_by
from causalrec.results import NO_LEVEL, Cell, Partition, hidden_among, hidden_groups

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Entity = Literal["user", "item"]


@dataclass(frozen=True, eq=False)
class Attribute:
    """A column that parts users or items into groups.

    Attributes
    ----------
    column : str
    entity : "user" or "item"
    by_provider : bool
        An attribute of the items' providers (or the provider itself): its clusters are providers.
    levels : tuple of str
        Sorted.
    codes : int64 array (n_users,) or (n_items,)
        Level of each; -1 where it has none.
    counts : mapping of level to int
        Subjects behind its numbers: users with rows or lists, items of the catalogue.
    n_subjects : int
        All of them, with or without a level.
    hidden : frozenset of str
        Levels that disclosure control hides, the small ones and those that would give them away.
    hides_rest : bool
        Whether the number of subjects without a level is hidden: it would tell of a small group.
    meaning : mapping of level to group
        Of a crossed attribute: what its joint levels are made of.
    """

    column: str
    entity: Entity
    by_provider: bool
    levels: tuple[str, ...]
    codes: Codes
    counts: Mapping[str, int]
    n_subjects: int
    hidden: frozenset[str]
    hides_rest: bool = False
    meaning: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def without(self) -> int:
        """Subjects without a level."""
        return self.n_subjects - sum(self.counts.values())

    @property
    def note(self) -> str:
        """How many subjects have no level, as far as it may be told."""
        if not self.without:
            return ""
        count = "Some" if self.hides_rest else f"{self.without:,}"
        return f"{count} {self.unit} have no {self.column!r}; they belong to no group."

    @property
    def unit(self) -> str:
        """What is counted: "users" or "items"."""
        return f"{self.entity}s"

    @property
    def shown(self) -> tuple[str, ...]:
        """The levels that may be shown."""
        return tuple(level for level in self.levels if level not in self.hidden)

    @cached_property
    def reference(self) -> str | None:
        """The largest shown level (the first of equals); None where fewer than two are shown."""
        if len(self.shown) < 2:
            return None
        return max(self.shown, key=lambda level: (self.counts[level], -self.levels.index(level)))

    @property
    def compared(self) -> tuple[str, ...]:
        """The shown levels other than the reference."""
        reference = self.reference
        if reference is None:
            return ()
        return tuple(level for level in self.shown if level != reference)

    def group(self, level: str) -> dict[str, str]:
        """Return the group as result rows carry it: of a crossing, each attribute's level."""
        return dict(self.meaning.get(level, {self.column: level}))


def read_attributes(
    log: InteractionLog,
    columns: Sequence[str],
    *,
    entity: Entity,
    min_cell: int,
    active_users: BoolArray,
    crossing: Crossed,
) -> tuple[Attribute, ...]:
    """Return the attributes of one side, with the groups that have to be hidden among them all.

    Parameters
    ----------
    log, entity, min_cell, active_users
        As in `read_attribute`.
    columns : sequence of str
    crossing : Crossed
        What the crossed ones among them are made of.
    """
    found = [
        read_attribute(log, one, entity=entity, min_cell=min_cell, active_users=active_users)
        for one in columns
    ]
    found = [replace(one, meaning=crossing.levels.get(one.column, {})) for one in found]
    if len(found) < 2 and not any(one.meaning for one in found):
        return tuple(found)
    active = active_users if entity == "user" else np.ones(log.n_items, dtype=bool)
    table = log.users if entity == "user" else log.items
    hidden = hidden_among([_partition(one, table) for one in found], active, min_cell)
    return tuple(
        replace(
            one,
            hidden=frozenset(x for x in one.levels if _cell(one.group(x)) in hidden),
            hides_rest=_hides_rest(set(next(iter(one.meaning.values()), {one.column: ""})), hidden),
        )
        for one in found
    )


def _hides_rest(columns: set[str], hidden: Collection[Cell]) -> bool:
    return any(columns == set(dict(cell)) and NO_LEVEL in dict(cell).values() for cell in hidden)


def _partition(attribute: Attribute, table: pd.DataFrame) -> Partition:
    """Return the cells of all subjects: of the levels, and of those without one."""
    columns = next(iter(attribute.meaning.values()), {attribute.column: ""})
    cells = [_cell(attribute.group(level)) for level in attribute.levels]
    codes = attribute.codes.copy()
    without = np.flatnonzero(codes < 0)
    if len(without):
        names = table[list(columns)].iloc[without].astype("string").fillna(NO_LEVEL)
        tuples = [frozenset(zip(columns, line, strict=True)) for line in names.to_numpy().tolist()]
        rest = sorted(set(tuples), key=sorted)
        place = {cell: len(cells) + at for at, cell in enumerate(rest)}
        codes[without] = [place[cell] for cell in tuples]
        cells += rest
    return Partition(tuple(cells), codes)


def read_attribute(
    log: InteractionLog, column: str, *, entity: Entity, min_cell: int, active_users: BoolArray
) -> Attribute:
    """Return an attribute with its groups, and which of them are too small to show.

    Parameters
    ----------
    log : InteractionLog
    column : str
        A column of the user table for "user", of the item table for "item".
    entity : "user" or "item"
    min_cell : int
    active_users : bool array (n_users,)
        Users who are behind the numbers; a group is as large as its active users.

    Raises
    ------
    DataError
        If the column lives in the other table, has one level, or more than fifty.
    """
    home = log.entity_of(column)
    if home not in {entity, "event"}:
        raise DataError(
            f"Column {column!r} belongs to {home}s: pass it as {home}_groups, not {entity}_groups."
        )
    if column in {log.columns.user_id, log.columns.item_id}:
        raise DataError(
            f"Column {column!r} is the id of the {entity}s: a group of one is not audited."
        )
    (_, *groups), _ = groups_by(log, column)
    size = log.n_users if entity == "user" else log.n_items
    codes = np.full(size, -1, dtype=np.int64)
    levels = []
    for code, group in enumerate(groups):
        mask = group.users if entity == "user" else group.items
        assert mask is not None
        codes[mask] = code
        levels.append(group.levels[column])
    active = active_users if entity == "user" else np.ones(size, dtype=bool)
    counted = np.bincount(codes[active & (codes >= 0)], minlength=len(levels))
    counts = dict(zip(levels, counted.tolist(), strict=True))
    n_subjects = int(active.sum())
    return Attribute(
        column=column,
        entity=entity,
        by_provider=entity == "item" and _is_of_provider(log, codes),
        levels=tuple(levels),
        codes=codes,
        counts=counts,
        n_subjects=n_subjects,
        hidden=groups_to_hide(column, counts, n_subjects, min_cell),
        hides_rest=_hides_rest({column}, _hidden_cells(column, counts, n_subjects, min_cell)),
    )


def _is_of_provider(log: InteractionLog, codes: Codes) -> bool:
    """Return whether all items of every provider have one level."""
    if log.provider is None:
        return False
    lowest = np.full(int(log.provider.max()) + 1, np.iinfo(np.int64).max)
    highest = np.full(len(lowest), -1, dtype=np.int64)
    np.minimum.at(lowest, log.provider, codes)
    np.maximum.at(highest, log.provider, codes)
    used = np.bincount(log.provider, minlength=len(lowest)) > 0
    return bool((lowest[used] == highest[used]).all())


def groups_to_hide(
    column: str, counts: Mapping[str, int], n_subjects: int, min_cell: int
) -> frozenset[str]:
    """Return the levels to hide; the total counts as shown, because a result always tells it."""
    found = _hidden_cells(column, counts, n_subjects, min_cell)
    return frozenset(level for level in counts if frozenset({(column, level)}) in found)


def _hidden_cells(
    column: str, counts: Mapping[str, int], n_subjects: int, min_cell: int
) -> frozenset[Cell]:
    cells = {frozenset({(column, level)}): n for level, n in counts.items()}
    without = n_subjects - sum(counts.values())
    everything = {frozenset[tuple[str, str]](): n_subjects, **cells}
    if without:
        # Those without a level are a part of the total too: a small part hides with the others.
        everything[frozenset({(column, NO_LEVEL)})] = without
    return hidden_groups(everything, min_cell)


def _cell(group: Mapping[str, str]) -> Cell:
    return frozenset(group.items())
