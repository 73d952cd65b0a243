"""Metrics by weights against brute force and against truths that are known."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError
from causalrec.evaluation import _cells
from causalrec.nuisances import KnownPropensity

DRAWS = 60
METRICS = ["mse", "mae", "dcg@3", "recall@3"]


@pytest.fixture(scope="module")
def small():
    """Six users, five items, everything given: recorded ratings, p, f and g."""
    rng = np.random.default_rng(0)
    shape = (6, 5)
    p = rng.uniform(0.3, 0.9, shape)
    recorded = rng.random(shape) < p
    recorded[:, 0] = True
    rating = rng.integers(1, 6, shape).astype(float)
    f, g = rng.uniform(1, 5, shape), rng.uniform(1, 5, shape)
    users, items = np.nonzero(recorded)
    events = pd.DataFrame({"user_id": users, "item_id": items, "rating": rating[recorded]})
    tables = [
        pd.DataFrame({f"{side}_id": np.arange(n)})
        for side, n in zip(("user", "item"), shape, strict=True)
    ]
    log = cr.InteractionLog(events, users=tables[0], items=tables[1], outcome_range=(1, 5))
    return log, recorded.astype(float), rating, p, f, g


def brute_force(recorded, rating, p, f, g, estimator):
    """The four metrics with threshold 4, straight from their formulas."""
    place = np.argsort(np.argsort(-f, axis=1, kind="stable"), axis=1) + 1
    discount = np.where(place <= 3, 1 / np.log2(1 + place), 0.0)
    residual = (rating - g)[recorded == 1]
    share = (1 / p)[recorded == 1]
    share = share / share.sum()
    outcomes = g[..., None] + residual
    relevant = (rating >= 4).astype(float)

    def total(h, m):
        w = recorded / p
        if estimator == "naive":
            return (recorded * h).sum(), recorded.sum()
        if estimator == "snips":
            return (w * h).sum(), w.sum()
        if estimator == "ips":
            return (w * h).sum(), h.size
        return (m + w * (h - m)).sum(), h.size

    def ratio(h, m):
        above, below = total(h, m)
        return above / below

    m_relevant = ((outcomes >= 4) * share).sum(-1)
    found = {
        "mse": ratio((rating - f) ** 2, ((outcomes - f[..., None]) ** 2 * share).sum(-1)),
        "mae": ratio(np.abs(rating - f), (np.abs(outcomes - f[..., None]) * share).sum(-1)),
        "dcg@3": 5 * ratio(discount * relevant, discount * m_relevant),
    }
    listed = (place <= 3).astype(float)
    above, _ = total(listed * relevant, listed * m_relevant)
    below, _ = total(relevant, m_relevant)
    return found | {"recall@3": above / below}


@pytest.mark.parametrize("estimator", ["naive", "snips", "ips", "dr"])
def test_every_estimator_equals_brute_force(small, estimator):
    log, recorded, rating, p, f, g = small
    result = cr.evaluate(
        lambda u, i: f[u, i],
        log,
        METRICS,
        estimator=estimator,
        propensity=p,
        outcome_model=lambda u, i: g[u, i],
        relevance_threshold=4,
    )
    for name, value in brute_force(recorded, rating, p, f, g, estimator).items():
        assert result[name].value == pytest.approx(value, rel=1e-12), name


def test_blocks_do_not_change_a_digit_that_counts(small, monkeypatch):
    log, _, _, p, f, g = small
    options = {
        "metrics": METRICS,
        "estimator": ["dr", "ips"],
        "propensity": p,
        "outcome_model": lambda u, i: g[u, i],
        "relevance_threshold": 4,
    }
    whole = cr.evaluate(lambda u, i: f[u, i], log, **options).to_frame()
    monkeypatch.setattr(_cells, "CELLS_A_BLOCK", 10)
    parts = cr.evaluate(lambda u, i: f[u, i], log, **options).to_frame()
    for column in ("value", "standard_error"):
        np.testing.assert_allclose(whole[column], parts[column], rtol=1e-12)


def test_gains_without_a_threshold(small):
    log, recorded, rating, p, f, _ = small
    place = np.argsort(np.argsort(-f, axis=1, kind="stable"), axis=1) + 1
    discount = np.where(place <= 3, 1 / np.log2(1 + place), 0.0)
    for gain, worth in [("linear", rating), ("exponential", 2**rating - 1)]:
        result = cr.evaluate(
            lambda u, i: f[u, i], log, "dcg@3", estimator="snips", propensity=p, gain=gain
        )
        value = 5 * (recorded / p * discount * worth).sum() / (recorded / p).sum()
        assert result.rows[0].value == pytest.approx(value, rel=1e-12)


def truths(rating, f):
    place = np.argsort(np.argsort(-f, axis=1, kind="stable"), axis=1) + 1
    discount = np.where(place <= 3, 1 / np.log2(1 + place), 0.0)
    relevant = rating >= 4
    return np.array(
        [
            np.square(rating - f).mean(),
            np.abs(rating - f).mean(),
            (discount * relevant).sum() / len(f),
            ((place <= 3) & relevant).sum() / relevant.sum(),
        ]
    )


@pytest.fixture(scope="module")
def predictions(music):
    """A model that knows a half of what there is to know, and some noise."""
    rng = np.random.default_rng(1)
    expected = music.world.potential.expected_rating
    return 1.0 + 0.5 * expected + rng.normal(0, 0.4, expected.shape)


def test_weighted_metrics_are_unbiased_where_naive_is_not(music, predictions, as_recommender):
    model = as_recommender(music.world.log, predictions)
    p = KnownPropensity(music.propensity)
    truth = truths(music.rating, predictions)
    values = []
    for seed in range(DRAWS):
        result = cr.evaluate(
            model,
            music.log(seed),
            METRICS,
            estimator=["snips", "ips", "dr"],
            propensity=p,
            relevance_threshold=4,
            outcome_model=lambda u, i: np.full(len(u), 3.0),
        )
        values.append([[result[label].value for label in _labels(m)] for m in METRICS])
    values = np.array(values)
    error = values.std(0, ddof=1) / np.sqrt(DRAWS)
    off = (values.mean(0) - truth[:, None]) / error
    assert np.abs(off[:, :3]).max() < 4, off
    assert np.abs(off[:, 3]).min() > 4, off


def _labels(metric):
    return [metric, f"{metric} (ips)", f"{metric} (dr)", f"{metric} (naive)"]


def test_dr_of_a_squared_error_is_right_with_p_half_as_large_again(normal_music, as_recommender):
    potential = normal_music.world.potential
    log = normal_music.world.log
    f = 0.6 * potential.expected_rating + 1.0
    too_large = KnownPropensity(np.minimum(1.5 * normal_music.propensity, 1.0))
    values = []
    for seed in range(DRAWS):
        result = cr.evaluate(
            as_recommender(log, f),
            normal_music.log(seed, fresh=True),
            "mse",
            estimator=["dr", "ips"],
            propensity=too_large,
            outcome_model=as_recommender(log, potential.expected_rating),
        )
        values.append([result["mse"].value, result["mse (ips)"].value])
    truth = potential.expected_squared_error(f).mean()
    error = np.std(values, axis=0, ddof=1) / np.sqrt(DRAWS)
    off = (np.mean(values, axis=0) - truth) / error
    assert abs(off[0]) < 4
    # The variance of the noise is a large part of it: without its term DR would be far off.
    assert potential.rating_variance.mean() > 50 * error[0]
    assert off[1] < -10


@pytest.mark.parametrize("unseen", [False, True])
def test_a_test_part_is_evaluated_with_its_own_propensities(
    music, predictions, as_recommender, unseen
):
    p = KnownPropensity(music.propensity)
    loss = np.square(music.rating - predictions)
    off = []
    for seed in range(DRAWS):
        train, test = music.log(seed).split(test_size=0.3, random_state=seed)
        result = cr.evaluate(
            as_recommender(test, predictions),
            test,
            "mse",
            estimator="ips",
            propensity=p,
            train=train if unseen else None,
        )
        counted = np.ones(loss.shape, dtype=bool)
        if unseen:
            counted[train.user_codes, train.item_codes] = False
        off.append(result.rows[0].value - loss[counted].mean())
    assert abs(np.mean(off)) < 4 * np.std(off, ddof=1) / np.sqrt(DRAWS)


def test_seen_items_do_not_compete(small):
    log, _, rating, p, f, _ = small
    train, test = log.split(test_size=0.5, random_state=1)
    seen = np.zeros(f.shape, dtype=bool)
    seen[train.user_codes, train.item_codes] = True
    place = np.argsort(np.argsort(-np.where(seen, -np.inf, f), axis=1, kind="stable"), axis=1) + 1
    discount = np.where((place <= 3) & ~seen, 1 / np.log2(1 + place), 0.0)
    part = test.part
    q = part.probability(p, outside_other=True)
    in_test = np.zeros(f.shape)
    in_test[test.user_codes, test.item_codes] = 1.0
    result = cr.evaluate(
        lambda u, i: f[u, i], test, "dcg@3", estimator="snips", propensity=p, train=train
    )
    w = in_test / q
    users = (~seen).any(axis=1).sum()
    value = (w * discount * rating).sum() / w.sum() * (~seen).sum() / users
    assert result.rows[0].value == pytest.approx(value, rel=1e-12)


def test_equal_models_are_indistinguishable_and_pairs_are_tighter(
    music, predictions, as_recommender
):
    log = music.log(0)
    one = as_recommender(log, predictions)
    shifted = as_recommender(log, predictions + 0.05)
    result = cr.evaluate(
        {"one": one, "twin": one, "shifted": shifted},
        log,
        ["mse", "dcg@3"],
        propensity=KnownPropensity(music.propensity),
    )
    twin = result["mse: one - twin"]
    assert twin.value == 0.0
    assert twin.standard_error == pytest.approx(0.0, abs=1e-12)
    assert twin.p_adjusted == 1.0
    assert twin.note.startswith("indistinguishable")
    assert len(result.differences) == 6
    assert result.family.startswith("One family of 6 paired differences")
    paired = result["mse: one - shifted"].standard_error
    alone = np.hypot(result["one: mse"].standard_error, result["shifted: mse"].standard_error)
    assert paired < 0.2 * alone
    assert "indistinguishable" in result.answer


def test_naive_stands_beside_with_an_interval_on_the_difference(music, predictions, as_recommender):
    log = music.log(0)
    p = KnownPropensity(music.propensity)
    result = cr.evaluate(as_recommender(log, predictions), log, "mse", propensity=p)
    gap = result["mse: naive - snips"]
    assert gap.value == pytest.approx(result["mse (naive)"].value - result["mse"].value)
    assert gap.lower < gap.value < gap.upper


def test_ndcg_of_a_biased_log_is_declined_or_labelled(music, predictions, as_recommender):
    log = music.log(0)
    model = as_recommender(log, predictions)
    p = KnownPropensity(music.propensity)
    declined = cr.evaluate(model, log, ["mse", "ndcg@3"], propensity=p)["ndcg@3"]
    assert (declined.value, declined.status) == (None, "not_estimable")
    assert "no weight makes it unbiased" in declined.note
    expected = music.world.potential.expected_rating
    result = cr.evaluate(
        {"a": model, "b": as_recommender(log, -predictions)},
        log,
        "ndcg@3",
        propensity=p,
        outcome_model=as_recommender(log, expected),
    )
    row = result["a: ndcg@3 of the outcome model"]
    assert row.estimator == "regression"
    order = np.argsort(-predictions, axis=1, kind="stable")[:, :3]
    discount = 1 / np.log2([2, 3, 4])
    gains = music.world.potential.rating
    ideal = -np.sort(-gains, axis=1)[:, :3] @ discount
    each = np.take_along_axis(gains, order, 1) @ discount / ideal
    # These outcomes are one draw of what the model expects; its 20 draws add a twentieth.
    noise = each.std(ddof=1) * np.sqrt((1 + 1 / 20) / len(each))
    assert row.value == pytest.approx(each.mean(), abs=4 * noise)
    of_means = -np.sort(-expected, axis=1)[:, :3] @ discount
    plugged = np.mean(np.take_along_axis(expected, order, 1) @ discount / of_means)
    assert abs(plugged - each.mean()) > 4 * noise  # a ratio of gains is not that of their means
    assert result.differences[0].p_value is None
    assert "not judged" in result.differences[0].note


def test_ndcg_of_a_slice_ranks_the_items_of_the_slice():
    events = pd.DataFrame(
        {"user_id": [0, 0, 1, 1, 2, 2], "item_id": [0, 1, 1, 2, 0, 3], "click": [0, 1, 1, 0, 0, 0]}
    )
    events = pd.concat([events.assign(user_id=events["user_id"] + 3 * k) for k in range(4)])
    log = cr.InteractionLog(events, outcome="click", randomized=True, kind="ratings")
    scores = np.array([0.9, 0.5, 0.4, 0.99])
    result = cr.evaluate(lambda u, i: scores[i], log, ["ndcg@2", "mse"])
    row = result["ndcg@2 among 2 of 4"]
    assert row.value == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert (row.n, row.unit, row.estimator) == (8, "users", "plain")
    assert any("4 users without a positive gain" in note for note in result.notes)
    assert result["mse"].value == pytest.approx(
        np.mean((events["click"] - scores[events["item_id"]]) ** 2)
    )
    assert "naive" not in {r.estimator for r in result.rows}


def test_ratings_above_the_middle_of_their_range_are_relevant_unless_said_otherwise(
    music, predictions, as_recommender
):
    log, p = music.log(0), KnownPropensity(music.propensity)
    model = as_recommender(log, predictions)
    found = cr.evaluate(model, log, "recall@5", propensity=p)
    first = np.unique(log.outcome[log.outcome > sum(log.outcome_range) / 2])[0]
    asked = cr.evaluate(model, log, "recall@5", propensity=p, relevance_threshold=first)
    assert found.to_frame().equals(asked.to_frame())
    said = f"{first:g} is the first outcome above the middle"
    assert any(said in note for note in found.notes)
    assert not any(said in note for note in asked.notes)


def test_what_means_nothing_is_refused(music, predictions, as_recommender):
    log = music.log(0)
    model = as_recommender(log, predictions)
    p = KnownPropensity(music.propensity)
    with pytest.raises(StudyError, match="made by selection"):
        cr.evaluate(model, log, "mse", estimator="plain", propensity=p)
    with pytest.raises(StudyError, match="judge itself"):
        cr.evaluate(model, log, "mse", estimator="dr", propensity=p, outcome_model=model)
    with pytest.raises(StudyError, match="judge itself"):
        cr.evaluate(model, log, "mse", estimator="dr", propensity=p, outcome_model=model.predict)
    copy = as_recommender(log, predictions.copy())
    with pytest.raises(StudyError, match="judge itself"):
        cr.evaluate(model, log, "mse", estimator="dr", propensity=p, outcome_model=copy)
    with pytest.raises(DataError, match="no finite number"):
        cr.evaluate(lambda u, i: np.full(len(u), np.nan), log, "mse", propensity=p)
    with pytest.raises(DataError, match="one number for each aligned pair"):
        cr.evaluate(lambda u, i: [1.0], log, "mse", propensity=p)
    with pytest.raises(StudyError, match="not callable"):
        cr.evaluate(3, log, "mse", propensity=p)


def test_all_cells_have_no_point_where_support_fails(thin_music):
    log = thin_music.log(0)
    p = KnownPropensity(thin_music.propensity)
    result = cr.evaluate(
        lambda u, i: np.full(len(u), 3.0), log, "mse", propensity=p, population="all"
    )
    assert (result.rows[0].status, result.rows[0].value) == ("not_estimable", None)
    assert result["mse, supported cells"].value is not None


def test_a_slice_opens_the_evaluation():
    world = cr.simulate("music", 200, 60, random_state=1, density=0.2, n_randomized=1000)
    p = KnownPropensity(world.potential.propensity)
    result = cr.evaluate(lambda u, i: np.full(len(u), 3.0), world.log, "mse", propensity=p)
    assert result.sections[0].kind == "comparison"
    assert result.answer.startswith("The SNIPS mse from the biased log is")
    again = cr.compare_with_randomized(result, world.log, margin=0.5)
    assert again.rows[0].value == pytest.approx(result.sections[0].rows[0].value)


def test_candidates_are_weighted_by_their_exposure():
    world = cr.simulate("shop", 300, 40, random_state=0, n_candidates=20)
    log = world.log
    p = world.potential.row_propensity
    shown = log.exposure == 1
    result = cr.evaluate(lambda u, i: np.full(len(u), 0.2), log, ["mse", "recall@3"], propensity=p)
    loss, weight = (log.outcome[shown] - 0.2) ** 2, 1 / p[shown]
    assert result["mse"].value == pytest.approx((weight @ loss) / weight.sum(), rel=1e-12)
    assert 0 < result["recall@3"].value < 1
