"""Popularity taken out, exposure factors, a slice in training, worst-case weights: each on a world
where it wins, and on one where it must not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from causalrec import DebiasedMF, InteractionLog, PropensityModel, simulate, tune
from causalrec.errors import DataError, StudyError
from causalrec.factorization import exposure_factors
from causalrec.factorization._adjustments import with_randomized
from causalrec.factorization._common import Pattern, random_start
from causalrec.factorization._robust import weight_bounds, worst_weights
from causalrec.factorization._training import Problem, train
from causalrec.factorization._weighted import fit_weighted
from causalrec.factorization._whole_grid import is_whole_grid


def as_log(seen: np.ndarray, outcome: np.ndarray) -> InteractionLog:
    """Return a log of ratings with every user and item in its tables."""
    users, items = np.nonzero(seen)
    events = {"user_id": users, "item_id": items, "rating": outcome[users, items]}
    return InteractionLog(
        pd.DataFrame(events),
        users=pd.DataFrame({"user_id": np.arange(seen.shape[0])}),
        items=pd.DataFrame({"item_id": np.arange(seen.shape[1])}),
    )


def grid_of(model: DebiasedMF) -> np.ndarray:
    return model.predict_block(slice(None))


def error(model: DebiasedMF, truth: np.ndarray) -> float:
    return float(np.mean((grid_of(model) - truth) ** 2))


# ---------------------------------------------------------------------- popularity


def a_crowd(seed: int, *, follows: bool) -> tuple[InteractionLog, np.ndarray, np.ndarray]:
    """Return a log of listens, the taste behind them, and the listens to expect of every cell.

    Either attention goes to items by luck and people listen more to what others hear, or it goes
    to items that are good, and nobody follows.
    """
    rng = np.random.default_rng(seed)
    quality, luck = rng.normal(0, 0.6, 80), rng.normal(0, 0.8, 80)
    taste = np.exp(quality + 0.4 * rng.normal(size=(400, 2)) @ rng.normal(size=(2, 80)))
    pull = np.exp(luck if follows else quality)
    seen = rng.random(taste.shape) < np.clip(0.15 * pull / pull.mean(), 0, 0.9)
    popularity = seen.sum(0) / seen.sum(0).mean()
    mean = taste * popularity**0.5 if follows else taste
    return as_log(seen, rng.poisson(mean).astype(float)), taste, mean


def taste_of_lists(model: DebiasedMF, taste: np.ndarray) -> np.ndarray:
    first = np.argsort(-grid_of(model), axis=1, kind="stable")[:, :5]
    return np.take_along_axis(taste, first, 1).mean(axis=1)


@pytest.mark.parametrize("follows", [True, False])
def test_removing_popularity_helps_where_people_follow_the_crowd_and_only_there(follows) -> None:
    log, taste, _ = a_crowd(0, follows=follows)
    options = {"estimator": "naive", "n_factors": 2}
    plain = DebiasedMF(**options).fit(log)
    removed = DebiasedMF(**options, popularity="remove", popularity_exponent=0.5).fit(log)
    gap = taste_of_lists(removed, taste) - taste_of_lists(plain, taste)
    z = gap.mean() / (gap.std(ddof=1) / np.sqrt(len(gap)))
    assert z > 3 if follows else z < -3


def test_multiplying_popularity_back_in_predicts_what_will_be_heard() -> None:
    log, _, mean = a_crowd(1, follows=True)
    models = {
        name: DebiasedMF("naive", n_factors=0, popularity=name, popularity_exponent=0.5).fit(log)
        for name in ("ignore", "remove", "adjust")
    }
    power = grid_of(models["adjust"]) / grid_of(models["remove"])
    assert_allclose(power, np.broadcast_to(power[0], power.shape))  # of the item alone
    assert error(models["adjust"], mean) < error(models["ignore"], mean)
    assert error(models["adjust"], mean) < error(models["remove"], mean)


def test_an_exponent_near_zero_is_the_plain_fit() -> None:
    log, _, _ = a_crowd(2, follows=True)
    options = {"estimator": "naive", "n_factors": 1, "tol": 0.0, "n_sweeps": 5}
    plain = DebiasedMF(**options).fit(log)
    for popularity in ("remove", "adjust"):
        near = DebiasedMF(**options, popularity=popularity, popularity_exponent=1e-9).fit(log)
        assert_allclose(grid_of(near), grid_of(plain), atol=1e-6)


# ---------------------------------------------------------------------- exposure factors


def communities(seed: int, *, shared: bool) -> tuple[InteractionLog, np.ndarray, np.ndarray]:
    """Return a log, its outcomes and its propensities; either many exposures share what decides
    them and the outcome, or each cell has a cause of its own."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.3, 1, (500, 3)) @ rng.gamma(0.3, 1, (100, 3)).T
    rate *= 0.12 / rate.mean()
    cause = np.log(rate + 0.02) if shared else rng.normal(size=rate.shape)
    cause = (cause - cause.mean()) / cause.std()
    propensity = 1 - np.exp(-rate) if shared else expit(-2.3 + 1.2 * cause)
    sides = 0.4 * rng.normal(size=(500, 1)) + 0.4 * rng.normal(size=100)
    outcome = 3 + 0.7 * cause + sides + 0.5 * rng.normal(size=rate.shape)
    return as_log(rng.random(rate.shape) < propensity, outcome), outcome, propensity


