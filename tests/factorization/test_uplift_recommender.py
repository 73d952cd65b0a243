"""`objective="effect"`: lists by what recommending adds, held to the potential outcomes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from causalrec import (
    DebiasedMF,
    InteractionLog,
    KnownPropensity,
    load_model,
    simulate,
    tune,
)
from causalrec.errors import DataError, OverlapError, StudyError
from causalrec.factorization._effect_target import effect_target

COVARIATES = ("age", "activity", "gender", "price", "quality", "category")


@pytest.fixture(scope="module")
def shop():
    return simulate("shop", n_users=500, n_items=80, n_candidates=60, random_state=0)


def true_gain(model, world, k: int = 5) -> np.ndarray:
    """Return the true effect of each user's first k candidates, averaged, (n_users,)."""
    log = world.log
    score = np.full((log.n_users, log.n_items), -np.inf)
    codes = log.user_codes, log.item_codes
    score[codes] = model.predict_codes(*codes)
    first = np.argsort(-score, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(world.potential.effect, first, 1).mean(axis=1)


def paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the mean paired difference over users, and its standard error."""
    gap = first - second
    return float(gap.mean()), float(gap.std(ddof=1) / np.sqrt(len(gap)))


def as_candidates(shown: np.ndarray, outcome: np.ndarray, **columns: np.ndarray) -> InteractionLog:
    """Return a log in which every cell of the grid is a candidate; `columns` describe the users."""
    m, n = shown.shape
    users, items = np.divmod(np.arange(m * n), n)
    events = {"user_id": users, "item_id": items}
    events |= {"shown": shown.ravel().astype(int), "bought": outcome.ravel()}
    return InteractionLog(
        pd.DataFrame(events),
        users=pd.DataFrame({"user_id": np.arange(m), **columns}),
        outcome="bought",
        exposure="shown",
    )


# ---------------------------------------------------------------------- truth


def test_ranking_by_effect_adds_more_than_ranking_by_outcome(shop) -> None:
    options = {"n_factors": 2, "features": COVARIATES}
    uplift = DebiasedMF("dr", objective="effect", **options).fit(shop.log, graph=shop.graph)
    added = true_gain(uplift, shop)
    for name in ("naive", "ips", "mrdr"):
        preference = DebiasedMF(name, **options).fit(shop.log, graph=shop.graph)
        gap, error = paired(added, true_gain(preference, shop))
        assert gap - 1.96 * error > 0, name


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_adds_less_where_effects_are_proportional_to_outcomes(seed: int) -> None:
    # Both rankings then aim at the same lists, and the two-arm score is several times as noisy as
    # an outcome (`noise`, in the notes): ranking by outcome gets nearer to them.
    rng = np.random.default_rng(seed)
    sides = rng.normal(size=(300, 1)) + rng.normal(size=60) - 1.5
    taste = sides + rng.normal(size=(300, 2)) @ rng.normal(size=(2, 60))
    unexposed, exposed = 0.5 * expit(taste), expit(taste)  # the effect is one of the two again
    shown = rng.random(taste.shape) < 0.5
    bought = rng.random(taste.shape) < np.where(shown, exposed, unexposed)
    log = as_candidates(shown, bought.astype(float))
    gains = []
    for options in ({"estimator": "dr", "objective": "effect"}, {"estimator": "ips"}):
        model = DebiasedMF(**options, n_factors=2).fit(log, 0.5)
        first = np.argsort(-model.predict_block(slice(None)), axis=1, kind="stable")[:, :5]
        gains.append(np.take_along_axis(exposed - unexposed, first, 1).mean(axis=1))
    gap, error = paired(*gains)
    assert gap + 1.96 * error < 0


def test_an_unmeasured_confounder_misleads_it() -> None:
    # What would have told: the propensity never balances what it has no column for, so nothing in
    # the log does; the graph does (its open path), and `effect.sensitivity()` says how much.
    means = []
    for unmeasured in (0.0, 1.5):
        world = simulate("shop", n_users=400, n_items=60, unmeasured=unmeasured, random_state=2)
        model = DebiasedMF("dr", objective="effect", n_factors=0, features=COVARIATES)
        model.fit(world.log, graph=world.graph if not unmeasured else None)
        codes = world.log.user_codes, world.log.item_codes
        truth = world.potential.effect[codes].mean()
        means.append(abs(model.predict_codes(*codes).mean() - truth))
    assert means[0] < 0.02
    assert means[1] > 0.08


def test_it_recovers_a_low_rank_effect() -> None:
    rng = np.random.default_rng(0)
    m, n = 200, 100
    effect = 1.0 + rng.normal(size=(m, 2)) @ rng.normal(size=(2, n)) / 2
    age = rng.normal(size=m)
    propensity = expit(0.8 * age)[:, None] * np.ones(n)  # the old are shown more, and buy more
    exposed = rng.random((m, n)) < propensity
    outcome = 2.0 * age[:, None] + exposed * effect + 0.1 * rng.normal(size=(m, n))
    log = as_candidates(exposed, outcome, age=age)
    errors = {}
    for rank in (0, 2):
        model = DebiasedMF("dr", objective="effect", n_factors=rank, regularization=0.1)
        found = model.fit(log).predict_block(slice(None))
        errors[rank] = float(np.mean((found - effect) ** 2))
    # Scores vary by .70 around the effect, and 20,000 of them carry 900 numbers: an error of
    # .70 x 900 / 20,000 = .03 if that noise were even; it grows with the effect itself and with
    # 1 / p, so twice that is allowed. Biases alone leave the interaction's .5.
    assert errors[2] < 0.06
    assert errors[0] > 0.3


def test_the_ridge_counts_in_outcomes(shop) -> None:
    options = {"n_factors": 2, "tol": 0.0, "n_sweeps": 5}
    target = effect_target(shop.log, None, shop.graph, "dr", False)
    model = DebiasedMF("dr", objective="effect", regularization=4.0, **options)
    model.fit(shop.log, graph=shop.graph)
    by_hand = DebiasedMF("naive", regularization=4.0 * target.noise, **options).fit(target.log)
    assert_allclose(model.item_factors_, by_hand.item_factors_, atol=1e-10)
    assert_allclose(model.item_biases_, by_hand.item_biases_, atol=1e-10)


def test_scores_average_to_the_effect(shop) -> None:
    known = KnownPropensity(shop.potential.propensity)
    truth = shop.truth["ate"]
    for name in ("dr", "mrdr", "ips"):
        target = effect_target(shop.log, known, shop.graph, name, False)
        tau = target.log.outcome
        error = tau.std() / np.sqrt(len(tau))
        assert abs(tau.mean() - truth) < 4 * error, name


def test_a_score_is_noisier_than_an_outcome_by_what_the_arms_say(shop) -> None:
    target = effect_target(shop.log, 0.5, shop.graph, "dr", False)
    # With p = 1/2 every residual is doubled, so its variance is four times the outcome's.
    assert_allclose(target.noise, 4.0, rtol=1e-12)


def test_scores_make_a_log_whose_features_the_graph_named(shop) -> None:
    target = effect_target(shop.log, None, shop.graph, "mrdr", True)
    assert target.log.kind == "ratings"
    assert set(target.features) <= set(COVARIATES)
    assert target.log.outcome_range == (-1.0, 1.0)


# ---------------------------------------------------------------------- conventions


def test_it_predicts_and_recommends_and_is_saved(shop, tmp_path) -> None:
    model = DebiasedMF(objective="effect", n_factors=1).fit(shop.log, graph=shop.graph)
    assert model.effective_sample_size_ == shop.log.n_rows
    assert any("two-arm score" in note for note in model.notes_)
    pairs = shop.log.user_ids[:3], shop.log.item_ids[:3]
    again = load_model(model.save(tmp_path / "model"))
    assert_allclose(again.predict(*pairs), model.predict(*pairs))
    # Every candidate was trained on, exposed or not, so lists of unseen items are of the others.
    listed = model.recommend(shop.log.user_ids[:2], k=3)
    assert not model.seen(listed["user_id"], listed["item_id"]).any()


def test_tune_judges_it_by_held_out_scores(shop) -> None:
    model = DebiasedMF("dr", objective="effect", n_sweeps=5)
    grid = {"n_factors": [0, 8], "regularization": [1.0, 32.0]}
    found = tune(model, shop.log, graph=shop.graph, grid=grid, n_repeats=1)
    assert found.selected["regularization"] == 32.0
    fitted = model.set_params(**found.selected).fit(shop.log, graph=shop.graph)
    assert_allclose(found.model.item_biases_, fitted.item_biases_)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "naive"}, "two-arm score"),
        ({"estimator": "snips"}, "'dr', 'mrdr', 'ips'"),
        ({"popularity": "remove"}, "popularity= speak of outcomes"),
        ({"use_randomized": True}, "use_randomized= speak of outcomes"),
        ({"clip_to_range": True}, "clip_to_range= speak of outcomes"),
        ({"objective": "uplift"}, "'preference', 'effect'"),
        ({"solver": "svd"}, "solver='svd'"),
    ],
)
def test_what_means_nothing_is_refused(shop, options, words: str) -> None:
    model = DebiasedMF(**{"objective": "effect", "estimator": "dr", **options})
    with pytest.raises(StudyError, match=words):
        model.fit(shop.log)


def test_other_logs_and_rows_of_one_arm_are_refused(shop) -> None:
    ratings = simulate("music", n_users=40, n_items=20, random_state=0).log
    with pytest.raises(DataError, match="what a recommendation adds"):
        DebiasedMF(objective="effect").fit(ratings)
    with pytest.raises(OverlapError, match="only one arm"):
        DebiasedMF("ips", objective="effect").fit(shop.log, np.ones(shop.log.n_rows))


def test_new_users_are_not_folded_in(shop) -> None:
    model = DebiasedMF(objective="effect", n_factors=0).fit(shop.log, graph=shop.graph)
    with pytest.raises(StudyError, match="fit it again"):
        model.fold_in(shop.log, 0.4)
