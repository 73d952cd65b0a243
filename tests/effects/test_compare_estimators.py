"""Estimators side by side: each as it would be alone, and their differences with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.tree import DecisionTreeClassifier

import causalrec as cr
from causalrec.effects._quick import propensities
from causalrec.errors import ResultError
from causalrec.scores import effect_score


@pytest.fixture(scope="module")
def world() -> Any:
    return cr.simulate("shop", n_users=300, n_items=80, random_state=3)


@pytest.fixture(scope="module")
def effect(world: Any) -> Any:
    return cr.estimate_effect(world.log, world.graph, n_repeats=1)


@pytest.mark.parametrize("estimator", ["regression", "snips", "ips"])
def test_each_is_what_it_would_be_alone(world: Any, effect: Any, estimator: Any) -> None:
    alone = cr.estimate_effect(world.log, world.graph, estimator=estimator, n_repeats=1)
    row = effect.compare_estimators()[estimator]
    assert row.value == pytest.approx(alone.value, abs=1e-9)
    assert row.standard_error == pytest.approx(alone.standard_error, rel=1e-6)
    assert row.estimator == estimator


def test_the_estimate_that_was_asked_stands_first(effect: Any) -> None:
    found = effect.compare_estimators()
    assert found.kind == "estimators"
    first = found.rows[0]
    assert (first.label, first.value, first.lower) == ("dr", effect.value, effect.rows[0].lower)
    gap = found["regression - dr"]
    assert gap.value == pytest.approx(found["regression"].value - found["dr"].value)
    assert gap.derived_from == ("regression", "dr")
    # on the same rows: the difference is better known than either
    assert gap.standard_error < first.standard_error
    assert "do not differ beyond chance" in found.answer
    assert found.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("estimator", "others"), [("snips", {"ips"}), ("regression", set()), ("ips", {"snips"})]
)
def test_what_was_not_fitted_is_not_compared(world: Any, estimator: Any, others: Any) -> None:
    found = cr.estimate_effect(
        world.log, world.graph, estimator=estimator, n_repeats=1
    ).compare_estimators()
    labels = {row.label for row in found.rows if not row.derived_from}
    assert estimator in labels
    assert others <= labels
    assert len(found.notes) > 1


def test_by_econml_it_is_not_compared_with_itself(world: Any) -> None:
    for estimator, others in (
        ("dr-learner", ["snips", "ips"]),
        ("linear-dml", ["snips", "ips"]),
    ):
        asked: Any = estimator
        found = cr.estimate_effect(world.log, world.graph, estimator=asked, n_repeats=1)
        rows = found.compare_estimators().rows
        assert [row.label for row in rows if not row.derived_from] == [estimator, *others]


@pytest.mark.parametrize("estimator", ["dr", "dr-learner", "causal-forest-dml"])
def test_regression_by_models_of_unknown_error_is_left_out(world: Any, estimator: Any) -> None:
    options = {"outcome_model": DecisionTreeClassifier(max_depth=3)} if estimator == "dr" else {}
    found = cr.estimate_effect(
        world.log, world.graph, estimator=estimator, n_repeats=1, random_state=0, **options
    ).compare_estimators()
    assert not any("regression" in row.label for row in found.rows)
    assert any("Regression is left out" in note for note in found.notes)
    assert found[f"snips - {estimator}"].standard_error > 0
    # "dr" stacks its propensities' error; the learners by EconML do not, and say what that does
    told = any("wide rather than narrow" in note for note in found.notes)
    assert told == (estimator != "dr")


def test_a_regression_by_models_of_unknown_error_has_no_differences(world: Any) -> None:
    found = cr.estimate_effect(
        world.log, world.graph, estimator="regression", n_repeats=1, random_state=0,
        outcome_model=DecisionTreeClassifier(max_depth=3),
    ).compare_estimators()  # fmt: skip
    assert [row.label for row in found.rows] == ["regression", "dr"]
    assert "not told" in found.answer
    assert any("would be too narrow" in note for note in found.notes)


def test_weighting_by_propensities_of_unknown_error_has_no_interval_on_the_exposed(
    world: Any,
) -> None:
    found = cr.estimate_effect(
        world.log, world.graph, estimator="dr-learner", estimand="att", n_repeats=1
    ).compare_estimators()
    row = found["snips"]
    assert row.value is not None
    assert (row.standard_error, row.lower, row.upper, row.p_value) == (None, None, None, None)
    assert "no interval" in row.note
    assert "own error is not known) by snips" in found.answer
    assert found["dr-learner"].lower is not None
    assert found["snips - dr-learner"].lower is not None
    assert found.from_json(found.to_json()) == found


def test_estimated_propensities_are_no_given_ones(world: Any) -> None:
    model = cr.PropensityModel("boosting", random_state=0).fit(world.log, world.graph)
    found = cr.estimate_effect(
        world.log, world.graph, propensity=model, estimand="atu", n_repeats=1, random_state=0
    ).compare_estimators()
    bare = [row.label for row in found.rows if row.lower is None]
    assert bare == ["snips", "ips"]
    assert any("snips and ips have no interval" in note for note in found.notes)


def _weighted_mean_difference(target: str, sign: float, n_draws: int) -> tuple[float, float]:
    """Return the sd of weighting by a fitted propensity, and its mean error with it as known."""
    rng = np.random.default_rng(1)
    values, errors = [], []
    for _ in range(n_draws):
        x = rng.normal(size=1000)
        a = (rng.random(1000) < expit(x)).astype(float)
        y = np.where(a == 1.0, sign * x, x) + 0.3 * rng.normal(size=1000)
        p = propensities(np.column_stack([np.ones(1000), x]), a)
        score = effect_score(y, a, p, estimator="snips", target=target)  # type: ignore[arg-type]
        influence = score.numerator - score.denominator * score.value
        values.append(float(score.value[0]))
        errors.append(float(influence.std() / score.denominator.mean() / np.sqrt(1000)))
    return float(np.std(values)), float(np.mean(errors))


def test_propensities_as_known_are_wide_for_all_and_can_be_narrow_for_some() -> None:
    # The sd of 400 draws is known to 1 / sqrt(800) = 3.5 %: three of these stand between.
    spread, error = _weighted_mean_difference("ate", 1.0, 400)
    assert error > spread * 1.11
    for target in ("att", "overlap"):
        spread, error = _weighted_mean_difference(target, -1.0, 400)
        assert error < spread / 1.11


def test_a_wrong_outcome_model_shows_itself() -> None:
    """Regression is wrong where the outcome is no line of the covariate; the others tell."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(500), 30)
    x = rng.normal(size=len(users))
    p = 1 / (1 + np.exp(-1.5 * (np.abs(x) - 0.8)))
    a = (rng.random(len(users)) < p).astype(int)
    y = 0.2 * a + x**2 + rng.normal(size=len(users))
    events = pd.DataFrame({
        "user_id": users, "item_id": rng.integers(0, 200, len(users)), "a": a, "y": y, "x": x,
    })  # fmt: skip
    log = cr.InteractionLog(events, outcome="y", exposure="a")
    graph = cr.CausalGraph.from_dot(
        "digraph { a [role=exposure]; y [role=outcome]; x [entity=event]; x -> a; x -> y; a -> y }"
    )
    found = cr.estimate_effect(log, graph, propensity=p, n_repeats=1).compare_estimators()
    assert abs(found["dr"].value - 0.2) < 4 * found["dr"].standard_error
    assert found["regression"].value > 0.5
    assert "disagree beyond chance (regression - dr" in found.answer


def test_a_reloaded_effect_has_no_nuisances(effect: Any) -> None:
    with pytest.raises(ResultError, match="reloaded"):
        type(effect).from_json(effect.to_json()).compare_estimators()
