"""Whatever the groups, no export of an audit tells of a hidden one.

Two properties, over drawn populations with nested, crossed and missing attributes. Counts: from
every count that is printed, none of a hidden group can be solved for (linear programming over the
finest cells, an independent check). Values: an export does not change by a byte when hidden groups
exchange their members, so that nothing in it (numbers, answer, notes, figures, alternative texts)
depends on them but through their union.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import causalrec as cr
from causalrec.results import NO_LEVEL, Cell, Partition, hidden_among

FORMATS = ("json", "html", "md", "csv", "tex")
MIN_CELL = 11
COUNTRIES = {"AT": "EU", "BE": "EU", "CY": "EU", "US": "NA", "CA": "NA", None: "EU"}


def _partition(frame: pd.DataFrame, columns: list[str]) -> Partition:
    named = frame[columns].astype("string").fillna(NO_LEVEL).to_numpy().tolist()
    cells = [frozenset(zip(columns, line, strict=True)) for line in named]
    order = sorted(set(cells), key=lambda c: (any(x == NO_LEVEL for _, x in c), sorted(c)))
    return Partition(tuple(order), np.array([order.index(cell) for cell in cells]))


def _range(
    partitions: list[Partition], hidden: frozenset[Cell], n: int
) -> dict[Cell, tuple[float, float]]:
    """Return the counts of each hidden group that fit all shown ones; those without a level too."""
    joint = np.stack([one.codes for one in partitions], axis=1)
    atoms, size = np.unique(joint, axis=0, return_counts=True)
    lines, right, asked = [np.ones(len(atoms))], [float(n)], {}
    for at, one in enumerate(partitions):
        for code, cell in enumerate(one.cells):
            line = (atoms[:, at] == code).astype(float)
            if cell in hidden:
                asked[cell] = line
            elif one.is_level(code):
                lines.append(line)
                right.append(float(line @ size))
    found = {}
    for cell, line in asked.items():
        ends = [
            sign * linprog(sign * line, A_eq=np.array(lines), b_eq=right, bounds=(0, None)).fun
            for sign in (1.0, -1.0)
        ]
        found[cell] = (ends[0], ends[1])
    return found


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.integers(0, 40), min_size=6, max_size=6),
    st.floats(0.02, 0.5),
    st.integers(0, 2**32 - 1),
)
def test_no_hidden_count_can_be_solved_for(sizes: list[int], rare: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    country = np.repeat(np.array(list(COUNTRIES), dtype=object), sizes)
    if len(set(country)) < 2:
        return
    frame = pd.DataFrame({
        "country": country,
        "region": [COUNTRIES[x] for x in country],
        "gender": rng.choice(["F", "M"], size=len(country), p=[rare, 1 - rare]),
        "age": rng.choice(np.array(["old", "young", None], dtype=object), size=len(country)),
    })  # fmt: skip
    partitions = [
        _partition(frame, columns)
        for columns in (["country"], ["region"], ["gender"], ["age"], ["gender", "age"])
    ]
    everybody = np.ones(len(frame), dtype=bool)
    hidden = hidden_among(partitions, everybody, MIN_CELL)
    for one in partitions:
        for code, cell in enumerate(one.cells):
            small = int((one.codes == code).sum()) < MIN_CELL
            assert cell in hidden or not (small and one.is_level(code))
    # What is under the limit is not pinned down; a large cover may be, where nothing else hides.
    for cell, (low, high) in _range(partitions, hidden, len(frame)).items():
        names = [dict(c) for p in partitions for c in p.cells if c not in hidden]
        assert high - low > 0.5 or not names, (dict(cell), low, high)


def _log(country: np.ndarray, rating: np.ndarray, gender: np.ndarray) -> cr.InteractionLog:
    n_users, n_items = rating.shape
    user, item = np.nonzero(~np.isnan(rating))
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": rating[user, item]})
    users = pd.DataFrame({
        "user_id": np.arange(n_users), "country": country, "gender": gender,
        "region": [COUNTRIES[x] for x in country],
    })  # fmt: skip
    items = pd.DataFrame({"item_id": np.arange(n_items), "kind": np.repeat(["song", "talk"], 12)})
    return cr.InteractionLog(events, users=users, items=items)


def _exports(log: cr.InteractionLog, folder: Path) -> tuple[cr.Result, dict[str, str]]:
    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        return np.cos(np.asarray(users) * 1.7 + np.asarray(items))

    found = cr.audit(
        log,
        model,
        user_groups=["country", "region", "gender", ("gender", "region")],
        item_groups="kind",
        propensity=0.5,
        estimators=["naive", "snips"],
        metrics=["mean", "mse", "dcg@3"],
        measures=["popularity", "concentration", "exposure", "unfairness", "miscalibration"],
        k=3,
    )
    texts = {}
    for kind in FORMATS:
        written = cr.write_report(found, folder / f"audit.{kind}").read_text(encoding="utf-8")
        texts[kind] = re.sub(r"[0-9a-f]{64}", "", written)
    return found, texts


@pytest.mark.parametrize("seed", range(6))
def test_hidden_groups_may_exchange_members_and_no_export_changes(
    seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    sizes = [40, *rng.integers(3, 9, size=2), 45, rng.integers(11, 16), 0]
    names = np.array(list(COUNTRIES), dtype=object)
    country = np.repeat(names, sizes)
    n_users = len(country)
    rating = np.where(rng.random((n_users, 24)) < 0.5, rng.normal(size=(n_users, 24)), np.nan)
    rating[:, 0] = rng.normal(size=n_users)
    rating += 0.7 * np.isin(country, ["BE", "CY"])[:, None]
    gender = rng.choice(["F", "M"], size=n_users)
    found, first = _exports(_log(country, rating, gender), tmp_path)
    hidden = {row.group["country"] for row in found.rows if row.status == "suppressed"
              and set(row.group) == {"country"}}  # fmt: skip
    assert {"BE", "CY"} <= hidden
    exchanged = country.copy()
    for region in ("EU", "NA"):
        inside = np.flatnonzero([x in hidden and COUNTRIES[x] == region for x in country])
        exchanged[inside] = rng.permutation(country[inside])
    assert (exchanged != country).any()
    second = _exports(_log(exchanged, rating, gender), tmp_path)[1]
    for kind in FORMATS:
        assert first[kind] == second[kind], kind


def test_the_values_of_hidden_groups_are_in_no_export(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    country = np.repeat(np.array(list(COUNTRIES), dtype=object), [60, 6, 7, 50, 12, 0])
    rating = np.where(rng.random((135, 24)) < 0.5, rng.normal(size=(135, 24)), np.nan)
    rating[:, 0] = 0.0
    # A value that no other number has by chance: all of a hidden group say it.
    rating[country == "BE"] = 8271.614
    found, texts = _exports(_log(country, rating, rng.choice(["F", "M"], 135)), tmp_path)
    for kind, text in texts.items():
        assert not re.search(r"(?<![\d.,])8,?271(?!\d)", text), kind
    counts = {tuple(sorted(r["group"].items())): r["n"] for r in json.loads(texts["json"])["rows"]}
    assert counts[("country", "BE"),] is None
    assert found.rows
