"""The categories of an impact-ratio table: single attributes, their intersections, the unknown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalrec.audits._attributes import _is_of_provider
from causalrec.errors import DataError, StudyError
from causalrec.results import NO_LEVEL, Cell, Partition, hidden_among

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
MOST_LEVELS = 50


@dataclass(frozen=True, eq=False)
class Categories:
    """One attribute, or an intersection of two.

    Attributes
    ----------
    columns : tuple of str
    levels : tuple of tuple of str
        One entry a category: a level of each column.
    codes : int64 array (n_subjects,)
        Category of each user or item; -1 where a level is not known.
    subjects : int64 array (categories,)
        Users (items) with an assessment.
    n_unknown : int
        Subjects with an assessment and no category.
    hidden : frozenset of int
        Categories that disclosure control hides.
    hides_unknown : bool
        Whether the number of unknown must not be shown.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    codes: Codes
    subjects: Codes
    n_unknown: int
    hidden: frozenset[int]
    hides_unknown: bool

    @property
    def name(self) -> str:
        """The attribute, or "sex x race"."""
        return " x ".join(self.columns)

    def category(self, code: int) -> str:
        """Return a category's name: "F", or "F, black"."""
        return ", ".join(self.levels[code])

    def group(self, code: int) -> dict[str, str]:
        """Return a category as result rows carry it."""
        return dict(zip(self.columns, self.levels[code], strict=True))

    def label(self, code: int) -> str:
        """Return "sex=F, race=black"."""
        return ", ".join(f"{c}={v}" for c, v in self.group(code).items())


def read_categories(
    log: InteractionLog,
    columns: Sequence[str],
    *,
    assessed: Mapping[str, Codes],
    unknown: Collection[str],
    intersections: bool,
    min_cell: int,
) -> tuple[Literal["user", "item"], bool, tuple[Categories, ...]]:
    """Return whose columns they are, whether providers', and the categories of each table.

    Parameters
    ----------
    log : InteractionLog
    columns : sequence of str
        All of the user table, or all of the item table.
    assessed : mapping of "user", "item" to int64 arrays
        Codes of everybody with an assessment.
    unknown : collection of str
        Levels that stand for "not known", beside missing values.
    intersections : bool
    min_cell : int

    Raises
    ------
    StudyError
        If no column is named, or they belong to both tables.
    DataError
        If a column has fewer than two known levels, or more than fifty.
    """
    entity = _entity(log, columns)
    table = log.users if entity == "user" else log.items
    active = np.zeros(len(table), dtype=bool)
    active[assessed[entity]] = True
    singles = {name: _levels(table[name], name, unknown, active) for name in columns}
    pairs = list(combinations(columns, 2)) if intersections else []
    wanted = [*((name,) for name in columns), *pairs]
    hidden = hidden_categories(singles, pairs, active, min_cell)
    provider = entity == "item" and all(_is_of_provider(log, singles[c][1]) for c in columns)
    found = tuple(_categories(names, singles, active, hidden) for names in wanted)
    return entity, provider, found


def _entity(log: InteractionLog, columns: Sequence[str]) -> Literal["user", "item"]:
    if not columns:
        raise StudyError("Name the columns of the groups: groups=['sex', 'race'], for example.")
    homes = {name: log.entity_of(name) for name in columns}
    if len(set(homes.values())) > 1 or "event" in homes.values():
        raise StudyError(
            f"The groups {homes} do not belong to one table: people (or items) are compared with"
            " their like. Ask once for the columns of users and once for those of items."
        )
    return "user" if "user" in homes.values() else "item"


def _levels(
    values: pd.Series, column: str, unknown: Collection[str], active: npt.NDArray[np.bool_]
) -> tuple[tuple[str, ...], Codes]:
    names = values.astype("string")
    known = names.notna() & ~names.isin(list(unknown))
    levels = sorted(names[known & active].unique())
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise DataError(
            f"Column {column!r} has {len(levels)} known levels among those assessed; a table of"
            f" impact ratios compares from 2 to {MOST_LEVELS} categories."
        )
    codes = pd.Categorical(names.where(known), categories=levels).codes.astype(np.int64)
    return tuple(map(str, levels)), codes


def hidden_categories(
    singles: Mapping[str, tuple[tuple[str, ...], Codes]],
    pairs: Sequence[tuple[str, str]],
    active: npt.NDArray[np.bool_],
    min_cell: int,
) -> frozenset[Cell]:
    """Return the cells to hide among all attributes and crossings, those of unknown level too."""
    found = []
    for columns in [*((name,) for name in singles), *pairs]:
        names = [(*singles[column][0], NO_LEVEL) for column in columns]
        shape = tuple(map(len, names))
        places = [
            singles[c][1][active] % n for c, n in zip(columns, shape, strict=True)
        ]  # -1 is the last
        there, codes = np.unique(np.ravel_multi_index(places, shape), return_inverse=True)
        cells = [
            frozenset(
                (column, levels[at])
                for column, levels, at in zip(columns, names, cell, strict=True)
            )
            for cell in np.column_stack(np.unravel_index(there, shape)).tolist()
        ]
        found.append(Partition(tuple(cells), codes))
    return hidden_among(found, np.ones(int(active.sum()), dtype=bool), min_cell)


def _categories(
    columns: tuple[str, ...],
    singles: Mapping[str, tuple[tuple[str, ...], Codes]],
    active: npt.NDArray[np.bool_],
    hidden: Collection[Cell],
) -> Categories:
    codes = singles[columns[0]][1]
    levels: list[tuple[str, ...]] = [(level,) for level in singles[columns[0]][0]]
    for column in columns[1:]:
        names, more = singles[column]
        codes = np.where((codes >= 0) & (more >= 0), codes * len(names) + more, -1)
        levels = [(*before, name) for before in levels for name in names]
    there = np.bincount(codes[active & (codes >= 0)], minlength=len(levels))
    kept = np.flatnonzero(there)
    place = np.full(len(levels) + 1, -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    names_kept = tuple(levels[at] for at in kept)
    gone = {
        at
        for at, names in enumerate(names_kept)
        if frozenset(zip(columns, names, strict=True)) in hidden
    }
    about = set(columns)
    hidden_unknown = any(
        {name for name, _ in cell} == about and NO_LEVEL in dict(cell).values() for cell in hidden
    )
    return Categories(
        columns=columns,
        levels=names_kept,
        codes=place[codes],
        subjects=there[kept],
        n_unknown=int((active & (codes < 0)).sum()),
        hidden=frozenset(gone),
        hides_unknown=hidden_unknown,
    )
