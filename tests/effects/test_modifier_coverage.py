"""Regression on modifiers: bias and coverage where the effect is linear (slow).

Bounds: with 400 replicates six right 95 % intervals all stay within 3.2 binomial standard errors
(1.09 %) of it in 99 of 100 studies, and the mean of each stays within 3.2 of its standard errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._linear import effect_rows, projection_score
from causalrec.effects._modifier_design import modifier_design
from causalrec.effects._nuisances import Fitter
from causalrec.effects._population import find_population
from causalrec.effects._question import Question
from causalrec.effects._scores import Computation
from causalrec.inference import Estimate
from causalrec.nuisances import ArmOutcomeModel

REPLICATES = 400
COLUMNS = ["age", "gender", "quality", "category"]
QUESTION = Question.of(
    contrast=(1, 0), unit="item", sampled=("user", "item"), estimator="dr", estimand="ate",
    clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip


def compute(world: Any, propensity: Any = None, model: Any = None) -> Computation:
    population = find_population(world.log, world.graph, propensity, QUESTION)
    return Computation(
        population, QUESTION, Fitter(population, world.graph, QUESTION, model).fit(0)
    )


def regress(computation: Computation) -> Estimate:
    rows = computation.population.rows
    design = modifier_design(rows, COLUMNS)
    tau = effect_rows(computation, "a test")
    everyone = np.ones(rows.n_rows, dtype=bool)
    score = projection_score(computation, tau, design.matrix, everyone)
    return computation.from_score(score, design.labels)


def linear_truth(log: Any) -> np.ndarray:
    """The effect is .18 + .02 woman - .015 age + .02 quality + .02 book, and random parts."""
    age, quality = log.column("age").to_numpy(), log.column("quality").to_numpy()
    reference = 0.18 + 0.02 - 0.015 * age.mean() + 0.02 * quality.mean() + 0.02
    return np.array([reference, -0.015 * age.std(), -0.02, 0.02 * quality.std(), -0.02, -0.02])


@pytest.mark.slow
@pytest.mark.parametrize("right", [True, False])
def test_coefficients_are_unbiased_and_covered_unless_a_confounder_is_left_out(right: bool) -> None:
    errors, hits, jointly = [], [], []
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "shop", n_users=240, n_items=120, n_candidates=30, model="linear",
            random_state=5000 + seed,
        )  # fmt: skip
        kept = None if right else ["gender", "category"]
        found = regress(
            compute(world, cr.PropensityModel(covariates=kept), ArmOutcomeModel(covariates=kept))
        )
        truth = linear_truth(world.log)
        errors.append(found.value - truth)
        low, high = found.interval().T
        hits.append((low <= truth) & (truth <= high))
        low, high = found[found.labels[1:]].simultaneous_interval().T
        jointly.append(bool(((low <= truth[1:]) & (truth[1:] <= high)).all()))
    bias = np.mean(errors, axis=0) / (np.std(errors, axis=0) / np.sqrt(REPLICATES))
    share = np.mean(hits, axis=0)
    if not right:  # the level of the effect is confounded
        assert abs(bias[0]) > 5.0, bias
        return
    assert np.abs(bias).max() < 3.2, (bias, share)
    assert share.min() >= 0.915, share
    assert share.max() <= 0.985, share
    assert 0.915 <= np.mean(jointly) <= 0.985, np.mean(jointly)
