"""Features as a prior on the factors: the algebra, what it is for, and where it does not help."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalrec import DebiasedMF, InteractionLog, load_model, simulate, tune
from causalrec.datasets import movielens
from causalrec.errors import DataError, StudyError
from causalrec.factorization import TextFeatures
from causalrec.factorization._feature_prior import OwnGrams, SharedGram, solve_with_prior
from causalrec.factorization._prior_sweeps import no_prior

ESTIMATORS = ["naive", "ips", "snips", "dr", "mrdr"]


def _world(seed: int = 0, *, delta: float = 0.3, taste: float = 1.0, told: float = 1.0):
    """Ratings with V = W x + delta, the last 20 of 60 items cold; `told` scales W."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 4))
    w = told * rng.normal(size=(3, 4)) / 2.0
    v = x @ w.T + delta * rng.normal(size=(60, 3))
    u = taste * rng.normal(size=(200, 3))
    truth = 3.0 + u @ v.T + (x @ [0.5, 0.0, 0.0, -0.5])[None, :] * told
    users, items = np.nonzero(rng.random((200, 40)) < 0.3)
    y = truth[users, items] + 0.5 * rng.normal(size=len(users))
    events = pd.DataFrame({"user_id": users, "item_id": items, "rating": y})
    table = pd.DataFrame({"item_id": range(60), **{f"x{j}": x[:, j] for j in range(4)}})
    log = InteractionLog(events, items=table, outcome_range=(-20, 30))
    return log, truth, x


def _cold_error(model: DebiasedMF, truth: np.ndarray) -> float:
    return float(np.mean((model.predict_block(slice(None))[:, 40:] - truth[:, 40:]) ** 2))


# ------------------------------------------------------------------ the algebra


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_a_half_sweep_solves_w_and_delta_together(kind: str) -> None:
    rng = np.random.default_rng(0)
    n, m, k1, d, prior_ridge = 12, 9, 3, 4, 2.5
    design, x = rng.normal(size=(m, k1)), rng.normal(size=(n, d))
    ridge = rng.uniform(1.0, 3.0, n)
    pointer = np.concatenate([[0], np.cumsum(rng.integers(0, 6, n))]).astype(np.int64)
    if kind == "own":
        columns = rng.integers(0, m, pointer[-1])
        weights, targets = rng.uniform(0.5, 2.0, pointer[-1]), rng.normal(size=pointer[-1])
        rows = OwnGrams.of(pointer, columns, weights, targets, design, ridge)
    else:
        dense = rng.normal(size=(n, m))
        columns, targets = np.tile(np.arange(m), n), dense.ravel()
        weights, pointer = np.ones(n * m), np.arange(n + 1) * m
        rows = SharedGram.of(design, ridge, dense @ design)
    prior, solved = solve_with_prior(rows, ridge, x, no_prior(k1 - 1, d), prior_ridge)
    # The same minimum by least squares in (W, delta_1 .. delta_n) at once.
    of = np.repeat(np.arange(n), np.diff(pointer))
    of_w = np.einsum("ra,rb->rab", design[columns], x[of]).reshape(len(of), -1)
    of_delta = np.zeros((len(of), n, k1))
    of_delta[np.arange(len(of)), of] = design[columns]
    left = np.hstack([of_w, of_delta.reshape(len(of), -1)]) * np.sqrt(weights)[:, None]
    scale = np.concatenate([np.full(k1 * d, prior_ridge), np.repeat(ridge, k1)])
    matrix = np.vstack([left, np.diag(np.sqrt(scale))])
    aim = np.concatenate([targets * np.sqrt(weights), np.zeros(len(scale))])
    both = np.linalg.lstsq(matrix, aim, rcond=None)[0]
    w = both[: k1 * d].reshape(k1, d)
    np.testing.assert_allclose(prior.weights, w, atol=1e-7)
    np.testing.assert_allclose(solved, x @ w.T + both[k1 * d :].reshape(n, k1), atol=1e-7)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("form", ["uniform", "count"])
def test_the_loss_never_rises(estimator: str, form: str) -> None:
    world = simulate("music", n_users=60, n_items=40, density=0.3, random_state=0)
    p = world.potential.propensity
    model = DebiasedMF(
        estimator,
        n_factors=3,
        features=True,
        features_as="prior",
        regularization_form=form,
        n_sweeps=40,
        tol=0.0,
    ).fit(world.log, p)
    assert np.diff(model.loss_history_).max() < 1e-9


