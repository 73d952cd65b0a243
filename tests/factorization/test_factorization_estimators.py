"""What each estimator is right under, the identities it satisfies, and where it must fail."""

from __future__ import annotations

import itertools
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
from causalrec.factorization._recipe import (
    Recipe,
    cell_weights,
    correction_scale,
    correction_weights,
)
from causalrec.factorization._training import Problem, train
from causalrec.factorization._weighted import solve_users

REPLICATES = 40
M, N = 60, 50


def a_recipe(**changes) -> Recipe:
    """Return a recipe of biases alone, nearly without ridge."""
    base = DebiasedMF("ips", n_factors=0, regularization=0.02, n_sweeps=40, kernel="scipy")
    return replace(base._recipe(), **changes)


def a_truth() -> tuple[np.ndarray, np.ndarray]:
    """Return (truth, propensity): a rank-2 taste that also decides what is observed."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(M, 2)) @ rng.normal(size=(2, N))
    truth = 3.0 + 0.5 * rng.normal(size=(M, 1)) + 0.5 * rng.normal(size=N) + taste
    return truth, 1.0 / (1.0 + np.exp(0.8 - taste.clip(-2, 2)))


def observed(truth, p, seed: int) -> tuple[Pattern, np.ndarray]:
    """Draw which cells are observed, and their noisy outcomes."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random(p.shape) < p)
    pattern = Pattern(users.astype(np.int32), items.astype(np.int32), *p.shape)
    return pattern, truth[users, items] + 0.5 * rng.normal(size=len(users))


def errors_of_the_mean(recipe: Recipe, claimed) -> np.ndarray:
    """Return, per replicate, how far the mean prediction is from the mean of the truth."""
    truth, p = a_truth()
    found = []
    for seed in range(REPLICATES):
        pattern, y = observed(truth, p, seed)
        problem = Problem(pattern, y, claimed(p)[pattern.users, pattern.items])
        found.append(train(problem, recipe).factors.block(slice(None)).mean() - truth.mean())
    return np.array(found)


def z_of(errors: np.ndarray) -> float:
    """Return the mean in units of its Monte Carlo error."""
    return float(errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors))))


def as_it_is(p):
    """Claim the true propensities."""
    return p


def reversed_(p):
    """Claim that what is likely is unlikely."""
    return 1.0 - p


# With all the ridge in the world a model is its intercept, which cannot hold the taste that
# selection follows: what it is fitted to decides what it says. |z| < 3.5 leaves an honest one out
# in 1 of 2,000 runs, and the wrong ones stand at tens. (With biases, rows of a dozen cells add the
# bias of their own ratios, of the order 1 / cells.)
ALL_RIDGE = 1e9


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "mrdr", "stable_dr"])
def test_the_right_propensity_recovers_the_mean_of_a_misspecified_model(estimator: str) -> None:
    recipe = a_recipe(estimator=estimator, imputation="constant", regularization=ALL_RIDGE)
    errors = errors_of_the_mean(recipe, as_it_is)
    assert abs(z_of(errors)) < 3.5
    assert errors.std() < 0.15  # where naive is wrong by more than that


@pytest.mark.parametrize("estimator", ["naive", "eib"])
def test_without_a_propensity_and_with_a_wrong_model_the_mean_is_wrong(estimator: str) -> None:
    recipe = a_recipe(estimator=estimator, regularization=ALL_RIDGE)
    errors = errors_of_the_mean(recipe, as_it_is)
    assert z_of(errors) > 20
    assert errors.mean() > 0.2


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "mrdr", "stable_dr"])
def test_a_wrong_propensity_and_a_wrong_imputation_fail_together(estimator: str) -> None:
    errors = errors_of_the_mean(a_recipe(estimator=estimator, regularization=ALL_RIDGE), reversed_)
    assert z_of(errors) > 20


