"""The errors of all folds' nuisances, found together, are those found one after the other."""

from __future__ import annotations

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._stacked import stacked_rows
from causalrec.inference import stack_nuisances
from causalrec.scores import Score


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("world", ["shop", "video"])  # a binary and a continuous outcome
def test_folds_together_add_what_each_adds(world: str, weighted: bool) -> None:
    made = cr.simulate(world, n_users=150, n_items=40, random_state=2)
    effect = cr.estimate_effect(made.log, made.graph, n_repeats=1, clip=0.05)
    computation = effect._internals["computation"]
    n = computation.population.rows.n_rows
    groups, n_groups = np.arange(n) % 3 - 1, 2  # -1 is in no group
    weights = np.random.default_rng(0).integers(0, 3, n).astype(float) if weighted else None
    plain = computation._plain(groups, n_groups)
    terms = [
        (one.nuisance(computation._target(one.role), weights), derivative)
        for one, derivative in computation._derivatives(plain, groups, n_groups)
    ]
    assert len(terms) == 15  # five folds of a propensity and of two arms
    expected = stack_nuisances(Score(np.zeros((n, n_groups))), terms).numerator
    parametric = computation.nuisances.parametric
    if weighted:  # the ridge fits know their curvature without these weights
        from dataclasses import replace

        parametric = [replace(p, fit=replace(p.fit, curvature=None)) for p in parametric]
    by_role = computation._by_role(plain, groups, n_groups)
    found = stacked_rows(parametric, by_role, computation._target, weights)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


def test_nothing_fitted_adds_nothing() -> None:
    assert stacked_rows([], {}, lambda role: np.zeros(1), None) == 0.0
