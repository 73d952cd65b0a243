"""Coverage of the effects on totals, where items compete (slow).

One catalogue, new users each time: what these intervals speak of. With 400 replicates a right 95 %
interval stays within 3.2 binomial standard errors (1.09 %) of it in 99.9 of 100 studies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._nuisances import Fitter
from causalrec.effects._population import find_population
from causalrec.effects._question import Question
from causalrec.effects._scores import Computation
from causalrec.effects._units import as_units
from causalrec.simulation import _shop

REPLICATES = 400
LOWEST, HIGHEST = 0.915, 0.985
N_USERS, N_ITEMS, N_CANDIDATES = 400, 40, 8
GRAPH = cr.load_graph("exposure_click")
IDENTIFIED = GRAPH.identify(query="effect")
QUESTION = Question.of(
    contrast=(1, 0), unit="user", sampled=("user", "item"), estimator="dr", estimand="ate",
    clip=None, floor=1e-3, n_folds=5, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exposure_by", "key", "multiplied"), [("item", "ate:slate", 1), ("user", "policy:slate", 8)]
)
def test_effects_on_totals_cover_their_targets_and_item_effects_do_not(
    monkeypatch: pytest.MonkeyPatch, exposure_by: str, key: str, multiplied: int
) -> None:
    settings = _shop._Settings(N_CANDIDATES, "logistic", 0.0, 1.0, 0.0, exposure_by)
    catalogue = _shop._draw_items(np.random.default_rng(5), N_ITEMS, settings)
    monkeypatch.setattr(_shop, "_draw_items", lambda *_: catalogue)
    values, hits, of_item = [], [], []
    truth: Any = None
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "shop", N_USERS, N_ITEMS, 40_000 + seed, n_candidates=N_CANDIDATES, interference=1.0,
            exposure_by=exposure_by,
        )  # fmt: skip
        truth = truth or world.catalogue_truth
        units = as_units(world.log, GRAPH, IDENTIFIED, QUESTION, None, "user")
        population = find_population(units.log, units.graph, units.propensity, units.question)
        fitter = Fitter(population, units.graph, units.question, None)
        found = Computation(population, units.question, fitter.fit(0)).estimate()["dr"]
        low, high = found.interval()[0]
        values.append(found.value[0])
        hits.append(low <= truth[key] <= high)
        of_item.append(low <= multiplied * truth["ate"] <= high)
    error = np.std(values) / np.sqrt(REPLICATES)
    measured = (np.mean(values) - truth[key], error, np.mean(hits), np.mean(of_item))
    assert abs(measured[0]) < 3.2 * error, measured
    assert LOWEST <= np.mean(hits) <= HIGHEST, measured
    # The item's own effect, taken for (or multiplied up to) that on the total, is something else.
    assert np.mean(of_item) < 0.7, measured