def test_a_strong_prior_ridge_is_no_prior() -> None:
    log, _, _ = _world()
    options = {"n_factors": 2, "regularization": 5.0, "n_sweeps": 200, "tol": 0.0}
    plain = DebiasedMF("naive", **options).fit(log)
    prior = DebiasedMF(
        "naive", features=True, features_as="prior", feature_regularization=1e9, **options
    ).fit(log)
    warm = slice(None), slice(0, 40)
    np.testing.assert_allclose(
        prior.predict_block(slice(None))[warm], plain.predict_block(slice(None))[warm], atol=1e-3
    )


# ------------------------------------------------------------------ what it is for


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_cold_items_get_personal_predictions(estimator: str) -> None:
    log, truth, _ = _world()
    # With the default g of dr, biases alone, the score of a fifth of the cells is mostly noise.
    options = {"n_factors": 3, "regularization": 3.0, "n_sweeps": 60, "imputation": "ips"}
    plain = _cold_error(DebiasedMF(estimator, **options).fit(log, 0.3), truth)
    model = DebiasedMF(estimator, features=True, features_as="prior", **options).fit(log, 0.3)
    cold = _cold_error(model, truth)
    # Of the variance of the cold cells, what delta leaves is known to nobody.
    unknowable = 0.3**2 * 3
    assert plain > 2.0
    assert cold < unknowable + 0.45


def test_what_the_features_do_not_say_stays_unknown() -> None:
    log, truth, _ = _world(told=0.0, delta=1.0)
    options = {"n_factors": 3, "regularization": 3.0, "n_sweeps": 60}
    plain = _cold_error(DebiasedMF("naive", **options).fit(log), truth)
    model = DebiasedMF("naive", features=True, features_as="prior", **options).fit(log)
    # The figure that tells: held-out items are predicted no better than without features.
    assert _cold_error(model, truth) > 0.97 * plain


def test_more_features_than_items_are_held_by_the_ridge() -> None:
    log, truth, _ = _world()
    noise = np.random.default_rng(1).normal(size=(60, 200))
    model = DebiasedMF("naive", n_factors=3, features_as="prior", regularization=3.0)
    error = _cold_error(model.fit(log, item_features=noise), truth)
    assert np.isfinite(error)
    assert error < 1.3 * _cold_error(DebiasedMF("naive", n_factors=3).fit(log), truth)


@pytest.mark.parametrize("estimator", ["naive", "mrdr"])
@pytest.mark.parametrize("features_as", ["regression", "prior"])
def test_newcomers_are_predicted_as_their_twins_in_the_log(estimator, features_as) -> None:
    log, _, _ = _world()
    model = DebiasedMF(estimator, n_factors=3, features=True, features_as=features_as)
    model.fit(log, 0.3)
    twin = log.items.iloc[[45, 50]].set_axis(["new a", "new b"])
    grown = model.extend(items=twin)
    users = log.user_ids[:5]
    # A row over the whole grid was solved before the intercept moved for the last time.
    exact = 1e-3 if (estimator, features_as) == ("mrdr", "regression") else 1e-9
    for new, old in (("new a", 45), ("new b", 50)):
        np.testing.assert_allclose(
            grown.predict(users, [new] * 5), model.predict(users, [old] * 5), atol=exact
        )
    assert grown.item_ids_[:60].equals(log.item_ids)
    assert len(grown.recommend(users, k=62)) == 5 * 62 - sum(np.isin(log.user_codes, range(5)))


def test_new_users_come_by_their_features() -> None:
    world = simulate("music", n_users=60, n_items=30, random_state=0)
    model = DebiasedMF("ips", n_factors=2, features=True, features_as="prior")
    model.fit(world.log, 0.3)
    new = world.log.users.iloc[:2].assign(user_id=["ann", "bob"])
    found = model.extend(users=new)
    assert np.isfinite(found.predict(["ann", "bob"], world.log.item_ids[:2])).all()
    assert not found.seen(["ann"], world.log.item_ids[:1]).any()


# ------------------------------------------------------------------ how features are given


def test_arrays_frames_and_callables_say_the_same() -> None:
    log, _, x = _world()
    model = DebiasedMF("naive", n_factors=2, features_as="prior", n_sweeps=5)
    shuffled = np.random.default_rng(0).permutation(60)
    names = [f"z{j}" for j in range(4)]
    standard = (x - x.mean(0)) / x.std(0)
    by_index = pd.DataFrame(standard[shuffled], columns=names, index=shuffled)
    by_column = by_index.reset_index(names="item_id")
    table = [f"x{j}" for j in range(4)]
    found = [
        model.fit(log, item_features=given).predict_block(slice(None))
        for given in (by_index, by_column, standard, lambda items: standard[items.index])
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-9)
    named = model.set_params(features=table).fit(log).predict_block(slice(None))
    np.testing.assert_allclose(named, found[0], atol=1e-9)
    assert "'x0'" in model.notes_[-1]