@pytest.mark.parametrize("shared", [True, False])
def test_exposure_factors_repair_shared_causes_and_no_others(shared: bool) -> None:
    log, outcome, propensity = communities(0, shared=shared)
    factors = exposure_factors(log, 3)
    joined = factors.join(log)
    naive = DebiasedMF("naive", n_factors=0).fit(log)
    with_factors = DebiasedMF("naive", n_factors=0, features=factors.columns).fit(joined)
    weighted = DebiasedMF("ips", n_factors=0).fit(
        joined, propensity=PropensityModel(covariates=factors.columns).fit(joined)
    )
    users, items = np.divmod(np.arange(outcome.size), outcome.shape[1])
    found = np.corrcoef(factors.expected(users, items), propensity.ravel())[0, 1]
    bias = [grid_of(model).mean() - outcome.mean() for model in (naive, with_factors, weighted)]
    if shared:
        assert found > 0.85
        assert error(with_factors, outcome) < 0.7 * error(naive, outcome)
        assert max(bias[1:]) < 0.65 * bias[0]
    else:  # and nothing in the log says so: the critics' point
        assert found < 0.2
        assert error(with_factors, outcome) > 0.95 * error(naive, outcome)
        assert min(bias[1:]) > 0.95 * bias[0]


def test_exposure_factors_are_those_of_the_exposures() -> None:
    world = simulate("shop", n_users=80, n_items=30, random_state=0)
    first, again = exposure_factors(world.log, 2), exposure_factors(world.log, 2)
    pd.testing.assert_frame_equal(first.users, again.users)
    assert (first.users.to_numpy() > 0).all()
    assert np.all(np.diff(first.log_likelihood) > -1e-3)
    # At the optimum the expected exposures add up to the exposures, up to the prior's pull.
    users, items = np.divmod(np.arange(80 * 30), 30)
    expected = first.expected(users, items).sum()
    assert_allclose(expected, world.log.exposure.sum(), rtol=0.05)


def test_exposure_factors_refuse_other_logs_and_second_helpings() -> None:
    log = simulate("music", n_users=60, n_items=30, random_state=0).log
    factors = exposure_factors(log, 2)
    with pytest.raises(DataError, match="fitted on other users"):
        factors.join(simulate("music", n_users=50, n_items=30, random_state=0).log)
    with pytest.raises(DataError, match="already has 'user_exposure_1'"):
        factors.join(factors.join(log))
    with pytest.raises(StudyError, match="at least one factor"):
        exposure_factors(log, 0)


# ---------------------------------------------------------------------- a slice in training


def music(selection_on_rating: float, seed: int = 1):
    return simulate(
        "music",
        n_users=300,
        n_items=120,
        density=0.1,
        n_randomized=1500,
        selection_on_rating=selection_on_rating,
        random_state=seed,
    )


def test_the_slice_repairs_what_no_propensity_can() -> None:
    world = music(0.6)
    truth, options = world.potential.expected_rating, {"n_factors": 2, "features": True}
    selected = world.log.selected_part()
    propensity = PropensityModel().fit(selected)
    alone = DebiasedMF("ips", **options).fit(selected, propensity=propensity)
    joint = DebiasedMF("ips", use_randomized=True, **options).fit(world.log, propensity=propensity)
    slice_alone = DebiasedMF("naive", **options).fit(world.log.randomized_part())
    assert error(joint, truth) < 0.75 * error(alone, truth)
    assert error(joint, truth) < error(slice_alone, truth)
    assert any("randomised slice count" in note for note in joint.notes_)


