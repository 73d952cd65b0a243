"""Simulated loops: deterministic, right about who gets rich, and honest about what they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits import Retrained, gini, simulate_feedback
from causalrec.audits._closed_loop_rows import band
from causalrec.audits._feedback_loop import clicks_log, history_of
from causalrec.errors import StudyError
from causalrec.reporting import render_html


def log_of(n_users: int = 120, n_items: int = 40, seed: int = 0) -> cr.InteractionLog:
    """A history of three plays a user; items and users in two groups each."""
    rng = np.random.default_rng(seed)
    items = pd.DataFrame({"item_id": range(n_items), "side": ["a", "b"] * (n_items // 2)})
    users = pd.DataFrame({"user_id": range(n_users), "plan": ["x", "y"] * (n_users // 2)})
    rows = [(u, i) for u in range(n_users) for i in rng.choice(n_items, 3, replace=False)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return cr.InteractionLog(events, users=users, items=items, kind="positives", outcome=None)


ALIKE = np.full((120, 40), 0.3)


@pytest.fixture(scope="module")
def found() -> cr.Result:
    return simulate_feedback(
        log_of(), {"popular": "popular", "random": "random"}, ALIKE, k=5, rounds=8,
        n_simulations=10, item_groups="side", user_groups="plan", repeat=True,
    )  # fmt: skip


def test_the_rich_get_richer_where_all_items_are_alike(found: cr.Result) -> None:
    """Every item is liked alike: a loop on popularity makes them unequal, chance does not."""
    popular = found["gini of exposure, round 8: popular"]
    random = found["gini of exposure, round 8: random"]
    # Five of forty items get everything: 1 - 5/40, and a little more for unequal places.
    assert popular.value > 1 - 5 / 40
    assert random.upper < 0.35
    rng = np.random.default_rng(0)
    weight = 1 / np.log2(np.arange(2, 7))
    floor = np.mean(
        [
            gini(
                np.bincount(
                    np.concatenate([rng.permutation(40)[:5] for _ in range(120)]),
                    weights=np.tile(weight, 120),
                    minlength=40,
                )
            )
            for _ in range(40)
        ]
    )
    assert random.value == pytest.approx(floor, abs=0.02)
    drift = found["change of gini of exposure, rounds 1 to 8: random"]
    assert drift.lower < 0 < drift.upper
    difference = found["difference of gini of exposure, round 8, random - popular"]
    assert difference.upper < 0
    assert found["popularity lift, round 8: popular"].lower > 0
    lift = found["popularity lift, round 8: random"]
    # Histories hold popular items more often than a uniform draw does: E[p] / E[p^2] E[p] - 1.
    popularity = np.bincount(log_of().item_codes, minlength=40)
    rows = popularity[log_of().item_codes].mean()
    assert lift.value == pytest.approx(popularity.mean() / rows - 1.0, abs=0.02)


def test_a_model_that_is_not_retrained_does_not_move() -> None:
    first = lambda u, i: -np.asarray(i, float)  # noqa: E731
    found = simulate_feedback(
        log_of(), {"fixed": first}, ALIKE, k=5, rounds=6, n_simulations=3, repeat=True
    )
    change = found["change of gini of exposure, rounds 1 to 6: fixed"]
    assert (change.value, change.lower, change.upper) == (0.0, 0.0, 0.0)
    assert found["coverage, round 6: fixed"].value == pytest.approx(5 / 40)
    assert "stays where chance leaves it" in found.answer


def test_groups_follow_what_the_policy_shows() -> None:
    log = log_of()
    only_a = lambda u, i: (np.asarray(i) % 2 == 0).astype(float)  # noqa: E731
    better = ALIKE * np.where(np.arange(120) % 2 == 0, 1.5, 0.5)[:, None]
    found = simulate_feedback(
        log, {"random": "random", "only a": only_a}, better, k=4, rounds=3, n_simulations=12,
        item_groups="side", user_groups="plan", repeat=True, browsing="equal",
    )  # fmt: skip
    assert found["share of exposure, side=a, round 3: only a"].value == 1.0
    assert found["share of exposure, side=a, round 3: random"].value == pytest.approx(0.5, abs=0.03)
    # Plan x clicks 4 x .45 times a round, plan y 4 x .15: the gap is -1.2 for y, by any policy.
    gap = found["gap in clicks a user, plan: y - x, round 3: random"]
    assert gap.value == pytest.approx(-1.2, abs=0.15)
    clicks = found["clicks a user, round 3: random"]
    assert clicks.lower < 4 * 0.3 < clicks.upper
    # Policies share their luck: the gap of a policy with itself is nothing in every future.
    twice = simulate_feedback(
        log, {"a": only_a, "b": only_a}, better, k=4, rounds=3, n_simulations=4, repeat=True
    )
    same = twice["difference of clicks a user, round 3, b - a"]
    assert (same.value, same.lower, same.upper) == (0.0, 0.0, 0.0)


def test_same_seed_same_bytes(found: cr.Result) -> None:
    again = simulate_feedback(
        log_of(), {"popular": "popular", "random": "random"}, ALIKE, k=5, rounds=8,
        n_simulations=10, item_groups="side", user_groups="plan", repeat=True,
    )  # fmt: skip
    assert again.to_json() == found.to_json()
    other = simulate_feedback(
        log_of(), {"popular": "popular", "random": "random"}, ALIKE, k=5, rounds=8,
        n_simulations=10, item_groups="side", user_groups="plan", repeat=True, random_state=1,
    )  # fmt: skip
    assert other.to_json() != found.to_json()


def test_clicked_items_are_not_shown_again_unless_asked() -> None:
    log = log_of(n_users=20, n_items=12)
    sure = np.ones((20, 12))
    found = simulate_feedback(
        log, {"r": "random"}, sure, k=3, rounds=3, n_simulations=2, browsing="equal"
    )
    # Nine items are left to each user: three rounds of three clicks, then nothing.
    table = next(t for t in found.tables if t.name == "trajectory: clicks a user").to_frame()
    assert table["r"].tolist() == [3.0, 3.0, 3.0]
    with pytest.raises(StudyError, match="In round 4 nobody has an item left"):
        simulate_feedback(log, {"r": "random"}, sure, k=3, rounds=4, browsing="equal")


def test_a_retrained_model_learns_from_its_own_clicks() -> None:
    """Item 0 is the only one that is clicked: once it is shown, the retrained model lists it."""
    log = cr.simulate("music", n_users=40, n_items=20, density=0.3, random_state=0).log
    chance = np.zeros((40, 20))
    chance[:, 0] = 1.0

    class Mean:
        """The mean outcome of every item, from a log."""

        def fit(self, given: cr.InteractionLog) -> Mean:
            total = np.bincount(given.item_codes, weights=given.outcome, minlength=20)
            self.mean = total / np.maximum(np.bincount(given.item_codes, minlength=20), 1)
            return self

        def get_params(self) -> dict[str, object]:
            return {}

        def predict(self, users: list[int], items: list[int]) -> np.ndarray:
            return self.mean[log.codes_of(items=items)]

    found = simulate_feedback(
        log, {"learned": Retrained(Mean()), "function": Retrained(lambda g: Mean().fit(g))},
        chance, k=19, rounds=12, n_simulations=2, repeat=True, browsing="equal",
        relevance_threshold=5,
    )  # fmt: skip
    learned = next(t for t in found.tables if t.name == "trajectory: clicks a user").to_frame()
    assert learned["learned"].iloc[-1] == 1.0
    assert learned["learned"].tolist() == learned["function"].tolist()
    with pytest.raises(StudyError, match="nothing to learn from"):
        simulate_feedback(log, {"learned": Retrained(Mean())}, chance)
    model = Retrained(cr.DebiasedMF("naive", n_factors=2))
    ratings = cr.simulate("music", n_users=60, n_items=30, density=0.3, random_state=0).log
    loop = simulate_feedback(
        ratings, {"mf": model}, np.full((60, 30), 0.4), k=4, rounds=2, n_simulations=1,
        relevance_threshold=4,
    )  # fmt: skip
    assert 0 <= loop["gini of exposure, round 2: mf"].value <= 1


def test_the_log_of_clicks_holds_what_was_shown() -> None:
    log = cr.simulate("music", n_users=30, n_items=20, density=0.4, random_state=0).log
    start = history_of(log, 4)
    assert start.shown.sum() == log.n_rows
    assert start.clicked.sum() == (log.outcome >= 4).sum()
    made = clicks_log(log, start)
    assert made.kind == "ratings"
    assert made.outcome.sum() == start.clicked.sum()
    assert made.user_ids.equals(log.user_ids)
    assert list(made.items["genre"].astype(str)) == list(log.items["genre"].astype(str))


def test_several_click_models_widen_the_bands() -> None:
    log = log_of()
    options = {"k": 5, "rounds": 2, "n_simulations": 20, "repeat": True}
    one = simulate_feedback(log, {"r": "random"}, ALIKE, **options)
    two = simulate_feedback(log, {"r": "random"}, [ALIKE * 0.5, ALIKE * 1.5], **options)
    label = "clicks a user, round 2: r"
    assert two[label].upper - two[label].lower > 2 * (one[label].upper - one[label].lower)
    assert "draws one of several" in two.assumptions[0].evidence


def test_a_band_holds_its_share() -> None:
    assert band(np.arange(101.0), 0.9) == pytest.approx((50.0, 5.0, 95.0))


def test_it_says_what_it_is_and_is_drawn(found: cr.Result) -> None:
    assert "not an estimate" in found.answer
    assert all("no confidence interval" in row.interval_method for row in found.rows)
    page = render_html(found)
    assert "Simulation of a feedback loop" in page
    assert 'class="tint c-' in page
    assert page.index("Gini of exposure by round") < page.index("Evidence")
    assert {one.status for one in found.assumptions} == {"untestable"}


def test_what_means_nothing_is_refused() -> None:
    log = log_of(n_users=20, n_items=12)
    with pytest.raises(StudyError, match=r"no chance in \[0, 1\] to 240 of 240"):
        simulate_feedback(log, {"r": "random"}, np.full((20, 12), 3.0))
    with pytest.raises(StudyError, match="Did you mean 'popular'"):
        simulate_feedback(log, {"r": "populer"}, np.full((20, 12), 0.3))
    with pytest.raises(StudyError, match="rounds=0"):
        simulate_feedback(log, {"r": "random"}, np.full((20, 12), 0.3), rounds=0)
    with pytest.raises(StudyError, match="by name"):
        simulate_feedback(log, {}, np.full((20, 12), 0.3))
    with pytest.raises(StudyError, match="the grid has"):
        simulate_feedback(log, {"r": "random"}, np.full((3, 3), 0.3))
    with pytest.raises(StudyError, match="empty list"):
        simulate_feedback(log, {"r": "random"}, [])