@pytest.mark.parametrize("estimator", ["dr", "stable_dr", "eib"])
def test_the_right_imputation_repairs_a_wrong_propensity(estimator: str) -> None:
    truth, p = a_truth()
    vectors = np.linalg.svd(truth - truth.mean(), full_matrices=False)
    left, right = vectors[0][:, :4] * vectors[1][:4], vectors[2][:4].T
    left, right = np.c_[left, np.ones(M)], np.c_[right, np.full(N, truth.mean())]
    errors = []
    for seed in range(REPLICATES):
        pattern, y = observed(truth, p, seed)
        claimed = reversed_(p)[pattern.users, pattern.items]
        scale = correction_scale(estimator, claimed, pattern.n_cells)
        weights = correction_weights(estimator, claimed, scale)
        g = (left @ right.T)[pattern.users, pattern.items]
        score = doubly_robust_score(pattern, y, weights, left, right, g)
        start = random_start(M, N, 0, np.random.default_rng(0), "float64")
        ridge = row_ridge(0.1, np.ones(M), "uniform"), row_ridge(0.1, np.ones(N), "uniform")
        fit = fit_doubly_robust(score, start, ridge, n_sweeps=20)
        errors.append(fit.factors.block(slice(None)).mean() - truth.mean())
    assert abs(z_of(np.array(errors))) < 3.5


@pytest.mark.parametrize("estimator", ["naive", "ips", "eib", "dr", "mrdr", "stable_dr"])
def test_a_right_model_of_the_right_rank_is_recovered(estimator: str) -> None:
    """Without noise only the ridge keeps a fit from the truth, and its bias falls with it.

    The bias is of the order of the ridge, so that a tenth of the ridge leaves a hundredth of the
    squared error. Six cells in ten are observed, so that no other factors explain them as well.
    """
    truth, _ = a_truth()
    p = 1.0 / (1.0 + np.exp(-0.5 - (truth - 3.0).clip(-2, 2)))
    users, items = np.nonzero(np.random.default_rng(0).random(p.shape) < p)
    pattern = Pattern(users.astype(np.int32), items.astype(np.int32), *p.shape)
    problem = Problem(pattern, truth[users, items], p[users, items])

    def unexplained(rank: int, ridge: float) -> float:
        # An imputation of the same rank, as eib is only as right as its imputation.
        recipe = a_recipe(estimator=estimator, n_factors=rank, imputation="naive", n_sweeps=150,
                          regularization=ridge, tol=0.0)  # fmt: skip
        fitted = train(problem, recipe).factors.block(slice(None))
        return float(np.mean((fitted - truth) ** 2) / truth.var())

    strong, weak = unexplained(2, 0.1), unexplained(2, 0.01)
    assert weak < 1e-5
    assert 50 < strong / weak < 200
    assert unexplained(0, 0.01) > 0.5  # what averages alone leave


# ------------------------------------------------------------------ relmf


def positives(relevance, exposure, seed: int) -> tuple[Pattern, np.ndarray]:
    """Draw which cells are both exposed and relevant."""
    rng = np.random.default_rng(seed)
    shown = rng.random(exposure.shape) < exposure
    users, items = np.nonzero(shown & (rng.random(relevance.shape) < relevance))
    pattern = Pattern(users.astype(np.int32), items.astype(np.int32), *relevance.shape)
    return pattern, np.ones(len(users))


def a_relevance() -> tuple[np.ndarray, np.ndarray]:
    """Return relevance and exposure, both in (0, 1) and related."""
    taste = a_truth()[0] - 3.0
    relevance = 1.0 / (1.0 + np.exp(1.0 - taste))
    return relevance, (0.1 + 0.8 * relevance).clip(0.05, 0.95)


@pytest.mark.parametrize(("right", "passes"), [(True, True), (False, False)])
def test_relmf_is_as_right_as_the_declared_exposure(right: bool, passes: bool) -> None:
    relevance, exposure = a_relevance()
    claimed = exposure if right else np.full_like(exposure, exposure.mean())
    errors = []
    for seed in range(REPLICATES):
        pattern, y = positives(relevance, exposure, seed)
        problem = Problem(pattern, y, claimed[pattern.users, pattern.items])
        trained = train(problem, a_recipe(estimator="relmf"))
        errors.append(trained.factors.block(slice(None)).mean() - relevance.mean())
    z = z_of(np.array(errors))
    assert abs(z) < 3.5 if passes else z > 15


