"""Weights learned from a small slice: its error is in the interval (slow)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr

REPLICATES = 400
# Two right 95 % intervals stay within 3.2 binomial standard errors (1.09 %) of it in 99 of 100
# studies of 400 replicates.
LOWEST, HIGHEST = 0.915, 0.985


def a_guess(users: Any, items: Any) -> np.ndarray:
    """Predict 3 for everybody, 4 for every third item."""
    return 3.0 + (np.asarray(items) % 3 == 0)


def replicate(seed: int) -> dict[str, tuple[bool, float]]:
    """Return of each number whether its interval holds the truth of these cells, and its error."""
    world = cr.simulate(
        "music", n_users=150, n_items=60, density=0.15, random_state=1000 + seed,
        selection_on_rating=0.8, n_randomized=150,
    )  # fmt: skip
    propensity = cr.PropensityModel("naive-bayes").fit(world.log)
    selected = world.log.selected_part()
    values = np.ones((selected.n_users, selected.n_items))
    values[selected.user_codes, selected.item_codes] = propensity.for_rows(selected)
    as_known = cr.KnownPropensity(values)
    outcome = world.potential.rating
    guessed = np.broadcast_to(a_guess(0, np.arange(60)), outcome.shape)
    mse = float(np.mean((outcome - guessed) ** 2))
    options: Any = {"estimator": "snips", "sampled": ()}
    found = {
        "mean": (cr.estimate_mean(selected, propensity, **options), outcome.mean()),
        "mean, slice as known": (cr.estimate_mean(selected, as_known, **options), outcome.mean()),
        "mse": (
            cr.evaluate(a_guess, selected, metrics="mse", propensity=propensity, **options),
            mse,
        ),
    }
    rows = {name: (result.rows[0], truth) for name, (result, truth) in found.items()}
    return {
        name: (row.lower <= truth <= row.upper, row.value - truth)
        for name, (row, truth) in rows.items()
    }


@pytest.mark.slow
def test_the_error_of_a_small_slice_is_in_the_interval() -> None:
    drawn = [replicate(seed) for seed in range(REPLICATES)]
    share = {name: np.mean([one[name][0] for one in drawn]) for name in drawn[0]}
    assert LOWEST <= share["mean"] <= HIGHEST, share
    assert LOWEST <= share["mse"] <= HIGHEST, share
    assert share["mean, slice as known"] < 0.85, share


def test_without_selection_on_anything_else_the_mean_has_the_error_of_the_slice() -> None:
    """Weighted by naive Bayes, the recorded ratings have the distribution of the slice."""
    world = cr.simulate(
        "music", n_users=400, n_items=100, density=0.2, random_state=0, selection_on_rating=0.8,
        n_randomized=300,
    )  # fmt: skip
    propensity = cr.PropensityModel("naive-bayes").fit(world.log)
    mean = cr.estimate_mean(world.log.selected_part(), propensity, estimator="snips", sampled=())
    drawn = world.log.randomized_part().outcome
    assert mean.rows[0].value == pytest.approx(drawn.mean(), abs=1e-9)
    of_slice = drawn.std() / np.sqrt(len(drawn))
    assert of_slice <= mean.rows[0].standard_error < 1.2 * of_slice
    assert "the error of the outcomes' shares" in str(mean.assumptions[0])
