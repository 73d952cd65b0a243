"""Coverage of the ranking and policy numbers (slow).

The effect is .18 + .02 woman - .015 age + .02 quality + .02 book, with quality uniform of unit
variance: ranked by quality, AUTOC is .01 sqrt(3), Qini .02 sqrt(3) / 6, and the slope .02.
Exposing where quality > 0 gains half of .198 + .02 sqrt(3) / 2 over exposing none.
With 400 replicates five right 95 % intervals stay within 3.2 binomial standard errors (1.09 %) of
it in 99 of 100 studies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._linear import effect_rows
from causalrec.effects._nuisances import Fitter
from causalrec.effects._policy_tree import OVER_NONE, _gains
from causalrec.effects._population import find_population
from causalrec.effects._question import Question
from causalrec.effects._scores import Computation
from causalrec.effects._validation import AUTOC, MEAN, QINI, SLOPE, judge

REPLICATES = 400
QUESTION = Question.of(
    contrast=(1, 0), unit="item", sampled=("user", "item"), estimator="dr", estimand="ate",
    clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip
TRUTH = {
    MEAN: 0.198, SLOPE: 0.02, AUTOC: 0.01 * 3**0.5, QINI: 0.02 * 3**0.5 / 6,
    OVER_NONE: 0.099 + 0.01 * 3**0.5 / 2,
}  # fmt: skip


@pytest.mark.slow
def test_ranking_and_policy_intervals_cover() -> None:
    errors: dict[str, list[float]] = {name: [] for name in TRUTH}
    hits: dict[str, list[bool]] = {name: [] for name in TRUTH}
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "shop", n_users=240, n_items=120, n_candidates=30, model="linear",
            random_state=7000 + seed,
        )  # fmt: skip
        population = find_population(world.log, world.graph, None, QUESTION)
        fitted = Fitter(population, world.graph, QUESTION, None).fit(0)
        computation = Computation(population, QUESTION, fitted)
        quality = world.log.column("quality").to_numpy()
        held = world.log.user_codes % 2 == 0
        tau = effect_rows(computation, "a test")
        found = judge(computation, tau, np.where(held, quality, np.nan))
        gains = _gains(computation, tau, quality > 0, held)
        for name, truth in TRUTH.items():
            one = gains[name] if name == OVER_NONE else found[name]
            low, high = one.interval()[0]
            hits[name].append(bool(low <= truth <= high))
            errors[name].append(float(one) - truth)
    share = {name: float(np.mean(hit)) for name, hit in hits.items()}
    bias = {
        name: float(np.mean(all_) / (np.std(all_) / np.sqrt(REPLICATES)))
        for name, all_ in errors.items()
    }
    assert max(map(abs, bias.values())) < 3.2, (bias, share)
    assert all(0.915 <= found <= 0.985 for found in share.values()), (share, bias)
