"""The two losses: normal equations, brute force over the dense score, and their identities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from causalrec.factorization import DebiasedMF
from causalrec.factorization._common import Factors, Pattern, random_start, row_ridge
from causalrec.factorization._doubly_robust import (
    doubly_robust_score,
    fit_doubly_robust,
    loss_over_all_cells,
)
from causalrec.factorization._recipe import Recipe, cell_weights
from causalrec.factorization._sgd import fit_doubly_robust_sgd, fit_weighted_sgd
from causalrec.factorization._training import Problem, train
from causalrec.factorization._weighted import fit_weighted

# Convergence to where a gradient of order 1e3 is below 1e-10 takes many sweeps of a small world.
MANY_SWEEPS = 4_000


def a_world(seed: int = 0, n_users: int = 30, n_items: int = 25):
    """Return (pattern, outcome, propensity) of a small world whose selection follows taste."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(n_users, 2)) @ rng.normal(size=(2, n_items))
    p = 1.0 / (1.0 + np.exp(0.5 - taste.clip(-2, 2)))  # from .08 to .82
    users, items = np.nonzero(rng.random(p.shape) < p)
    outcome = 3.0 + taste[users, items] + 0.3 * rng.normal(size=len(users))
    pattern = Pattern(users.astype(np.int32), items.astype(np.int32), n_users, n_items)
    return pattern, outcome, p[users, items]


def ridges(pattern: Pattern, ridge: float, form: str = "uniform", scale: float = 1.0):
    """Return the ridge of users and items."""
    pointers = pattern.user_pointer, pattern.item_pointer
    return tuple(scale * row_ridge(ridge, np.diff(one), form) for one in pointers)


def a_start(pattern: Pattern, k: int, seed: int = 1) -> Factors:
    """Return a random start."""
    rng = np.random.default_rng(seed)
    return random_start(pattern.n_users, pattern.n_items, k, rng, "float64")


def dense_sweeps(score, start: Factors, ridge, n_sweeps: int) -> np.ndarray:
    """Factorise a dense score by row-wise least squares: slow, and obviously right."""
    m, n = score.shape
    k = start.n_factors
    V, b, mu = start.item_factors, start.item_biases, score.mean()
    U, a = start.user_factors, start.user_biases
    mu = score.mean() - (U @ V.T + a[:, None] + b).mean()
    for _ in range(n_sweeps):
        Z = np.hstack([V, np.ones((n, 1))])
        U, a = _rows(Z, score - mu - b, ridge[0], k)
        X = np.hstack([U, np.ones((m, 1))])
        V, b = _rows(X, (score - mu - a[:, None]).T, ridge[1], k)
        mu = score.mean() - (U @ V.T + a[:, None] + b).mean()
    return mu + a[:, None] + b + U @ V.T


def _rows(Z, targets, ridge, k):
    solved = []
    for row, lam in zip(targets, ridge, strict=True):
        matrix = np.vstack([Z, np.sqrt(lam) * np.eye(k + 1)])
        aim = np.concatenate([row, np.zeros(k + 1)])
        solved.append(np.linalg.lstsq(matrix, aim, rcond=None)[0])
    solved = np.array(solved)
    return solved[:, :k], solved[:, k]


@pytest.mark.parametrize("form", ["uniform", "count"])
@pytest.mark.parametrize("k", [0, 3])
def test_ips_satisfies_the_weighted_losses_normal_equations(k: int, form: str) -> None:
    pattern, y, p = a_world()
    w = cell_weights("ips", p)
    ridge = ridges(pattern, 2.0, form)
    fit = fit_weighted(pattern, y, w, a_start(pattern, k), ridge, n_sweeps=MANY_SWEEPS)
    f = fit.factors
    pull = np.zeros((pattern.n_users, pattern.n_items))
    pull[pattern.users, pattern.items] = w * (y - f.predict(pattern.users, pattern.items))
    np.testing.assert_allclose(
        pull @ f.item_factors, ridge[0][:, None] * f.user_factors, atol=1e-10
    )
    np.testing.assert_allclose(
        pull.T @ f.user_factors, ridge[1][:, None] * f.item_factors, atol=1e-10
    )
    np.testing.assert_allclose(pull.sum(1), ridge[0] * f.user_biases, atol=1e-10)
    np.testing.assert_allclose(pull.sum(0), ridge[1] * f.item_biases, atol=1e-10)
    assert abs(pull.sum()) < 1e-10


