"""Coverage of the local effect by an instrument, where a taste is unmeasured (slow).

Bound: 3.2 binomial standard errors (1.09 %) of 400 replicates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects import _encouragement as arms
from causalrec.effects._anderson_rubin import anderson_rubin
from causalrec.effects._instrument import LATE, WALD, all_numbers
from causalrec.effects._question import Question

REPLICATES = 400
QUESTION = Question.of(
    contrast=(1, 0), unit="item", sampled=("user", "item"), estimator="iv", estimand="ate",
    clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip


@pytest.mark.slow
def test_the_local_effect_is_unbiased_and_covered() -> None:
    hits: dict[str, list[bool]] = {LATE: [], WALD: [], "Anderson-Rubin": [], "broken": []}
    errors, truth = [], 0.0
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "video", n_users=400, n_items=60, n_candidates=30, unmeasured=1.0,
            random_state=9000 + seed,
        )  # fmt: skip
        truth = truth or world.population_truth["late"]
        identified = world.graph.identify("effect", strategies=("instrument",))
        found = arms.find_encouragement(world.log, "arm", QUESTION.sampled)
        population = arms.arm_population(found, world.graph, identified, None, QUESTION)
        joint, _ = arms.both_effects(
            found, population, world.graph, arms.columns_of(identified), None, QUESTION, 0
        )
        numbers = all_numbers(joint, 1.0)
        for label in (LATE, WALD):
            low, high = numbers[label].interval()[0]
            hits[label].append(bool(low <= truth <= high))
        kept = anderson_rubin(joint, arms.ON_OUTCOME, arms.ON_EXPOSURE, 0.95)
        hits["Anderson-Rubin"].append(kept.contains(truth))
        low, high = numbers["naive"].interval()[0]
        hits["broken"].append(bool(low <= truth <= high))
        errors.append(float(numbers[LATE]) - truth)
    share = {name: float(np.mean(hit)) for name, hit in hits.items()}
    assert share.pop("broken") < 0.05
    # The ratio of means has a bias of the order of 1 / F of its error, below what is seen here.
    assert abs(np.mean(errors)) < 3.2 * np.std(errors) / np.sqrt(REPLICATES), share
    assert all(0.915 <= found <= 0.985 for found in share.values()), share
