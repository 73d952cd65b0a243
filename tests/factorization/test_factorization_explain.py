"""Explanations equal refits, similarities depend on predictions only, exports rank alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalrec import DebiasedMF, InteractionLog, load_model, simulate
from causalrec.errors import DataError, StudyError


@pytest.fixture(scope="module")
def world():
    return simulate("music", n_users=60, n_items=40, density=0.3, random_state=0)


MODELS = [
    ("naive", {}),
    ("ips", {}),
    ("snips", {"features": True}),
    ("ips", {"features": True, "features_as": "prior"}),
    ("ips", {"regularization_form": "count"}),
    ("dr", {}),
    ("dr", {"imputation": "constant"}),
    ("dr", {"imputation": "ips", "regularization_form": "count"}),
    ("mrdr", {}),
    ("mrdr", {"features": True, "features_as": "prior"}),
    ("mrdr", {"features": True}),
    ("eib", {}),
    ("eib", {"imputation": "naive", "features": True, "features_as": "prior"}),
    ("stable_dr", {}),
    ("stable_dr", {"features": True, "features_as": "prior"}),
    ("snips", {"biases": False}),
    ("dr", {"biases": False}),
    ("dr", {"biases": False, "solver": "svd"}),
]


@pytest.mark.parametrize(("estimator", "options"), MODELS)
def test_changes_equal_refits_without_the_rating(world, estimator: str, options) -> None:
    log, p = world.log, world.potential.propensity
    model = DebiasedMF(estimator, n_factors=3, n_sweeps=5, **options).fit(log, p)
    cells = log.observed_cells()
    user = int(np.bincount(cells.users).argmax())
    item = int(np.setdiff1d(np.arange(40), cells.items[cells.users == user])[0])
    why = model.explain(log.user_ids[user], log.item_ids[item])
    assert why.parts["value"].sum() == pytest.approx(why.score, abs=1e-12)
    pair = [log.user_ids[user]], [log.item_ids[item]]
    whole = model.fold_in(log, p).predict(*pair)[0]
    assert why.score == pytest.approx(whole, abs=1e-9)
    for row in why.ratings.head(4).itertuples():
        keep = (log.user_codes != user) | (log.item_ids[log.item_codes] != row.item_id)
        refitted = model.fold_in(log.select(keep), p).predict(*pair)[0]
        assert row.change_if_deleted == pytest.approx(refitted - whole, abs=1e-9)


@pytest.mark.parametrize("features_as", ["none", "prior"])
def test_a_play_that_had_not_been_recorded(features_as: str) -> None:
    feed = simulate("music", n_users=50, n_items=30, density=0.3, random_state=0).log
    frame = pd.DataFrame(
        {
            "user_id": feed.user_ids[feed.user_codes],
            "item_id": feed.item_ids[feed.item_codes],
        }
    )
    items = feed.items.reset_index(names="item_id")
    log = InteractionLog(frame, items=items, kind="positives", outcome=None)
    options = {"features": True, "features_as": "prior"} if features_as == "prior" else {}
    model = DebiasedMF("relmf", n_factors=2, n_sweeps=5, **options).fit(log, 0.5)
    user, item = log.user_ids[0], log.item_ids[5]
    why = model.explain(user, item)
    whole = model.fold_in(log, 0.5).predict([user], [item])[0]
    assert why.score == pytest.approx(whole, abs=1e-9)
    row = why.ratings.iloc[0]
    gone = (log.user_codes == 0) & (log.item_ids[log.item_codes] == row["item_id"])
    refitted = model.fold_in(log.select(~gone), 0.5).predict([user], [item])[0]
    assert row["change_if_deleted"] == pytest.approx(refitted - whole, abs=1e-9)


@pytest.mark.parametrize(("estimator", "options"), MODELS)
def test_contributions_add_up_and_are_linear_in_the_ratings(world, estimator: str, options) -> None:
    log, p = world.log, world.potential.propensity
    model = DebiasedMF(estimator, n_factors=3, n_sweeps=5, **options).fit(log, p)
    why = model.explain(log.user_ids[3], log.item_ids[7])
    parts = why.parts.set_index("part")["value"]
    total = why.without_ratings + why.ratings["contribution"].sum()
    assert total == pytest.approx(parts["user level"] + parts["taste"], abs=1e-10)
    split = why.ratings["level"] + why.ratings["taste"]
    np.testing.assert_allclose(split, why.ratings["contribution"], atol=1e-12)


@pytest.mark.parametrize("estimator", ["ips", "mrdr"])
@pytest.mark.parametrize("features_as", ["regression", "prior"])
def test_the_only_rating_leaves_what_the_features_say(world, estimator, features_as) -> None:
    log = world.log
    lonely = log.user_codes == 5
    small = log.select(~lonely | (np.cumsum(lonely) == 1))
    model = DebiasedMF(estimator, n_factors=2, features=True, features_as=features_as)
    model.fit(small, 0.3)
    why = model.explain(log.user_ids[5], log.item_ids[0])
    refitted = model.fold_in(log.select(~lonely), 0.3).predict(
        [log.user_ids[5]], [log.item_ids[0]]
    )[0]
    assert len(why.ratings) == 1
    assert why.ratings["change_if_deleted"][0] == pytest.approx(refitted - why.score, abs=1e-9)


def test_influence_functions_understate_by_the_leverage(world) -> None:
    model = DebiasedMF("ips", n_factors=3).fit(world.log, world.potential.propensity)
    ratings = model.explain(world.log.user_ids[0], world.log.item_ids[0]).to_frame()
    # Dropping 1 - h is what an influence function does: it understates by exactly h.
    approximate = ratings["change_if_deleted"] * (1.0 - ratings["leverage"])
    assert (approximate.abs() <= ratings["change_if_deleted"].abs()).all()
    assert ratings["leverage"].between(0.0, 1.0, inclusive="neither").all()
    assert ratings["leverage"].median() > 0.02


def test_a_converged_fit_is_explained_as_it_predicts(world) -> None:
    model = DebiasedMF("ips", n_factors=2, n_sweeps=400, tol=1e-13)
    model.fit(world.log, world.potential.propensity)
    why = model.explain(world.log.user_ids[1], world.log.item_ids[2])
    assert why.score == pytest.approx(why.predicted, abs=1e-4)


def test_an_explanation_says_it_in_words(world) -> None:
    model = DebiasedMF("naive", n_factors=2).fit(world.log)
    words = str(model.explain(world.log.user_ids[0], world.log.item_ids[1]))
    assert "Items held fixed" in words
    assert "taste" in words
    assert words.count("without it the prediction changes by") == 5


def test_what_cannot_be_explained_is_refused(world, tmp_path) -> None:
    model = DebiasedMF("naive", n_factors=2, solver="sgd", n_sweeps=2).fit(world.log)
    with pytest.raises(StudyError, match="solver='sgd'"):
        model.explain(world.log.user_ids[0], world.log.item_ids[0])
    model = DebiasedMF("naive", n_factors=2, n_sweeps=2).fit(world.log)
    with pytest.raises(DataError, match="unknown to the model"):
        model.explain("nobody", world.log.item_ids[0])
    bare = load_model(model.save(tmp_path / "m", events=False))
    with pytest.raises(DataError, match="saved without the events"):
        bare.explain(world.log.user_ids[0], world.log.item_ids[0])
    kept = load_model(model.save(tmp_path / "kept"))
    asked = world.log.user_ids[0], world.log.item_ids[0]
    pd.testing.assert_frame_equal(kept.explain(*asked).ratings, model.explain(*asked).ratings)


def test_similar_items_are_those_the_same_users_like(world) -> None:
    model = DebiasedMF("ips", n_factors=3).fit(world.log, world.potential.propensity)
    found = model.similar_items(world.log.item_ids[4], k=5)
    taste = model.user_factors_ @ model.item_factors_.T
    expected = np.corrcoef(taste.T)[4]
    order = np.argsort(-np.delete(expected, 4), kind="stable")[:5]
    items = np.delete(np.arange(40), 4)[order]
    assert found["item_id"].tolist() == world.log.item_ids[items].tolist()
    np.testing.assert_allclose(found["similarity"], expected[items], atol=1e-10)


def test_similarity_sees_no_rotation_of_the_factors(world) -> None:
    from dataclasses import replace

    model = DebiasedMF("ips", n_factors=3).fit(world.log, world.potential.propensity)
    before = model.similar_items(world.log.item_ids[4], k=39)
    turn = np.random.default_rng(0).normal(size=(3, 3))
    state = model._state
    users, items = state.factors.user_factors @ turn, state.factors.item_factors
    turned = replace(state.factors, user_factors=users, item_factors=items @ np.linalg.inv(turn).T)
    model._state = replace(state, factors=turned)
    after = model.similar_items(world.log.item_ids[4], k=39)
    pd.testing.assert_frame_equal(before, after)


def test_without_taste_there_is_no_neighbour(world) -> None:
    model = DebiasedMF("naive", n_factors=0, n_sweeps=2).fit(world.log)
    with pytest.raises(StudyError, match="same taste"):
        model.similar_items(world.log.item_ids[0])


@pytest.mark.parametrize("features_as", ["regression", "prior"])
def test_exported_vectors_rank_as_the_model_does(world, tmp_path, features_as: str) -> None:
    import pyarrow.parquet as pq

    model = DebiasedMF("mrdr", n_factors=3, features=True, features_as=features_as)
    model.fit(world.log, world.potential.propensity)
    folder = model.export_factors(tmp_path / "index")
    users = np.load(folder / "users.npy", allow_pickle=False)
    items = np.load(folder / "items.npy", allow_pickle=False)
    np.testing.assert_allclose(users @ items.T, model.predict_block(slice(None)), atol=1e-4)
    table = pq.read_table(folder / "items.parquet")
    assert table["id"].to_pylist() == model.item_ids_.tolist()
    np.testing.assert_allclose(table["vector"].to_pylist(), items)
    assert "inner product" in (folder / "README.txt").read_text(encoding="utf-8")
