"""Robustness values and E-values are DoWhy's and EconML's, on independent rows."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import causalrec as cr
from causalrec.effects._adjustment import Adjustment
from causalrec.effects._evalue import EValue, e_value
from causalrec.effects._linear_confounding import LinearConfounding
from causalrec.effects._omitted_variables import OmittedVariables
from causalrec.effects._scores import Computation

N = 600


@pytest.fixture(scope="module")
def rows() -> Any:
    rng = np.random.default_rng(7)
    covariates = rng.standard_normal((N, 3))
    exposure = (rng.random(N) < 1 / (1 + np.exp(-covariates @ [0.8, 0.4, 0.0]))).astype(int)
    outcome = 0.5 * exposure + covariates @ [0.7, 0.2, 0.3] + rng.standard_normal(N)
    return covariates, exposure, outcome


@pytest.fixture(scope="module")
def linear(rows: Any) -> LinearConfounding:
    covariates, exposure, outcome = rows
    return LinearConfounding.fit(_adjustment(covariates), exposure.astype(float), outcome)


def _adjustment(covariates: Any) -> Adjustment:
    matrix = np.column_stack([np.ones(len(covariates)), covariates])
    return Adjustment(matrix, {"w0": (1,), "w1": (2,), "w2": (3,)})


def _dowhy(rows: Any) -> Any:
    from dowhy import CausalModel

    covariates, exposure, outcome = rows
    frame = pd.DataFrame(covariates, columns=["w0", "w1", "w2"]).assign(e=exposure, y=outcome)
    model = CausalModel(frame, treatment="e", outcome="y", common_causes=["w0", "w1", "w2"])
    estimand = model.identify_effect(proceed_when_unidentifiable=True)
    estimate = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
    return model, estimand, estimate, frame


@pytest.fixture(scope="module")
def dowhy(rows: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _dowhy(rows)


@pytest.mark.filterwarnings("ignore")
def test_robustness_values_are_dowhys(dowhy: Any, linear: LinearConfounding) -> None:
    model, estimand, estimate, _ = dowhy
    theirs = model.refute_estimate(
        estimand, estimate, method_name="add_unobserved_common_cause",
        simulation_method="linear-partial-R2", benchmark_common_causes=["w0"],
        effect_fraction_on_treatment=[1.0, 1.7], effect_fraction_on_outcome=[1.0, 1.7],
        plot_estimate=False,
    )  # fmt: skip
    stats, half = theirs.stats, linear.classical_half_width()
    assert linear.estimate == pytest.approx(stats["estimate"], abs=1e-10)
    assert linear.classical_error == pytest.approx(stats["standard_error"], abs=1e-10)
    assert linear.robustness_value() == pytest.approx(stats["robustness_value"], abs=1e-8)
    ours = linear.robustness_value(half)
    assert ours == pytest.approx(stats["robustness_value_alpha"], abs=1e-8)
    strength = linear.strength_of((1,))
    bounds = theirs.benchmarking_results
    for place, times in enumerate((1.0, 1.7)):
        like = strength.times(times)
        assert like.exposure == pytest.approx(bounds["r2tu_w"][place], abs=1e-8)
        assert like.outcome == pytest.approx(bounds["r2yu_tw"][place], abs=1e-8)
        adjusted = bounds["bias_adjusted_estimate"][place]
        assert linear.adjusted(like) == pytest.approx(adjusted, abs=1e-8)


@pytest.mark.filterwarnings("ignore")
def test_e_values_are_dowhys(dowhy: Any, linear: LinearConfounding) -> None:
    from dowhy.causal_refuters import sensitivity_e_value

    _, estimand, estimate, frame = dowhy
    theirs = sensitivity_e_value(
        frame.copy(), estimand, estimate, ["e"], ["y"], plot_estimate=False
    ).stats
    half = 1.78 / 0.91 * linear.classical_error  # 1.96, as the paper rounds it
    ours = EValue.of_difference(
        linear.estimate,
        float(np.std(frame["y"])),
        linear.estimate - half,
        linear.estimate + half,
    )
    assert ours.ratio == pytest.approx(theirs["converted_estimate"], abs=1e-6)
    assert ours.estimate == pytest.approx(theirs["evalue_estimate"], abs=1e-6)
    assert ours.interval == pytest.approx(theirs["evalue_lower_ci"], abs=1e-6)
    assert e_value(1 / ours.ratio) == pytest.approx(ours.estimate, abs=1e-12)


def test_doubly_robust_robustness_values_are_econmls() -> None:
    from econml.validate.sensitivity_analysis import RV, dr_sensitivity_values, sensitivity_interval

    world: Any = cr.simulate("shop", n_users=600, n_items=60, n_candidates=1, random_state=2)
    # one row a user, and users alone drawn: rows are independent
    effect = cr.estimate_effect(world.log, world.graph, sampled=("user",), n_repeats=1)
    computation: Computation = effect.internal("computation")
    nuisances = replace(computation.nuisances, parametric=())  # as EconML: taken as known
    ours = OmittedVariables.of(replace(computation, nuisances=nuisances))
    population = computation.population
    y, a, p = population.outcome, population.exposure, nuisances.propensity
    chance = np.column_stack([1 - p, p])
    means = np.column_stack([nuisances.unexposed, nuisances.exposed])
    taken = np.column_stack([1 - a, a])
    corrected = means + taken / chance * (y[:, None] - means)
    theirs = dr_sensitivity_values(y, a[:, None], corrected, chance)
    theta, sigma, nu, cov = (value[0] for value in theirs)
    assert ours.effect == pytest.approx(theta, abs=1e-10)
    assert ours.scale == pytest.approx(np.sqrt(sigma * nu), abs=1e-10)
    # EconML halves an interval until its bound is within 1e-6 of zero, then halves once more: its
    # bound is zero at our value, and its value is ours to its own precision
    value = ours.robustness_value
    theirs_there = sensitivity_interval(
        theta, sigma, nu, cov, 0.05, value, value, 1.0, interval_type="theta"
    )
    assert theirs_there[0] == pytest.approx(0.0, abs=1e-9)
    assert value == pytest.approx(RV(theta, sigma, nu, cov, 0.05, interval_type="theta"), abs=2e-5)
    assert ours.bounds(0.05, 0.1) == pytest.approx(
        sensitivity_interval(theta, sigma, nu, cov, 0.05, 0.05, 0.1, 1.0, interval_type="theta"),
        abs=1e-8,
    )
    # EconML has z and n where we have t and n - 1: the widths differ by what that is worth
    as_theirs = replace(
        ours, critical=float(norm.ppf(0.975)), covariance=_independent(sigma, nu, cov)
    )
    assert as_theirs.interval(0.05, 0.1) == pytest.approx(
        sensitivity_interval(theta, sigma, nu, cov, 0.05, 0.05, 0.1, 1.0), abs=1e-8
    )
    assert ours.interval(0.05, 0.1) == pytest.approx(as_theirs.interval(0.05, 0.1), abs=2e-3)
    value = as_theirs.robustness_value_interval
    there = sensitivity_interval(theta, sigma, nu, cov, 0.05, value, value, 1.0)
    assert there[0] == pytest.approx(0.0, abs=1e-9)
    assert value == pytest.approx(RV(theta, sigma, nu, cov, 0.05), abs=2e-5)


def _independent(sigma: float, nu: float, cov: Any) -> Any:
    """Return EconML's covariance of (theta, sigma^2, nu^2) as one of (theta, S)."""
    scale = np.sqrt(sigma * nu)
    gradient = np.array([[1.0, 0.0, 0.0], [0.0, nu / (2 * scale), sigma / (2 * scale)]])
    return gradient @ cov @ gradient.T
