"""Validation of predicted effects, forests and policy trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects import effect_forest, effect_policy, validate_effects
from causalrec.effects._ranking import rank_weighted
from causalrec.errors import DataError, StudyError


@pytest.fixture(scope="module")
def world() -> Any:
    return cr.simulate("shop", n_users=400, n_items=60, random_state=3)


@pytest.fixture(scope="module")
def effect(world: Any) -> Any:
    return cr.estimate_effect(world.log, world.graph, n_repeats=1)


def of_rows(world: Any) -> np.ndarray:
    found: np.ndarray = world.potential.effect[world.log.user_codes, world.log.item_codes]
    return found


def test_rank_weighted_effects_are_areas_under_the_targeting_curve() -> None:
    rng = np.random.default_rng(0)
    tau, prediction = rng.normal(size=50), rng.normal(size=50)
    ranked = tau[np.argsort(-prediction)]
    curve = np.array([ranked[:k].mean() - tau.mean() for k in range(1, 51)])
    value, _, weight = rank_weighted(tau, prediction)
    assert value == pytest.approx([curve.mean(), (np.arange(1, 51) / 50 * curve).mean()], abs=1e-12)
    assert value == pytest.approx((weight * tau[:, None]).mean(axis=0), abs=1e-12)


def test_the_influence_of_ranks_is_what_leaving_rows_out_shows() -> None:
    """Leave out one block of 200: the jackknife has the standard error of the influence."""
    rng = np.random.default_rng(1)
    n, blocks = 20_000, 200
    prediction = rng.normal(size=n)
    tau = 1.0 + np.tanh(prediction) + rng.normal(size=n)
    block = rng.integers(0, blocks, n)
    _, influence, _ = rank_weighted(tau, prediction)
    sums = np.column_stack([np.bincount(block, influence[:, k]) for k in (0, 1)]) / n
    by_influence = np.sqrt((sums**2).sum(axis=0))
    left = np.array(
        [rank_weighted(tau[block != b], prediction[block != b])[0] for b in range(blocks)]
    )
    jackknife = np.sqrt((blocks - 1) / blocks * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    assert by_influence == pytest.approx(jackknife, rel=0.02)
    without = rank_weighted(tau, prediction)[2] * (tau - tau.mean())[:, None]
    sums = np.column_stack([np.bincount(block, without[:, k]) for k in (0, 1)]) / n
    assert np.abs(np.sqrt((sums**2).sum(axis=0)) / jackknife - 1).max() > 0.05  # ranks matter


def test_true_effects_are_calibrated_and_noise_knows_nothing(world: Any, effect: Any) -> None:
    truth = of_rows(world)
    right = validate_effects(effect, truth)
    slope, autoc = right["calibration slope"], right["AUTOC"]
    assert slope.lower < 1 < slope.upper
    assert autoc.lower > 0
    assert right.answer.startswith("The predictions tell")
    assert right["mean effect"].value == pytest.approx(effect.value, abs=1e-12)
    assert right["mean effect"].standard_error == pytest.approx(effect.standard_error, rel=1e-9)
    noise = validate_effects(effect, np.random.default_rng(0).normal(size=world.log.n_rows))
    for label in ("calibration slope", "AUTOC", "Qini"):
        assert noise[label].lower < 0 < noise[label].upper
    doubled = validate_effects(effect, lambda log: 2 * truth)
    assert doubled["calibration slope"].value == pytest.approx(slope.value / 2, rel=1e-9)
    assert doubled["AUTOC"].value == pytest.approx(autoc.value, rel=1e-9)
    reversed_ = validate_effects(effect, -truth)
    assert reversed_.answer.startswith("The predictions have it the wrong way round")


def test_predictions_learned_from_the_same_rows_flatter_themselves(effect: Any) -> None:
    """What the held-out users are for: the score itself predicts itself."""
    tau = (
        effect.internal("computation")
        ._plain(np.zeros(effect.internal("computation").population.rows.n_rows, dtype=np.int64), 1)
        .numerator[:, 0]
    )
    found = validate_effects(effect, tau)
    assert found["calibration slope"].value == pytest.approx(1.0, abs=1e-9)
    assert found["AUTOC"].value > 0.5  # the true effects have .14
    assert "held-out users" in [one.name for one in found.assumptions]


def test_predictions_of_some_rows_are_judged_on_these(world: Any, effect: Any) -> None:
    prediction = np.where(world.log.user_codes % 2 == 0, of_rows(world), np.nan)
    found = validate_effects(effect, prediction)
    judged = int((world.log.user_codes % 2 == 0).sum())
    assert {row.n for row in found.rows} == {judged}
    assert found.rows[0].clusters["user"] == 200
    table = found.tables[0]
    assert [line[0] for line in table.rows] == [f"band {k}" for k in range(1, 6)]
    assert sum(int(line[1]) for line in table.rows) == judged


def test_predictions_that_cannot_be_judged_are_refused(world: Any, effect: Any) -> None:
    n = world.log.n_rows
    few = np.where(world.log.user_codes < 3, np.arange(n), np.nan)
    for bad, message in (
        (np.ones(3), "one number for each of the"),
        (np.full(n, np.nan), "there must be a finite one"),
        (np.full(n, np.inf), "infinite"),
        (np.full(n, 0.2), "rank nobody"),
        (few, "held-out users are needed"),
    ):
        with pytest.raises(DataError, match=message):
            validate_effects(effect, bad)


def test_a_forest_learns_from_some_users_and_is_judged_on_others(world: Any, effect: Any) -> None:
    found = effect_forest(effect, ["quality", "age", "category"], n_trees=40, max_rows=6000)
    predictions = found.internal("predictions")
    held = np.isfinite(predictions)
    assert set(world.log.user_codes[held]).isdisjoint(world.log.user_codes[~held])
    assert np.corrcoef(predictions[held], of_rows(world)[held])[0, 1] > 0.25
    assert found["AUTOC"].lower > 0
    assert any("max_rows" in note for note in found.notes)
    assert next(a for a in found.assumptions if a.name == "held-out users").status == "by design"
    again = effect_forest(effect, ["quality", "age", "category"], n_trees=40, max_rows=6000)
    assert np.array_equal(predictions, again.internal("predictions"), equal_nan=True)


def test_a_forest_is_judged_by_known_propensities(world: Any) -> None:
    known = cr.KnownPropensity(world.potential.row_propensity, of="exposure")
    effect = cr.estimate_effect(world.log, world.graph, propensity=known, n_repeats=1)
    found = effect_forest(effect, ["quality"], n_trees=40)
    assert found["mean effect"].value is not None
    with pytest.raises(StudyError, match="multiple of 4"):
        effect_forest(effect, ["quality"], n_trees=10)


def test_a_tree_gains_where_an_exposure_costs_something(
    world: Any, effect: Any, tmp_path: Any
) -> None:
    cost = 0.15
    found = effect_policy(effect, ["quality", "gender", "category"], cost=cost)
    exposes, net = found.internal("exposes"), of_rows(world) - cost
    none, everybody = found["tree - expose none"], found["tree - expose all"]
    assert none.lower < (net * exposes).mean() < none.upper
    assert everybody.lower < (net * (exposes - 1.0)).mean() < everybody.upper
    difference = none.value - everybody.value
    assert found["expose all - expose none"].value == pytest.approx(difference, abs=1e-12)
    assert 0.2 < found["share exposed"].value < 0.8
    assert sum(int(line[2]) for line in found.tables[0].rows) == none.n
    cr.write_report(found, tmp_path / "policy.html")


def test_a_tree_exposes_all_that_pays_and_none_that_does_not(effect: Any) -> None:
    cheap = effect_policy(effect, ["gender"], cost=-1.0)
    dear = effect_policy(effect, ["gender"], cost=1.0)
    assert cheap["share exposed"].value == 1.0
    assert cheap["tree - expose all"].value == 0.0
    assert dear["share exposed"].value == 0.0
    assert dear["tree - expose none"].value == 0.0


def test_policies_that_mean_nothing_are_refused(world: Any, effect: Any) -> None:
    reverse = cr.estimate_effect(world.log, world.graph, n_repeats=1, contrast=(0, 1))
    for found, options, message in (
        (reverse, {}, "contrast=\\(1, 0\\)"),
        (effect, {"max_depth": 0}, "max_depth=0"),
        (effect, {"share": 0.999}, "at least 10 users"),
    ):
        with pytest.raises(StudyError, match=message):
            effect_policy(found, ["gender"], **options)


def test_the_verbs_of_an_effect_are_these_functions(world: Any, effect: Any) -> None:
    truth = of_rows(world)
    assert effect.validate_cate(truth).rows == validate_effects(effect, truth).rows
    forest = effect.forest(["quality"], n_trees=8)
    assert forest.rows == effect_forest(effect, ["quality"], n_trees=8).rows
    tree = effect.policy_tree(["gender"], cost=0.1)
    assert tree.rows == effect_policy(effect, ["gender"], cost=0.1).rows
