"""Estimators side by side: each as it would be alone, and their differences with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import ResultError


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
        ("dr-learner", ["regression", "snips", "ips"]),
        ("linear-dml", ["snips", "ips"]),
    ):
        asked: Any = estimator
        found = cr.estimate_effect(world.log, world.graph, estimator=asked, n_repeats=1)
        rows = found.compare_estimators().rows
        assert [row.label for row in rows if not row.derived_from] == [estimator, *others]


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