def test_wide_arrays_keep_their_main_directions() -> None:
    log, truth, x = _world()
    wide = x @ np.random.default_rng(2).normal(size=(4, 100))
    model = DebiasedMF("naive", n_factors=3, features_as="prior", regularization=3.0)
    model.fit(log, item_features=wide)
    assert model._state.prior.item.rows.shape == (60, 65)
    assert _cold_error(model, truth) < 1.0


def test_text_says_what_a_title_says(tmp_path) -> None:
    log, truth, x = _world()
    words = np.where(x[:, :1] > 0, "loud", "quiet")[:, 0] + " " + np.where(x[:, 3] > 0, "old", "")
    items = log.items.assign(title=words).reset_index(names="item_id")
    log = InteractionLog(
        pd.DataFrame(
            {
                "user_id": log.user_ids[log.user_codes],
                "item_id": log.item_ids[log.item_codes],
                "rating": log.outcome,
            }
        ),
        items=items,
        outcome_range=(-20, 30),
    )
    text = TextFeatures(["title"], n_components=4)
    model = DebiasedMF("naive", n_factors=3, features_as="prior", regularization=3.0)
    model.fit(log, item_features=text)
    assert not hasattr(text, "_directions")  # what was handed in is not changed
    assert _cold_error(model, truth) < 0.9 * _cold_error(
        DebiasedMF("naive", n_factors=3, regularization=3.0).fit(log), truth
    )
    new = items.iloc[[41]].assign(item_id=999)
    grown = model.extend(items=new).predict([0], [999])
    np.testing.assert_allclose(grown, model.predict([0], [41]), atol=1e-9)
    loaded = load_model(model.save(tmp_path / "m"))
    with pytest.raises(DataError, match="function is not saved"):
        loaded.extend(items=new)
    assert pickle.loads(pickle.dumps(model)).extend(items=new).predict([0], [999]) == grown
    array = text.fit(items)(new)
    again = loaded.extend(items=new, item_features=array).predict([0], [999])
    np.testing.assert_allclose(again, grown, atol=1e-9)


