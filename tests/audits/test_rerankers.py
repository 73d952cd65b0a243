"""Re-rankers against hand computations, enumeration, and what they promise."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import causalrec as cr
from causalrec.audits import CalibratedReranker, ExposureReranker
from causalrec.audits._birkhoff import completed, draw_ranking, rankings_of
from causalrec.audits._rerank_calibrated import divergence, greedy_lists, profiles
from causalrec.audits._rerank_exposure import fair_ranking
from causalrec.errors import DataError, NotFittedError, StudyError


@pytest.fixture(scope="module")
def log() -> cr.InteractionLog:
    return cr.simulate("music", n_users=80, n_items=60, density=0.2, random_state=3).log


def first_items_first(users: object, items: object) -> np.ndarray:
    return (5100.0 - np.asarray(items, dtype=float)) / 100.0


# ---------------------------------------------------------------------- calibrated


def kl(p: list[float], q: list[float], a: float = 0.01) -> float:
    return sum(x * np.log(x / ((1 - a) * y + a * x)) for x, y in zip(p, q, strict=True) if x)


def test_the_divergence_is_that_of_the_paper() -> None:
    assert divergence(np.array([0.7, 0.3]), np.array([1.0, 0.0]), 0.01).item() == pytest.approx(
        kl([0.7, 0.3], [1.0, 0.0])
    )
    assert divergence(np.array([0.7, 0.3]), np.array([0.7, 0.3]), 0.01).item() == 0.0


def test_greedy_steps_by_hand() -> None:
    """Three action films score best; a user is 0.6 action, 0.4 romance."""
    scores = np.array([[0.9, 0.8, 0.7, 0.3, 0.2]])
    genre = np.array([[0, 0, 0, 1, 1]])
    profile = np.array([[0.6, 0.4]])
    found, final = greedy_lists(scores, genre, profile, np.ones(3), tradeoff=0.5, smoothing=0.01)
    # First: action, whose list (1, 0) is both nearer and better.
    first = {0: 0.45 - 0.5 * kl([0.6, 0.4], [1, 0]), 3: 0.15 - 0.5 * kl([0.6, 0.4], [0, 1])}
    assert first[0] > first[3]
    # Second: .8 keeps the list at (1, 0), .3 makes it (1/2, 1/2).
    second = {1: 0.4 - 0.5 * kl([0.6, 0.4], [1, 0]), 3: 0.15 - 0.5 * kl([0.6, 0.4], [0.5, 0.5])}
    assert second[3] > second[1]
    # Third: (2/3, 1/3) with .8 against (1/3, 2/3) with .2.
    third = {
        1: 0.4 - 0.5 * kl([0.6, 0.4], [2 / 3, 1 / 3]),
        4: 0.1 - 0.5 * kl([0.6, 0.4], [1 / 3, 2 / 3]),
    }
    assert third[1] > third[4]
    assert found.tolist() == [[0, 3, 1]]
    assert final[0] == pytest.approx(kl([0.6, 0.4], [2 / 3, 1 / 3]))


def test_places_weigh_as_they_are_told() -> None:
    found, final = greedy_lists(
        np.array([[0.9, 0.3]]), np.array([[0, 1]]), np.array([[0.5, 0.5]]),
        np.array([1.0, 0.5]), tradeoff=0.5, smoothing=0.01,
    )  # fmt: skip
    assert found.tolist() == [[0, 1]]
    assert final[0] == pytest.approx(kl([0.5, 0.5], [2 / 3, 1 / 3]))


def test_items_without_a_genre_and_short_lists() -> None:
    scores = np.array([[0.9, 0.8, -np.inf]])
    found, final = greedy_lists(
        scores, np.array([[-1, 1, -1]]), np.array([[0.5, 0.5]]), np.ones(3),
        tradeoff=0.0, smoothing=0.01,
    )  # fmt: skip
    assert found.tolist() == [[0, 1, -1]]
    assert final[0] == pytest.approx(kl([0.5, 0.5], [0.0, 1.0]))


def test_profiles_count_the_history_and_weigh_it(log: cr.InteractionLog) -> None:
    levels, codes = np.unique(log.items["genre"].astype(str), return_inverse=True)
    found = profiles(log, codes.astype(np.int64), len(levels))
    own = codes[log.item_codes[log.user_codes == 5]]
    np.testing.assert_allclose(found[5], np.bincount(own, minlength=len(levels)) / len(own))
    chance = np.linspace(0.1, 0.9, log.n_items)[None, :].repeat(log.n_users, axis=0)
    weighted = profiles(log, codes.astype(np.int64), len(levels), cr.KnownPropensity(chance))
    weight = 1.0 / chance[5, log.item_codes[log.user_codes == 5]]
    expected = np.bincount(own, weights=weight, minlength=len(levels)) / weight.sum()
    np.testing.assert_allclose(weighted[5], expected)


def test_more_tradeoff_is_better_calibrated_and_none_is_the_models_order(
    log: cr.InteractionLog,
) -> None:
    made = [
        CalibratedReranker(first_items_first, "genre", tradeoff=t, k=8).fit(log)
        for t in (0.0, 0.5, 1.0)
    ]
    off = [np.nanmean(one.miscalibration_) for one in made]
    assert off[0] > off[1] > off[2]
    listed = made[0].recommend(log.user_ids[:1])
    seen = set(log.item_ids[log.item_codes[log.user_codes == 0]])
    expected = [item for item in sorted(log.item_ids) if item not in seen][:8]
    assert listed["item_id"].tolist() == expected


def test_recommend_and_predict_agree(log: cr.InteractionLog) -> None:
    reranker = CalibratedReranker(first_items_first, "genre", tradeoff=0.8, k=6).fit(log)
    user = log.user_ids[7]
    listed = reranker.recommend([user])
    assert listed["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    value = reranker.predict([user] * log.n_items, log.item_ids)
    order = np.asarray(log.item_ids)[np.argsort(-value, kind="stable")]
    assert order[:6].tolist() == listed["item_id"].tolist()
    np.testing.assert_array_equal(np.sort(value)[-6:], [1, 2, 3, 4, 5, 6])
    rest = [item for item in sorted(log.item_ids) if item not in set(order[:6])]
    assert order[6:].tolist() == rest  # what is not listed keeps the model's order
    assert reranker.recommend(k=2)["rank"].max() == 2


# ---------------------------------------------------------------------- exposure


@pytest.mark.parametrize("seed", range(6))
def test_the_optimum_is_that_of_all_rankings(seed: int) -> None:
    """The best lottery over all rankings, found by enumerating them, is worth as much."""
    rng = np.random.default_rng(seed)
    n, places = 5, 3
    scores, group = rng.random(n), np.array([0, 0, 1, 1, 1])
    weight, target = 1.0 / np.log2(np.arange(2, places + 2)), np.array([0.45, 0.55])
    lottery = fair_ranking(scores, group, weight, target, tolerance=0.1)
    assert lottery is not None
    rankings = np.array(list(permutations(range(n), places)))
    worth = scores[rankings] @ weight
    share = np.where(group[rankings] == 0, weight, 0.0).sum(axis=1) / weight.sum()
    best = optimize.linprog(
        -worth,
        A_ub=np.stack([share, -share, 1 - share, share - 1]),
        b_ub=[0.45 * 1.1, -0.45 * 0.9, 0.55 * 1.1, -0.55 * 0.9],
        A_eq=np.ones((1, len(rankings))),
        b_eq=[1.0],
    )
    assert scores @ lottery @ weight == pytest.approx(-best.fun, abs=1e-6)
    np.testing.assert_allclose(lottery.sum(axis=0), 1.0)
    assert lottery.sum(axis=1).max() <= 1.0 + 1e-9
    own = (lottery @ weight)[group == 0].sum() / weight.sum()
    assert 0.45 * 0.9 - 1e-6 <= own <= 0.45 * 1.1 + 1e-6


def test_without_a_binding_constraint_it_is_the_order_of_the_scores() -> None:
    scores = np.array([0.2, 0.9, 0.5])
    found = fair_ranking(
        scores, np.array([0, 1, 0]), np.ones(2) / [1, 2], np.array([0.5, 0.5]), tolerance=2.0
    )
    assert found.argmax(axis=0).tolist() == [1, 2]
    nobody = fair_ranking(
        scores, np.array([0, 0, 0]), np.ones(2), np.array([0.5, 0.5]), tolerance=0.0
    )
    assert nobody is None


@pytest.mark.parametrize("seed", range(5))
def test_rankings_make_up_the_lottery(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, places = 7, 4
    mixture = rng.dirichlet(np.ones(6))
    lottery = np.zeros((n, places))
    for share in mixture:
        lottery[rng.permutation(n)[:places], np.arange(places)] += share
    square = completed(lottery)
    np.testing.assert_allclose(square.sum(axis=0), 1.0, atol=1e-8)
    np.testing.assert_allclose(square.sum(axis=1), 1.0, atol=1e-8)
    again = np.zeros_like(lottery)
    rankings = rankings_of(lottery)
    for share, ranking in rankings:
        assert len(set(ranking.tolist())) == places
        again[ranking, np.arange(places)] += share
    np.testing.assert_allclose(again, lottery, atol=1e-6)
    assert len(rankings) <= (n - 1) ** 2 + 1
    drawn = np.zeros_like(lottery)
    for _ in range(2000):
        drawn[draw_ranking(lottery, rng), np.arange(places)] += 1 / 2000
    assert np.abs(drawn - lottery).max() < 4 * 0.5 / np.sqrt(2000)


def test_expected_shares_meet_the_target_and_draws_scatter_around(log: cr.InteractionLog) -> None:
    given = {"independent": 0.6, "major": 0.4}
    fair = ExposureReranker(first_items_first, "label_group", target=given, k=6).fit(log)
    assert fair.n_infeasible_ == 0
    np.testing.assert_allclose(fair.shares_, [[0.6, 0.4]] * log.n_users, atol=1e-6)
    chances = fair.place_probabilities()
    per_place = chances.groupby(["user_id", "rank"])["probability"].sum()
    np.testing.assert_allclose(per_place, 1.0)
    listed = fair.recommend()
    assert listed.groupby("user_id").size().eq(6).all()
    group = log.items["label_group"].astype(str).to_numpy()
    weight = 1.0 / np.log2(1.0 + listed["rank"].to_numpy())
    independent = group[log.codes_of(items=listed["item_id"])] == "independent"
    assert weight[independent].sum() / weight.sum() == pytest.approx(0.6, abs=0.03)
    again = ExposureReranker(first_items_first, "label_group", target=given, k=6).fit(log)
    pd.testing.assert_frame_equal(again.recommend(), listed)


def test_merit_shares_exposure_out_by_what_is_predicted(log: cr.InteractionLog) -> None:
    fair = ExposureReranker(first_items_first, "label_group", target="merit", k=5).fit(log)
    seen = np.zeros(log.n_items, dtype=bool)
    seen[log.item_codes[log.user_codes == 0]] = True
    score = np.where(seen, 0.0, first_items_first(None, log.item_ids))
    own = (log.items["label_group"] == "independent").to_numpy()
    assert fair.shares_[0, 0] == pytest.approx(score[own].sum() / score.sum(), abs=1e-6)


def test_users_whose_items_cannot_meet_it_keep_the_models_order() -> None:
    users = pd.DataFrame({"user_id": range(3)})
    items = pd.DataFrame({"item_id": range(6), "side": list("aaabbb")})
    seen = [(0, 3), (0, 4), (0, 5), (1, 0)]
    events = pd.DataFrame(seen, columns=["user_id", "item_id"]).assign(rating=[1.0, 2, 3, 4])
    log = cr.InteractionLog(events, users=users, items=items)
    fair = ExposureReranker(lambda u, i: -np.asarray(i, float), "side", k=2).fit(log)
    assert fair.n_infeasible_ == 1
    assert fair.recommend([0])["item_id"].tolist() == [0, 1]
    assert np.isnan(fair.shares_).sum() == 0


def test_what_means_nothing_is_refused(log: cr.InteractionLog) -> None:
    with pytest.raises(StudyError, match="tradeoff"):
        CalibratedReranker(first_items_first, "genre", tradeoff=2.0).fit(log)
    with pytest.raises(StudyError, match="must give each level"):
        ExposureReranker(first_items_first, "label_group", target={"major": 0.5}).fit(log)
    with pytest.raises(StudyError, match="is not known"):
        ExposureReranker(first_items_first, "label_group", target="fair").fit(log)
    with pytest.raises(DataError, match="moves items"):
        CalibratedReranker(first_items_first, "country").fit(log)
    with pytest.raises(DataError, match="positive predictions"):
        ExposureReranker(lambda u, i: -np.ones(len(i)), "genre", target="merit").fit(log)
    with pytest.raises(NotFittedError):
        ExposureReranker(first_items_first, "genre").recommend()
    with pytest.raises(NotFittedError):
        ExposureReranker(first_items_first, "genre").place_probabilities()
    with pytest.raises(StudyError, match="between 1 and 3"):
        CalibratedReranker(first_items_first, "genre", k=3).fit(log).recommend(k=4)
    with pytest.raises(StudyError, match="no parameter 'trade_off'"):
        CalibratedReranker(first_items_first, "genre").set_params(trade_off=1)
    changed = CalibratedReranker(first_items_first, "genre").set_params(tradeoff=0.2)
    assert changed.get_params()["tradeoff"] == 0.2
