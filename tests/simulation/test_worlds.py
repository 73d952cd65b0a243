"""What is particular to a world, and what each switch breaks."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.simulation import simulate


def test_uniform_slice_is_uniform_and_agrees_with_the_biased_rows() -> None:
    world = simulate("music", 400, 200, 1, n_randomized=2000)
    assert world.log.randomized is not None
    uniform = world.log.randomized
    assert uniform.sum() == 2000
    user, item = world.log.user_codes[uniform], world.log.item_codes[uniform]
    assert len(np.unique(user.astype(np.int64) * 200 + item)) == 2000
    rating = world.events["rating"].to_numpy()
    np.testing.assert_array_equal(rating[uniform], world.potential.rating[user, item])
    error = rating[uniform].std() / np.sqrt(2000)
    assert abs(rating[uniform].mean() - world.truth["mean"]) < 4 * error
    assert rating[~uniform].mean() - world.truth["mean"] > 5 * error
    share = simulate("music", 400, 200, 1, n_randomized=0.01)
    assert share.events["uniform_slice"].sum() == 800


def test_selection_on_the_rating_defeats_exact_weights_but_not_the_slice() -> None:
    world = simulate("music", 1000, 300, 1, selection_on_rating=1.0, n_randomized=3000)
    uniform = world.events["uniform_slice"].to_numpy()
    rating = world.events["rating"].to_numpy()
    p = world.potential.propensity[world.log.user_codes, world.log.item_codes]
    weighted = np.average(rating[~uniform], weights=1 / p[~uniform])
    assert weighted - world.truth["mean"] > 0.3
    error = rating[uniform].std() / np.sqrt(uniform.sum())
    assert abs(rating[uniform].mean() - world.truth["mean"]) < 4 * error


def test_latent_taste_defeats_the_measured_propensity() -> None:
    # Weights from the measured covariates alone: the same world without the switch has them.
    world = simulate("music", 1000, 300, 1, unmeasured=1.0)
    measured = simulate("music", 1000, 300, 1).potential.propensity
    p = measured[world.log.user_codes, world.log.item_codes]
    weighted = np.average(world.events["rating"], weights=1 / p)
    assert weighted - world.truth["mean"] > 0.2


def test_ratings_are_stars_and_labels_have_one_group() -> None:
    world = simulate("music", 400, 200, 1)
    assert set(world.events["rating"]) == {1.0, 2.0, 3.0, 4.0, 5.0}
    labels = world.items[["label", "label_group"]].drop_duplicates()
    assert labels["label"].is_unique
    assert (labels["label_group"] == "major").sum() == 8
    assert abs(world.potential.propensity.mean() - 0.05) < 0.01


def test_taste_beyond_the_covariates_has_rank_three() -> None:
    world = simulate("music", 120, 100, 1, ordinal=False)
    expected = world.potential.expected_rating
    table = world.users["age_group"] + "|" + world.users["country"]
    assert np.linalg.matrix_rank(expected) <= 3 + 3 + 2
    within = expected[(table == table.iloc[0]).to_numpy()]
    within = within - within.mean(axis=0)
    within -= within.mean(axis=1, keepdims=True)
    assert np.linalg.matrix_rank(within, tol=1e-8) == 3


def test_provider_effect_moves_the_items_of_a_label_together() -> None:
    world = simulate("music", 50, 2000, 1, provider_effect=1.0, ordinal=False)
    quality = world.potential.expected_rating.mean(axis=0) - 0.5 * world.items["mainstream"]
    between = quality.groupby(world.items["label"]).mean().var()
    assert between > 0.5


@pytest.mark.parametrize("name", ["shop", "video"])
def test_candidates_are_distinct_and_outcomes_occur_in_both_arms(name: str) -> None:
    world = simulate(name, 300, 100, 1)
    events = world.events
    assert not events.duplicated(["user_id", "item_id"]).any()
    assert (events.groupby("user_id").size() == 40).all()
    outcome = "purchase" if name == "shop" else "watch_time"
    assert (events.groupby("exposed")[outcome].mean() > 0.02).all()
    everything = simulate(name, 30, 12, 1)
    assert len(everything.events) == 360


def test_linear_shop_stays_within_probabilities() -> None:
    potential = simulate("shop", model="linear").potential
    for expected in (potential.expected_unexposed, potential.expected_exposed):
        assert expected.min() >= 0
        assert expected.max() <= 1


def test_shop_interference_parts_the_item_effect_from_the_policy_effect() -> None:
    world = simulate("shop", 400, 100, 1, interference=2.0)
    assert world.truth["ate"] - world.truth["ate:policy"] > 0.03
    population = world.population_truth
    assert population["ate"] - population["ate:policy"] > 0.03


def test_shop_outcomes_follow_the_others_exposures() -> None:
    world = simulate("shop", 400, 100, 1, interference=3.0)
    u, i = world.log.user_codes, world.log.item_codes
    exposed = world.events["exposed"].to_numpy()
    expected = np.where(
        exposed, world.potential.expected_exposed[u, i], world.potential.expected_unexposed[u, i]
    )
    error = world.events["purchase"].to_numpy() - expected
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))


def test_video_outcome_is_zero_inflated_with_the_stated_means() -> None:
    world = simulate("video", 1500, 150, 1)
    u, i = world.log.user_codes, world.log.item_codes
    exposed, minutes = world.events["exposed"].to_numpy(), world.events["watch_time"].to_numpy()
    assert minutes.min() == 0
    assert 0.5 < (minutes == 0).mean() < 0.9
    potential = world.potential
    for arm, expected in enumerate((potential.expected_unexposed, potential.expected_exposed)):
        rows = exposed == arm
        error = minutes[rows] - expected[u, i][rows]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(rows.sum())


def test_video_slice_is_a_coin_and_the_arm_an_instrument() -> None:
    world = simulate("video", 3000, 100, 1)
    events = world.events
    coin = events["randomized"].to_numpy()
    assert (world.potential.row_propensity[coin] == 0.5).all()
    assert abs(coin.mean() - 0.1) < 4 * 0.3 / np.sqrt(len(coin))
    by_exposure = [events[coin & (events["exposed"] == a)]["watch_time"] for a in (0, 1)]
    error = np.sqrt(sum(part.var() / len(part) for part in by_exposure))
    difference = by_exposure[1].mean() - by_exposure[0].mean()
    # The slice's rows are a sample of all: the spread of the effects adds to the error.
    assert abs(difference - world.truth["ate"]) < 5 * error
    # Wald ratio by the user means; the exclusion restriction holds, so only chance separates it.
    rest = events[~coin].assign(treated=events["arm"] == "treatment")
    means = rest.groupby(["treated", "user_id"])[["exposed", "watch_time"]].mean()
    arms = [means.loc[False], means.loc[True]]
    step = arms[1].mean() - arms[0].mean()
    wald = step["watch_time"] / step["exposed"]
    residual = [arm["watch_time"] - wald * arm["exposed"] for arm in arms]
    spread = np.sqrt(sum(part.var() / len(part) for part in residual)) / step["exposed"]
    assert abs(wald - world.truth["late"]) < 4 * spread


def test_feed_propensities_are_exact() -> None:
    world = simulate("social", 400, 30, 1, n_slates=50)
    events, p = world.events, world.potential.propensity
    np.testing.assert_allclose(p.sum(axis=2), 1.0, atol=1e-12)
    assert not events.duplicated(["slate", "item_id"]).any()
    assert (events.groupby("slate")["position"].apply(list).map(len) == 5).all()
    u, i = world.log.user_codes, world.log.item_codes
    r = events["position"].to_numpy() - 1
    np.testing.assert_array_equal(events["logging_propensity"].to_numpy(), p[u, r, i])
    # Counts over 50 slates against 50 p, cell by cell: mean squared standardised error is 1.
    counts = np.zeros(p.shape)
    np.add.at(counts, (u, r, i), 1)
    z = (counts - 50 * p) / np.sqrt(50 * p * (1 - p))
    assert abs(z.mean()) < 4 / np.sqrt(z.size) + 1e-9
    assert abs((z**2).mean() - 1) < 0.05


def test_feed_weighting_gives_the_value_of_other_policies() -> None:
    world = simulate("social", 3000, 40, 1)
    potential, events = world.potential, world.events
    u, i = world.log.user_codes, world.log.item_codes
    click, p = events["click"].to_numpy(), events["logging_propensity"].to_numpy()
    for key, policy in (
        ("policy:uniform", np.full(potential.relevance.shape, 1 / 40)),
        ("policy:target", potential.target_policy),
    ):
        score = click * policy[u, i] / p
        slates = score.reshape(-1, 5).mean(axis=1)
        error = slates.std() / np.sqrt(len(slates))
        assert abs(slates.mean() - world.truth[key]) < 4 * error
        assert potential.policy_value(policy) == pytest.approx(world.truth[key], abs=1e-12)
        assert abs(click.mean() - world.truth[key]) > 3 * error
    slates = click.reshape(-1, 5).mean(axis=1)
    error = slates.std() / np.sqrt(len(slates))
    assert abs(click.mean() - world.truth["policy:logging"]) < 4 * error
    assert potential.policy_value(potential.propensity) == pytest.approx(
        world.truth["policy:logging"], abs=1e-12
    )


@pytest.mark.parametrize("interference", [0.0, 0.8])
def test_feed_position_effects_by_weighting(interference: float) -> None:
    # Weighting position r's rows to the posts as logged: w = sum_r p(i at r) / p(i at 1) / k.
    world = simulate("social", 6000, 40, 1, interference=interference)
    u, i = world.log.user_codes, world.log.item_codes
    propensity = world.potential.propensity
    as_logged = propensity.mean(axis=1)[u, i]
    position = world.events["position"].to_numpy()
    click = world.events["click"].to_numpy()
    ends = [click[position == r] for r in (1, 5)]
    naive = ends[0].mean() - ends[1].mean()
    naive_error = np.sqrt(sum(end.var() / len(end) for end in ends))
    values, errors = [], []
    for r in (1, 5):
        rows = position == r
        score = (as_logged / propensity[u, r - 1, i] * click)[rows]
        values.append(score.mean())
        errors.append(score.std() / np.sqrt(rows.sum()))
    error = np.hypot(*errors)
    assert abs(values[0] - values[1] - world.truth["effect:1-5"]) < 4 * error
    assert naive - world.truth["effect:1-5"] > 5 * naive_error


def test_feed_interference_takes_clicks_away() -> None:
    calm, crowded = simulate("social"), simulate("social", interference=1.0)
    assert crowded.truth["policy:logging"] < 0.8 * calm.truth["policy:logging"]
    click = crowded.events["click"].to_numpy().reshape(-1, 5).mean(axis=1)
    error = click.std() / np.sqrt(len(click))
    assert abs(click.mean() - crowded.truth["policy:logging"]) < 4 * error


def test_feed_unsupported_posts_never_come_to_the_less_interested() -> None:
    world = simulate("social", 400, 60, 1, unsupported=0.25)
    u, i = world.log.user_codes, world.log.item_codes
    assert world.potential.supported[u, i].all()
    assert 0.6 < world.truth["share:supported"] < 0.9
    assert (world.potential.propensity.min(axis=1)[world.potential.supported] > 0).all()
    np.testing.assert_allclose(world.potential.propensity.sum(axis=2), 1.0, atol=1e-12)
