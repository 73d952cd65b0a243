"""Measures of providers hide small groups, and every kind of log has an answer or a reason."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import causalrec as cr

OF_LISTS = [
    "popularity", "concentration", "exposure", "target", "deviation", "opportunity", "merit",
    "expected exposure",
]  # fmt: skip
HIDDEN = {"talk", "ad"}


def log_of_kinds() -> cr.InteractionLog:
    rng = np.random.default_rng(0)
    items = pd.DataFrame(
        {
            "item_id": np.arange(70),
            "kind": np.repeat(["song", "clip", "talk", "ad"], [30, 24, 10, 6]),
            "some": rng.random(70),
            "rest": rng.random(70),
        }
    )
    user, item = np.nonzero(rng.random((200, 70)) < 0.4)
    liked = (rng.random(len(user)) < 0.3 + 0.3 * (item % 2)).astype(float)
    events = pd.DataFrame({"user_id": user, "item_id": item, "liked": liked})
    users = pd.DataFrame({"user_id": np.arange(200), "plan": np.arange(200) % 2})
    return cr.InteractionLog(events, users=users, items=items, outcome="liked", kind="ratings")


def model(users: pd.Index, items: pd.Index) -> np.ndarray:
    return np.cos(np.asarray(users) * 1.7 + np.asarray(items))


def audit(min_cell: int) -> cr.Result:
    return cr.audit(
        log_of_kinds(), model, item_groups="kind", propensity=0.4, estimators=["naive", "snips"],
        measures=OF_LISTS, exclude_seen=False, k=8, min_cell=min_cell,
    )  # fmt: skip


def numbers_of(found: cr.Result) -> set[float]:
    whole = json.loads(found.to_json())
    whole.pop("provenance")
    seen: set[float] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict | list):
            for value in node.values() if isinstance(node, dict) else node:
                walk(value)
        elif isinstance(node, int | float) and not isinstance(node, bool):
            seen.add(float(node))

    walk(whole)
    return seen


def test_no_measure_tells_of_a_hidden_group() -> None:
    hidden, shown = audit(11), audit(1)
    told = numbers_of(hidden)
    checked = 0
    for row in shown.rows:
        small = set(row.group.values()) & HIDDEN or any(f" {x} /" in row.label for x in HIDDEN)
        if not small:
            continue
        for name in ("value", "standard_error", "lower", "upper"):
            number = getattr(row, name)
            # With one propensity for all naive is SNIPS: their ratio is 1 to the last digit, in
            # groups that are shown too.
            if number is not None and min(abs(number), abs(number - 1.0)) > 1e-9:
                assert float(number) not in told, (row.label, name)
                checked += 1
    assert checked > 100
    # Distances are among the groups shown, so that they do not give the others away.
    for metric in ("distance from target (AWRF@8)", "inequity of attention (IAA@8)",
                   "parity of places (RSP@8)"):  # fmt: skip
        assert hidden[f"{metric}: kind"].value != shown[f"{metric}: kind"].value
    table = next(t for t in hidden.tables if t.name == "attention against target")
    assert {line[1] for line in table.rows} == {"song", "clip"}


@pytest.mark.parametrize("world", ["music", "shop", "social", "video"])
def test_every_family_answers_or_says_why_not(world: str) -> None:
    drawn = cr.simulate(world, n_users=60, n_items=30, random_state=0)
    column = {"music": "genre", "shop": "category", "social": "topic", "video": "channel"}[world]
    options = {"item_groups": column, "measures": OF_LISTS, "min_cell": 1, "estimators": "naive"}
    lists = pd.DataFrame(
        {
            "user_id": np.repeat(drawn.log.user_ids.to_numpy(), 3),
            "item_id": np.resize(drawn.log.item_ids.to_numpy(), 3 * drawn.log.n_users),
            "rank": np.tile([1, 2, 3], drawn.log.n_users),
        }
    )
    for given in (None, lists):
        if given is None and drawn.log.kind == "ratings":
            continue
        found = cr.audit(drawn.log, given, relevance_threshold=1.0, **options)
        told = {row.metric.split("@")[0].split(" (")[0] for row in found.rows}
        assert "share of attention minus target" in told
        assert "merit" in told or any(note.startswith("Merit") for note in found.notes)
        assert all(row.value is None or np.isfinite(row.value) for row in found.rows)


def test_few_cells_of_a_group_are_marked() -> None:
    rng = np.random.default_rng(1)
    log = log_of_kinds()
    kept = (log.items["kind"].to_numpy()[log.item_codes] != "ad") | (rng.random(log.n_rows) < 0.04)
    found = cr.audit(
        log.select(kept), model, item_groups="kind", propensity=0.4, estimators=["naive", "snips"],
        measures="merit", exclude_seen=False, k=8, min_cell=1, relevance_threshold=1.0,
    )  # fmt: skip
    assert found["merit: kind=ad"].status == "low_support"
    assert found["merit: kind=song"].status == "ok"
    assert found["exposure for merit (DTR@8) ratio, kind: ad / song"].status == "low_support"
