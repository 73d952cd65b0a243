"""Outcome models of rows and of cells against closed forms and known truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

import causalrec as cr
from causalrec.errors import DataError, NotFittedError, StudyError
from causalrec.nuisances import (
    ArmOutcomeModel,
    CellOutcomeModel,
    PropensityModel,
    cross_fit,
    fit_linear,
    folds_by_block,
    folds_by_user,
    mrdr_weights,
    row_propensity,
)


@pytest.fixture(scope="module")
def shop():
    return cr.simulate("shop", n_users=500, n_items=100, random_state=2)


@pytest.fixture(scope="module")
def music():
    return cr.simulate("music", n_users=600, n_items=200, random_state=2, density=0.15)


def test_logistic_fit_with_its_own_ridge_for_each_column() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(400), rng.normal(size=(400, 3))])
    y = (rng.random(400) < 1 / (1 + np.exp(-x[:, 1]))).astype(float)
    w = rng.uniform(0.5, 2.0, 400)
    penalty = np.array([0.0, 1.0, 5.0, 25.0])
    fit = fit_linear(x, y, penalty=penalty, binary=True, weights=w)
    stationary = fit.scores(x, y, w).sum(axis=0) - penalty * fit.coefficients
    assert np.abs(stationary).max() < 1e-6
    ridge = fit_linear(x, y, penalty=penalty, binary=False, weights=w)
    stationary = ridge.scores(x, y, w).sum(axis=0) - penalty * ridge.coefficients
    assert np.abs(stationary).max() < 1e-9
    same = fit_linear(x, np.ones(400), penalty=penalty, binary=True)
    assert same.predict(x).min() > 0.999


def test_arms_have_models_of_their_own(shop) -> None:
    model = ArmOutcomeModel().fit(shop.log, shop.graph)
    assert model.arms_ == (0, 1)
    assert model.binary_
    for arm, truth in enumerate(("expected_unexposed", "expected_exposed")):
        cells = getattr(shop.potential, truth)[shop.log.user_codes, shop.log.item_codes]
        predicted = model.for_rows(shop.log, arm)
        np.testing.assert_array_equal(predicted, model.in_sample_[arm])
        rows = shop.log.exposure == arm
        assert predicted[rows].mean() == pytest.approx(shop.log.outcome[rows].mean(), abs=1e-3)
        assert np.corrcoef(predicted, cells)[0, 1] > 0.7
    with pytest.raises(StudyError, match="no arm 2"):
        model.for_rows(shop.log, 2)


def test_any_scikit_learn_estimator_serves(shop) -> None:
    given = ArmOutcomeModel(classifier=LogisticRegression(C=1.0, tol=1e-10), crosses=False)
    ours = ArmOutcomeModel(crosses=False)
    a, b = (m.fit(shop.log, shop.graph).in_sample_[1] for m in (given, ours))
    assert np.abs(a - b).max() < 1e-3
    video = cr.simulate("video", n_users=100, n_items=40, random_state=0)
    forest = RandomForestRegressor(n_estimators=5, min_samples_leaf=20)
    first, again = (ArmOutcomeModel(regressor=forest).fit(video.log) for _ in range(2))
    assert not first.binary_
    np.testing.assert_array_equal(first.in_sample_[1], again.in_sample_[1])


def test_out_of_fold_rows_are_by_models_that_have_not_seen_the_user(shop) -> None:
    folds = folds_by_user(shop.log, 3, random_state=1)
    fitted = cross_fit(ArmOutcomeModel(), shop.log, folds, shop.graph)
    out = fitted.out_of_fold_rows(arm=0)
    train, held = folds.row_pairs(shop.log)[1]
    assert not set(shop.log.user_codes[train]) & set(shop.log.user_codes[held])
    alone = ArmOutcomeModel().fit(shop.log, shop.graph, users=folds.user_fold != 1)
    np.testing.assert_allclose(out[held], alone.for_rows(shop.log, 0)[held], rtol=1e-8)


def dense_ridge(log, weights: np.ndarray, user: float, item: float) -> np.ndarray:
    """The cell model on its full design, by the normal equations."""
    cells = log.observed_cells()
    country = pd.get_dummies(log.users["country"]).to_numpy(float)
    main = log.items["mainstream"].to_numpy()
    main = (main - main.mean()) / main.std()
    u, i = cells.users, cells.items
    m, n = log.n_users, log.n_items

    def design(u: np.ndarray, i: np.ndarray) -> np.ndarray:
        parts = [np.ones((len(u), 1)), country[u], main[i, None], country[u] * main[i, None]]
        return np.hstack([*parts, np.eye(m)[u], np.eye(n)[i]])

    ridge = np.concatenate([[0], [1] * 3, [30] * 2, [user] * m, [item] * n])
    D = design(u, i)
    beta = np.linalg.solve(
        D.T @ (weights[:, None] * D) + np.diag(ridge), D.T @ (weights * cells.outcome)
    )
    hat = D @ np.linalg.solve(D.T @ (weights[:, None] * D) + np.diag(ridge), D.T * weights)
    grid = design(np.repeat(np.arange(m), n), np.tile(np.arange(n), m)) @ beta
    return grid.reshape(m, n), np.trace(hat)


def test_cell_ridge_is_the_dense_solution() -> None:
    world = cr.simulate("music", n_users=60, n_items=40, random_state=0, density=0.3)
    weights = np.random.default_rng(0).uniform(0.2, 3.0, len(world.log.observed_cells()))
    weights /= weights.mean()
    model = CellOutcomeModel(covariates=["country", "mainstream"]).fit(world.log, weights=weights)
    grid, trace = dense_ridge(world.log, weights, 4.0, 4.0)
    assert np.abs(model.block(slice(0, 60)) - grid).max() < 1e-6
    # four Rademacher probes of a smoother with some 60 degrees of freedom
    assert model.effective_parameters_ == pytest.approx(trace, rel=0.25)
    A, B = model.factors()
    np.testing.assert_allclose(A @ B.T, model.block(slice(0, 60)), rtol=1e-12)
    np.testing.assert_allclose(
        model.for_rows(world.log), (A @ B.T)[world.log.user_codes, world.log.item_codes]
    )


def test_residual_variance_is_that_of_the_noise() -> None:
    rng = np.random.default_rng(1)
    m, n = 300, 120
    mean = 2.0 + rng.normal(size=(m, 1)) * 0.5 + rng.normal(size=n) * 0.5
    observed = rng.random((m, n)) < 0.25
    u, i = np.nonzero(observed)
    y = mean[u, i] + rng.normal(size=len(u)) * 0.8
    log = cr.InteractionLog(pd.DataFrame({"user_id": u, "item_id": i, "rating": y}))
    weights = rng.uniform(0.2, 4.0, len(u))
    for w in (None, weights):
        model = CellOutcomeModel().fit(log, weights=w)
        # 9,000 residuals: relative standard error of a variance about 1.5 %, with weights 2 %
        assert model.residual_variance_ == pytest.approx(0.64, rel=0.06)


def test_factors_find_a_taste_that_features_miss() -> None:
    rng = np.random.default_rng(3)
    m, n = 300, 150
    taste = rng.normal(size=(m, 2)) @ rng.normal(size=(2, n))
    u, i = np.nonzero(rng.random((m, n)) < 0.4)
    y = taste[u, i] + rng.normal(size=len(u)) * 0.5
    log = cr.InteractionLog(pd.DataFrame({"user_id": u, "item_id": i, "rating": y}))
    error = {}
    for method in ("features", "factors"):
        model = CellOutcomeModel(method, n_factors=2, factor_regularization=1.0).fit(log)
        error[method] = ((model.block(slice(0, m)) - taste) ** 2).mean()
    assert error["factors"] < 0.1 * error["features"]
    assert model.residual_variance_ == pytest.approx(0.25, rel=0.08)


def test_crossed_blocks_of_cells_have_exact_factors(music) -> None:
    folds = folds_by_block(music.log, 2, 3, random_state=0)
    assert len(folds) == 6
    fitted = cross_fit(CellOutcomeModel(), music.log, folds, music.graph)
    A, B = fitted.out_of_fold_factors()
    block = fitted.out_of_fold_block(slice(0, 40))
    np.testing.assert_allclose(A[:40] @ B.T, block, atol=1e-12)
    u, i = np.repeat(np.arange(40), 200), np.tile(np.arange(200), 40)
    np.testing.assert_allclose(fitted.out_of_fold_codes(u, i), block.ravel())
    k, j = folds.user_fold[0], folds.item_fold[0]
    alone = CellOutcomeModel().fit(
        music.log, music.graph, users=folds.user_fold != k, items=folds.item_fold != j
    )
    assert alone.block(slice(0, 1))[0, 0] == pytest.approx(block[0, 0], abs=1e-8)


def test_mrdr_weights_move_the_fit(music) -> None:
    cells = music.log.observed_cells()
    p = row_propensity(PropensityModel().fit(music.log, music.graph), music.log)[cells.rows]
    weights = mrdr_weights(p)
    assert weights.mean() == pytest.approx(1.0)
    plain = CellOutcomeModel().fit(music.log, music.graph)
    heavy = CellOutcomeModel().fit(music.log, music.graph, weights=weights)
    truth = music.potential.expected_rating
    assert plain.block(slice(0, 600)).mean() == pytest.approx(truth.mean(), abs=0.06)
    assert heavy.block(slice(0, 600)).mean() == pytest.approx(truth.mean(), abs=0.06)
    assert not np.allclose(plain.in_sample_, heavy.in_sample_)


def test_refusals(shop, music) -> None:
    with pytest.raises(NotFittedError):
        CellOutcomeModel().factors()
    with pytest.raises(NotFittedError):
        ArmOutcomeModel().for_rows(shop.log)
    with pytest.raises(DataError, match="3 weights were given"):
        CellOutcomeModel().fit(music.log, weights=np.ones(3))
    with pytest.raises(StudyError, match="'features' or 'factors'"):
        CellOutcomeModel("magic").fit(music.log)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="at least two folds"):
        folds_by_user(music.log, 1)
    fitted = cross_fit(PropensityModel(), music.log, folds_by_user(music.log, 2), music.graph)
    with pytest.raises(StudyError, match="predictions must be"):
        fitted.as_propensity(predictions="both")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        fitted.as_propensity()  # type: ignore[call-arg]
    with pytest.raises(DataError, match="factors"):
        fitted.out_of_fold_factors()
    inside = fitted.as_propensity(predictions="in_sample")
    assert isinstance(inside, PropensityModel)