def test_the_expected_loss_of_relmf_is_that_of_relevance_up_to_a_constant() -> None:
    """By enumeration of what may be recorded on a grid of four cells (Saito et al. 2020)."""
    rng = np.random.default_rng(1)
    relevance, exposure = rng.uniform(0.2, 0.8, (2, 2)), rng.uniform(0.3, 0.9, (2, 2))
    chance = (relevance * exposure).ravel()
    zero = np.zeros((2, 1)), np.zeros((2, 1))
    none = np.zeros(2), np.zeros(2)
    gaps = []
    for seed in range(3):
        draw = np.random.default_rng(seed).normal(size=(2, 2))
        f = Factors(float(seed), np.zeros((2, 0)), np.zeros((2, 0)), draw[0], draw[1])
        expected = 0.0
        for recorded in itertools.product([False, True], repeat=4):
            happened = np.array(recorded)
            cells = np.flatnonzero(happened)
            users, items = (cells // 2).astype(np.int32), (cells % 2).astype(np.int32)
            pattern = Pattern(users, items, 2, 2)
            inverse = 1.0 / exposure[users, items]
            y = np.ones(len(cells))
            score = doubly_robust_score(pattern, y, inverse, *zero, np.zeros(len(cells)))
            probability = np.prod(np.where(happened, chance, 1.0 - chance))
            expected += probability * loss_over_all_cells(pattern, score, f, none)
        gaps.append(expected - np.mean((relevance - f.block(slice(None))) ** 2))
    assert np.ptp(gaps) < 1e-12


# ------------------------------------------------------------------ identities


def a_problem(seed: int = 3) -> Problem:
    """Return a problem of the selective world."""
    truth, p = a_truth()
    pattern, y = observed(truth, p, seed)
    return Problem(pattern, y, p[pattern.users, pattern.items])


def test_stable_dr_of_the_ips_fit_returns_it_whatever_the_scale_of_p() -> None:
    problem = a_problem()
    problem = replace(problem, propensity=problem.propensity / 3.0)
    many = {"n_factors": 2, "regularization": 4.0, "n_sweeps": 800, "tol": 0.0}
    ips = train(problem, a_recipe(estimator="ips", **many)).factors
    stable = train(problem, a_recipe(estimator="stable_dr", imputation="ips", **many)).factors
    np.testing.assert_allclose(stable.block(slice(None)), ips.block(slice(None)), atol=1e-7)
    assert np.std(ips.user_factors @ ips.item_factors.T) > 0.2  # there is taste to return


def test_stable_dr_is_dr_where_the_inverse_propensities_sum_to_the_cells() -> None:
    problem = a_problem()
    total = float(np.sum(1.0 / problem.propensity))
    exact = replace(problem, propensity=problem.propensity * total / problem.pattern.n_cells)
    found = {
        name: train(one, a_recipe(estimator=name, n_factors=2)).factors.block(slice(None))
        for name, one in (("dr", exact), ("stable_dr", problem))
    }
    np.testing.assert_allclose(found["stable_dr"], found["dr"], atol=1e-8)


def test_the_mean_of_stable_dr_is_bounded_where_that_of_dr_is_not() -> None:
    problem = a_problem()
    tiny = problem.propensity.copy()
    tiny[0] = 1e-7
    problem = replace(problem, propensity=tiny)
    means = {}
    for name in ("dr", "stable_dr"):
        trained = train(problem, a_recipe(estimator=name, imputation="constant"))
        means[name] = trained.factors.block(slice(None)).mean()
    y = problem.outcome
    assert trained.imputation is not None
    g = trained.imputation.intercept
    assert abs(means["stable_dr"] - g) <= np.abs(y - g).max() + 1e-9
    # One of 3,000 cells claims to stand for 10^7. The constant of the two is the same.
    alone = np.abs(np.sum((y - g) / tiny)) / problem.pattern.n_cells
    assert abs(means["dr"] - g) == pytest.approx(alone, rel=0.01)


def dense_score(problem: Problem, estimator: str, trained) -> np.ndarray:
    """Return the score of every cell, written out."""
    pattern, p = problem.pattern, problem.propensity
    s = trained.imputation.block(slice(None)).copy()
    at = pattern.users, pattern.items
    v = {"eib": np.ones_like(p), "stable_dr": pattern.n_cells / p / (1 / p).sum()}
    s[at] += v.get(estimator, 1 / p) * (problem.outcome - s[at])
    return s


@pytest.mark.parametrize("estimator", ["eib", "dr", "mrdr", "stable_dr", "relmf"])
def test_without_biases_the_solution_is_the_soft_thresholded_svd_of_the_score(
    estimator: str,
) -> None:
    problem = a_problem()
    options = {"estimator": estimator, "n_factors": 3, "regularization": 3.0, "biases": False}
    # Without an imputation the score's singular values lie close, and ALS is slow to part them.
    stop = {"n_sweeps": 6_000 if estimator == "relmf" else 500, "tol": 0.0}
    closed = train(problem, a_recipe(**options, solver="svd", **stop))
    swept = train(problem, a_recipe(**options, **stop))
    score = dense_score(problem, estimator, closed)
    left, values, right = np.linalg.svd(score - score.mean(), full_matrices=False)
    ridge = 3.0 * problem.pattern.n_cells / problem.pattern.n
    kept = np.maximum(values[:3] - ridge, 0.0)
    assert kept[1] > 0  # more than one direction survives
    expected = score.mean() + (left[:, :3] * kept) @ right[:3]
    np.testing.assert_allclose(closed.factors.block(slice(None)), expected, atol=1e-6)
    np.testing.assert_allclose(
        swept.factors.block(slice(None)), closed.factors.block(slice(None)), atol=1e-6
    )
    assert not swept.factors.user_biases.any()
    assert not swept.factors.item_biases.any()


def test_a_ridge_above_the_largest_singular_value_leaves_the_mean() -> None:
    options = {"n_factors": 3, "regularization": 1e4, "biases": False, "solver": "svd"}
    fitted = train(a_problem(), a_recipe(estimator="dr", **options)).factors
    assert np.ptp(fitted.block(slice(None))) == 0.0


def test_half_sweeps_end_where_the_weighted_losss_differences_vanish() -> None:
    """IPS-MF's normal equation is the gradient of the weighted loss, by finite differences."""
    problem = a_problem()
    pattern, y = problem.pattern, problem.outcome
    w = cell_weights("ips", problem.propensity)
    ridge = np.full(M, 2.0), np.full(N, 2.0)
    rng = np.random.default_rng(0)
    start = replace(random_start(M, N, 2, rng, "float64"), intercept=3.0)

    def loss(f: Factors) -> float:
        residual = y - f.predict(pattern.users, pattern.items)
        return float(np.sum(w * residual**2)) + f.penalty(*ridge)

    solved = solve_users(pattern, y, w, start, ridge[0])
    step = 1e-4
    for factors, vanishes in ((solved, True), (start, False)):
        slopes = []
        for user, column in ((0, 0), (7, 1), (M - 1, 0)):
            moved = []
            for sign in (1.0, -1.0):
                users = factors.user_factors.copy()
                users[user, column] += sign * step
                moved.append(loss(replace(factors, user_factors=users)))
            slopes.append((moved[0] - moved[1]) / (2.0 * step))
            residual = np.zeros((M, N))
            predicted = factors.predict(pattern.users, pattern.items)
            residual[pattern.users, pattern.items] = w * (y - predicted)
            pulled = residual[user] @ factors.item_factors[:, column]
            analytic = 2.0 * (ridge[0][user] * factors.user_factors[user, column] - pulled)
            assert slopes[-1] == pytest.approx(analytic, abs=1e-5)
        assert (np.abs(slopes) < 1e-5).all() == vanishes
