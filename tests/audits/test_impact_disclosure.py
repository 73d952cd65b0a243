"""No small category of an impact-ratio table can be worked out from what the table shows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits import impact_ratio_table
from causalrec.audits._impact_groups import hidden_categories
from causalrec.results import NO_LEVEL, Cell

MIN_CELL = 11
Singles = dict[str, tuple[tuple[str, ...], np.ndarray]]
Solved = tuple[dict[Cell, np.ndarray], dict[Cell, int]]


def crossed(rng: np.random.Generator) -> Singles:
    """Two crossed attributes with unknown levels."""
    sexes, races = tuple("MFX"[: rng.integers(2, 4)]), tuple("ABCD"[: rng.integers(2, 5)])
    table = rng.negative_binomial(0.8, 0.02, size=(len(sexes) + 1, len(races) + 1))
    table[rng.random(table.shape) < 0.25] = rng.integers(0, 14)
    sex, race = (np.repeat(one.ravel(), table.ravel()) for one in np.indices(table.shape))
    return {
        "sex": (sexes, np.where(sex == len(sexes), -1, sex)),
        "race": (races, np.where(race == len(races), -1, race)),
    }


def nested(rng: np.random.Generator) -> Singles:
    """Countries in regions, a few of unknown country, and a crossed attribute."""
    sizes = rng.choice([0, 3, 5, 8, 15, 40, 70], size=6)
    country = np.repeat(np.arange(6), sizes)
    region = np.array([0, 0, 0, 1, 1, 2])[country]
    country[rng.random(len(country)) < rng.choice([0.0, 0.05])] = -1
    sex = (rng.random(len(country)) < 0.2).astype(int)
    return {
        "country": (("AT", "BE", "CY", "US", "CA", "JP"), country),
        "region": (("EU", "NA", "AS"), region),
        "sex": (("F", "M"), sex),
    }


def cells_of(singles: Singles, pairs: list[tuple[str, str]]) -> Solved:
    """Return each cell as a 0/1 row over the finest cells, and its count."""
    frame = pd.DataFrame({
        column: np.array([*levels, NO_LEVEL], dtype=object)[codes]
        for column, (levels, codes) in singles.items()
    })  # fmt: skip
    atoms = frame.value_counts()
    rows: dict[Cell, np.ndarray] = {frozenset(): np.ones(len(atoms))}
    for columns in [*((name,) for name in singles), *pairs]:
        for levels in {tuple(line) for line in frame[list(columns)].to_numpy().tolist()}:
            inside = np.ones(len(atoms), dtype=bool)
            for column, level in zip(columns, levels, strict=True):
                inside &= atoms.index.get_level_values(column) == level
            rows[frozenset(zip(columns, levels, strict=True))] = inside.astype(float)
    return rows, {cell: int(row @ atoms.to_numpy()) for cell, row in rows.items()}


def derivable(rows: dict[Cell, np.ndarray], hidden: frozenset[Cell]) -> list[Cell]:
    """Return the hidden cells whose count follows from the shown ones, by linear algebra.

    Independent of the code under test: every cell is a sum of the finest cells, and a hidden cell
    follows if and only if it lies in the row space of the shown ones.
    """
    shown = np.array([row for cell, row in rows.items() if cell not in hidden])
    rank = np.linalg.matrix_rank(shown)
    return [
        cell for cell in hidden if np.linalg.matrix_rank(np.vstack([shown, rows[cell]])) == rank
    ]


@pytest.mark.parametrize("intersections", [False, True])
@pytest.mark.parametrize("make", [crossed, nested])
@pytest.mark.parametrize("seed", range(60))
def test_nothing_small_follows_from_what_is_shown(seed: int, make, intersections: bool) -> None:
    singles = make(np.random.default_rng(seed))
    pairs = list(combinations(singles, 2)) if intersections else []
    n = len(next(iter(singles.values()))[1])
    rows, counts = cells_of(singles, pairs)
    hidden = hidden_categories(singles, pairs, np.ones(n, dtype=bool), MIN_CELL)
    small = {cell for cell, count in counts.items() if count < MIN_CELL and cell}
    assert small <= hidden
    assert frozenset() not in hidden  # a result always tells how many there are
    known = hidden & set(rows)
    assert not [cell for cell in derivable(rows, known) if counts[cell] < MIN_CELL]


def test_with_nothing_small_nothing_is_hidden() -> None:
    singles = {"sex": (("F", "M"), np.repeat([0, 1], 40))}
    assert not hidden_categories(singles, [], np.ones(80, dtype=bool), MIN_CELL)


@pytest.mark.parametrize("intersections", [False, True])
def test_a_small_country_does_not_follow_from_its_region(intersections: bool) -> None:
    rng = np.random.default_rng(0)
    country = np.repeat(["DE", "LU", "US", "SE"], [60, 5, 70, 8])
    users = pd.DataFrame({
        "user_id": range(143), "country": country,
        "region": np.where(np.isin(country, ["DE", "LU"]), "EU", "other"),
    })  # fmt: skip
    user, item = np.divmod(np.arange(143 * 20), 20)
    rows = pd.DataFrame({
        "user_id": user, "item_id": item,
        "shown": (rng.random(len(user)) < 0.3).astype(int), "y": user % 2,
    })  # fmt: skip
    log = cr.InteractionLog(rows, users=users, outcome="y", exposure="shown")
    found = impact_ratio_table(log, groups=["country", "region"], intersections=intersections)
    numbers = {row.label: row.n for row in found.rows if row.metric == "selection rate"}
    assert numbers["selection rate: country=LU"] is None
    pair = ("selection rate: country=DE", "selection rate: region=EU")
    assert None in [numbers[label] for label in pair]
    shown = {line[0]: line[1] for table in found.tables[:3] for line in table.rows}
    assert "suppressed" in (shown["DE"], shown["EU"])