BAD = [
    (lambda x: np.where(np.arange(60)[:, None] == 3, np.nan, x), "missing or infinite in 1 of 60"),
    (lambda x: x[:59], r"shape \(59, 4\); the log has 60 items"),
    (lambda x: x[:, 0], r"shape \(60,\)"),
    (lambda x: np.full(x.shape, "a"), "must be numbers"),
    (lambda x: "title", r"TextFeatures\(\['title'\]\)"),
    (lambda x: pd.DataFrame(x[:50]), "no row for 10 of 60 items: 50, 51"),
    (lambda x: pd.DataFrame(x, index=np.arange(60) // 2), "more than once"),
    (lambda x: pd.DataFrame(x, columns=["x0", "b", "c", "d"]), "both have 'x0'"),
    (lambda x: pd.DataFrame(x, columns=list("abcd")).replace(x[0, 0], np.nan), "has no value"),
]


@pytest.mark.parametrize(("spoil", "says"), BAD)
def test_features_that_do_not_fit_are_refused(spoil, says: str) -> None:
    log, _, x = _world()
    model = DebiasedMF("naive", n_factors=2, features_as="prior")
    with pytest.raises(DataError, match=says):
        model.fit(log, item_features=spoil(x))


def test_newcomers_that_do_not_fit_are_refused() -> None:
    log, _, x = _world()
    plain = DebiasedMF("naive", n_factors=2, n_sweeps=2).fit(log)
    new = log.items.iloc[:2].set_axis(["a", "b"])
    with pytest.raises(DataError, match="no features of items"):
        plain.extend(items=new)
    model = DebiasedMF("naive", n_factors=2, n_sweeps=2, features=True).fit(log)
    with pytest.raises(DataError, match="2 of 2 item ids are known"):
        model.extend(items=log.items.iloc[:2])
    crowd = DebiasedMF("naive", n_factors=2, n_sweeps=2, features_as="prior", popularity="adjust")
    with pytest.raises(StudyError, match="has none yet"):
        crowd.fit(log, item_features=x).extend(items=new, item_features=x[:2])
    crowd = DebiasedMF("naive", n_factors=2, n_sweeps=2, popularity="adjust")
    with pytest.raises(StudyError, match="adds to them"):
        crowd.fit(log, item_features=x)
    with pytest.raises(DataError, match="no column 'x1'"):
        model.extend(items=new.drop(columns="x1"))
    with pytest.raises(DataError, match="no features of users"):
        model.extend(users=log.users.iloc[:1].set_axis(["u"]))
    with pytest.raises(DataError, match="fitted without it"):
        model.extend(items=new, item_features=x[:2])
    with_array = DebiasedMF("naive", n_factors=2, n_sweeps=2).fit(log, item_features=x)
    with pytest.raises(DataError, match="3 columns; the model was fitted with 4"):
        with_array.extend(items=new, item_features=x[:2, :3])
    with pytest.raises(DataError, match="fitted with an array of 4 item features"):
        with_array.extend(items=new)


def test_the_prior_has_closed_forms_for_least_squares_only() -> None:
    log, _, _ = _world()
    with pytest.raises(StudyError, match="features_as='prior'"):
        DebiasedMF("naive", features=True, features_as="prior", solver="sgd").fit(log)


@pytest.mark.parametrize("estimator", ["naive", "dr", "mrdr"])
@pytest.mark.parametrize("array", [False, True])
def test_a_loaded_model_with_a_prior_is_the_saved_one(tmp_path, estimator, array: bool) -> None:
    world = simulate("music", n_users=50, n_items=30, random_state=0)
    given = np.random.default_rng(0).normal(size=(30, 3)) if array else None
    model = DebiasedMF(estimator, n_factors=2, features=True, features_as="prior", n_sweeps=3)
    model.fit(world.log, 0.3, item_features=given)
    loaded = load_model(model.save(tmp_path / "m"))
    everything = slice(None)
    assert loaded.predict_block(everything).tobytes() == model.predict_block(everything).tobytes()
    folded = [one.fold_in(world.log, 0.3).predict_block(everything) for one in (model, loaded)]
    assert folded[0].tobytes() == folded[1].tobytes()
    new = world.log.items.iloc[:1].assign(item_id="new")
    more = None if given is None else given[:1]
    grown = [one.extend(items=new, item_features=more).factors()[1] for one in (model, loaded)]
    assert grown[0].tobytes() == grown[1].tobytes()


def test_tune_takes_features_and_their_ridge() -> None:
    log, _, x = _world()
    found = tune(
        DebiasedMF("naive", n_factors=2, features_as="prior", n_sweeps=5),
        log,
        0.3,
        grid={"feature_regularization": [1.0, 100.0]},
        n_folds=2,
        n_repeats=1,
        item_features=x,
    )
    assert "array of 4 item features" in found.model.notes_[-1]


# ------------------------------------------------------------------ films that nobody has rated


@pytest.mark.data
def test_genres_and_year_stand_in_for_ratings(data_dir: Callable[[str], Path]) -> None:
    log = movielens(data_dir("ml-latest-small"))
    films = log.items
    features = films["genres"].str.get_dummies("|").astype(bool)
    year = films["title"].str.extract(r"\((\d{4})\)\s*$")[0]
    features["year"] = pd.to_numeric(year).fillna(1995.0)
    often = np.flatnonzero(np.bincount(log.item_codes) >= 20)
    error, gain = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        held = rng.choice(often, size=len(often) // 5, replace=False)
        test = np.isin(log.item_codes, held)
        model = DebiasedMF(
            "naive",
            n_factors=8,
            regularization=100.0,
            features_as="prior",
            feature_regularization=10.0,
            n_sweeps=15,
        ).fit(log.select(~test), item_features=features)
        users, y = log.user_codes[test], log.outcome[test]
        predicted = model.predict_codes(users, log.item_codes[test])
        error.append(np.sqrt(np.mean((predicted - y) ** 2)))
        ranked = pd.DataFrame({"user": users, "score": predicted, "y": y}).groupby("user")
        gain.append(ranked.filter(lambda one: len(one) >= 5).groupby("user").apply(_above).mean())
    # 1.0255 for the mean of all ratings, .946 for the same factorisation without features.
    assert np.mean(error) <= 0.92
    # Without features every new item is alike: the lists would be in random order.
    assert np.mean(gain) > 0.2


def _above(one: pd.DataFrame) -> float:
    """How much higher the upper half of a user's new films was rated than the lower."""
    ranked = one.sort_values("score", ascending=False, kind="stable")["y"].to_numpy()
    half = len(ranked) // 2
    return float(ranked[:half].mean() - ranked[-half:].mean())
