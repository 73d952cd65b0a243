"""Row weights: the effect on the population that they make of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import CausalRecError, DataError, StudyError

FAST: Any = {"n_repeats": 1, "n_folds": 2}


@pytest.fixture(scope="module")
def shop() -> Any:
    return cr.simulate("shop", n_users=400, n_items=80, random_state=6)


def duplicated(world: Any, weights: np.ndarray) -> cr.InteractionLog:
    events = world.events.loc[np.repeat(np.arange(len(weights)), weights)].reset_index(drop=True)
    return cr.InteractionLog(events, users=world.users, items=world.items, **world.log_columns)


@pytest.mark.parametrize("estimand", ["ate", "att", "overlap"])
@pytest.mark.parametrize("estimator", ["dr", "ips", "snips", "regression"])
def test_a_row_of_weight_two_is_two_rows(shop: Any, estimator: Any, estimand: Any) -> None:
    weights = np.where(shop.log.column("activity").to_numpy() > 0.5, 2, 1)
    asked: Any = {"estimator": estimator, "estimand": estimand, **FAST}
    once = cr.estimate_effect(shop.log, shop.graph, weights=weights, **asked)
    twice = cr.estimate_effect(duplicated(shop, weights), shop.graph, **asked)
    assert once.value == pytest.approx(twice.value, abs=1e-7)  # the solver's own tolerance
    assert once.naive == pytest.approx(twice.naive, abs=1e-10)
    # Two-way clusters see the same sums of users and items; rows of one cell differ a little.
    assert once.standard_error == pytest.approx(twice.standard_error, rel=0.02)


def test_two_copies_of_positions_too() -> None:
    feed = cr.simulate("social", n_users=200, n_items=60, random_state=2)
    weights = np.where(feed.log.column("interest").to_numpy() > 0.0, 2, 1)
    once = cr.estimate_effect(feed.log, feed.graph, contrast=(1, 5), weights=weights, **FAST)
    events = feed.events.loc[np.repeat(np.arange(len(weights)), weights)].reset_index(drop=True)
    log = cr.InteractionLog(events, users=feed.users, items=feed.items, **feed.log_columns)
    twice = cr.estimate_effect(log, feed.graph, contrast=(1, 5), **FAST)
    assert once.value == pytest.approx(twice.value, abs=1e-7)
    assert once.standard_error == pytest.approx(twice.standard_error, rel=0.02)


@pytest.mark.parametrize("estimator", ["dr", "ips", "snips", "regression"])
def test_the_truth_of_the_reweighted_population(shop: Any, estimator: Any) -> None:
    log = shop.log
    weights = np.exp(1.5 * log.column("activity").to_numpy())
    tau = shop.potential.effect[log.user_codes, log.item_codes]
    truth, plain = np.average(tau, weights=weights), tau.mean()
    found = cr.estimate_effect(log, shop.graph, weights=weights, estimator=estimator, **FAST)
    assert abs(found.value - truth) < 3 * found.standard_error
    unweighted = cr.estimate_effect(log, shop.graph, estimator=estimator, **FAST)
    # The weights move the estimate as they move the truth, much more precisely than either is
    # known: the error of the difference is that of the same rows.
    assert abs((found.value - unweighted.value) - (truth - plain)) < found.standard_error
    assert abs(truth - plain) > 0.003


def test_a_column_of_weights_and_the_words(shop: Any) -> None:
    events = shop.events.assign(audience=np.where(np.arange(len(shop.events)) % 3 == 0, 0.0, 1.5))
    log = cr.InteractionLog(events, users=shop.users, items=shop.items, **shop.log_columns)
    found = cr.estimate_effect(log, shop.graph, weights="audience", **FAST)
    array = cr.estimate_effect(shop.log, shop.graph, weights=events["audience"].to_numpy(), **FAST)
    assert found.value == array.value
    kept = cr.estimate_effect(
        log.select(events["audience"].to_numpy() > 0), shop.graph, propensity=None, **FAST
    )
    # Equal weights are the rows themselves; the ridge counts 1.5 times less beside them.
    assert found.value == pytest.approx(kept.value, abs=1e-3)
    assert found.rows[0].population == "supported rows, weighted by 'audience'"
    worth = sum(events["audience"]) ** 2 / sum(events["audience"] ** 2)
    assert any(f"are worth {worth:,.0f} of equal weight" in note for note in found.notes)
    assert found.provenance.config["weighting"] == "'audience'"
    assert len(found.by("gender").rows) == 3
    for ask in (found.sensitivity, lambda: found.refute(log), lambda: found.modifiers(["gender"])):
        with pytest.raises(StudyError, match="without weights"):
            ask()


@pytest.mark.parametrize("estimator", ["iv", "front-door", "econml"])
def test_estimators_that_do_not_weight_rows_say_so(shop: Any, estimator: Any) -> None:
    with pytest.raises(StudyError, match="does not take row weights"):
        cr.estimate_effect(shop.log, shop.graph, weights=np.ones(shop.log.n_rows),
                           estimator=estimator)  # fmt: skip


def test_units_that_do_not_weight_rows_say_so(shop: Any) -> None:
    with pytest.raises(StudyError, match="Weights are of rows, and unit='user'"):
        cr.estimate_effect(shop.log, shop.graph, weights=np.ones(shop.log.n_rows), unit="user")


def test_weights_that_are_none(shop: Any) -> None:
    n = shop.log.n_rows
    some = np.ones(n)
    some[:7] = [-1.0, np.nan, np.inf, -2.0, 1.0, 1.0, -3.0]
    for weights, message in (
        (some, rf"5 of {n:,} rows.*row 0: -1.0.*weight 0"),
        (np.zeros(n), "nobody is left to speak of"),
        (np.ones(n - 1), rf"but the log has {n:,} rows"),
        ("gender", "are not numbers"),
        ("activty", "Did you mean 'activity'"),
    ):
        with pytest.raises(DataError, match=f"(?s){message}"):
            cr.estimate_effect(shop.log, shop.graph, weights=weights)


def test_weights_do_not_move_the_population_of_a_constant_effect() -> None:
    """Weighting by the exposure's own cause makes the naive number worse, not the adjusted one."""
    rng = np.random.default_rng(3)
    users = pd.DataFrame({"user_id": range(300), "x": rng.uniform(-1, 1, 300)})
    events = pd.DataFrame(
        {"user_id": np.repeat(range(300), 20), "item_id": np.tile(range(20), 300)}
    )
    x = users["x"].to_numpy()[events["user_id"]]
    exposed = rng.random(len(x)) < 1 / (1 + np.exp(-1.5 * x))
    events = events.assign(exposed=exposed.astype(int), y=2.0 * exposed + 3.0 * x)
    log = cr.InteractionLog(events, users=users, outcome="y", exposure="exposed")
    graph = cr.CausalGraph.from_dot(
        "digraph { e [role=exposure, column=exposed]; y [role=outcome]; x [entity=user];"
        " x -> {e y}; e -> y; }"
    )
    found = cr.estimate_effect(log, graph, weights=np.exp(x), sampled=("user",), **FAST)
    assert found.value == pytest.approx(2.0, abs=0.01)
    assert found.naive > 3.0


