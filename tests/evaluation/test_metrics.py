"""Metrics against their formulas by hand, and the rules for ties, padding and gains."""

import numpy as np
import pytest

from causalrec.errors import StudyError
from causalrec.evaluation._law import BernoulliLaw, Gain, ResidualLaw
from causalrec.evaluation._lists import lists_of_cells, places
from causalrec.evaluation.metrics import REGISTRY, normalised_gain, parse_metric, parse_metrics

SUMS = {"mse", "mae", "log-loss", "dcg", "recall", "precision", "serendipity"}
SAMPLES = {"auc", "calibration-error"}
GAINS = {"ndcg", "macro-recall", "hit", "map", "mrr"}
LISTS = {"coverage", "novelty", "intra-list-diversity", "miscalibration"}


def test_each_definition_says_where_it_comes_from_and_how_it_adds_up():
    assert set(REGISTRY) == SUMS | SAMPLES | GAINS | LISTS | {"uplift"}
    for name, definition in REGISTRY.items():
        assert definition.name == name
        assert definition.paper
        assert definition.convention
        assert bool(definition.why_not_weighted) == (definition.form == "gains")
    for form, names in {"sum": SUMS, "sample": SAMPLES, "gains": GAINS, "lists": LISTS}.items():
        assert {name for name, found in REGISTRY.items() if found.form == form} == names
    assert {name for name, found in REGISTRY.items() if found.additive} == SUMS


def test_names_are_read_with_hyphens_or_underscores():
    assert parse_metric("log_loss").label == "log-loss"
    assert parse_metric("Macro_Recall@3").label == "macro-recall@3"


def test_dcg_of_one_list_by_hand():
    metric = parse_metric("dcg@3")
    gain = np.array([3.0, 0.0, 2.0, 5.0])
    weight = metric.place_weight(np.array([1, 2, 3, 4]))
    assert gain @ weight == pytest.approx(3.0 + 2.0 / 2.0)


def test_ndcg_is_one_for_the_ideal_order_and_nan_without_gains():
    gains = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    ideal = -np.sort(-gains, axis=1)
    value = normalised_gain(gains, ideal, 3)
    best = 2 + 1 / np.log2(3)
    assert value[0] == 1.0
    assert value[1] == pytest.approx((1 / np.log2(3) + 2 / 2) / best)
    assert np.isnan(value[2])


@pytest.mark.parametrize("name", ["rmse", "dcg", "dcg@0", "dcg@x", "mse@5", "mea"])
def test_unreadable_names_are_refused_in_words(name):
    with pytest.raises(StudyError):
        parse_metric(name)


def test_the_near_miss_is_named():
    with pytest.raises(StudyError, match="Did you mean 'recall'"):
        parse_metrics("recal@5")


def test_ties_keep_the_order_of_the_item_table_whatever_the_block():
    prediction = np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    assert places(prediction).tolist() == [[2, 3, 1], [1, 2, 3]]
    users, items = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    assert lists_of_cells(users, items, prediction.ravel()).tolist() == [2, 3, 1, 1, 2, 3]


def test_items_that_do_not_compete_have_no_place_even_with_the_highest_score():
    assert places(np.array([[9.0, -5.0, 1.0]]), np.array([[False, True, True]])).tolist() == [
        [0, 2, 1]
    ]


def test_the_residual_law_equals_the_mean_over_its_residuals():
    rng = np.random.default_rng(0)
    residuals = rng.normal(0.1, 1.0, 57)
    law = ResidualLaw(residuals)
    mean, prediction = rng.normal(3, 1, 20), rng.normal(3, 1, 20)
    outcomes = mean[:, None] + residuals
    np.testing.assert_allclose(
        law.squared_error(mean, prediction),
        np.square(outcomes - prediction[:, None]).mean(1),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        law.absolute_error(mean, prediction),
        np.abs(outcomes - prediction[:, None]).mean(1),
        rtol=1e-12,
    )
    for gain in (Gain(), Gain(3.2), Gain(form="exponential")):
        np.testing.assert_allclose(law.gain(mean, gain), gain.of(outcomes).mean(1), rtol=1e-12)


def test_a_long_residual_law_is_kept_in_equal_parts():
    rng = np.random.default_rng(0)
    residuals, weights = rng.normal(0.1, 1.0, 30_000), rng.exponential(size=30_000)
    law = ResidualLaw(residuals, weights)
    share = weights / weights.sum()
    mean, prediction = rng.normal(3, 1, 20), rng.normal(3, 1, 20)
    outcomes = mean[:, None] + residuals
    np.testing.assert_allclose(
        law.squared_error(mean, prediction),
        np.square(outcomes - prediction[:, None]) @ share,
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        law.absolute_error(mean, prediction),
        np.abs(outcomes - prediction[:, None]) @ share,
        atol=1 / 4096,  # at most one part is split, and parts are narrower than 1 but for the tails
    )
    np.testing.assert_allclose(law.gain(mean, Gain(3.2)), (outcomes >= 3.2) @ share, atol=1 / 4096)


def test_the_bernoulli_law_is_the_mixture_of_both_outcomes():
    law = BernoulliLaw()
    mean, prediction = np.array([0.25, 1.2]), np.array([0.5, 0.1])
    np.testing.assert_allclose(law.squared_error(mean, prediction), [0.25, 0.81])
    np.testing.assert_allclose(law.absolute_error(mean, prediction), [0.5, 0.9])
    np.testing.assert_allclose(law.gain(mean, Gain(1.0)), [0.25, 1.0])
