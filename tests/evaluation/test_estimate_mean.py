"""The mean against truths that are known: whole worlds, formulas by hand, Coat's figures."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, IdentificationError, StudyError
from causalrec.nuisances import KnownPropensity

DRAWS = 60


def biases(world, truth, **options):
    """Return bias over Monte Carlo error of the headline and of naive, over redrawn logs."""
    found = [cr.estimate_mean(world.log(seed), **options) for seed in range(DRAWS)]
    values = np.array([[mean.value, mean.naive.value] for mean in found])
    return (values.mean(0) - truth) / (values.std(0, ddof=1) / np.sqrt(DRAWS))


def test_estimators_by_hand():
    events = pd.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0], "rating": [4.0, 2.0, 1.0]})
    log = cr.InteractionLog(events, outcome_range=(1, 5))
    p = np.array([[0.8, 0.5], [0.25, 0.1]])
    g = np.array([[3.0, 2.5], [2.0, 1.5]])

    def outcome_model(users, items):
        return g[np.asarray(users), np.asarray(items)]

    def value(estimator):
        return cr.estimate_mean(log, p, estimator=estimator, outcome_model=outcome_model).value

    weighted = 4 / 0.8 + 2 / 0.5 + 1 / 0.25
    assert value("naive") == pytest.approx(7 / 3)
    assert value("ips") == pytest.approx(weighted / 4)
    assert value("snips") == pytest.approx(weighted / (1 / 0.8 + 1 / 0.5 + 1 / 0.25))
    assert value("regression") == pytest.approx(g.mean())
    correction = (4 - 3) / 0.8 + (2 - 2.5) / 0.5 + (1 - 2) / 0.25
    assert value("dr") == pytest.approx(g.mean() + correction / 4)


@pytest.mark.parametrize("estimator", ["snips", "ips", "dr"])
def test_naive_is_biased_and_the_weighted_means_are_not(music, estimator):
    p = KnownPropensity(music.propensity)
    head, naive = biases(
        music, music.rating.mean(), propensity=p, estimator=estimator, outcome_model=_three
    )
    assert abs(head) < 4
    assert naive > 15


@pytest.mark.slow
def test_dr_with_its_own_cross_fitted_outcome_model_is_unbiased(music):
    p = KnownPropensity(music.propensity)
    head, _ = biases(music, music.rating.mean(), propensity=p, estimator="dr")
    assert abs(head) < 4


def wrong(music):
    return KnownPropensity(np.full(music.propensity.shape, music.propensity.mean()))


def test_dr_is_right_with_the_outcome_model_alone(normal_music, as_recommender):
    potential = normal_music.world.potential
    model = as_recommender(normal_music.world.log, potential.expected_rating)
    values = [
        cr.estimate_mean(
            normal_music.log(seed, fresh=True), wrong(normal_music), outcome_model=model
        ).value
        for seed in range(DRAWS)
    ]
    error = np.std(values, ddof=1) / np.sqrt(DRAWS)
    assert abs(np.mean(values) - potential.expected_rating.mean()) < 4 * error


def test_dr_is_right_with_the_propensity_alone(music, as_recommender):
    model = as_recommender(music.world.log, np.full(music.rating.shape, 4.5))
    p = KnownPropensity(music.propensity)
    head, _ = biases(music, music.rating.mean(), propensity=p, outcome_model=model)
    assert abs(head) < 4


def test_dr_is_wrong_with_both_wrong(music, as_recommender):
    model = as_recommender(music.world.log, np.full(music.rating.shape, 4.5))
    head, _ = biases(music, music.rating.mean(), propensity=wrong(music), outcome_model=model)
    assert head > 10


def test_a_third_never_shown_gives_the_supported_mean_and_bounds_for_all(thin_music):
    p = KnownPropensity(thin_music.propensity)
    supported = thin_music.rating[thin_music.propensity > 0].mean()
    head, _ = biases(thin_music, supported, propensity=p, estimator="snips")
    assert abs(head) < 4
    log = thin_music.log(0)
    everything = cr.estimate_mean(log, p, population="all", estimator="snips")
    first, second = everything.rows[:2]
    assert (first.value, first.status) == (None, "not_estimable")
    assert first.lower < thin_music.rating.mean() < first.upper
    assert second.value is not None
    assert second.label == "mean, supported cells"
    assert everything.tables[1].name == "bounds"
    with pytest.raises(TypeError, match="no point estimate"):
        float(everything)
    # Two thirds of the supported mean, the rest anything in the declared range.
    share = (thin_music.propensity == 0).mean()
    low = (1 - share) * second.value + share * -9.0
    assert everything.tables[1].rows[0][1] == pytest.approx(low)


def test_these_very_cells_have_the_error_of_the_drawing(music):
    p = KnownPropensity(music.propensity)
    for estimator in ("snips", "ips", "dr"):
        found = [
            cr.estimate_mean(
                music.log(seed), p, estimator=estimator, sampled=(), outcome_model=_three
            )
            for seed in range(DRAWS)
        ]
        spread = np.std([mean.value for mean in found], ddof=1)
        error = np.mean([mean.standard_error for mean in found])
        # A standard deviation of 60 draws is known to within 1 / sqrt(118) = 9 %; three of those.
        assert error == pytest.approx(spread, rel=0.28), estimator


def _three(users, items):
    return np.full(len(users), 3.0)


def test_the_error_grows_with_what_is_sampled(music):
    p = KnownPropensity(music.propensity)
    log = music.log(1)
    errors = [
        cr.estimate_mean(log, p, estimator="snips", sampled=sampled).standard_error
        for sampled in [(), ("user",), ("user", "item")]
    ]
    assert errors == sorted(errors)


def test_a_test_part_uses_its_own_propensities(music):
    p = KnownPropensity(music.propensity)
    values = []
    for seed in range(DRAWS):
        _, test = music.log(seed).split(test_size=0.3, random_state=seed)
        values.append(cr.estimate_mean(test, p, estimator="ips").value)
    error = np.std(values, ddof=1) / np.sqrt(DRAWS)
    assert abs(np.mean(values) - music.rating.mean()) < 4 * error


def test_groups_are_joint_and_their_gaps_one_family(music):
    log = music.log(2)
    p = KnownPropensity(music.propensity)
    mean = cr.estimate_mean(log, p, by=["country", "genre"], estimator="snips")
    gap = mean["gap in country: A - B"]
    values = mean["country=A"].value - mean["country=B"].value
    assert gap.value == pytest.approx(values)
    assert gap.derived_from == ("country=A", "country=B")
    gaps = [row for row in mean.rows if row.metric == "gap"]
    assert len(gaps) == 4
    assert all(row.p_adjusted >= row.p_value for row in gaps)
    assert mean.family.startswith("One family of 4 gaps between groups")
    assert mean["mean"].n == log.n_rows
    assert mean["country=A"].n + mean["country=B"].n == log.n_users
    assert gap.n == min(mean["country=A"].n, mean["country=B"].n)
    assert gap.unit == mean["country=A"].unit == "users"
    assert mean["country=A (naive)"].value == pytest.approx(
        log.outcome[(log.column("country") == "A").to_numpy()].mean()
    )


def test_columns_of_events_and_single_levels_are_refused(music):
    log = music.log(0)
    with pytest.raises(DataError, match="holds numbers with 120 different values"):
        cr.estimate_mean(log, music.propensity, by="engagement")
    with pytest.raises(DataError, match="Did you mean 'genre'"):
        cr.estimate_mean(log, music.propensity, by="gener")


def test_unknown_options_are_refused(music):
    log = music.log(0)
    with pytest.raises(StudyError, match="Did you mean 'snips'"):
        cr.estimate_mean(log, music.propensity, estimator="snip")
    with pytest.raises(StudyError, match="sampled"):
        cr.estimate_mean(log, music.propensity, sampled=("provider",))
    with pytest.raises(StudyError, match="population"):
        cr.estimate_mean(log, music.propensity, population="everyone")
    with pytest.raises(DataError, match="randomised slice"):
        cr.estimate_mean(log, using="randomized")


def test_the_result_keeps_the_books(music):
    p = KnownPropensity(music.propensity)
    mean = cr.estimate_mean(music.log(0), p, estimator="snips", clip=0.1)
    head = mean.rows[0]
    assert head.effective_sample_size < head.n
    assert head.clusters == {"user": 120, "item": 50}
    assert head.estimator == "snips"
    assert any("raised to it" in note for note in mean.notes)
    assert {a.name for a in mean.assumptions} >= {
        "missing at random",
        "overlap",
        "right propensities",
        "what was sampled",
    }
    lower, upper = mean.interval(0.5)
    assert head.lower < lower < upper < head.upper
    assert type(mean).from_json(mean.to_json()).rows == mean.rows


def test_the_same_question_has_the_same_bytes(music):
    log = music.log(0)
    one, two = (cr.estimate_mean(log, graph=music.world.graph) for _ in range(2))
    assert one.to_json() == two.to_json()


def test_selection_on_the_rating_is_refused_and_labelled_when_forced():
    world = cr.simulate("music", 400, 100, random_state=5, density=0.15, selection_on_rating=0.6)
    with pytest.raises(IdentificationError) as refused:
        cr.estimate_mean(world.log, graph=world.graph)
    assert "rating" in (refused.value.open_path or "")
    mean = cr.estimate_mean(world.log, graph=world.graph, force=True)
    missing = next(a for a in mean.assumptions if a.name == "missing at random")
    assert missing.status == "violated"
    assert "forced" in mean.answer


def test_a_slice_catches_selection_on_the_rating_and_repairs_it():
    world = cr.simulate(
        "music", 400, 100, random_state=5, density=0.15, selection_on_rating=0.6, n_randomized=2000
    )
    options = {"graph": world.graph, "using": "observed", "force": True}
    forced = cr.estimate_mean(world.log, **options)
    assert "They differ" in forced.answer
    assert forced.sections[0].kind == "comparison"
    compared = cr.compare_with_randomized(forced, world.log)
    assert compared.rows[0].p_value < 1e-4
    assert compared.tables[0].rows[0][-1] > 1.2
    repaired = cr.estimate_mean(world.log, using="randomized")
    plain = repaired["mean (plain mean of the slice)"]
    assert repaired.standard_error < plain.standard_error
    assert abs(repaired.value - world.potential.rating.mean()) < 4 * 0.02
    assert abs(forced.value - world.potential.rating.mean()) > 0.15


def test_a_slice_is_the_headline_and_the_rest_is_compared_with_it():
    world = cr.simulate("music", 300, 80, random_state=2, density=0.15, n_randomized=1500)
    mean = cr.estimate_mean(world.log, graph=world.graph, estimator="dr")
    assert mean.value == cr.estimate_mean(world.log, using="randomized").value
    observed = cr.estimate_mean(world.log, graph=world.graph, using="observed")
    assert mean["mean: dr"].value == pytest.approx(observed.value)
    compared = cr.compare_with_randomized(mean, world.log)
    assert compared.rows == mean.sections[0].rows
    assert compared.rows[0].p_value > 0.01


def test_a_slice_answers_what_the_graph_refuses():
    world = cr.simulate(
        "music", 300, 80, random_state=2, density=0.15, n_randomized=1500, selection_on_rating=0.5
    )
    mean = cr.estimate_mean(world.log, graph=world.graph)
    assert mean.value == cr.estimate_mean(world.log, using="randomized").value
    assert any("only the slice spoke" in note for note in mean.notes)
    with pytest.raises(IdentificationError):
        cr.estimate_mean(world.log, graph=world.graph, using="observed")


@pytest.mark.slow
def test_the_slice_estimate_is_unbiased_and_tighter_than_the_plain_mean():
    world = cr.simulate("music", 200, 100, random_state=5, density=0.2, selection_on_rating=0.6)
    rating = world.potential.rating
    rng = np.random.default_rng(0)
    users, items = world.users["user_id"].to_numpy(), world.items["item_id"].to_numpy()
    values = []
    for _ in range(400):
        cells = rng.permutation(rating.size)[:2000]
        u, i = np.divmod(cells, rating.shape[1])
        extra = pd.DataFrame(
            {"user_id": users[u], "item_id": items[i], "rating": rating[u, i], "uniform": True}
        )
        events = pd.concat([world.events.assign(uniform=False), extra], ignore_index=True)
        log = cr.InteractionLog(
            events, users=world.users, items=world.items, randomized="uniform",
            outcome_range=(1, 5),
        )  # fmt: skip
        mean = cr.estimate_mean(log, using="randomized")
        values.append([mean.value, mean["mean (plain mean of the slice)"].value])
    spread = np.std(values, axis=0, ddof=1)
    bias = np.mean(values, axis=0) - rating.mean()
    assert np.abs(bias / (spread / 20)).max() < 4
    assert spread[0] < 0.9 * spread[1]


@pytest.mark.slow
def test_two_way_intervals_cover_new_users_and_items():
    covered = 0
    for seed in range(400):
        world = cr.simulate("music", 150, 60, random_state=seed, density=0.2)
        truth = world.population_truth["mean"]
        p = KnownPropensity(world.potential.propensity)
        row = cr.estimate_mean(world.log, p, estimator="snips").rows[0]
        covered += row.lower <= truth <= row.upper
    # Binomial error of .95 over 400: .011; three of them.
    assert 0.95 - 0.033 <= covered / 400 <= 0.983


@pytest.mark.data
def test_coat(data_dir):
    folder = data_dir("coat")
    coat = cr.datasets.coat(folder)
    p = np.loadtxt(folder / "propensities.ascii")
    mean = cr.estimate_mean(coat.train, p, estimator="snips")
    assert mean.value == pytest.approx(2.3308, abs=5e-5)
    assert mean.naive.value == pytest.approx(2.6115, abs=5e-5)
    assert cr.estimate_mean(coat.randomized).value == pytest.approx(2.2289, abs=5e-5)
    compared = cr.compare_with_randomized(mean, coat.randomized)
    row = compared.rows[0]
    assert row.value == pytest.approx(0.102, abs=5e-4)
    # Two-way clustered, jointly for both logs: the same users and items are in them.
    assert row.standard_error == pytest.approx(0.036, abs=5e-4)
    assert row.lower > 0
    assert "They differ" in compared.answer
    assert "the propensity model is wrong" in compared.answer


def _small_group_world() -> cr.InteractionLog:
    """A log in which three users have the level "rare"."""
    rng = np.random.default_rng(0)
    n_users, n_items = 80, 30
    users = pd.DataFrame(
        {
            "user_id": np.arange(n_users),
            "plan": ["rare"] * 3 + ["free"] * 40 + ["paid"] * (n_users - 43),
        }
    )
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    ratings = pd.DataFrame(
        {"user_id": user, "item_id": item, "rating": rng.integers(1, 6, size=len(user))}
    )
    return cr.InteractionLog(ratings, users=users)


@pytest.mark.parametrize("question", ["mean", "bounds"])
def test_small_groups_are_suppressed_with_what_would_give_them_away(question: str) -> None:
    log = _small_group_world()
    if question == "mean":
        result = cr.estimate_mean(log, 0.4, by="plan", estimator="snips")
    else:
        result = cr.bounds(log, by="plan")
    by_label = {row.label: row for row in result.rows}
    assert by_label["plan=rare"].status == "suppressed"
    hidden = [row for row in result.rows if row.status == "suppressed"]
    assert {row.group["plan"] for row in hidden if row.group} == {"rare", "paid"}
    assert all(row.value is None and row.lower is None and row.n is None for row in hidden)
    assert by_label["plan=free"].unit == "users"
    assert by_label["plan=free"].n == 40
    gaps = [row for row in result.rows if row.label.startswith("gap in plan")]
    assert all(row.status == "suppressed" for row in gaps)
    for table in result.tables:
        for line in table.rows:
            if "plan=rare" in line:
                assert set(line) <= {"snips", "naive", "plan=rare", "suppressed"}


def test_every_group_is_shown_where_the_caller_says_so() -> None:
    result = cr.estimate_mean(_small_group_world(), 0.4, by="plan", estimator="snips", min_cell=1)
    assert all(row.status != "suppressed" for row in result.rows)
