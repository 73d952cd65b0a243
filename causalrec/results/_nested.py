"""Which groups must be hidden among several attributes, where some are made up of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from causalrec.results._disclosure import hidden_groups
from causalrec.results._margins import Cell

Codes = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
NO_LEVEL = "(no level)"


@dataclass(frozen=True, eq=False)
class Partition:
    """All subjects, parted by one attribute or by a crossing.

    Attributes
    ----------
    cells : tuple of frozenset of (attribute, level)
        Those of the levels, then those of subjects without one.
    codes : int64 array (n,)
        Place in `cells` of every subject.
    """

    cells: tuple[Cell, ...]
    codes: Codes

    def is_level(self, place: int) -> bool:
        """Return whether a cell is a group, and not what is left without one."""
        return all(level != NO_LEVEL for _, level in self.cells[place])


def hidden_among(
    partitions: Sequence[Partition], active: BoolArray, min_cell: int
) -> frozenset[Cell]:
    """Return the cells to hide among several attributes, crossed and nested ones too.

    A group that is made up of groups of another attribute (a region of its countries, a gender of
    its crossings with age) tells of them by difference; so do those without a level inside it.

    Parameters
    ----------
    partitions : sequence of Partition
    active : bool array (n,)
        The subjects that count.
    min_cell : int

    Examples
    --------
    >>> region = Partition((frozenset({("region", "EU")}), frozenset({("region", "US")})),
    ...                    np.repeat([0, 1], [40, 60]))
    >>> country = Partition(
    ...     tuple(frozenset({("country", name)}) for name in ["DE", "LU", "MT", "US"]),
    ...     np.repeat([0, 1, 2, 3], [31, 5, 4, 60]))
    >>> hidden = hidden_among([region, country], np.ones(100, dtype=bool), 11)
    >>> sorted(level for cell in hidden for _, level in cell)
    ['DE', 'LU', 'MT']
    """
    counts: dict[Cell, int] = {frozenset(): int(active.sum())}
    unions: list[tuple[Cell, tuple[Cell, ...]]] = []
    for one in partitions:
        sizes = np.bincount(one.codes[active], minlength=len(one.cells)).tolist()
        kept = [at for at in range(len(one.cells)) if sizes[at] or one.is_level(at)]
        counts |= {one.cells[at]: sizes[at] for at in kept}
        unions.append((frozenset(), tuple(one.cells[at] for at in kept)))
    for whole in partitions:
        for parts in partitions:
            if parts is not whole:
                unions += _unions(whole, parts, active, counts)
    everybody: Cell = frozenset()  # provenance and notes count them
    return hidden_groups(counts, min_cell, unions=unions, told=(everybody,))


def _unions(
    whole: Partition, parts: Partition, active: BoolArray, counts: dict[Cell, int]
) -> list[tuple[Cell, tuple[Cell, ...]]]:
    """Return the cells of one partition that are unions of cells of another.

    What is left without a level may lie inside several groups; its part inside each is a cell.
    """
    shape = (len(whole.cells), len(parts.cells))
    both = np.ravel_multi_index((whole.codes[active], parts.codes[active]), shape)
    table = np.bincount(both, minlength=shape[0] * shape[1]).reshape(shape)
    inside_one = (table > 0).sum(axis=0) == 1
    found = []
    for at, cell in enumerate(whole.cells):
        met = np.flatnonzero(table[at]).tolist()
        if not any(parts.is_level(p) for p in met):
            continue
        if any(parts.is_level(p) and not inside_one[p] for p in met):
            continue
        held = []
        for p in met:
            piece = parts.cells[p]
            if not inside_one[p]:
                piece = frozenset(
                    {*cell, *((name, x) for name, x in piece if name not in dict(cell))}
                )
                counts[piece] = int(table[at, p])
            held.append(piece)
        found.append((cell, tuple(held)))
    return found
