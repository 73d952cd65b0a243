"""The whole-grid logit: the same optimum as scikit-learn's on the enumerated design."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from causalrec import InteractionLog, PropensityModel
from causalrec.errors import ConvergenceWarning
from causalrec.nuisances._grid_logit import GridProblem, bucket, grid_derivatives

M, N = 40, 30
RIDGE = {"regularization": 0.7, "cross_regularization": 3.0}


def tables(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    users = pd.DataFrame({"user_id": range(M), "age": rng.normal(size=M).round(1)})
    users["plan"] = rng.choice(["free", "paid"], M)
    items = pd.DataFrame({"item_id": range(N), "length": rng.normal(size=N).round(1)})
    items["genre"] = rng.choice(["pop", "rock", "jazz"], N)
    logit = -1.0 + 0.5 * users["age"].to_numpy()[:, None] + 0.4 * items["length"].to_numpy()
    logit = logit + 0.6 * np.outer(users["plan"] == "paid", items["genre"] == "jazz")
    logit = logit + rng.normal(size=(M, 1)) * 0.5 + rng.normal(size=N) * 0.5
    return users, items, rng.random((M, N)) < 1 / (1 + np.exp(-logit))


def make_log(eligible: np.ndarray | None = None, seed: int = 0) -> InteractionLog:
    users, items, observed = tables(seed)
    if eligible is not None:
        observed &= eligible
    u, i = np.nonzero(observed)
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": (u + i) % 5 + 1})
    return InteractionLog(events, users, items, eligible=eligible)


def enumerated(
    log: InteractionLog, *, crosses: bool, user: float | None, item: float | None
) -> np.ndarray:
    """p of every cell, from scikit-learn on the design of all cells."""
    standard = lambda v: (v - v.mean()) / v.std(ddof=0)  # noqa: E731
    users, items = log.users, log.items
    x = np.column_stack([standard(users["age"]), pd.get_dummies(users["plan"])]).astype(float)
    z = np.column_stack([pd.get_dummies(items["genre"]), standard(items["length"])]).astype(float)
    rows, columns = np.repeat(np.arange(M), N), np.tile(np.arange(N), M)
    parts = [np.hstack([x[rows], z[columns]]) / np.sqrt(RIDGE["regularization"])]
    if crosses:
        product = (x[rows][:, :, None] * z[columns][:, None, :]).reshape(M * N, -1)
        parts.append(product / np.sqrt(RIDGE["cross_regularization"]))
    if user is not None:
        parts.append(np.eye(M)[rows] / np.sqrt(user))
    if item is not None:
        parts.append(np.eye(N)[columns] / np.sqrt(item))
    design = np.hstack(parts)
    target = np.zeros((M, N), dtype=int)
    target[log.user_codes, log.item_codes] = 1
    allowed = log.eligible_block(slice(0, M))
    kept = np.ones(M * N, dtype=bool) if allowed is None else allowed.ravel()
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=200)
    model.fit(design[kept], target.ravel()[kept])
    return model.predict_proba(design)[:, 1].reshape(M, N)


@pytest.mark.parametrize("effects", ["none", "user", "item", "both"])
@pytest.mark.parametrize("crosses", [True, False])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_scikit_learn_on_the_enumerated_design(
    effects: str, crosses: bool, masked: bool
) -> None:
    eligible = np.random.default_rng(5).random((M, N)) < 0.8 if masked else None
    log = make_log(eligible)
    user = 2.0 if effects in {"user", "both"} else None
    item = 2.0 if effects in {"item", "both"} else None
    model = PropensityModel(
        **RIDGE, effect_regularization=2.0, crosses=crosses, tolerance=1e-7,
        user_effects=user is not None, item_effects=item is not None,
    ).fit(log)  # fmt: skip
    ours = model.block(slice(0, M))
    theirs = enumerated(log, crosses=crosses, user=user, item=item)
    assert np.abs(ours - theirs).max() < 1e-5
    users, items = np.arange(M).repeat(N), np.tile(np.arange(N), M)
    np.testing.assert_allclose(model.predict_codes(users, items), ours.ravel(), rtol=1e-12)


def test_gradient_is_the_slope_of_the_objective() -> None:
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(6), rng.normal(size=6)])
    Z = np.column_stack([np.ones(5), rng.normal(size=5)])
    observed = (rng.random((6, 5)) < 0.4).astype(float)
    allowed = (rng.random((6, 5)) < 0.9) | (observed > 0)
    problem = GridProblem(
        X, Z, np.full(6, 2.0), np.full(5, 3.0), observed.sum(1), observed.sum(0),
        X.T @ observed @ Z, np.array([[0.0, 0.5], [0.5, 2.0]]), 0.3, 0.4,
        lambda users: allowed[users],
    )  # fmt: skip
    theta = rng.normal(size=4 + 6 + 5) * 0.3
    _, gradient = grid_derivatives(problem, theta)
    step = 1e-6
    for j in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[j] += step
        down[j] -= step
        slope = (grid_derivatives(problem, up)[0] - grid_derivatives(problem, down)[0]) / (2 * step)
        assert slope == pytest.approx(gradient[j], abs=1e-6)


def test_bucketing_changes_nothing() -> None:
    log = make_log()
    model = PropensityModel(**RIDGE, effect_regularization=2.0, tolerance=1e-7).fit(log)
    everywhere = make_log(np.ones((M, N), dtype=bool))  # an eligibility table forbids buckets
    again = PropensityModel(**RIDGE, effect_regularization=2.0, tolerance=1e-7).fit(everywhere)
    assert np.abs(model.block(slice(0, M)) - again.block(slice(0, M))).max() < 1e-6


def test_bucket_groups_rows_that_share_features_and_count() -> None:
    features, count = np.array([[1.0, 2], [1, 2], [1, 3], [1, 2]]), np.array([4.0, 4, 4, 5])
    profiles, rows, observed, of = bucket(features, count)
    assert len(profiles) == 3
    assert rows.sum() == 4
    assert observed.sum() == count.sum()
    np.testing.assert_array_equal(profiles[of], features)


def test_effects_are_left_out_where_features_explain_the_counts() -> None:
    rng = np.random.default_rng(3)
    users = pd.DataFrame({"user_id": range(300), "age": rng.normal(size=300)})
    logit = -2.0 + 0.8 * users["age"].to_numpy()[:, None] + np.zeros(100)
    u, i = np.nonzero(rng.random((300, 100)) < 1 / (1 + np.exp(-logit)))
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": u % 5})
    model = PropensityModel().fit(InteractionLog(events, users))
    assert any("no user effects" in note for note in model.notes_)
    p = model.block(slice(0, 300))
    assert np.median(np.abs(p * (1 + np.exp(-logit)) - 1)) < 0.05


def test_effects_take_the_variance_that_the_counts_have() -> None:
    rng = np.random.default_rng(4)
    effect = rng.normal(size=400) * 0.5
    p = 1 / (1 + np.exp(-(-2.0 + effect[:, None] + np.zeros(150))))
    u, i = np.nonzero(rng.random((400, 150)) < p)
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": u % 5})
    model = PropensityModel().fit(InteractionLog(events))
    (words,) = [note for note in model.notes_ if note.startswith("Effects")]
    found = float(words.split("user effects have a standard deviation of ")[1].split()[0])
    # 400 effects: the moment estimate has a standard error of about 5 % of .5
    assert 0.42 < found < 0.58


def test_stopping_early_warns() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iterations"):
        model = PropensityModel(max_iterations=2).fit(make_log())
    assert not model.converged_


def test_same_bytes_twice() -> None:
    first = PropensityModel().fit(make_log()).block(slice(0, M))
    again = PropensityModel().fit(make_log()).block(slice(0, M))
    assert first.tobytes() == again.tobytes()


@pytest.mark.data
def test_coat(data_dir) -> None:
    folder = data_dir("coat")
    rating = np.loadtxt(folder / "train.ascii")
    u, i = np.nonzero(rating)
    sides = {}
    for side in ("user", "item"):
        flags = np.loadtxt(folder / "user_item_features" / f"{side}_features.ascii").astype(bool)
        frame = pd.DataFrame(flags, columns=[f"{side}_{k}" for k in range(flags.shape[1])])
        sides[side] = frame.assign(**{f"{side}_id": range(len(frame))})
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": rating[u, i]})
    log = InteractionLog(events, sides["user"], sides["item"], outcome_range=(1, 5))

    def snips(p: np.ndarray) -> float:
        return float((log.outcome / p).sum() / (1 / p).sum())

    plain = PropensityModel(user_effects=False, item_effects=False).fit(log)
    for model in (plain, PropensityModel().fit(log)):
        p = model.for_rows(log)
        assert snips(p) == pytest.approx(2.35, abs=0.02)
        assert (1 / p).sum() / log.n_eligible == pytest.approx(1.0, abs=0.02)
    given = np.loadtxt(folder / "propensities.ascii")
    assert snips(given[log.user_codes, log.item_codes]) == pytest.approx(2.3308, abs=5e-5)