def test_a_row_of_weight_zero_is_as_absent() -> None:
    shop = cr.simulate("shop", n_users=120, n_items=30, random_state=4)
    counts = np.arange(shop.log.n_rows) < 900
    weighted = cr.estimate_effect(shop.log, shop.graph, weights=counts * 1.0, n_repeats=1)
    alone = cr.estimate_effect(shop.log.select(counts), shop.graph, n_repeats=1)
    assert weighted.value == pytest.approx(alone.value, abs=1e-9)
    assert weighted.standard_error == pytest.approx(alone.standard_error, rel=1e-6)
    words = f"{shop.log.n_rows - 900:,} rows of weight 0 are left out"
    assert any(words in note for note in weighted.notes)


def test_three_rows_of_any_weight_are_refused_in_words() -> None:
    shop = cr.simulate("shop", n_users=120, n_items=30, random_state=4)
    weights = (np.arange(shop.log.n_rows) < 3) * 1.0
    with pytest.raises(CausalRecError):
        cr.estimate_effect(shop.log, shop.graph, weights=weights, n_repeats=1)


def test_a_series_in_another_order_is_refused() -> None:
    shop = cr.simulate("shop", n_users=60, n_items=20, random_state=4)
    weights = pd.Series(np.linspace(1.0, 2.0, shop.log.n_rows)).sample(frac=1.0, random_state=0)
    with pytest.raises(DataError, match="not known which row"):
        cr.estimate_effect(shop.log, shop.graph, weights=weights, n_repeats=1)
