"""Coverage of our intervals of EconML's estimates, and of EconML's own (slow).

Bound: 3.2 binomial standard errors (1.09 %) of 400 replicates: [91.5 %, 98.5 %].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import causalrec as cr
from causalrec.effects import _encouragement as arms
from causalrec.effects._econml import compute_econml
from causalrec.effects._econml._driv import (
    DRIV,
    NAIVE,
    _design,
    _exposure,
    average_local_effect,
    fit_driv,
    regressor,
)
from causalrec.effects._econml._own import OwnAnswer
from causalrec.effects._population import find_population
from causalrec.effects._question import Question
from causalrec.simulation import _video as video

REPLICATES = 400
LOWEST, HIGHEST = 0.915, 0.985


def question(estimator: str) -> Question:
    return Question.of(
        contrast=(1, 0), unit="item", sampled=("user", "item"), estimator=estimator,
        estimand="ate", clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
    )  # fmt: skip


def covers(interval: Any, truth: float) -> bool:
    low, high = interval
    return bool(low <= truth <= high)


def their_interval(own: OwnAnswer) -> tuple[float, float]:
    assert own.standard_error is not None
    half = float(norm.ppf(0.975)) * own.standard_error
    return own.value - half, own.value + half


@pytest.mark.slow
def test_linear_dml_covers_the_effect_in_the_overlap_where_econml_does_not() -> None:
    asked, ours, theirs, errors, truth = question("linear-dml"), [], [], [], 0.0
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "shop", n_users=200, n_items=30, n_candidates=30, random_state=3000 + seed
        )
        truth = truth or world.population_truth["overlap"]
        population = find_population(world.log, world.graph, None, asked)
        found = compute_econml(population, asked, None, 0)
        estimate = found.estimate()["linear-dml"]
        own = found.nuisances.own
        assert own is not None
        errors.append(float(estimate) - truth)
        ours.append(covers(estimate.interval()[0], truth))
        theirs.append(covers(their_interval(own), truth))
    share = {"ours": np.mean(ours), "EconML": np.mean(theirs), "bias": np.mean(errors)}
    assert LOWEST <= share["ours"] <= HIGHEST, share
    assert share["EconML"] < 0.80, share
    assert abs(share["bias"]) < 3.2 * np.std(errors) / np.sqrt(REPLICATES), share


def average_local_truth(unmeasured: float) -> float:
    """Return the effect among compliers given covariates, averaged over the population."""
    settings = video._Settings(30, 0.1, unmeasured, 0.0)
    users, items = video._user_population(), video._item_population(settings)
    nodes, weights = video.normal_axis()
    taste, of_taste = nodes[:, None, None], weights[:, None, None]
    none, all_of_them = np.zeros(len(users), np.int64), np.ones(len(users), np.int64)
    moved = video._propensity(users, items, taste, all_of_them, settings)
    moved = of_taste * (moved - video._propensity(users, items, taste, none, settings))
    unexposed, exposed = video._watching(users, items, taste, settings).expected()
    local = (moved * (exposed - unexposed)).sum(axis=0) / moved.sum(axis=0)
    cells = np.outer(users.weight, items.weight)
    return float((local * cells).sum() / cells.sum())


@pytest.mark.slow
def test_driv_covers_the_average_local_effect_where_econml_does_not() -> None:
    asked, truth = question("driv"), average_local_truth(1.0)
    ours, theirs, broken, errors = [], [], [], []
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "video", n_users=400, n_items=30, n_candidates=30, unmeasured=1.0,
            random_state=5000 + seed,
        )  # fmt: skip
        identified = world.graph.identify("effect", strategies=("instrument",))
        found = arms.find_encouragement(world.log, "arm", asked.sampled)
        population = arms.arm_population(found, world.graph, identified, None, asked)
        exposure = _exposure(found.exposure_log, population)
        design = _design(population, world.graph, arms.columns_of(identified), asked)
        fitted = fit_driv(population, exposure, design, asked, regressor(None), 0)
        joint, _ = average_local_effect(population, exposure, fitted, asked)
        ours.append(covers(joint[DRIV].interval()[0], truth))
        broken.append(covers(joint[NAIVE].interval()[0], truth))
        theirs.append(covers(their_interval(fitted.own), truth))
        errors.append(float(joint[DRIV]) - truth)
    share = {"ours": np.mean(ours), "EconML": np.mean(theirs), "bias": np.mean(errors)}
    assert np.mean(broken) < 0.05  # the unmeasured taste would have fooled an adjustment
    assert LOWEST <= share["ours"] <= HIGHEST, share
    assert share["EconML"] < LOWEST, share
    assert abs(share["bias"]) < 3.2 * np.std(errors) / np.sqrt(REPLICATES), share
