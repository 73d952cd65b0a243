"""Which hidden counts follow from the shown ones: linear algebra on the margins of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Cell: TypeAlias = frozenset[tuple[str, str]]
"""A group as its (attribute, level) pairs; everybody is the empty set."""


@dataclass(frozen=True)
class Equation:
    """The parts make up the total: groups that split another one by an attribute."""

    total: Cell
    parts: tuple[Cell, ...]

    @property
    def members(self) -> frozenset[Cell]:
        """The total and its parts."""
        return frozenset((self.total, *self.parts))


def equations_between(counts: Mapping[Cell, int]) -> list[Equation]:
    """Return every margin among the groups: a group and its split by attributes it lacks.

    A split by two attributes at once (the cells of a cross table against the grand total) counts
    too: the one-way margins need not be there.
    """
    equations = []
    for total in sorted(counts, key=sorted):
        held = dict(total)
        by_attributes: dict[tuple[str, ...], list[Cell]] = {}
        for cell in sorted(counts, key=sorted):
            added = tuple(sorted(set(dict(cell)) - set(held)))
            if added and total < cell:
                by_attributes.setdefault(added, []).append(cell)
        for _, parts in sorted(by_attributes.items()):
            # One part alone tells of its total only if it is the whole of it.
            if len(parts) > 1 or counts[parts[0]] == counts[total]:
                equations.append(Equation(total, tuple(parts)))
    return equations


def determined(equations: Sequence[Equation], hidden: Collection[Cell]) -> frozenset[Cell]:
    """Return the hidden groups whose count is fixed by the equations and the shown counts.

    With the shown counts moved to the right-hand side, a hidden count is fixed if and only if
    its unit vector lies in the row space of the equations; that is, if every vector of the null
    space is zero there.
    """
    unknown = sorted(hidden, key=sorted)
    place = {cell: i for i, cell in enumerate(unknown)}
    lines = []
    for equation in equations:
        line = np.zeros(len(unknown))
        for cell in equation.parts:
            if cell in place:
                line[place[cell]] += 1.0
        if equation.total in place:
            line[place[equation.total]] -= 1.0
        if line.any():
            lines.append(line)
    if not lines:
        return frozenset()
    _, singular, rows = np.linalg.svd(np.array(lines), full_matrices=True)
    rank = int((singular > 1e-9 * max(1.0, singular[0])).sum())
    free = np.abs(rows[rank:]).max(axis=0) if rank < len(unknown) else np.zeros(len(unknown))
    return frozenset(cell for cell, i in place.items() if free[i] < 1e-9)
