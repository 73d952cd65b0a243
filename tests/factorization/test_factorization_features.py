"""The feature regression: dense and iterative solutions, its prior, and what it is for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalrec import DebiasedMF, InteractionLog
from causalrec.errors import DataError
from causalrec.factorization._common import Pattern
from causalrec.factorization._features import block_ridge, fit_feature_prior


def _cells(seed: int = 0, n_users: int = 50, n_items: int = 40):
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.3)
    pattern = Pattern(users.astype(np.int32), items.astype(np.int32), n_users, n_items)
    x, z = rng.normal(size=(n_users, 3)), rng.normal(size=(n_items, 4))
    truth = 2.0 + x @ [1.0, 0.0, -1.0]
    f = truth[:, None] + z @ [0.5, 0.0, 0.0, 1.0] + (x[:, :1] * z[:, 0])
    y = f[users, items] + 0.1 * rng.normal(size=len(users))
    return pattern, y, rng.gamma(2.0, 0.5, len(users)), x, z, f


def test_iterative_and_dense_solutions_agree() -> None:
    pattern, y, w, x, z, _ = _cells()
    dense = fit_feature_prior(pattern, y, w, x, z, 4.0)
    iterative = fit_feature_prior(pattern, y, w, x, z, 4.0, max_dense_columns=0)
    for name in ("intercept", "user", "item", "crosses"):
        np.testing.assert_allclose(getattr(dense, name), getattr(iterative, name), atol=1e-7)


def test_solution_is_the_weighted_ridge_regression() -> None:
    pattern, y, w, x, z, _ = _cells(1)
    found = fit_feature_prior(pattern, y, w, x, z, 4.0)
    xu, zi = x[pattern.users], z[pattern.items]
    crosses = np.einsum("np,nq->npq", xu, zi).reshape(len(y), -1)
    design = np.hstack([np.ones((len(y), 1)), xu, zi, crosses])
    root = np.sqrt(w)[:, None]
    matrix = np.vstack([root * design, np.diag(np.sqrt(block_ridge(x, z, 4.0)))])
    aim = np.concatenate([root[:, 0] * y, np.zeros(design.shape[1])])
    expected = np.linalg.lstsq(matrix, aim, rcond=None)[0]
    given = [[found.intercept], found.user, found.item, found.crosses.ravel()]
    np.testing.assert_allclose(np.concatenate(given), expected, atol=1e-10)


def test_low_rank_sides_multiply_to_the_regression() -> None:
    pattern, y, w, x, z, truth = _cells(2)
    found = fit_feature_prior(pattern, y, w, x, z, 0.01)
    predicted = found.user_side(x) @ found.item_side(z).T
    expected = (
        found.intercept + (x @ found.user)[:, None] + z @ found.item + x @ found.crosses @ z.T
    )
    np.testing.assert_allclose(predicted, expected)
    assert np.sqrt(np.mean((predicted - truth) ** 2)) < 0.1


def test_one_side_without_features_has_no_crosses() -> None:
    pattern, y, w, x, _, _ = _cells(3)
    found = fit_feature_prior(pattern, y, w, x, np.zeros((40, 0)), 1.0)
    assert found.crosses.shape == (3, 0)
    assert block_ridge(x, np.zeros((40, 0)), 1.0)[1] == pytest.approx((x**2).sum(1).mean())


def _log(events: pd.DataFrame | None = None) -> InteractionLog:
    rng = np.random.default_rng(4)
    users = pd.DataFrame({"user_id": range(40), "club": np.tile(["a", "b"], 20)})
    items = pd.DataFrame({"item_id": range(30), "genre": np.repeat(["rock", "jazz"], 15)})
    if events is None:
        u, i = np.nonzero(rng.random((38, 28)) < 0.4)  # users 38, 39 and two items stay cold
        likes = 3.0 + np.where((u % 2 == 0) == (i < 15), 1.0, -1.0)
        events = pd.DataFrame({"user_id": u, "item_id": i, "rating": likes})
        events["rating"] += 0.1 * rng.normal(size=len(u))
        events["hour"] = 1.0
    return InteractionLog(events, users=users, items=items, outcome_range=(0, 6))


@pytest.mark.parametrize("estimator", ["naive", "ips", "mrdr"])
def test_users_and_items_without_events_are_predicted_from_features(estimator: str) -> None:
    model = DebiasedMF(estimator, n_factors=2, features=True).fit(_log(), 0.4)
    assert model.predict([38, 38], [0, 29]).tolist() == pytest.approx([4.0, 2.0], abs=0.35)
    without = DebiasedMF(estimator, n_factors=2).fit(_log(), 0.4)
    assert abs(float(np.diff(without.predict([38, 38], [0, 29]))[0])) < 0.5


def test_features_may_be_named() -> None:
    model = DebiasedMF("naive", features=["genre"]).fit(_log())
    assert "'genre'" in model.notes_[-1]
    assert "club" not in model.notes_[-1]


def test_an_event_column_is_no_feature_of_a_cell() -> None:
    with pytest.raises(DataError, match="'hour' describe events"):
        DebiasedMF("naive", features=["genre", "hour"]).fit(_log())


def test_features_without_tables_say_what_is_missing() -> None:
    events = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 1], "rating": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match="no usable column"):
        DebiasedMF("naive", features=True).fit(InteractionLog(events))
