"""The law of a rating by its predicted mean: it keeps DR right where the propensities are wrong."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import StudyError
from causalrec.evaluation._law import Gain
from causalrec.evaluation._level_law import LevelLaw
from causalrec.nuisances import KnownPropensity
from causalrec.simulation._ordinal import CUTS, ordinal_mean, ordinal_rating

DRAWS = 40


def drawn(size=200_000, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.uniform(1.0, 5.0, size)
    return latent, ordinal_rating(latent + 0.8 * rng.standard_normal(size))


def test_the_chance_of_a_level_follows_the_mean():
    from scipy.special import ndtr

    latent, rating = drawn()
    law = LevelLaw(rating, ordinal_mean(latent, 0.8))
    asked = np.linspace(1.4, 4.6, 9)
    for threshold in (2.0, 4.0):
        chance = ndtr((asked - CUTS[int(threshold) - 2]) / 0.8)
        found = law.gain(ordinal_mean(asked, 0.8), Gain(threshold))
        # 10,000 cells a bin at least: .005 is one standard error; lines over a bin add .005.
        assert np.abs(found - chance).max() < 0.02
    assert law.gain(asked, Gain(0.0)) == pytest.approx(np.ones(9))


def test_weights_count_within_a_bin_and_cannot_move_what_depends_on_the_mean():
    latent, rating = drawn()
    mean = ordinal_mean(latent, 0.8)
    even, tilted = LevelLaw(rating, mean), LevelLaw(rating, mean, np.exp(mean))
    asked = np.linspace(1.5, 4.5, 7)
    both = [law.absolute_error(asked, np.full(7, 3.0)) for law in (even, tilted)]
    assert np.abs(both[0] - both[1]).max() < 0.02
    one = np.array([1.0, 2.0]), np.array([1.5, 1.5]), np.array([3.0, 1.0])
    assert LevelLaw(*one).gain(np.array([1.5]), Gain()).tolist() == [1.25]
    assert LevelLaw(*one).gain(np.array([1.5]), Gain(2.0)).tolist() == [0.25]


def test_few_cells_are_one_bin_and_none_are_refused():
    law = LevelLaw(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert law.gain(np.array([-5.0, 2.0, 9.0]), Gain(3.0)).tolist() == [0.5, 0.5, 0.5]
    assert law.gain(np.array([2.0]), Gain(form="exponential")).tolist() == [4.0]
    assert law.squared_error(np.array([2.0]), np.array([1.0])).tolist() == [2.0]
    with pytest.raises(StudyError, match="at least one"):
        LevelLaw(np.zeros(0), np.zeros(0))


def test_metrics_are_right_with_the_outcome_model_alone(as_recommender):
    """Ratings of 1 to 5 and a constant for a propensity that is not one."""
    world = cr.simulate("music", 300, 100, 3, density=0.2)
    potential = world.potential
    shape = potential.rating.shape
    noise = np.random.default_rng(0).standard_normal(shape)
    prediction = np.clip(potential.expected_rating + 0.5 * noise, 1.0, 5.0)
    model = as_recommender(world.log, prediction)
    outcome_model = as_recommender(world.log, potential.expected_rating)
    wrong = KnownPropensity(np.full(shape, potential.propensity.mean()))
    top = np.argsort(-prediction, axis=1)[:, :5]
    found = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        rating = redrawn_rating(potential.expected_rating, rng)
        users, items = np.nonzero(rng.random(shape) < potential.propensity)
        events = pd.DataFrame(
            {
                "user_id": world.users["user_id"].to_numpy()[users],
                "item_id": world.items["item_id"].to_numpy()[items],
                "rating": rating[users, items],
            }
        )
        log = cr.InteractionLog(events, users=world.users, items=world.items, outcome_range=(1, 5))
        result = cr.evaluate(
            model, log, ["mae", "dcg@5"], propensity=wrong, outcome_model=outcome_model,
            estimator=["dr", "snips"], relevance_threshold=4,
        )  # fmt: skip
        listed = np.take_along_axis(rating >= 4, top, axis=1) / np.log2(np.arange(2, 7))
        truth = [np.abs(rating - prediction).mean(), listed.sum(axis=1).mean()]
        found.append(
            [
                [row.value for row in result.rows if row.estimator == kind and row.value]
                for kind in ("dr", "snips")
            ]
            - np.array(truth)
        )
    dr, snips = np.mean(found, axis=0)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(DRAWS)
    assert (np.abs(dr) < 4 * error[0]).all()
    assert np.abs(snips[1]) > 10 * error[1, 1]


def redrawn_rating(expected, rng):
    """Draw ratings whose law depends on the mean alone, by inverting the ordinal mean."""
    grid = np.linspace(-6.0, 12.0, 20_000)
    latent = np.interp(expected, ordinal_mean(grid, 0.8), grid)
    return ordinal_rating(latent + 0.8 * rng.standard_normal(expected.shape))
