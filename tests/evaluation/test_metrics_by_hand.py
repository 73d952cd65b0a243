"""Each metric on toy lists, computed by hand."""

import numpy as np
import pytest

from causalrec.evaluation.metrics import (
    any_relevant,
    area_under_curve,
    average_precision,
    catalogue_coverage,
    equal_count_bins,
    equal_shares,
    intra_list_diversity,
    log_loss,
    mean_of_listed,
    miscalibration,
    popularity_places,
    reciprocal_rank,
    self_information,
    share_of_relevant,
    shares_of_lists,
    signed_miss,
    unexpectedness,
)

# Three users, five places: relevant at 1 and 4; at 3; nowhere (one relevant item is not listed).
LISTED = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=float)
TOTAL = np.array([3.0, 1.0, 1.0])
LISTS = np.array([[0, 1, 2], [0, 3, -1], [0, 1, 4]])


def test_log_loss_of_certain_mistakes_is_large_but_finite():
    assert log_loss(np.array([1.0]), np.array([0.8])) == pytest.approx(-np.log(0.8))
    assert 30 < log_loss(np.array([1.0]), np.array([0.0]))[0] < 40


def test_lists_of_relevance():
    places = np.arange(1, 6)
    np.testing.assert_allclose(LISTED @ equal_shares(places, 4), [2 / 4, 1 / 4, 0])
    np.testing.assert_allclose(share_of_relevant(LISTED, TOTAL, 5), [2 / 3, 1, 0])
    np.testing.assert_allclose(share_of_relevant(LISTED, TOTAL, 3), [1 / 3, 1, 0])
    np.testing.assert_allclose(any_relevant(LISTED, 2), [1, 0, 0])
    np.testing.assert_allclose(any_relevant(LISTED, 3), [1, 1, 0])
    np.testing.assert_allclose(average_precision(LISTED, TOTAL, 5), [(1 + 2 / 4) / 3, 1 / 3, 0])
    np.testing.assert_allclose(average_precision(LISTED, TOTAL, 2), [1 / 2, 0, 0])
    np.testing.assert_allclose(reciprocal_rank(LISTED, 5), [1, 1 / 3, 0])
    np.testing.assert_allclose(reciprocal_rank(LISTED, 2), [1, 0, 0])


def test_of_chances_they_are_the_expectations_over_independent_outcomes():
    rng = np.random.default_rng(0)
    chance = rng.random((1, 4))
    drawn = (rng.random((200_000, 4)) < chance).astype(float)
    for measure in (any_relevant, reciprocal_rank):
        values = measure(drawn, 4)
        error = values.std() / np.sqrt(len(values))
        assert abs(measure(chance, 4)[0] - values.mean()) < 4 * error


def test_auc_counts_pairs_with_their_weights_and_ties_by_half():
    rng = np.random.default_rng(1)
    f = rng.integers(0, 5, 30).astype(float)
    y, w = (rng.random(30) < 0.4).astype(float), rng.exponential(size=30)
    up, down = w * y, w * (1 - y)
    pairs = up[:, None] * down[None, :]
    wins = (f[:, None] > f[None, :]) + 0.5 * (f[:, None] == f[None, :])
    area, by_up, by_down = area_under_curve(f, up, down)
    assert area == pytest.approx((pairs * wins).sum() / pairs.sum(), rel=1e-12)
    influence = up * by_up + down * by_down
    assert influence.sum() == pytest.approx(0.0, abs=1e-12)
    # A little more weight for one cell moves the area by its influence.
    for cell in (0, 7):
        more = 1.0 + 1e-6 * (np.arange(30) == cell)
        moved = area_under_curve(f, up * more, down * more)[0]
        assert (moved - area) / 1e-6 == pytest.approx(influence[cell], abs=1e-5)
    assert np.isnan(area_under_curve(f, np.zeros(30), w)[0])


def test_calibration_error_takes_the_sign_of_a_bin_from_the_opposite_quarter():
    prediction = np.array([0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9])
    bins = equal_count_bins(prediction, prediction)
    assert len(np.unique(bins)) == 2  # equal predictions share a bin
    quarter = np.repeat([0, 3], 4)
    # The lower bin misses by +.2 in one quarter and -.1 in the other, the upper by -.3 in both.
    residual = np.array([0.2, 0.2, -0.3, -0.3, -0.1, -0.1, -0.3, -0.3])
    value = signed_miss(residual, bins, quarter).sum() / 8
    assert value == pytest.approx((-0.2 * 2 - 0.1 * 2 + 0.3 * 4) / 8)


def test_calibrated_predictions_have_no_calibration_error_on_average():
    rng = np.random.default_rng(2)
    p = rng.uniform(0.1, 0.9, 400)
    bins, quarter = equal_count_bins(p, p), np.arange(400) % 4
    plain, crossed = [], []
    for _ in range(600):
        residual = (rng.random(400) < p) - p
        crossed.append(signed_miss(residual, bins, quarter).mean())
        plain.append(np.abs(np.bincount(bins, weights=residual)).sum() / 400)
    error = np.std(crossed) / np.sqrt(600)
    assert abs(np.mean(crossed)) < 4 * error
    assert np.mean(plain) > 0.04  # what the usual estimate reports of a perfect model


def test_what_is_listed():
    share, alone = catalogue_coverage(LISTS, 10)
    assert share == 5 / 10
    np.testing.assert_allclose(alone, [0.1, 0.1, 0.1])  # items 2, 3 and 4
    known = self_information(np.array([4, 2, 1, 0, 1]), 4)
    np.testing.assert_allclose(known, [0, 1, 2, 2, 2])
    np.testing.assert_allclose(mean_of_listed(LISTS, known), [1, 1, 1])
    levels = np.array([[0, 0], [0, 1], [1, 1], [0, 0], [1, 0]])
    # Pairs of user 0: (0, 1) differ in one of two columns, (0, 2) in both, (1, 2) in one.
    np.testing.assert_allclose(
        intra_list_diversity(LISTS, levels), [(0.5 + 1 + 0.5) / 3, 0, (0.5 + 0.5 + 1) / 3]
    )


def test_miscalibration_is_stecks_divergence():
    genre = np.array([0, 0, 1, 1, 0])
    q = shares_of_lists(LISTS, genre, 2)
    np.testing.assert_allclose(q, [[2 / 3, 1 / 3], [1 / 2, 1 / 2], [1, 0]])
    p = np.array([[1 / 4, 3 / 4], [1 / 2, 1 / 2], [np.nan, np.nan]])
    mixed = 0.99 * q[0] + 0.01 * p[0]
    value = miscalibration(p, q)
    assert value[0] == pytest.approx(
        0.25 * np.log(0.25 / mixed[0]) + 0.75 * np.log(0.75 / mixed[1])
    )
    assert value[1] == pytest.approx(0.0, abs=1e-15)
    assert np.isnan(value[2])


def test_serendipity_counts_places_gained_over_popularity():
    assert popularity_places(np.array([3, 9, 3, 0])).tolist() == [2, 1, 2, 4]
    # With one less each alone: 2 is behind the other 3, 8 is still first.
    assert popularity_places(np.array([3, 9, 3, 1]), without_own=True).tolist() == [3, 1, 3, 4]
    np.testing.assert_allclose(
        unexpectedness(np.array([1, 3, 2, 0]), np.array([4, 1, 2, 4]), 4), [3 / 4, 0, 0, 0]
    )
