"""Bounds, comparisons and families on small logs by hand and on worlds."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, ResultError, StudyError
from causalrec.inference import Estimate
from causalrec.nuisances import KnownPropensity
from causalrec.results import Result, Row


def test_range_bounds_by_hand():
    events = pd.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0], "rating": [4.0, 2.0, 1.0]})
    log = cr.InteractionLog(events, outcome_range=(1, 5))
    result = cr.bounds(log)
    table = result.tables[0].rows[0]
    assert table[1:3] == pytest.approx(((7 + 1) / 4, (7 + 5) / 4))
    assert result.rows[0].value is None
    assert result.internal("bounds").contains(3.0)[0]


def test_the_range_holds_the_truth_and_the_groups(thin_music):
    result = cr.bounds(thin_music.log(0), by="country")
    rating = thin_music.rating
    by_country = (thin_music.world.users["country"] == "A").to_numpy()
    for label, truth in [
        ("mean", rating.mean()),
        ("country=A", rating[by_country].mean()),
        ("country=B", rating[~by_country].mean()),
    ]:
        assert result[label].lower < truth < result[label].upper


def test_a_lambda_of_one_is_the_weighted_mean(music):
    log, p = music.log(0), KnownPropensity(music.propensity)
    mean = cr.estimate_mean(log, p, estimator="snips")
    one = cr.bounds(log, "msm", lam=1.0, propensity=p)
    assert one.tables[0].rows[0][1:3] == pytest.approx((mean.value, mean.value))
    assert (one.rows[0].lower, one.rows[0].upper) == pytest.approx(mean.interval())
    two = cr.bounds(log, "msm", lam=2.0, propensity=p)
    assert two.rows[0].lower < one.rows[0].lower
    assert two.rows[0].upper > one.rows[0].upper


def test_bounds_refuse_what_they_do_not_know(music):
    with pytest.raises(StudyError, match="'range' or 'msm'"):
        cr.bounds(music.log(0), "manski")
    with pytest.raises(StudyError, match="at least 1"):
        cr.bounds(music.log(0), "msm", lam=0.5, propensity=music.propensity)


def with_slice(music, seed, n=1500):
    log = music.log(seed)
    rng = np.random.default_rng(seed + 1000)
    users, items = np.divmod(rng.permutation(music.rating.size)[:n], music.rating.shape[1])
    events = pd.DataFrame(
        {
            "user_id": log.user_ids[users],
            "item_id": log.item_ids[items],
            "rating": music.rating[users, items],
        }
    )
    tables = {"users": music.world.users, "items": music.world.items}
    return log, cr.InteractionLog(events, **tables, randomized=True)


def test_agreement_under_the_right_propensity(music):
    p = KnownPropensity(music.propensity)
    rejected = 0
    for seed in range(40):
        log, slice_log = with_slice(music, seed)
        mean = cr.estimate_mean(log, p, estimator="snips", sampled=())
        rejected += cr.compare_with_randomized(mean, slice_log).rows[0].p_value < 0.05
    # Binomial: 2 expected, 7 or more with probability .3 %.
    assert rejected < 7


def test_the_comparison_says_what_it_means(music):
    log, slice_log = with_slice(music, 0)
    p = KnownPropensity(music.propensity)
    wide = cr.compare_with_randomized(
        cr.estimate_mean(log, p, estimator="snips"), slice_log, margin=0.5
    )
    assert "They agree within 0.5" in wide.answer
    naive = cr.compare_with_randomized(cr.estimate_mean(log, p, estimator="naive"), slice_log)
    assert "They differ" in naive.answer
    assert wide["mean: randomised"].n == 1500
    assert wide.rows[0].value == pytest.approx(wide.rows[2].value - wide.rows[1].value)


def test_the_slice_may_know_its_ids_in_another_order(music):
    log, slice_log = with_slice(music, 0)
    p = KnownPropensity(music.propensity)
    mean = cr.estimate_mean(log, p, estimator="snips")
    events = pd.DataFrame(
        {
            "user_id": slice_log.user_ids[slice_log.user_codes],
            "item_id": slice_log.item_ids[slice_log.item_codes],
            "rating": slice_log.outcome,
        }
    ).sample(frac=1.0, random_state=0)
    other = cr.InteractionLog(events, randomized=True)
    one, two = (cr.compare_with_randomized(mean, part).rows[0] for part in (slice_log, other))
    assert one.value == pytest.approx(two.value, rel=1e-12)
    assert one.standard_error == pytest.approx(two.standard_error, rel=1e-9)


def test_a_bare_estimate_is_taken_as_independent(music):
    log, slice_log = with_slice(music, 0)
    p = KnownPropensity(music.propensity)
    mean = cr.estimate_mean(log, p, estimator="snips")
    bare = cr.compare_with_randomized(mean.internal("headline"), slice_log).rows[0]
    joint = cr.compare_with_randomized(mean, slice_log).rows[0]
    assert isinstance(mean.internal("headline"), Estimate)
    assert bare.value == pytest.approx(joint.value)
    # Both logs have the same users and items: what is joint is tighter.
    assert bare.standard_error > joint.standard_error


def test_what_cannot_be_compared_is_refused(music):
    log, slice_log = with_slice(music, 0)
    p = KnownPropensity(music.propensity)
    mean = cr.estimate_mean(log, p, estimator="snips")
    with pytest.raises(DataError, match="randomized=True"):
        cr.compare_with_randomized(mean, log)
    with pytest.raises(ResultError, match="reloaded"):
        cr.compare_with_randomized(Result.from_json(mean.to_json()), slice_log)
    with pytest.raises(StudyError, match="positive"):
        cr.compare_with_randomized(mean, slice_log, margin=0.0)
    with pytest.raises(StudyError, match="slice itself"):
        cr.compare_with_randomized(cr.estimate_mean(slice_log), slice_log)


def some(kind, **p_values):
    rows = tuple(Row(label=label, value=1.0, p_value=p) for label, p in p_values.items())
    return Result(kind=kind, title=kind, rows=(*rows, Row(label="untested", value=2.0)))


def test_a_family_corrects_across_results():
    found = cr.family(some("effect", a=0.01, b=0.04), some("audit", a=0.02))
    assert [row.label for row in found.rows] == ["1. a", "b", "2. a"]
    assert [row.p_adjusted for row in found.rows] == pytest.approx([0.03, 0.04, 0.04])
    screened = cr.family(some("effect", a=0.01, b=0.04), some("audit", c=0.02), method="bh")
    assert [row.p_adjusted for row in screened.rows] == pytest.approx([0.03, 0.04, 0.03])
    assert "3 of 3 tests stand" in screened.answer
    assert "false discovery rate" in screened.family


def test_a_family_of_nothing_is_refused():
    with pytest.raises(StudyError, match="no family"):
        cr.family(some("effect"))
    with pytest.raises(StudyError, match="verdicts"):
        cr.family(some("effect", a=0.1), method="bonferroni")
