"""Bounds against brute force, the pigeonhole bootstrap against the formula, stacked nuisances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog, minimize
from scipy.special import expit, log_softmax, softmax

from causalrec.errors import DataError
from causalrec.inference import (
    Estimate,
    FittedSoftmax,
    fitted_linear,
    fitted_logistic,
    marginal_sensitivity_bounds,
    pigeonhole_bootstrap,
    pigeonhole_sums,
    range_bounds,
    smallest_lambda,
    stack_nuisances,
)
from causalrec.scores import Score, dr_derivatives, dr_score, snips_score


@pytest.fixture(scope="module")
def sample() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    users, items = np.divmod(np.arange(40 * 25), 25)
    p = rng.uniform(0.1, 0.9, 1000)
    observed = (rng.random(1000) < p).astype(float)
    y = rng.normal(size=40)[users] + rng.normal(size=1000)
    return {"users": users, "items": items, "p": p, "o": observed, "y": y}


def clusters(sample) -> dict[str, np.ndarray]:
    return {"user": sample["users"], "item": sample["items"]}


def programmed_bound(y, p, lam, sign) -> float:
    """The same bound as a linear program (Charnes & Cooper): sum v = 1, v = t w."""
    low, high = 1 + (1 / p - 1) / lam, 1 + (1 / p - 1) * lam
    n = len(y)
    upper = np.hstack([np.eye(n), -high[:, None]])
    lower = np.hstack([-np.eye(n), low[:, None]])
    solved = linprog(
        np.append(sign * y, 0.0), A_ub=np.vstack([upper, lower]), b_ub=np.zeros(2 * n),
        A_eq=np.append(np.ones(n), 0.0)[None, :], b_eq=[1.0], bounds=[(0, None)] * (n + 1),
    )  # fmt: skip
    return float(sign * solved.fun)


@pytest.mark.parametrize("lam", [1.0, 1.3, 3.0])
def test_sensitivity_bounds_solve_the_linear_program(sample, lam):
    group = sample["users"] % 2
    found = marginal_sensitivity_bounds(
        sample["y"], sample["p"], sample["o"], lam, clusters(sample), ["even", "odd"], groups=group
    )
    for k in (0, 1):
        rows = (sample["o"] == 1) & (group == k)
        y, p = sample["y"][rows], sample["p"][rows]
        assert found.lower[k] == pytest.approx(programmed_bound(y, p, lam, 1.0), abs=1e-8)
        assert found.upper[k] == pytest.approx(programmed_bound(y, p, lam, -1.0), abs=1e-8)


def test_without_doubt_the_bounds_are_snips_and_its_interval(sample):
    score = snips_score(sample["y"], sample["o"], sample["p"])
    point = Estimate.from_score(score, clusters(sample))
    found = marginal_sensitivity_bounds(
        sample["y"], sample["p"], sample["o"], 1.0, clusters(sample)
    )
    assert found.lower[0] == found.upper[0] == pytest.approx(float(point))
    np.testing.assert_allclose(found.interval(), point.interval(), rtol=1e-6)
    assert found.n.tolist() == [int(sample["o"].sum())]


def test_smallest_lambda_inverts_the_bounds(sample):
    arguments = sample["y"], sample["p"], sample["o"]
    for lam in (1.2, 2.5):
        found = marginal_sensitivity_bounds(*arguments, lam, clusters(sample))
        for end in (found.lower[0], found.upper[0]):
            assert smallest_lambda(*arguments, end) == pytest.approx(lam, rel=1e-6)
    point = float(snips_score(sample["y"], sample["o"], sample["p"]).value[0])
    assert smallest_lambda(*arguments, point) == pytest.approx(1.0)
    assert smallest_lambda(*arguments, 1e6) == np.inf


def test_sensitivity_bounds_cover_a_truth_whose_odds_are_off_by_lambda():
    """Selection on y itself within the model: SNIPS is biased, the bounds contain the truth."""
    rng = np.random.default_rng(0)
    n, lam = 100_000, 2.0
    p, y = rng.uniform(0.2, 0.7, n), rng.normal(size=n)
    true_odds = p / (1 - p) * np.where(y > 0, lam, 1 / lam)
    observed = (rng.random(n) < true_odds / (1 + true_odds)).astype(float)
    users = {"user": np.arange(n)}
    point = Estimate.from_score(snips_score(y, observed, p), users)
    found = marginal_sensitivity_bounds(y, p, observed, lam, users)
    assert point.interval()[0, 0] > 0.2
    assert found.lower[0] < 0.01  # sharp here: the lower bound is the truth, 0, up to noise
    assert found.interval()[0, 0] <= 0.0 <= found.interval()[0, 1]
    assert smallest_lambda(y, p, observed, 0.0) == pytest.approx(lam, abs=0.05)


def test_endpoint_errors_agree_with_the_bootstrap(sample):
    lam, users = 2.0, {"user": sample["users"]}
    found = marginal_sensitivity_bounds(sample["y"], sample["p"], sample["o"], lam, users)
    rng = np.random.default_rng(0)
    rows = np.arange(1000).reshape(40, 25)
    ends = []
    for _ in range(400):
        drawn = rows[rng.integers(0, 40, 40)].ravel()
        y, p, o = (sample[k][drawn] for k in ("y", "p", "o"))
        again = marginal_sensitivity_bounds(y, p, o, lam, {"user": np.arange(1000)})
        ends.append([again.lower[0], again.upper[0]])
    expected = np.std(ends, axis=0)
    # A standard deviation of 400 draws is good to 3.5 %, the 40-user formula to about 5 %.
    np.testing.assert_allclose(found.lower_bound.standard_error[0], expected[0], rtol=0.15)
    np.testing.assert_allclose(found.upper_bound.standard_error[0], expected[1], rtol=0.15)


def test_range_bounds_and_imbens_manski(sample):
    point = Estimate.from_score(Score(expit(sample["y"])), {"user": sample["users"]})
    found = range_bounds(point, 0.3, (0.0, 1.0))
    np.testing.assert_allclose(found.lower, 0.7 * point.value)
    np.testing.assert_allclose(found.upper, 0.7 * point.value + 0.3)
    # Far apart: one-sided critical values, widened for 40 clusters as every interval is.
    normal = stats.norm.ppf([0.95, 0.975])
    half = np.diff(found.lower_bound.interval()[0])[0] / 2 * normal[0] / normal[1]
    np.testing.assert_allclose(
        found.interval()[0], [found.lower[0] - half, found.upper[0] + half], rtol=1e-6
    )
    assert found.contains(0.5).all()
    assert not found.contains(2.0).any()
    np.testing.assert_allclose(range_bounds(point, 0.0, (0, 1)).interval(), point.interval())
    with pytest.raises(DataError, match="must lie in"):
        range_bounds(point, 1.3, (0.0, 1.0))
    with pytest.raises(DataError, match="smallest, largest"):
        range_bounds(point, 0.3, (1.0, 0.0))


def test_difference_of_bounds_lets_each_roam(sample):
    found = marginal_sensitivity_bounds(
        sample["y"], sample["p"], sample["o"], 1.5, clusters(sample), ["a", "b"],
        groups=sample["users"] % 2,
    )  # fmt: skip
    gap = found.difference("a", "b")
    assert gap.labels == ("a - b",)
    assert gap.lower[0] == pytest.approx(found.lower[0] - found.upper[1])
    assert gap.upper[0] == pytest.approx(found.upper[0] - found.lower[1])
    assert gap.interval()[0, 0] < gap.lower[0]
    assert gap.interval()[0, 1] > gap.upper[0]


def test_few_clusters_have_bounds_but_no_interval():
    users = np.arange(40) % 4
    found = marginal_sensitivity_bounds(np.arange(40.0), 0.5, np.ones(40), 1.5, {"user": users})
    assert found.status == ("not_estimable",)
    assert np.isnan(found.interval()).all()


def test_sensitivity_refusals(sample):
    with pytest.raises(DataError, match="at least 1"):
        marginal_sensitivity_bounds(sample["y"], sample["p"], sample["o"], 0.5, clusters(sample))
    with pytest.raises(DataError, match=r"outside \(0, 1\]"):
        marginal_sensitivity_bounds(sample["y"], 0.0, sample["o"], 2.0, clusters(sample))


# ---------------------------------------------------------------------- bootstrap


def test_pigeonhole_agrees_with_the_formula(sample):
    y, users, items = sample["y"], sample["users"], sample["items"]
    found = pigeonhole_bootstrap(
        lambda w: np.average(y, weights=w), users, items, n_replicates=2000, random_state=0
    )
    formula = Estimate.from_score(Score(y), clusters(sample))
    # Owen (2007): the bootstrap is conservative, by no more than the cell term counted twice.
    assert 0.95 < found.standard_error[0] / formula.standard_error[0] < 1.25
    assert found.interval()[0, 0] < float(formula) < found.interval()[0, 1]
    assert found.value[0] == pytest.approx(y.mean())
    assert found.share_undefined.tolist() == [0.0]


def test_pigeonhole_sums_are_the_same_draws(sample):
    y, users, items = sample["y"], sample["users"], sample["items"]
    seeds = {"n_replicates": 50, "random_state": 4}
    sums = pigeonhole_sums(np.column_stack([y, np.ones(1000)]), users, items, **seeds)
    slow = pigeonhole_bootstrap(lambda w: [w @ y, w.sum()], users, items, **seeds)
    np.testing.assert_allclose(sums.replicates, slow.replicates)
    np.testing.assert_allclose(sums.value, slow.value)
    again = pigeonhole_sums(np.column_stack([y, np.ones(1000)]), users, items, **seeds)
    np.testing.assert_array_equal(sums.replicates, again.replicates)
    with pytest.raises(DataError, match="not empty"):
        pigeonhole_sums(np.empty(0), np.empty(0, int), np.empty(0, int))


# ---------------------------------------------------------------------- stacking


def test_a_stacked_regression_mean_has_the_error_of_its_coefficients():
    """Mean of a linear fit over the rows it was fitted on: the sandwich of OLS, in closed form."""
    rng = np.random.default_rng(0)
    n = 300
    design = np.column_stack([np.ones(n), rng.normal(size=n)])
    arm = rng.random(n) < 0.5
    y = design @ [1.0, 2.0] + rng.normal(size=n)
    beta = np.linalg.lstsq(design[arm], y[arm], rcond=None)[0]
    g = design @ beta
    nuisance = fitted_linear(design, y, g, weight=arm.astype(float))
    stacked = stack_nuisances(Score(g), [(nuisance, np.ones(n))])
    assert stacked.value[0] == pytest.approx(g.mean())
    bread = np.linalg.inv(design[arm].T @ design[arm])
    rows = (g - g.mean()) / n
    rows[arm] += design[arm] @ bread @ design.mean(axis=0) * (y - g)[arm]
    np.testing.assert_allclose(stacked.influence[:, 0], rows, atol=1e-12)


def test_stacking_changes_nothing_where_both_models_are_right_and_says_what_does_not_fit():
    rng = np.random.default_rng(1)
    n = 40_000
    x = rng.normal(size=n)
    design = np.column_stack([np.ones(n), x])
    p = expit(0.3 + 0.5 * x)
    o = (rng.random(n) < p).astype(float)
    y = x + rng.normal(size=n)
    score = Score(dr_score(y, o, p, x))
    by_p, by_g = dr_derivatives(y, o, p, x)
    nuisances = [
        (fitted_logistic(design, o, p), by_p),
        (fitted_linear(design, y, x, weight=o), by_g),
    ]
    stacked = stack_nuisances(score, nuisances)
    spread = [np.sqrt(np.square(s.influence).sum()) for s in (score, stacked)]
    assert spread[1] == pytest.approx(spread[0], rel=0.01)
    with pytest.raises(DataError, match=r"the score has 40,000"):
        stack_nuisances(score, [(nuisances[0][0], by_p[1:])])
    with pytest.raises(DataError, match=r"must be \(n, d\)"):
        fitted_linear(x, y, x)


def test_a_stacked_softmax_is_the_derivative_by_the_weight_of_a_row():
    """The infinitesimal jackknife: refit with one row's weight a little larger and smaller."""
    rng = np.random.default_rng(0)
    n, penalty = 300, np.array([0.0, 1.0, 2.0])
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    eta = x @ np.array([[0.0, 0.3, -0.2], [1.0, 0.0, -1.0], [0.0, 0.8, 0.0]])
    p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    level = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    y = x[:, 1] + level + rng.normal(size=n)

    def fitted(weight):
        def loss(flat):
            b = flat.reshape(3, 3)
            ridge = (penalty[:, None] * b**2).sum() / 2.0
            return ridge - weight @ (log_softmax(x @ b, axis=1) * at).sum(axis=1)

        def slope(flat):
            b = flat.reshape(3, 3)
            residual = weight[:, None] * (softmax(x @ b, axis=1) - at)
            return (x.T @ residual + penalty[:, None] * b).ravel()

        solved = minimize(loss, np.zeros(9), jac=slope, options={"gtol": 1e-8, "maxiter": 2_000})
        return softmax(x @ solved.x.reshape(3, 3), axis=1)

    at = np.eye(3)[level]
    seen = level == 1
    e = fitted(np.ones(n))
    term = FittedSoftmax(x, level, e, np.ones(n), penalty).of_level(1)
    numerator = seen * y / e[:, 1]
    stacked = stack_nuisances(Score(numerator), [(term, -numerator * (1.0 - e[:, 1]))])
    slopes = []
    for row in range(8):
        moved = []
        for step in (1e-3, -1e-3):
            weight = np.ones(n)
            weight[row] += step
            moved.append((weight * seen * y / fitted(weight)[:, 1]).sum() / weight.sum())
        slopes.append((moved[0] - moved[1]) / 2e-3)
    rows = stacked.numerator[:8, 0]  # the ridge leaves a constant, which no variance sees
    np.testing.assert_allclose(np.diff(slopes) * n, np.diff(rows), atol=1e-3)
