"""No export of an audit lets a reader derive a small group."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import causalrec as cr

SMALL = {"north": 300, "south": 90, "east": 14, "west": 6}


def log_with_small_groups() -> cr.InteractionLog:
    rng = np.random.default_rng(0)
    region = np.repeat(list(SMALL), list(SMALL.values()))
    users = pd.DataFrame({"user_id": np.arange(len(region)), "region": region})
    items = pd.DataFrame(
        {"item_id": np.arange(60), "kind": np.repeat(["song", "talk", "ad"], [40, 17, 3])}
    )
    cells = rng.random((len(region), 60)) < 0.3
    cells[:, 0] = True
    user, item = np.nonzero(cells)
    events = pd.DataFrame(
        {"user_id": user, "item_id": item, "rating": rng.normal(size=len(user)).round(3)}
    )
    return cr.InteractionLog(events, users=users, items=items)


def numbers_of(found: cr.Result) -> set[float]:
    """Every number in the JSON, apart from configuration and provenance."""
    whole = json.loads(found.to_json())
    whole.pop("provenance")
    seen: set[float] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
        elif isinstance(node, int | float) and not isinstance(node, bool):
            seen.add(float(node))

    walk(whole)
    return seen


@pytest.fixture(scope="module")
def audits() -> tuple[cr.Result, cr.Result]:
    log = log_with_small_groups()
    options = {
        "user_groups": "region",
        "item_groups": "kind",
        "propensity": 0.3,
        "estimators": ["naive", "snips"],
    }

    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        return np.cos(np.asarray(users) * 1.7 + np.asarray(items))

    return cr.audit(log, model, **options), cr.audit(log, model, min_cell=1, **options)


def test_small_groups_and_their_cover_are_hidden(audits: tuple[cr.Result, cr.Result]) -> None:
    hidden, _ = audits
    by_level: dict[str, set[str]] = {}
    for row in hidden.rows:
        for level in row.group.values():
            by_level.setdefault(level, set()).add(row.status)
    assert by_level["west"] == by_level["east"] == {"suppressed"}
    assert by_level["ad"] == by_level["talk"] == {"suppressed"}
    assert "suppressed" not in by_level["north"] | by_level["south"] | by_level["song"]
    assert any("4 groups are hidden" in note for note in hidden.notes)
    assert not [row for row in hidden.gaps if "kind" in row.label]


def test_hidden_values_and_counts_appear_nowhere(audits: tuple[cr.Result, cr.Result]) -> None:
    hidden, shown = audits
    told = numbers_of(hidden)
    for row in shown.rows:
        if set(row.group.values()) & {"west", "east", "ad", "talk"}:
            for name in ("value", "standard_error", "lower", "upper"):
                number = getattr(row, name)
                assert number is None or float(number) not in told, (row.label, name)
    for count in (6.0, 14.0, 3.0, 17.0):
        assert not any(row.n == count for row in hidden.rows)
    for table in hidden.tables:
        if "group" in table.columns:
            for line in table.rows:
                if line[table.columns.index("group")] in {"west", "east", "ad", "talk"}:
                    assert set(line[3:]) == {"suppressed"}
    assert "west" not in "".join(a.evidence for a in hidden.assumptions)


def test_hidden_counts_do_not_follow_from_the_total(audits: tuple[cr.Result, cr.Result]) -> None:
    hidden, _ = audits
    counts = {
        level: row.n for row in hidden.rows for level in row.group.values() if row.n is not None
    }
    total = sum(SMALL.values())
    left = total - counts["north"] - counts["south"]
    # Two groups share what is left: neither count follows, and together they are no small cell.
    assert left == 20
    assert not {"west", "east"} & set(counts)


def test_gaps_and_tests_compare_shown_groups_only(audits: tuple[cr.Result, cr.Result]) -> None:
    hidden, _ = audits
    assert {row.label.split(": ")[1] for row in hidden.gaps if "region" in row.label} == {
        "south - north"
    }
    tests = next(table for table in hidden.tables if table.name == "any difference")
    assert {row[3] for row in tests.rows} == {"north, south"}


def test_a_note_on_missing_levels_is_no_small_count() -> None:
    log = log_with_small_groups()
    users = log.users.rename_axis("user_id").reset_index()
    users["region"] = users["region"].where(users["region"] != "west")
    events = pd.DataFrame(
        {
            "user_id": log.user_ids[log.user_codes],
            "item_id": log.item_ids[log.item_codes],
            "rating": log.outcome,
        }
    )
    found = cr.audit(
        cr.InteractionLog(events, users=users), user_groups="region", estimators="naive"
    )
    assert "Some users have no 'region'; they belong to no group." in found.notes
    assert not any("6 users" in note for note in found.notes)
    # 404 of 410 users would tell the six: another group goes with them.
    assert {row.status for row in found.rows if row.group.get("region") == "east"} == {"suppressed"}


def test_nothing_left_to_compare_says_so() -> None:
    found = cr.audit(log_with_small_groups(), item_groups="kind", estimators="naive", min_cell=50)
    assert "the groups are too small to be shown" in found.answer
    assert all(row.value is None for row in found.rows)


@pytest.mark.parametrize("other", [False, True])
def test_how_many_have_no_level_is_not_told_where_a_group_would_follow(other: bool) -> None:
    rng = np.random.default_rng(0)
    level = np.array(["A"] * 70 + ["B"] * 60 + ["D"] * 5 + [None] * 12, dtype=object)
    user, item = np.nonzero(rng.random((147, 20)) < 0.6)
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": rng.random(len(user))})
    users = pd.DataFrame({
        "user_id": range(147), "level": level, "half": np.where(np.arange(147) % 2, "x", "y"),
    })  # fmt: skip
    log = cr.InteractionLog(events, users=users, outcome_range=(0.0, 1.0))
    groups = ["level", "half"] if other else ["level"]
    found = cr.audit(
        log, user_groups=groups, propensity=0.6, estimators=["snips"], unknown="bounds"
    )
    # 147 in all, 70 and 60 shown: 12 without a level would leave 5.
    assert "Some users have no 'level'; they belong to no group." in found.notes
    assert not any("12 users" in note for note in found.notes)
    assert not [row for row in found.rows if "whatever the unknown" in row.label]


@pytest.mark.parametrize("family", ["popularity", "opportunity", "miscalibration", "trends", "all"])
def test_a_family_of_measures_hides_no_more_groups_than_another(family: str) -> None:
    """A number of few subjects, or of part of a group, is no margin of the others."""
    log = log_with_small_groups()
    events = pd.DataFrame({
        "user_id": log.user_ids[log.user_codes], "item_id": log.item_ids[log.item_codes],
        "rating": (log.outcome > 0).astype(float),
        "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(log.n_rows) % 60, unit="D"),
    })  # fmt: skip
    timed = cr.InteractionLog(
        events,
        users=log.users.rename_axis("user_id").reset_index(),
        items=log.items.rename_axis("item_id").reset_index(),
        timestamp="when",
    )
    found = cr.audit(
        timed, lambda users, items: np.cos(np.asarray(users) + np.asarray(items)),
        user_groups="region", item_groups="kind", propensity=0.3, estimators=["naive"],
        metrics=["mse"], measures=family, k=5, exclude_seen=False, relevance_threshold=1.0,
    )  # fmt: skip
    status = {
        level: {row.status for row in found.rows if row.group == {column: level}}
        for column, levels in (("region", SMALL), ("kind", ("song", "talk", "ad")))
        for level in levels
    }
    assert all("suppressed" not in status[level] for level in ("north", "south", "song"))
    assert all(status[level] == {"suppressed"} for level in ("east", "west", "talk", "ad"))
