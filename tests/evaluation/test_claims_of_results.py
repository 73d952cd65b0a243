"""What a result says of itself: no error that was not measured, no row dropped unsaid."""

import numpy as np
import pytest

import causalrec as cr
from causalrec.errors import StudyError


@pytest.fixture(scope="module")
def sliced():
    """A world with selection on the rating and a slice thinner than the rest of the log."""
    return cr.simulate(
        "music", n_users=120, n_items=50, density=0.3, n_randomized=300, selection_on_rating=0.8
    )


@pytest.fixture(scope="module")
def video():
    """Candidates, some of them decided by a coin."""
    return cr.simulate("video", n_users=120, n_items=40, random_state=1)


def test_a_regression_has_no_error_over_these_very_cells(sliced):
    with pytest.raises(StudyError, match="nothing in it is random"):
        cr.estimate_mean(sliced.log, estimator="regression", sampled=(), using="observed")


def test_a_regression_does_not_speak_for_the_slice(sliced):
    with pytest.raises(StudyError, match="the slice would not be in the answer"):
        cr.estimate_mean(sliced.log, estimator="regression", using="randomized")
    mean = cr.estimate_mean(sliced.log, estimator="regression")
    alone = cr.estimate_mean(sliced.log.selected_part(), estimator="regression")
    assert mean.value == alone.value
    assert mean.rows[0].population == alone.rows[0].population


def test_the_plain_mean_of_a_slice_has_the_error_of_its_own_rate(sliced):
    mean = cr.estimate_mean(sliced.log, using="randomized", sampled=())
    plain = next(row for row in mean.rows if row.estimator == "plain")
    drawn = sliced.log.randomized_part().observed_cells().outcome
    rate = len(drawn) / sliced.log.n_eligible
    by_hand = np.sqrt((1 - rate) * np.square(drawn - drawn.mean()).sum()) / len(drawn)
    assert plain.standard_error == pytest.approx(by_hand, rel=1e-9)


def test_an_evaluation_says_what_its_graph_said(sliced):
    world = cr.simulate("music", n_users=120, n_items=50, density=0.3)

    def three(users, items):
        return np.full(len(users), 3.0)

    stated = cr.evaluate(three, world.log, "mse", graph=world.graph).assumptions[0]
    assert "the graph says" in stated.statement
    assert "no graph was given" in cr.evaluate(three, world.log, "mse").assumptions[0].statement


def test_rows_that_a_coin_decided_are_set_aside_and_counted(video):
    coin = int(video.log.randomized.sum())
    p = video.potential.row_propensity
    mean = cr.estimate_mean(video.log, p, estimator="snips")
    alone = cr.estimate_mean(video.log.selected_part(), p[~video.log.randomized], estimator="snips")
    assert mean.value == alone.value
    assert any(f"{coin:,} randomised rows are set aside" in note for note in mean.notes)
    found = cr.evaluate(lambda u, i: np.full(len(u), 2.0), video.log, "mse", propensity=p)
    assert any(f"{coin:,} randomised rows are set aside" in note for note in found.notes)


def test_propensities_of_an_effect_go_on_where_a_part_is_used(video):
    effect = cr.estimate_effect(video.log, video.graph, n_repeats=1)
    mean = cr.estimate_mean(video.log, effect.propensity, estimator="snips")
    assert mean.rows[0].lower < video.population_truth["mean:exposed"] < mean.rows[0].upper


def test_a_regression_effect_without_an_error_of_its_model_shows_none(video):
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(5, max_depth=3, random_state=0)
    with pytest.raises(StudyError, match="has none to"):
        cr.estimate_effect(
            video.log, video.graph, estimator="regression", outcome_model=forest, sampled=()
        )


def test_propensities_that_are_too_low_are_not_called_tested():
    world = cr.simulate("social", n_users=100, n_items=30, random_state=1)
    events = world.events.assign(logging_propensity=world.events["logging_propensity"] * 0.7)
    log = cr.InteractionLog(events, users=world.users, items=world.items, **world.log_columns)
    for given, status in ((world.log, "tested"), (log, "violated")):
        value = cr.policy_value(given, "uniform", estimator="ips")
        overlap = next(a for a in value.assumptions if a.name == "overlap")
        assert overlap.status == status
    assert "too low" in overlap.evidence


def test_what_a_bare_comparison_would_find_follows_its_level(sliced):
    mean = cr.estimate_mean(sliced.log.selected_part(), 0.3, estimator="snips")
    estimate = mean.internal("headline")
    compared = cr.compare_with_randomized(estimate, sliced.log, level=0.8)
    table = compared.tables[0]
    detectable = table.rows[0][table.columns.index("detectable difference")]
    assert detectable == pytest.approx((1.2816 + 0.8416) * compared.rows[0].standard_error, 1e-3)


def test_the_interval_of_a_regression_says_what_it_leaves_out(sliced):
    mean = cr.estimate_mean(sliced.log, estimator="regression")
    model = next(a for a in mean.assumptions if a.name == "right outcome model")
    assert "too short by the model's error" in model.evidence


def test_a_model_judged_on_its_own_training_cells_is_called_so():
    world = cr.simulate("music", n_users=80, n_items=30, density=0.3, random_state=0)
    train, test = world.log.split(random_state=0)
    p = world.potential.propensity
    model = cr.DebiasedMF("naive", n_factors=2).fit(train)

    def kept_apart(log, **options):
        result = cr.evaluate(model, log, ["mse"], propensity=p, **options)
        return next(a for a in result.assumptions if a.name == "held-out cells")

    assert kept_apart(test).status == "tested"
    assert kept_apart(train).status == "violated"
    assert "'model' on 100.0%" in kept_apart(train).evidence
    whole = kept_apart(world.log)
    assert whole.status == "violated"
    assert f"{len(train.observed_cells()) / len(world.log.observed_cells()):.1%}" in whole.evidence
    assert kept_apart(test, train=train).status == "tested"
    assert model.seen([-1], [-1]).tolist() == [False]
