"""Means and bounds of groups tell of no small one, where columns are nested in each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import causalrec as cr

MIN_CELL = 11
REGIONS = {"AT": "EU", "BE": "EU", "CY": "EU", "US": "NA", "CA": "NA"}
BY = ["country", "region", "gender"]


def _log(country: np.ndarray, seed: int, marked: str = "") -> cr.InteractionLog:
    """Half of all cells recorded; whoever is of the marked country gives 1, all others 0..0.9."""
    rng = np.random.default_rng(seed)
    n_users, n_items = len(country), 12
    users = pd.DataFrame({
        "user_id": np.arange(n_users), "country": country,
        "region": [REGIONS.get(x, "EU") for x in country],
        "gender": rng.choice(["F", "M"], size=n_users),
    })  # fmt: skip
    recorded = rng.random((n_users, n_items)) < 0.5
    recorded[:, 0] = True
    user, item = np.nonzero(recorded)
    rating = 0.9 * rng.random(len(user))
    rating[country[user] == marked] = 0.98765
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": rating})
    items = pd.DataFrame({"item_id": np.arange(n_items)})
    return cr.InteractionLog(events, users=users, items=items, outcome_range=(0.0, 1.0))


def _answer(log: cr.InteractionLog, kind: str) -> cr.Result:
    if kind == "bounds":
        return cr.bounds(log, by=BY, min_cell=MIN_CELL)
    return cr.estimate_mean(log, propensity=0.5, by=BY, estimator="snips", min_cell=MIN_CELL)


def _range(log: cr.InteractionLog, shown: dict[tuple[str, str], int], cell: tuple[str, str]):
    """Return the counts of a group that fit all shown ones, over the finest cells."""
    atoms = log.users[BY].astype("string").fillna("-").drop_duplicates()
    lines = [np.ones(len(atoms))]
    lines += [(atoms[column] == level).to_numpy(float) for column, level in shown]
    asked = (atoms[cell[0]] == cell[1]).to_numpy(float)
    right = [log.n_users, *shown.values()]
    low, high = (
        sign * linprog(sign * asked, A_eq=np.array(lines), b_eq=right, bounds=(0, None)).fun
        for sign in (1.0, -1.0)
    )
    return low, high


@pytest.mark.parametrize("kind", ["mean", "bounds"])
@pytest.mark.parametrize("seed", range(12))
def test_no_small_count_can_be_solved_for(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.choice([4, 5, 8, 14, 30, 45], size=5)
    country = np.repeat(np.array(list(REGIONS), dtype=object), sizes)
    if seed % 2:
        country[rng.permutation(len(country))[: rng.integers(1, 15)]] = None
    log = _log(country, seed)
    found = _answer(log, kind)
    table = log.users[BY].astype("string")
    sizes_of = {
        (column, level): int(n)
        for column in BY
        for level, n in table[column].value_counts().items()
    }
    groups = {next(iter(row.group.items())): row for row in found.rows if row.group}
    shown = {cell: row.n for cell, row in groups.items() if row.status != "suppressed"}
    assert set(groups) == set(sizes_of)
    assert shown == {cell: sizes_of[cell] for cell in shown}
    for cell, n in sizes_of.items():
        if n < MIN_CELL:
            assert cell not in shown
            low, high = _range(log, shown, cell)
            assert high - low > 0.5, (cell, low, high)
    said = " ".join(found.notes)
    for column in BY:
        unknown = int(table[column].isna().sum())
        if unknown and any(cell not in shown for cell in sizes_of if cell[0] == column):
            assert f"{unknown:,} users have no {column!r}" not in said
            assert f"{unknown} users" not in said


@pytest.mark.parametrize("kind", ["mean", "bounds"])
def test_the_mean_of_a_small_country_does_not_follow_from_its_region(
    kind: str, tmp_path: Path
) -> None:
    country = np.repeat(["AT", "BE", "US", "CA"], [60, 5, 70, 8])
    found = _answer(_log(country, 0, marked="BE"), kind)
    rows = {row.label: row for row in found.rows}
    numbers = [rows["country=AT"], rows["region=EU"]]
    assert "suppressed" in [row.status for row in numbers]
    for row in numbers:
        if row.status == "suppressed":
            assert (row.n, row.value, row.lower, row.upper) == (None, None, None, None)
    for table in found.tables:
        for line in table.rows:
            if {"country=BE", "country=CA"} & set(map(str, line)):
                assert not any(isinstance(cell, float) for cell in line), (table.name, line)
        named = [line for line in table.rows if {"country=AT", "region=EU"} & set(map(str, line))]
        assert not named or any("suppressed" in line for line in named), table.name
    text = cr.write_report(found, tmp_path / "mean.json").read_text(encoding="utf-8")
    assert "0.98765" not in text


def test_groups_of_items_are_shown_however_small() -> None:
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(40 * 12), 12)
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": rng.random(len(user))})
    items = pd.DataFrame({"item_id": range(12), "kind": np.repeat(["song", "talk"], [10, 2])})
    log = cr.InteractionLog(events, items=items, outcome_range=(0.0, 1.0))
    found = cr.estimate_mean(log, propensity=0.5, by="kind", estimator="snips")
    assert [row.n for row in found.rows if row.label == "kind=talk"] == [2]