@pytest.mark.parametrize("form", ["uniform", "count"])
@pytest.mark.parametrize("k", [0, 4])
def test_doubly_robust_equals_the_dense_brute_force(k: int, form: str) -> None:
    pattern, y, p = a_world(1)
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(pattern.n_users, 3)), rng.normal(size=(pattern.n_items, 3))
    g = left @ right.T
    dense = g.copy()
    dense[pattern.users, pattern.items] += (y - g[pattern.users, pattern.items]) / p
    score = doubly_robust_score(pattern, y, 1 / p, left, right, g[pattern.users, pattern.items])
    ridge = ridges(pattern, 30.0, form)
    start = a_start(pattern, k)
    fit = fit_doubly_robust(score, start, ridge, n_sweeps=20)
    expected = dense_sweeps(dense, start, ridge, 20)
    np.testing.assert_allclose(fit.factors.block(slice(None)), expected, atol=1e-10)


@pytest.mark.parametrize("kernel", ["weighted", "doubly_robust"])
def test_no_sweep_raises_the_loss(kernel: str) -> None:
    pattern, y, p = a_world(3)
    start, ridge = a_start(pattern, 3), ridges(pattern, 1.0)
    if kernel == "weighted":
        losses = fit_weighted(pattern, y, cell_weights("ips", p), start, ridge, n_sweeps=25).losses
    else:
        zero = np.zeros((pattern.n_users, 1)), np.zeros((pattern.n_items, 1))
        score = doubly_robust_score(pattern, y, 1 / p, *zero, np.zeros(pattern.n))
        losses = fit_doubly_robust(score, start, ridge, n_sweeps=25).losses
    assert len(losses) == 25
    assert (np.diff(losses) <= 1e-12).all()


def test_reported_loss_is_the_papers_and_differs_from_the_score_loss_by_a_constant() -> None:
    pattern, y, p = a_world(4)
    rng = np.random.default_rng(5)
    left, right = rng.normal(size=(pattern.n_users, 2)), rng.normal(size=(pattern.n_items, 2))
    g = left @ right.T
    at = pattern.users, pattern.items
    score = doubly_robust_score(pattern, y, 1 / p, left, right, g[at])
    s = g.copy()
    s[at] += (y - g[at]) / p
    zero = np.zeros(pattern.n_users), np.zeros(pattern.n_items)
    gaps = []
    for seed in range(3):
        f = replace(
            a_start(pattern, 2, seed),
            user_factors=np.random.default_rng(seed).normal(size=(pattern.n_users, 2)),
            intercept=float(seed),
        )
        dense = f.block(slice(None))
        paper = ((g - dense) ** 2).sum() + (((y - dense[at]) ** 2 - (g - dense)[at] ** 2) / p).sum()
        reported = loss_over_all_cells(pattern, score, f, zero) * pattern.n_cells
        assert reported == pytest.approx(paper, rel=1e-10)
        gaps.append(((s - dense) ** 2).sum() - paper)
    assert np.ptp(gaps) < 1e-8 * abs(gaps[0])


def test_the_sweeps_own_loss_is_the_loss_of_its_factors() -> None:
    pattern, y, p = a_world(6)
    zero = np.zeros((pattern.n_users, 1)), np.zeros((pattern.n_items, 1))
    score = doubly_robust_score(pattern, y, 1 / p, *zero, np.zeros(pattern.n))
    ridge = ridges(pattern, 3.0)
    fit = fit_doubly_robust(score, a_start(pattern, 2), ridge, n_sweeps=4)
    assert fit.losses[-1] == pytest.approx(loss_over_all_cells(pattern, score, fit.factors, ridge))


def test_doubly_robust_of_the_ips_fit_returns_it() -> None:
    """The stationarity of DR at f = g is IPS's normal equation, where sum(1/p) is all cells."""
    pattern, y, p = a_world(7)
    p = p * (1 / p).sum() / pattern.n_cells
    ridge = ridges(pattern, 2.0)
    w = cell_weights("ips", p)
    g = fit_weighted(pattern, y, w, a_start(pattern, 3), ridge, n_sweeps=MANY_SWEEPS).factors
    predicted = g.predict(pattern.users, pattern.items)
    score = doubly_robust_score(pattern, y, 1 / p, *g.low_rank(), predicted)
    scaled = ridges(pattern, 2.0, scale=pattern.n_cells / pattern.n)
    fit = fit_doubly_robust(score, g, scaled, n_sweeps=10)
    np.testing.assert_allclose(fit.factors.block(slice(None)), g.block(slice(None)), atol=1e-9)
    assert np.std(g.block(slice(None))) > 0.3  # a fit, not the zero solution


