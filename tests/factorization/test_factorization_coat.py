"""Real data: Coat's uniform slice judges models whose options were chosen on the biased log."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec import DebiasedMF, KnownPropensity, datasets, tune
from causalrec.factorization._common import Pattern, random_start, row_ridge
from causalrec.factorization._doubly_robust import doubly_robust_score, fit_doubly_robust
from causalrec.factorization._recipe import cell_weights
from causalrec.factorization._weighted import fit_weighted

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def coat(data_dir):
    return datasets.coat(data_dir("coat"))


def _test_error(model: DebiasedMF, coat) -> float:
    cells = coat.test.observed_cells()
    return float(np.mean((model.predict_codes(cells.users, cells.items) - cells.outcome) ** 2))


# Each takes 2 to 4 s of CPU. The bounds are the project's acceptance line; measured with
# random_state 0, 1 and 2 alike: naive 1.279, ips 1.128, mrdr 1.090, ips with features 1.085, mrdr
# with features 1.070. No option was chosen on the test set.
@pytest.mark.parametrize(
    ("estimator", "features", "least", "most"),
    [
        ("naive", False, 1.24, 1.34),
        ("ips", False, 1.0, 1.14),
        ("mrdr", False, 1.0, 1.11),
        ("mrdr", True, 1.0, 1.11),
    ],
)
def test_tuned_on_the_biased_log_only(
    coat, estimator: str, features: bool, least: float, most: float
) -> None:
    propensity = KnownPropensity(coat.propensities)
    repeats = 1 if features else 2
    tuning = tune(
        DebiasedMF(estimator, features=features), coat.train, propensity, n_repeats=repeats
    )
    assert least <= _test_error(tuning.model, coat) <= most


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_line_holds_for_other_folds_and_starts(coat, seed: int) -> None:
    propensity = KnownPropensity(coat.propensities)
    error = {}
    for name in ("naive", "ips", "mrdr"):
        model = DebiasedMF(name, random_state=seed)
        tuning = tune(model, coat.train, propensity, random_state=100 + seed)
        error[name] = _test_error(tuning.model, coat)
    assert error["naive"] >= 1.24
    assert error["mrdr"] < error["ips"] < error["naive"]
    assert error["mrdr"] <= 1.11


def test_a_small_fit_does_not_wait_for_a_compiler(coat) -> None:
    model = DebiasedMF().fit(coat.train, KnownPropensity(coat.propensities))
    assert model.solver_path_ == "scipy"


def test_doubly_robust_equals_the_dense_brute_force_on_coat(coat) -> None:
    """Per-row least squares on the dense score: same start, same sweeps, 1e-10 in float64."""
    cells = coat.train.observed_cells()
    at, y, p = (
        (cells.users, cells.items),
        cells.outcome,
        coat.propensities[cells.users, cells.items],
    )
    pattern = Pattern(*at, 290, 300)
    k, n_sweeps, start = 6, 30, random_start(290, 300, 6, np.random.default_rng(0), "float64")
    counts = np.diff(pattern.user_pointer), np.diff(pattern.item_pointer)
    ridge = tuple(row_ridge(8.0, count, "uniform") for count in counts)
    g = fit_weighted(pattern, y, cell_weights("mrdr", p), start, ridge, n_sweeps=10).factors
    score = doubly_robust_score(pattern, y, 1 / p, *g.low_rank(), g.predict(*at))
    grid_ridge = tuple(one * pattern.n_cells / pattern.n for one in ridge)
    found = fit_doubly_robust(score, start, grid_ridge, n_sweeps=n_sweeps).factors

    dense = g.block(slice(None)).copy()
    dense[at] += (y - dense[at]) / p
    root = np.sqrt(grid_ridge[0][0]) * np.eye(k + 1)
    V, b = start.item_factors, start.item_biases
    mu = dense.mean()
    for _ in range(n_sweeps):
        U, a = _least_squares(V, dense - mu - b, root)
        V, b = _least_squares(U, (dense - mu - a[:, None]).T, root)
        mu += (dense - (mu + a[:, None] + b + U @ V.T)).mean()
    expected = mu + a[:, None] + b + U @ V.T
    np.testing.assert_allclose(found.block(slice(None)), expected, rtol=0, atol=1e-10)


def _least_squares(factors, targets, root):
    matrix = np.vstack([np.hstack([factors, np.ones((len(factors), 1))]), root])
    aim = np.hstack([targets, np.zeros((len(targets), len(root)))])
    solved = np.linalg.lstsq(matrix, aim.T, rcond=None)[0].T
    return solved[:, :-1], solved[:, -1]
