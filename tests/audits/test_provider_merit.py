"""Attention for merit and chances of a place, by hand and against a known world."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import causalrec as cr
from causalrec.audits._merit import total_inequity
from causalrec.audits._opportunity import deviation_over_mean

N_USERS, N_ITEMS, K = 8, 10, 3
RNG = np.random.default_rng(5)
RELEVANT = (RNG.random((N_USERS, N_ITEMS)) < 0.4).astype(float)
kinds = np.array(list("xxxxxyyyyy"))
ORDER = np.argsort(RNG.random((N_USERS, N_ITEMS)), axis=1)[:, :K]
ATTENTION = np.zeros((N_USERS, N_ITEMS))
np.put_along_axis(ATTENTION, ORDER, np.broadcast_to(1 / np.log2([2, 3, 4]), (N_USERS, K)), axis=1)
LISTS = pd.DataFrame(
    {
        "user_id": np.repeat(np.arange(N_USERS), K),
        "item_id": ORDER.ravel(),
        "rank": np.tile(np.arange(K) + 1, N_USERS),
    }
)


def full_log(relevant: np.ndarray = RELEVANT) -> cr.InteractionLog:
    """Every cell recorded: nothing is missing, so every estimator is the plain mean."""
    users, items = np.divmod(np.arange(N_USERS * N_ITEMS), N_ITEMS)
    events = pd.DataFrame({"user_id": users, "item_id": items, "liked": relevant.ravel()})
    return cr.InteractionLog(
        events,
        items=pd.DataFrame({"item_id": np.arange(N_ITEMS), "kind": kinds}),
        outcome="liked",
        kind="ratings",
    )


def audit(log: cr.InteractionLog, **options: object) -> cr.Result:
    chosen = {
        "item_groups": "kind",
        "min_cell": 1,
        "k": K,
        "propensity": 1.0,
        "estimators": ["naive", "snips"],
        "measures": ["merit", "opportunity"],
        **options,
    }
    return cr.audit(log, LISTS, **chosen)


def by_group(cells: np.ndarray) -> np.ndarray:
    return np.array([cells[:, kinds == x].mean() for x in "xy"])


def test_treatment_and_impact_by_hand() -> None:
    found = audit(full_log())
    exposure, merit, impact = (by_group(c) for c in (ATTENTION, RELEVANT, ATTENTION * RELEVANT))
    treatment, earned = exposure / merit, impact / merit
    for suffix in ("", " (naive)"):
        for at, level in enumerate("xy"):
            value = found[f"merit: kind={level}{suffix}"].value
            assert value == pytest.approx(merit[at])
            value = found[f"exposure for merit (DTR@3): kind={level}{suffix}"].value
            assert value == pytest.approx(treatment[at])
            value = found[f"impact for merit (DIR@3): kind={level}{suffix}"].value
            assert value == pytest.approx(earned[at])
        ratio = found[f"exposure for merit (DTR@3) ratio, kind: y / x{suffix}"]
        assert ratio.value == pytest.approx(treatment[1] / treatment[0])
        assert ratio.lower < ratio.value < ratio.upper
    chance = found["exposure for merit (DTR@3) ratio, kind: y / x (uniform random lists)"]
    assert chance.value == pytest.approx(merit[0] / merit[1])
    same = found["exposure for merit (DTR@3) ratio, kind: y / x (naive / snips)"]
    assert same.value == pytest.approx(1.0)


def test_inequity_of_attention_by_hand() -> None:
    found = audit(full_log())
    attention = np.array([ATTENTION[:, kinds == x].sum() for x in "xy"])
    merit = np.array([RELEVANT[:, kinds == x].sum() for x in "xy"])
    apart = np.abs(attention / attention.sum() - merit / merit.sum()).sum()
    row = found["inequity of attention (IAA@3): kind"]
    assert row.value == pytest.approx(apart)
    assert row.lower <= row.value <= row.upper
    by_chance = found["inequity of attention (IAA@3): kind (uniform random lists)"]
    assert by_chance.value == pytest.approx(np.abs(0.5 - merit / merit.sum()).sum())
    assert "sampling alone would give" in row.note
    assert total_inequity(np.array([[0.2, -0.3]]))[0] == pytest.approx(0.6)


def test_parity_and_opportunity_by_hand() -> None:
    found = audit(full_log())
    listed = ATTENTION > 0
    places = by_group(listed)
    chances = np.array(
        [(listed * RELEVANT)[:, kinds == x].sum() / RELEVANT[:, kinds == x].sum() for x in "xy"]
    )
    for name, rates in (
        ("parity of places (RSP@3)", places),
        ("equal opportunity (REO@3)", chances),
    ):
        assert found[f"{name}: kind"].value == pytest.approx(np.std(rates) / np.mean(rates))
    for at, level in enumerate("xy"):
        assert found[f"chance of a place@3: kind={level}"].value == pytest.approx(places[at])
        value = found[f"share of relevance listed@3: kind={level}"].value
        assert value == pytest.approx(chances[at])
    assert "popularity=head" in " ".join(row.label for row in found.rows)


def test_unseen_items_alone_could_have_had_a_place() -> None:
    world = cr.simulate("music", n_users=40, n_items=30, density=0.3, random_state=0)
    log = world.log

    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        return np.cos(np.asarray(users) * 1.3 + np.asarray(items))

    found = cr.audit(log, model, item_groups="genre", min_cell=1, k=5, estimators="naive",
                     measures="opportunity")  # fmt: skip
    unseen = np.ones((40, 30), dtype=bool)
    unseen[log.user_codes, log.item_codes] = False
    genre = log.items["genre"].to_numpy()
    scores = np.cos(log.user_ids.to_numpy()[:, None] * 1.3 + log.item_ids.to_numpy()[None, :])
    order = np.argsort(-np.where(unseen, scores, -np.inf), axis=1, kind="stable")[:, :5]
    for level in np.unique(genre):
        expected = (genre[order] == level).sum() / unseen[:, genre == level].sum()
        assert found[f"chance of a place@5: genre={level}"].value == pytest.approx(expected)
    # Recorded cells are not in lists of unseen items: what lists earn is not a number.
    row = found["equal opportunity (REO@5): genre"]
    assert row.status == "not_estimable"
    assert "train=..." in row.note


def test_order_by_popularity_by_hand() -> None:
    rng = np.random.default_rng(3)
    users, items = np.divmod(np.flatnonzero(rng.random(60) < 0.6), 10)
    events = pd.DataFrame({"user_id": users, "item_id": items, "liked": 1.0})
    events.loc[::4, "liked"] = 0.0
    log = cr.InteractionLog(events, outcome="liked", kind="ratings")

    def model(u: pd.Index, i: pd.Index) -> np.ndarray:
        return np.sin(np.asarray(u) * 2.0 + np.asarray(i) * 1.7)

    found = cr.audit(log, model, min_cell=1, measures="opportunity", estimators="naive")
    count = events.groupby("item_id").size()
    each = []
    for user, own in events[events["liked"] == 1].groupby("user_id"):
        if len(own) < 2 or count[own["item_id"]].nunique() < 2:
            continue
        place = stats.rankdata(-model(np.full(len(own), user), own["item_id"]))
        each.append(-stats.spearmanr(count[own["item_id"]], place).statistic)
    row = found["popularity of the better placed (PRI) (naive)"]
    assert row.value == pytest.approx(np.mean(each))
    assert found["popularity of the better placed (PRI)"].status == "not_estimable"


def test_a_group_without_merit_has_no_ratio_and_says_so() -> None:
    relevant = RELEVANT.copy()
    relevant[:, kinds == "y"] = 0.0
    found = audit(full_log(relevant))
    row = found["exposure for merit (DTR@3): kind=y"]
    assert row.value is None
    assert row.status == "not_estimable"
    assert "merit is not above zero" in row.note
    ratio = found["exposure for merit (DTR@3) ratio, kind: y / x"]
    assert ratio.status == "not_estimable"
    assert ratio.lower is None
    assert found["merit: kind=y"].value == 0.0


def test_several_lists_of_a_user_are_one_expectation() -> None:
    twice = pd.concat([LISTS.assign(list=1), LISTS.assign(list=2)])
    options = {"item_groups": "kind", "min_cell": 1, "k": K, "estimators": "naive"}
    once, both = (cr.audit(full_log(), lists, **options) for lists in (LISTS, twice))
    for label in ("exposure@3: kind=x", "average popularity (ARP@3)", "gini of exposure@3",
                  "places of the tail in a list (ACLT@3)"):  # fmt: skip
        assert both[label].value == pytest.approx(once[label].value)


def test_impressions_and_positives_say_what_they_cannot_answer() -> None:
    world = cr.simulate("social", n_users=60, n_items=30, random_state=0)
    found = cr.audit(world.log, item_groups="topic", min_cell=1, measures=["exposure", "merit"])
    assert any("Merit is not estimable from impressions" in note for note in found.notes)
    assert not any("merit" in row.metric for row in found.rows)


def test_deviation_over_mean_of_two_is_a_half_difference_over_their_mean() -> None:
    rates = np.array([0.2, 0.6])
    expected = np.std(rates) / np.mean(rates)
    assert deviation_over_mean(np.log(rates[1:] / rates[0])[None])[0] == pytest.approx(expected)


def test_candidates_earned_what_they_were_shown_for() -> None:
    """Of the log's own rows the impact is seen; only merit is estimated."""
    world = cr.simulate("shop", n_users=200, n_items=60, random_state=0)
    found = cr.audit(world.log, item_groups="category", graph=world.graph, measures="merit",
                     min_cell=1, estimators=["naive", "dr"])  # fmt: skip
    log = world.log
    shown = log.exposure == 1
    category = log.items["category"].to_numpy()
    for level in np.unique(category):
        inside = category[log.item_codes] == level
        earned = log.outcome[shown & inside].sum() / inside.sum()
        naive = log.outcome[shown & inside].mean()
        row = found[f"impact for merit (DIR): category={level} (naive)"]
        assert row.value == pytest.approx(earned / naive)
        merit = found[f"merit: category={level}"]
        assert found[f"impact for merit (DIR): category={level}"].value == pytest.approx(
            earned / merit.value
        )


def test_a_column_that_is_called_popularity_is_no_head_and_tail() -> None:
    world = cr.simulate("music", n_users=150, n_items=60, density=0.2, unsupported=0.2,
                        random_state=0)  # fmt: skip
    items = world.items.assign(popularity=np.arange(60) % 3)
    log = cr.InteractionLog(
        world.events, users=world.users, items=items, outcome_range=(1, 5), provider="label"
    )
    found = cr.audit(
        log, lambda u, i: np.cos(np.asarray(i) * 1.3), item_groups="genre", k=5, min_cell=1,
        propensity=world.potential.propensity, estimators=["naive", "snips"],
        measures="opportunity", exclude_seen=False, relevance_threshold=4.0,
    )  # fmt: skip
    assert found["share of relevance listed@5: popularity=tail"].value is not None
