"""Propensity models: recovery of known selection, parts of a split, covariates, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, GraphError, IdentificationError, NotFittedError, StudyError
from causalrec.nuisances import (
    KnownPropensity,
    PropensityModel,
    cell_propensity,
    cross_fit,
    folds_by_user,
    grid_propensity,
    resolve_propensity,
    row_propensity,
)


@pytest.fixture(scope="module")
def music():
    return cr.simulate("music", n_users=1500, n_items=400, random_state=1)


@pytest.fixture(scope="module")
def shop():
    return cr.simulate("shop", n_users=600, n_items=150, random_state=1)


def snips(log, p: np.ndarray) -> float:
    return float((log.outcome / p).sum() / (1 / p).sum())


def test_recovers_the_selection_of_music(music) -> None:
    model = PropensityModel().fit(music.log, music.graph)
    assert model.of_ == "observed"
    assert model.covariates_ == ("age_group", "country", "engagement", "genre", "mainstream")
    assert model.group_columns_ == ("age_group", "country", "genre")
    ratio = model.block(slice(0, 1500)) / music.potential.propensity
    # 30,000 observed cells, some twenty coefficients that matter: standard error of log p ~ .03
    assert np.abs(np.log(ratio)).mean() < 0.04
    p = row_propensity(model, music.log)
    assert (1 / p).sum() / music.log.n_eligible == pytest.approx(1.0, abs=0.02)


def test_popularity_is_further_from_the_truth_and_repairs_less(music) -> None:
    truth = music.truth["mean"]
    error = {}
    for method in ("logistic", "popularity", "independence"):
        model = PropensityModel(method=method).fit(music.log, music.graph)
        error[method] = abs(snips(music.log, row_propensity(model, music.log)) - truth)
    assert error["logistic"] < 0.5 * error["independence"]
    assert error["logistic"] < error["popularity"]


def test_popularity_is_activity_times_popularity(music) -> None:
    log = music.log
    p = PropensityModel(method="popularity").fit(log).predict_codes([3, 4], [5, 6])
    by_user = np.bincount(log.user_codes, minlength=log.n_users)
    by_item = np.bincount(log.item_codes, minlength=log.n_items)
    np.testing.assert_allclose(p, by_user[[3, 4]] * by_item[[5, 6]] / log.n_rows)


def test_p_is_that_of_the_part(music) -> None:
    train, test = music.log.split(by="cell", test_size=0.3, random_state=2)
    model = PropensityModel().fit(train, music.graph)
    assert model.sampling_rate_ == pytest.approx(0.7, abs=1e-4)
    u, i = test.user_codes[:100], test.item_codes[:100]
    on = {log: cell_propensity(model, log, u, i) for log in (train, test)}
    np.testing.assert_allclose(on[test] / on[train], test.part.rate / train.part.rate)
    whole = cell_propensity(model, music.log, u, i)
    np.testing.assert_allclose(on[train] + on[test], whole, rtol=1e-12)
    for log in (train, test, music.log):
        assert (1 / row_propensity(model, log)).sum() / log.n_eligible == pytest.approx(1, abs=0.06)
        block = grid_propensity(model, log, slice(10, 20))
        assert block.shape == (10, 400)
        users, items = np.repeat(np.arange(10, 20), 400), np.tile(np.arange(400), 10)
        np.testing.assert_allclose(block.ravel(), cell_propensity(model, log, users, items))


def test_part_by_user_is_fitted_on_its_users(music) -> None:
    train, _ = music.log.split(by="user", test_size=0.4, random_state=2)
    model = PropensityModel().fit(train, music.graph)
    assert model.sampling_rate_ == 1.0
    ratio = model.block(slice(0, 1500)) / music.potential.propensity
    assert abs(np.log(ratio).mean()) < 0.05  # with the others counted as missing it would be log .6


def test_rescaling_above_one_is_counted() -> None:
    events = pd.DataFrame(
        {"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 2], "rating": [1, 2, 3, 4]}
    )
    log = cr.InteractionLog(events)
    known = KnownPropensity(np.full((2, 2), 0.9), sampling_rate=0.5)
    with pytest.warns(cr.errors.OverlapWarning, match="4 of 4 propensities exceed 1"):
        p = row_propensity(known, log)
    assert p.tolist() == [1.0] * 4
    assert grid_propensity(known, log, slice(0, 2)).max() == 1.0


def test_candidates_are_fitted_by_row(shop) -> None:
    model = PropensityModel().fit(shop.log, shop.graph)
    assert model.of_ == "exposure"
    assert model.covariates_ == ("activity", "age", "category", "gender", "price", "quality")
    p = row_propensity(model, shop.log)
    truth = shop.potential.row_propensity
    assert np.abs(p - truth).mean() < 0.02
    np.testing.assert_allclose(
        model.predict_codes(shop.log.user_codes, shop.log.item_codes), p, rtol=1e-12
    )
    ids = shop.log.user_ids[shop.log.user_codes[:5]], shop.log.item_ids[shop.log.item_codes[:5]]
    np.testing.assert_allclose(model.predict_propensity(*ids), p[:5])
    train, test = shop.log.split(by="cell", test_size=0.5, random_state=0)
    fitted = PropensityModel().fit(train, shop.graph)
    assert fitted.sampling_rate_ == 1.0
    assert (row_propensity(fitted, test) * 1.0).mean() == pytest.approx(p.mean(), abs=0.02)


def test_row_fit_serves_stacked_influence(shop) -> None:
    model = PropensityModel(crosses=False).fit(shop.log, shop.graph)
    fit, design = model.linear_fit_, model.row_design_
    exposure = shop.log.exposure.astype(float)
    gradient = fit.scores(design.matrix, exposure).sum(0) - fit.penalty * fit.coefficients
    assert np.abs(gradient).max() < 1e-5
    assert fit.hessian(design.matrix).shape == (len(design.names),) * 2


def test_event_covariates_answer_by_row_only() -> None:
    rng = np.random.default_rng(0)
    hour = rng.normal(size=2000)
    exposed = (rng.random(2000) < 1 / (1 + np.exp(-hour))).astype(int)
    events = pd.DataFrame({
        "user_id": rng.integers(0, 50, 2000), "item_id": rng.integers(0, 40, 2000),
        "hour": hour, "shown": exposed, "bought": rng.integers(0, 2, 2000),
    })  # fmt: skip
    log = cr.InteractionLog(events, exposure="shown", outcome="bought")
    model = PropensityModel(covariates=["hour"]).fit(log)
    assert np.abs(model.for_rows(log) - 1 / (1 + np.exp(-hour))).max() < 0.1
    with pytest.raises(DataError, match=r"columns of the events \('hour'\)"):
        model.predict_codes(np.array([0]), np.array([0]))


def test_missing_covariates_are_refused_with_their_rows() -> None:
    users = pd.DataFrame({"user_id": [1, 2, 3], "age": [20.0, np.nan, 30.0]})
    events = pd.DataFrame({"user_id": [1, 2, 3], "item_id": [1, 1, 2], "rating": [1, 2, 3]})
    log = cr.InteractionLog(events, users)
    with pytest.raises(DataError, match=r"'age' of the users table has no value in 1 of 3 rows"):
        PropensityModel(covariates=["age"]).fit(log)


def test_unidentified_graphs_are_refused() -> None:
    world = cr.simulate("music", n_users=100, n_items=40, selection_on_rating=1.0)
    with pytest.raises(IdentificationError):
        PropensityModel().fit(world.log, world.graph)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"method": "magic"}, "no propensity method 'magic'"),
        ({"regularization": 0.0}, "regularization must be positive"),
        ({"clip": 0.7}, "clip must lie between 0 and 0.5"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(music, parameters, words) -> None:
    with pytest.raises(StudyError, match=words):
        PropensityModel(**parameters).fit(music.log)


def test_effects_of_identities_are_refused_on_candidates(shop) -> None:
    with pytest.raises(StudyError, match="user and item effects are not available"):
        PropensityModel(user_effects=True).fit(shop.log, shop.graph)


def test_an_unfitted_model_says_so(music) -> None:
    with pytest.raises(NotFittedError):
        PropensityModel().predict_codes(np.array([0]), np.array([0]))
    with pytest.raises(NotFittedError):
        resolve_propensity(PropensityModel(), music.log)


def test_clipping_is_explicit_and_counted(music) -> None:
    model = PropensityModel(clip=0.03).fit(music.log, music.graph)
    free = PropensityModel().fit(music.log, music.graph).block(slice(0, 1500))
    assert model.block(slice(0, 1500)).min() == 0.03
    assert model.n_clipped_ == (free < 0.03).sum()
    assert model.share_clipped_ == pytest.approx((free < 0.03).mean())


def test_parameters_follow_scikit_learn(music) -> None:
    from sklearn.base import clone

    model = PropensityModel(cross_regularization=7.0)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(clip=0.1).clip == 0.1
    with pytest.raises(StudyError, match="no parameter 'depth'"):
        model.set_params(depth=3)


def test_ids_carry_to_another_log_of_the_same_people(music) -> None:
    model = PropensityModel().fit(music.log, music.graph)
    log = music.log
    events = pd.DataFrame({
        "user_id": log.user_ids[log.user_codes[:50]], "item_id": log.item_ids[log.item_codes[:50]],
        "rating": log.outcome[:50],
    })  # fmt: skip
    other = cr.InteractionLog(events)
    np.testing.assert_allclose(row_propensity(model, other), row_propensity(model, log)[:50])
    users = slice(0, 3)
    block = grid_propensity(model, other, users)
    code = log.codes_of(users=other.user_ids[:3])
    columns = log.codes_of(items=other.item_ids)
    np.testing.assert_allclose(block, model.block(slice(None))[np.ix_(code, columns)])
    stranger = cr.InteractionLog(events.assign(user_id="nobody"))
    with pytest.raises(DataError, match="not fitted on"):
        row_propensity(model, stranger)


def test_out_of_fold_propensities_serve_a_doubly_robust_mean(music) -> None:
    folds = folds_by_user(music.log, 4)
    fitted = cross_fit(PropensityModel(), music.log, folds, music.graph)
    propensity = fitted.as_propensity(predictions="out_of_fold")
    p = row_propensity(propensity, music.log)
    truth = music.truth["mean"]
    naive = music.log.outcome.mean()
    assert abs(snips(music.log, p) - truth) < 0.4 * abs(naive - truth)
    block = propensity.block(slice(0, 5))
    assert np.abs(np.log(block / music.potential.propensity[:5])).mean() < 0.06


def test_none_fits_a_logistic_one_and_says_so(music) -> None:
    found = resolve_propensity(None, music.log, music.graph)
    assert found.notes_[0] == "No propensity was given: a logistic one was fitted."


def test_without_a_graph_names_are_left_out() -> None:
    users = pd.DataFrame({"user_id": range(60), "name": [f"user {k}" for k in range(60)]})
    users["plan"] = np.where(np.arange(60) % 2, "free", "paid")
    events = pd.DataFrame({"user_id": np.arange(60), "item_id": np.arange(60) % 7})
    log = cr.InteractionLog(events.assign(rating=np.arange(60) % 5), users)
    model = PropensityModel().fit(log)
    assert model.covariates_ == ("plan",)
    assert any("'name'" in note for note in model.notes_)


def test_it_shows_its_parameters_and_asks_for_a_graph() -> None:
    assert repr(PropensityModel(clip=0.01)) == "PropensityModel(clip=0.01)"
    world = cr.simulate("music", n_users=40, n_items=20, random_state=0)
    with pytest.raises(GraphError, match="load_graph"):
        PropensityModel().fit(world.log, graph="rating_selection")  # type: ignore[arg-type]


def test_a_covariate_declared_of_another_table_is_refused():
    world = cr.simulate("music", n_users=40, n_items=20, density=0.3, random_state=0)
    text = world.graph.to_dot()
    wrong = cr.CausalGraph.from_dot(text.replace("entity=user", "entity=item", 1))
    with pytest.raises(DataError, match=r"stands in the users table\. Say entity=user"):
        PropensityModel().fit(world.log, graph=wrong)
