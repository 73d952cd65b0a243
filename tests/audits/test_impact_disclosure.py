"""No small category of an impact-ratio table can be worked out from what the table shows."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.audits._impact_groups import UNKNOWN, Cell, _hidden

MIN_CELL = 11


def random_counts(rng: np.random.Generator) -> dict[Cell, int]:
    """Counts of two crossed attributes with unknown levels, their margins and the total."""
    sexes, races = [*"MFX"[: rng.integers(2, 4)], UNKNOWN], [*"ABCD"[: rng.integers(2, 5)], UNKNOWN]
    table = rng.negative_binomial(0.8, 0.02, size=(len(sexes), len(races)))
    table[rng.random(table.shape) < 0.25] = rng.integers(0, 14)
    counts: dict[Cell, int] = {frozenset(): int(table.sum())}
    for i, sex in enumerate(sexes):
        counts[frozenset({("sex", sex)})] = int(table[i].sum())
        for j, race in enumerate(races):
            counts[frozenset({("sex", sex), ("race", race)})] = int(table[i, j])
    for j, race in enumerate(races):
        counts[frozenset({("race", race)})] = int(table[:, j].sum())
    return {cell: n for cell, n in counts.items() if n or not cell}


def derivable(counts: dict[Cell, int], hidden: frozenset[Cell]) -> list[Cell]:
    """Return the hidden cells whose count follows from the shown ones, by linear algebra.

    Independent of the code under test: the atoms are the crossed cells, every cell is a sum of
    atoms, and a hidden cell follows if and only if it lies in the row space of the shown ones.
    """
    atoms = [cell for cell in counts if len(cell) == 2]
    rows = {cell: np.array([float(cell <= atom) for atom in atoms]) for cell in counts}
    shown = np.array([rows[cell] for cell in counts if cell not in hidden])
    rank = np.linalg.matrix_rank(shown)
    return [
        cell for cell in hidden if np.linalg.matrix_rank(np.vstack([shown, rows[cell]])) == rank
    ]


@pytest.mark.parametrize("seed", range(60))
def test_nothing_small_follows_from_what_is_shown(seed: int) -> None:
    counts = random_counts(np.random.default_rng(seed))
    hidden = _hidden(counts, MIN_CELL)
    small = {cell for cell, n in counts.items() if n < MIN_CELL and cell}
    assert small <= hidden
    assert frozenset() not in hidden  # a result always tells how many there are
    assert not [cell for cell in derivable(counts, hidden) if counts[cell] < MIN_CELL]


def test_with_nothing_small_nothing_is_hidden() -> None:
    counts: dict[Cell, int] = {
        frozenset(): 80,
        frozenset({("sex", "F")}): 40,
        frozenset({("sex", "M")}): 40,
    }
    assert _hidden(counts, MIN_CELL) == frozenset()