def test_sgd_comes_near_the_exact_solvers_loss() -> None:
    pattern, y, p = a_world(8)
    w, ridge = cell_weights("ips", p), ridges(pattern, 2.0)
    exact = fit_weighted(pattern, y, w, a_start(pattern, 2), ridge, n_sweeps=200).losses[-1]
    sgd = fit_weighted_sgd(
        pattern,
        y,
        w,
        a_start(pattern, 2),
        ridge,
        np.random.default_rng(0),
        n_sweeps=300,
        learning_rate=0.05,
    )
    assert exact - 1e-9 <= sgd.losses[-1] < 1.05 * exact
    assert sgd.losses[-1] < sgd.losses[0]


def test_sgd_over_all_cells_comes_near_the_exact_loss() -> None:
    pattern, y, p = a_world(9)
    g = fit_weighted(
        pattern, y, np.ones(pattern.n), a_start(pattern, 0), ridges(pattern, 2.0), n_sweeps=50
    ).factors
    predicted = g.predict(pattern.users, pattern.items)
    score = doubly_robust_score(pattern, y, 1 / p, *g.low_rank(), predicted)
    scale = pattern.n_cells / pattern.n
    ridge = ridges(pattern, 4.0)
    grid_ridge = ridges(pattern, 4.0, scale=scale)
    exact = fit_doubly_robust(score, a_start(pattern, 2), grid_ridge, n_sweeps=200).losses[-1]
    rng = np.random.default_rng(0)
    sgd = fit_doubly_robust_sgd(
        pattern, score, a_start(pattern, 2), ridge, rng, n_sweeps=400, learning_rate=0.03
    )
    at_start = loss_over_all_cells(pattern, score, g, grid_ridge)
    assert exact - 1e-9 <= sgd.losses[-1] < exact + 0.05 * (at_start - exact)


def a_recipe(**changes) -> Recipe:
    """Return a recipe with small defaults."""
    base = DebiasedMF(
        "ips", n_factors=2, regularization=2.0, n_sweeps=20, tol=0.0, kernel="scipy"
    )._recipe()
    return replace(base, **changes)


@pytest.mark.parametrize("estimator", ["ips", "snips"])
def test_weighted_training_ignores_the_scale_of_the_propensities(estimator: str) -> None:
    pattern, y, p = a_world(10)
    one = train(Problem(pattern, y, p), a_recipe(estimator=estimator)).factors
    half = train(Problem(pattern, y, p / 2), a_recipe(estimator=estimator)).factors
    np.testing.assert_allclose(one.block(slice(None)), half.block(slice(None)), atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("estimator", ["naive", "ips", "dr", "mrdr"])
def test_numba_and_scipy_train_the_same_model(estimator: str, dtype: str, tolerance: float) -> None:
    # One half-sweep agrees to 1e-5 in float32 (test_factorization_kernels); ten sweeps carry the
    # rounding of each into the next.
    problem = Problem(*a_world(11))
    recipe = a_recipe(estimator=estimator, dtype=dtype, n_sweeps=10)
    found = [train(problem, replace(recipe, kernel=kernel)) for kernel in ("scipy", "numba")]
    assert [one.path for one in found] == ["scipy", "numba"]
    one, two = (trained.factors.block(slice(None)) for trained in found)
    np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


def test_the_kernel_is_chosen_by_the_work_there_is() -> None:
    problem = Problem(*a_world(12))
    assert train(problem, a_recipe(kernel="auto")).path == "scipy"
    # Converges at once, but might have taken ten million visits: compiling was worth the risk.
    many = a_recipe(kernel="auto", n_factors=0, n_sweeps=10**5, tol=0.5)
    assert train(problem, many).path == "numba"


def test_mrdr_of_a_complete_matrix_is_its_ridge_factorisation() -> None:
    """Nothing is missing, so the score is the outcome and all weightings agree."""
    rng = np.random.default_rng(13)
    users, items = np.divmod(np.arange(20 * 15), 15)
    pattern = Pattern(users.astype(np.int32), items.astype(np.int32), 20, 15)
    problem = Problem(pattern, rng.normal(size=300), np.ones(300))
    found = [
        train(problem, a_recipe(estimator=name, n_sweeps=800)).factors.block(slice(None))
        for name in ("naive", "ips", "mrdr")
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-10)
    np.testing.assert_allclose(found[0], found[2], atol=1e-8)
