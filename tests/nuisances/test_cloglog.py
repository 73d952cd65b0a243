"""The complementary log-log propensity: the exact likelihood of a grid that is not enumerated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import causalrec as cr
from causalrec.errors import ConvergenceWarning, StudyError
from causalrec.nuisances import PropensityModel
from causalrec.nuisances._cloglog import (
    CloglogProblem,
    cloglog_likelihood,
    fit_cloglog,
    poisson_derivatives,
    sides,
)


def problem(seed: int = 0, *, masked: bool = False) -> tuple[CloglogProblem, np.ndarray]:
    """Draw 30 users in 5 profiles and 24 items in 4, about a third of the cells observed."""
    rng = np.random.default_rng(seed)
    m, n, P, Q = 30, 24, 5, 4
    X = np.column_stack([np.ones(P), rng.normal(size=(P, 2))])
    Z = np.column_stack([np.ones(Q), rng.normal(size=Q)])
    user, item = rng.integers(0, P, m), rng.integers(0, Q, n)
    allowed = rng.random((P, Q)) < 0.8 if masked else None
    rate = np.exp(-1.0 + 0.4 * X[user, 1][:, None] + 0.3 * Z[item, 1])
    seen = rng.random((m, n)) < 1.0 - np.exp(-rate)
    if allowed is not None:
        seen &= allowed[np.ix_(user, item)]
    u, i = np.nonzero(seen)
    penalty = np.full((3, 2), 2.0)
    penalty[0, 0] = 0.0
    return CloglogProblem(X, Z, user, item, u, i, penalty, 1.5, 0.7, allowed), seen


def dense(of: CloglogProblem, seen: np.ndarray, theta: np.ndarray) -> float:
    """Return the log-likelihood by going over the cells."""
    B, a, b = of.split(theta)
    eta = (of.X @ B @ of.Z.T)[np.ix_(of.user_profile, of.item_profile)] + a[:, None] + b
    lam = np.exp(eta)
    each = np.where(seen, np.log(-np.expm1(-lam)), -lam)
    if of.allowed is not None:
        each = each[of.allowed[np.ix_(of.user_profile, of.item_profile)]]
    return float(each.sum())


def ridge(of: CloglogProblem, theta: np.ndarray) -> float:
    B, a, b = of.split(theta)
    return 0.5 * float((of.penalty * B * B).sum() + 1.5 * (a @ a) + 0.7 * (b @ b))


@pytest.mark.parametrize("masked", [False, True])
def test_the_likelihood_is_that_of_the_enumerated_grid(masked: bool) -> None:
    of, seen = problem(masked=masked)
    for seed in range(3):
        theta = 0.5 * np.random.default_rng(seed).normal(size=of.size)
        assert cloglog_likelihood(of, theta) == pytest.approx(dense(of, seen, theta), rel=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_the_optimum_is_that_of_a_general_minimiser(masked: bool) -> None:
    of, seen = problem(1, masked=masked)
    found = fit_cloglog(of, tolerance=1e-8, max_iterations=5000)
    theta = np.concatenate([found.B.ravel(), found.user_effect, found.item_effect])
    cost = lambda t: ridge(of, t) - dense(of, seen, t)  # noqa: E731
    peer = minimize(cost, np.zeros(of.size), method="BFGS", options={"gtol": 1e-6})
    assert found.converged
    assert cost(theta) <= peer.fun + 1e-9
    # a quasi-Newton search with numerical gradients stops about 1e-5 from the optimum
    np.testing.assert_allclose(theta, peer.x, atol=1e-4)


def test_at_its_own_expectations_the_gradient_is_exact() -> None:
    from causalrec.nuisances._cloglog import _Cells

    of, seen = problem(2)
    theta = 0.3 * np.random.default_rng(0).normal(size=of.size)
    cells = _Cells(of)
    _, gradient = poisson_derivatives(of, cells.expect(theta), theta)
    value, again = cells.derivatives(theta)
    np.testing.assert_array_equal(again, gradient)
    assert value == pytest.approx(ridge(of, theta) - dense(of, seen, theta))
    step = 1e-6
    for j in range(of.size):
        shift = np.eye(of.size)[j] * step
        up, down = (ridge(of, t) - dense(of, seen, t) for t in (theta + shift, theta - shift))
        assert (up - down) / (2 * step) == pytest.approx(gradient[j], abs=1e-6)


def test_each_step_raises_the_likelihood() -> None:
    of, _ = problem(3)
    values = []
    for limit in (1, 12, 30, 60, 200):
        found = fit_cloglog(of, tolerance=1e-9, max_iterations=limit)
        theta = np.concatenate([found.B.ravel(), found.user_effect, found.item_effect])
        values.append(cloglog_likelihood(of, theta) - ridge(of, theta))
    assert (np.diff(values) >= -1e-9).all()


def test_means_and_slopes_by_side_are_those_of_the_cells() -> None:
    of, _ = problem(4)
    B = 0.3 * np.random.default_rng(1).normal(size=(3, 2))
    lam = np.exp((of.X @ B @ of.Z.T)[np.ix_(of.user_profile, of.item_profile)])
    p = 1.0 - np.exp(-lam)
    for axis, (mean, variance, slope) in zip((1, 0), sides(of, B), strict=True):
        np.testing.assert_allclose(mean, p.sum(axis))
        np.testing.assert_allclose(variance, (p * (1 - p)).sum(axis))
        np.testing.assert_allclose(slope, (lam * np.exp(-lam)).sum(axis))


def test_without_effects_they_stay_zero() -> None:
    of, _ = problem(5)
    found = fit_cloglog(
        replace(of, user_penalty=None, item_penalty=None), tolerance=1e-6, max_iterations=500
    )
    assert not found.user_effect.any()
    assert not found.item_effect.any()


@pytest.fixture(scope="module")
def music():
    return cr.simulate("music", n_users=1200, n_items=300, random_state=1)


def test_it_finds_the_selection_of_music(music) -> None:
    model = PropensityModel("cloglog").fit(music.log, music.graph)
    reference = PropensityModel("logistic").fit(music.log, music.graph)
    assert model.method_ == "cloglog"
    p, q, truth = model.block(slice(None)), reference.block(slice(None)), music.potential.propensity
    off, by_logit = (np.abs(np.log(found / truth)).mean() for found in (p, q))
    # the world is a logit: with a few cells in a hundred observed the links hardly differ
    assert off < by_logit + 0.02
    rows = model.for_rows(music.log)
    assert (1 / rows).sum() / music.log.n_eligible == pytest.approx(1.0, abs=0.03)
    users, items = np.arange(1200).repeat(3), np.tile([5, 100, 299], 1200)
    np.testing.assert_allclose(
        model.predict_codes(users, items), p[:, [5, 100, 299]].ravel(), rtol=1e-12
    )


def test_the_expected_counts_are_those_observed(music) -> None:
    model = PropensityModel("cloglog", user_effects=False, item_effects=False).fit(music.log)
    # the intercept has no ridge: its equation says that sums of expected Poisson counts agree
    p = model.block(slice(None))
    lam = -np.log1p(-p)
    log = music.log
    at = lam[log.user_codes, log.item_codes]
    assert (at / -np.expm1(-at)).sum() == pytest.approx(lam.sum(), rel=1e-6)


def test_fits_of_folds_leave_the_held_out_effects_at_zero(music) -> None:
    users = np.arange(1200) % 3 != 0
    model = PropensityModel("cloglog").fit(music.log, music.graph, users=users)
    whole = PropensityModel("cloglog").fit(music.log, music.graph)
    p, q = model.block(slice(None)), whole.block(slice(None))
    assert np.abs(np.log(p / q))[users].mean() < 0.1
    assert np.isfinite(p).all()


def test_cells_that_are_not_eligible_are_refused() -> None:
    events = pd.DataFrame({"user_id": [0, 1, 2], "item_id": [0, 1, 2], "rating": [1, 2, 3]})
    eligible = np.ones((3, 3), dtype=bool)
    eligible[0, 2] = False
    log = cr.InteractionLog(events, eligible=eligible)
    with pytest.raises(StudyError, match="every cell of its users and items has to be eligible"):
        PropensityModel("cloglog").fit(log)


def test_a_part_of_a_split_by_user_has_all_cells_of_its_users(music) -> None:
    train, _ = music.log.split(by="user", test_size=0.3, random_state=0)
    model = PropensityModel("cloglog").fit(train, music.graph)
    p = model.for_rows(train)
    assert (1 / p).sum() / train.n_eligible == pytest.approx(1.0, abs=0.05)


def test_stopping_early_warns(music) -> None:
    with pytest.warns(ConvergenceWarning, match="max_iterations"):
        model = PropensityModel("cloglog", max_iterations=2).fit(music.log)
    assert not model.converged_


def test_same_bytes_twice(music) -> None:
    first, again = (PropensityModel("cloglog").fit(music.log).block(slice(0, 5)) for _ in range(2))
    assert first.tobytes() == again.tobytes()