def test_a_slice_that_was_not_drawn_at_random_repairs_nothing() -> None:
    # `compare_with_randomized` cannot tell: the slice is its yardstick. Who drew it can.
    world = music(0.6)
    selected, truth = world.log.selected_part(), world.potential.expected_rating
    pretended = np.random.default_rng(0).random(selected.n_rows) < 0.3
    false = selected._derive(randomized=pretended)
    propensity = PropensityModel().fit(selected)
    options = {"n_factors": 2, "features": True}
    alone = DebiasedMF("ips", **options).fit(selected, propensity=propensity)
    joint = DebiasedMF("ips", use_randomized=True, **options).fit(false, propensity=propensity)
    assert error(joint, truth) > 0.9 * error(alone, truth)


def test_the_share_of_the_slice_is_what_was_said() -> None:
    world = music(0.0)
    half = DebiasedMF("ips", n_factors=0, use_randomized=0.5).fit(world.log, 0.1)
    assert any("count 50.0% of the loss" in note for note in half.notes_)
    assert half.effective_sample_size_ < world.log.n_rows
    found = tune(
        DebiasedMF("snips", use_randomized=True),
        world.log,
        0.1,
        grid={"n_factors": [0], "regularization": [8.0, 16.0]},
        n_repeats=1,
    )
    assert len(found.rows) == 2


def test_the_joint_loss_is_a_mean_of_two_self_normalised_means() -> None:
    rng = np.random.default_rng(0)
    pattern = Pattern(np.arange(30, dtype=np.int32), np.zeros(30, dtype=np.int32), 30, 1)
    propensity, loss = rng.uniform(0.1, 0.9, 30), rng.exponential(size=30)
    drawn = np.arange(30) < 8
    weights = 1.0 / propensity[~drawn]
    for share in (True, 0.3):
        problem = Problem(pattern, loss, propensity)
        joint, used = with_randomized(problem, drawn, share)
        of_selected = weights @ loss[~drawn] / weights.sum()
        expected = used * loss[drawn].mean() + (1 - used) * of_selected
        combined = 1.0 / joint.propensity
        assert_allclose(combined @ loss / combined.sum(), expected)
    effective = weights.sum() ** 2 / np.square(weights).sum()
    assert_allclose(with_randomized(problem, drawn, True)[1], 8 / (8 + effective))


def test_a_log_without_a_slice_is_refused() -> None:
    log = simulate("music", n_users=60, n_items=30, random_state=0).log
    with pytest.raises(DataError, match="no randomized"):
        DebiasedMF("ips", use_randomized=True).fit(log, 0.2)
    only = music(0.0).log.randomized_part()
    with pytest.raises(DataError, match="selected and randomised cells together"):
        DebiasedMF("ips", use_randomized=True).fit(only, 0.2)


# ---------------------------------------------------------------------- a whole grid


@pytest.mark.parametrize("noise", [1.0, 5.0])
@pytest.mark.parametrize("n_factors", [0, 3])
def test_a_whole_grid_is_solved_as_one_with_the_same_optimum(n_factors: int, noise: float) -> None:
    rng = np.random.default_rng(0)
    users, items = np.divmod(np.arange(60 * 40, dtype=np.int32), 40)
    truth = 2 + rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40))
    outcome = (truth + rng.normal(size=truth.shape)).ravel()
    pattern = Pattern(users, items, 60, 40)
    model = DebiasedMF("naive", n_factors=n_factors, tol=0.0, n_sweeps=200, regularization=4.0)
    recipe = model._recipe()
    weights = np.full(pattern.n, 1.0 / noise)
    whole = train(Problem(pattern, outcome, np.ones(pattern.n), noise=noise), recipe)
    assert is_whole_grid(pattern, weights)
    start = random_start(60, 40, n_factors, np.random.default_rng(0), "float64")
    ridge = np.full(60, 4.0), np.full(40, 4.0)
    rows = fit_weighted(pattern, outcome, weights, start, ridge, n_sweeps=200)
    assert_allclose(whole.factors.block(slice(None)), rows.factors.block(slice(None)), atol=1e-7)
    assert_allclose(whole.fit.losses[-1], rows.losses[-1], rtol=1e-9)


# ---------------------------------------------------------------------- robust IPS


