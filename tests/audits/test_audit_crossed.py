"""Crossed attributes, unknown levels, and what must be hidden among them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError

N = 400


@pytest.fixture(scope="module")
def log() -> cr.InteractionLog:
    """Ratings are 1 for young women, 0 for all others, without noise; 30 have no age."""
    users = pd.DataFrame({
        "user_id": np.arange(N),
        "gender": np.where(np.arange(N) % 2, "F", "M"),
        "age": np.where(np.arange(N) % 4 < 2, "young", "old"),
    })  # fmt: skip
    users.loc[users.index >= N - 30, "age"] = None
    items = pd.DataFrame({"item_id": np.arange(20), "kind": np.repeat(["song", "talk"], 10)})
    user, item = np.divmod(np.arange(N * 20), 20)
    kept = np.random.default_rng(0).random(N * 20) < 0.5
    like = ((users["gender"] == "F") & (users["age"] == "young")).to_numpy().astype(float)
    events = pd.DataFrame(
        {"user_id": user[kept], "item_id": item[kept], "rating": like[user[kept]]}
    )
    return cr.InteractionLog(events, users=users, items=items)


@pytest.mark.parametrize("asked", [[("gender", "age")], "gender x age", ["gender x age"]])
def test_a_crossing_is_a_group_of_both(log: cr.InteractionLog, asked: object) -> None:
    found = cr.audit(log, user_groups=asked, estimators="naive")
    rows = {tuple(row.group.items()): row for row in found.rows if row.group}
    assert rows[("gender", "F"), ("age", "young")].value == 1.0
    assert rows[("gender", "M"), ("age", "young")].value == 0.0
    assert len(rows) == 4
    assert any("30 users have no 'gender x age'" in note for note in found.notes)
    gap = next(row for row in found.gaps if "F x young" in row.label)
    assert abs(gap.value) == 1.0
    assert found.provenance.data["log"].endswith(log.fingerprint())


def test_the_unknown_can_be_a_group(log: cr.InteractionLog) -> None:
    found = cr.audit(
        log, user_groups=["age", ("gender", "age")], unknown="category", estimators="naive"
    )
    counts = {tuple(sorted(row.group.values())): row.n for row in found.rows if row.group}
    assert counts["unknown",] == 30
    assert counts["F", "unknown"] == counts["M", "unknown"] == 15
    assert not any("have no" in note for note in found.notes)
    assert found.provenance.config["unknown"] == "category"


def test_items_can_be_crossed_too(log: cr.InteractionLog) -> None:
    items = log.items.assign(era=np.tile(["new", "classic"], 10)).rename_axis("item_id")
    events = pd.DataFrame({
        "user_id": log.user_ids[log.user_codes], "item_id": log.item_ids[log.item_codes],
        "rating": log.outcome,
    })  # fmt: skip
    both = cr.InteractionLog(events, items=items.reset_index())
    found = cr.audit(both, item_groups=[("kind", "era")], estimators="naive", min_cell=5)
    assert {row.n for row in found.rows if row.group} == {5}


def test_what_cannot_be_crossed_says_why(log: cr.InteractionLog) -> None:
    with pytest.raises(DataError, match="cross columns of one table"):
        cr.audit(log, user_groups=[("gender", "kind")], estimators="naive")
    with pytest.raises(DataError, match="gendr"):
        cr.audit(log, user_groups=[("gendr", "age")], estimators="naive")
    with pytest.raises(StudyError, match="'exclude'"):
        cr.audit(log, user_groups="age", unknown="drop", estimators="naive")
    users = log.users.rename_axis("user_id").reset_index()
    users["gender"] = np.where(users.index < 50, "F x young", "F")
    users["age"] = np.where(users.index < 50, "old", "young x old")
    clash = cr.InteractionLog(
        pd.DataFrame({
            "user_id": log.user_ids[log.user_codes], "item_id": log.item_ids[log.item_codes],
            "rating": log.outcome,
        }),
        users=users,
    )  # fmt: skip
    with pytest.raises(DataError, match="cannot be told apart"):
        cr.audit(clash, user_groups=[("gender", "age")], estimators="naive")


def test_bounds_hold_whatever_groups_the_unknown_belong_to(log: cr.InteractionLog) -> None:
    """Deal the 30 out in many ways: every gap lies within the bounds."""
    found = cr.audit(
        log, user_groups="age", unknown="bounds", propensity=0.5, estimators=["naive", "snips"]
    )
    rows = [row for row in found.rows if row.metric == "mean gap, whatever the unknown"]
    assert {row.estimator for row in rows} == {"naive", "snips"}
    row = next(one for one in rows if one.estimator == "naive")
    low, high = (float(x) for x in row.interval_method.split("[")[1].rstrip("]").split(", "))
    first, second = row.label.split(": ")[1].split(",")[0].split(" - ")
    plain = next(r for r in found.rows if r.label == f"mean gap, age: {first} - {second} (naive)")
    # None of the unknown likes anything: the gap can be smaller than it is, and not larger.
    assert row.lower < low == pytest.approx(plain.value, abs=1e-4)
    assert low + 0.01 < high < row.upper
    age = log.users["age"].to_numpy(dtype=object)
    unknown, rng = np.flatnonzero(pd.isna(age)), np.random.default_rng(1)
    own = np.bincount(log.user_codes, weights=log.outcome) / np.bincount(log.user_codes)
    ways = [rng.choice([first, second], size=30) for _ in range(60)]
    ways += [np.where(own[unknown] > 0.5, *ends) for ends in ((first, second), (second, first))]
    gaps = []
    for way in ways:
        dealt = age.copy()
        dealt[unknown] = way
        of_row = dealt[log.user_codes]
        gaps.append(log.outcome[of_row == first].mean() - log.outcome[of_row == second].mean())
    assert low - 1e-4 <= min(gaps)  # the bounds are told to four digits
    assert max(gaps) <= high + 1e-4
    assert max(gaps) == pytest.approx(high, abs=0.02) or min(gaps) == pytest.approx(low, abs=0.02)


def test_a_few_unknown_are_not_bounded(log: cr.InteractionLog) -> None:
    found = cr.audit(log, user_groups="age", unknown="bounds", estimators="naive", min_cell=31)
    assert any("would tell of them" in note for note in found.notes)
    assert not [row for row in found.rows if "whatever" in row.metric]