def test_worst_weights_beat_every_threshold_and_every_draw() -> None:
    rng = np.random.default_rng(0)
    loss, propensity = rng.exponential(size=40), rng.uniform(0.1, 0.9, 40)
    low, high = weight_bounds(propensity, 2.0)
    worst = worst_weights(loss, low, high)
    value = worst @ loss / worst.sum()
    assert ((worst == low) | (worst == high)).all()
    draws = rng.uniform(low, high, size=(2000, 40))
    corners = np.where(rng.random((2000, 40)) < 0.5, low, high)
    for weights in (draws, corners):
        assert ((weights @ loss) / weights.sum(1)).max() <= value + 1e-12


def test_robust_ips_lowers_the_worst_loss_that_it_promises_to() -> None:
    world = simulate("music", n_users=150, n_items=60, density=0.15, random_state=0)
    cells, p = world.log.observed_cells(), 0.15
    low, high = weight_bounds(np.full(len(cells), p), 2.0)

    def worst(model: DebiasedMF) -> float:
        loss = np.square(cells.outcome - model.predict_codes(cells.users, cells.items))
        weights = worst_weights(loss, low, high)
        return float(weights @ loss / weights.sum())

    plain = DebiasedMF("ips", n_factors=2).fit(world.log, p)
    robust = DebiasedMF("robust_ips", n_factors=2, sensitivity=2.0).fit(world.log, p)
    assert worst(robust) < worst(plain)


def test_robust_ips_begins_at_ips() -> None:
    log = simulate("music", n_users=60, n_items=30, random_state=0).log
    p = np.random.default_rng(0).uniform(0.1, 0.5, len(log.observed_cells()))
    options = {"n_factors": 0, "tol": 0.0, "n_sweeps": 40}
    plain = DebiasedMF("ips", **options).fit(log, p)
    near = DebiasedMF("robust_ips", sensitivity=1.0 + 1e-9, **options).fit(log, p)
    assert_allclose(grid_of(near), grid_of(plain), atol=1e-6)


@pytest.mark.parametrize(("selection_on_rating", "wins"), [(0.6, True), (0.0, False)])
def test_robust_ips_wins_under_hidden_selection_and_pays_for_it_without(
    selection_on_rating: float, wins: bool
) -> None:
    # What would have told: a randomised slice (`compare_with_randomized`), nothing in this log.
    world = simulate(
        "music",
        n_users=300,
        n_items=120,
        density=0.1,
        selection_on_rating=selection_on_rating,
        random_state=1,
    )
    truth, options = world.potential.expected_rating, {"n_factors": 2, "features": True}
    propensity = PropensityModel().fit(world.log)
    plain = DebiasedMF("ips", **options).fit(world.log, propensity=propensity)
    robust = DebiasedMF("robust_ips", sensitivity=2.0, **options).fit(world.log, propensity)
    per_user = [np.square(grid_of(model) - truth).mean(axis=1) for model in (plain, robust)]
    gap = per_user[1] - per_user[0]
    z = gap.mean() / (gap.std(ddof=1) / np.sqrt(len(gap)))
    assert z < -2 if wins else z > 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "robust_ips"}, "it needs one above 1"),
        ({"estimator": "ips", "sensitivity": 2.0}, "only 'robust_ips' has a sensitivity"),
        ({"estimator": "robust_ips", "sensitivity": 0.5}, "at least 1"),
        ({"estimator": "mrdr", "use_randomized": True}, "it takes 'ips', 'snips'"),
        ({"estimator": "naive", "use_randomized": True}, "it takes 'ips', 'snips'"),
        ({"estimator": "ips", "use_randomized": 1.5}, "between 0 and 1"),
        ({"estimator": "dr", "popularity": "remove"}, "it takes 'naive', 'ips', 'snips'"),
        ({"estimator": "ips", "popularity": "drop"}, "'ignore', 'remove', 'adjust'"),
        (
            {"estimator": "ips", "popularity": "remove", "popularity_exponent": 0.0},
            "positive number",
        ),
        ({"estimator": "ips", "popularity": "adjust", "features": True}, "multiplies factors"),
    ],
)
def test_what_means_nothing_is_refused(options, words: str) -> None:
    log = simulate("music", n_users=60, n_items=30, random_state=0).log
    with pytest.raises(StudyError, match=words):
        DebiasedMF(**options).fit(log, 0.2)


def test_tune_refuses_naive_weights_where_it_would_validate_by_them() -> None:
    log = simulate("music", n_users=60, n_items=30, random_state=0).log
    with pytest.raises(StudyError, match=r"propensity=1\.0"):
        tune(DebiasedMF("naive", popularity="remove"), log, 0.2, n_repeats=1)
