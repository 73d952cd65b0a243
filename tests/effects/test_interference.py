"""Interference is seen where a slate column lets it be seen, and said to be unseen elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.effects._interference import (
    CHANGE,
    ON_OTHERS,
    PARTS,
    SPILLOVER,
    Neighbours,
    Parts,
    _found,
    _rows,
)
from causalrec.errors import DataError


def _log(interference: float, seed: int = 2, n_users: int = 1000) -> tuple[Any, Any]:
    """Return a shop whose candidates of a user stand in one slate, and its log."""
    world: Any = cr.simulate(
        "shop", n_users=n_users, n_items=60, n_candidates=10, random_state=seed,
        interference=interference,
    )  # fmt: skip
    log = cr.InteractionLog(
        world.events.assign(slate=world.events["user_id"]),
        users=world.users,
        items=world.items,
        slate="slate",
        **world.log_columns,
    )
    return world, log


@pytest.mark.parametrize(("interference", "seen"), [(0.0, False), (3.0, True)])
def test_neighbours_matter_where_they_do(interference: float, seen: bool) -> None:
    _, log = _log(interference)
    effect = cr.estimate_effect(log, cr.load_graph("exposure_click"), n_repeats=1)
    found = effect.interference(log)
    spill = found[SPILLOVER]
    status = found.assumptions[0].status
    if seen:
        assert spill.upper < 0  # crowding lowers purchases
        assert status == "violated"
        assert "seem to matter" in found.answer
    else:
        assert spill.lower < 0 < spill.upper
        assert status == "tested"
    left = found["effect, neighbours left out"]
    assert left.value == pytest.approx(effect.value, abs=effect.standard_error)
    assert found.from_json(found.to_json()) == found


def _share_seen(interference: float, n: int, n_users: int = 200) -> Any:
    """Return how often each of the three p is below .05 and how often a verdict falls, of n."""
    seen = np.zeros(4)
    computation: Any = None
    for seed in range(n):
        _, log = _log(interference, seed=seed, n_users=n_users)
        if seed == 0:
            effect = cr.estimate_effect(log, cr.load_graph("exposure_click"), n_repeats=1)
            computation, columns = effect.internal("computation"), effect.internal("columns")
        everybody = np.ones(log.n_rows, dtype=bool)
        population = replace(computation.population, log=log, rows=log, supported=everybody)
        neighbours = Neighbours.of(log, columns, everybody)
        assert isinstance(neighbours, Neighbours)
        rows = _rows(replace(computation, population=population), columns, neighbours)
        named = {row.label: row for row in rows}
        small = [named[label].p_value < 0.05 for label in (SPILLOVER, CHANGE, ON_OTHERS)]
        seen += [*small, _found(rows)]
    return seen / n


@pytest.mark.slow
def test_neighbours_that_do_not_matter_are_left_alone() -> None:
    share = _share_seen(0.0, 400)
    # binomial error of 400 replicates at 5 %: .011
    assert (share[:3] > 0.015).all(), share
    assert (share < 0.085).all(), share


@pytest.mark.slow
def test_neighbours_that_take_all_of_the_gain_are_mostly_seen_with_600_users() -> None:
    # At this strength an item's gain of .12 adds .02 to the total.
    share = _share_seen(1.0, 100, n_users=600)
    assert share[0] > 0.5, share
    assert share[2] > 0.5, share
    assert share[3] > 0.5, share


def test_exposures_that_are_tied_within_slates_cannot_be_told_apart() -> None:
    world, log = _log(1.0, n_users=300)
    effect = cr.estimate_effect(log, cr.load_graph("exposure_click"), n_repeats=1)
    columns, supported = effect.internal("columns"), np.ones(log.n_rows, dtype=bool)

    def answer(exposed: Any) -> Any:
        tied = cr.InteractionLog(
            world.events.assign(slate=world.events["user_id"], exposed=exposed),
            users=world.users,
            items=world.items,
            slate="slate",
            **world.log_columns,
        )
        return Neighbours.of(tied, columns, supported)

    place = world.events.groupby("user_id").cumcount()
    assert "exposure is tied" in answer((place < 3).astype(int))
    assert "unit='slate'" in answer((world.events["user_id"] % 2).astype(int))


def test_without_a_slate_it_says_that_it_cannot_be_checked() -> None:
    world: Any = cr.simulate("shop", n_users=150, n_items=40, random_state=1)
    effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
    found = effect.interference(world.log)
    assert found.rows == ()
    assert "cannot be checked" in found.answer
    assert found.assumptions[0].status == "untestable"
    other: Any = cr.simulate("shop", n_users=150, n_items=40, random_state=2)
    with pytest.raises(DataError, match="not the one"):
        effect.interference(other.log)


def test_slates_of_one_cannot_be_checked_either() -> None:
    world: Any = cr.simulate("shop", n_users=150, n_items=40, random_state=1)
    log = cr.InteractionLog(
        world.events.assign(slate=range(len(world.events))),
        users=world.users,
        items=world.items,
        slate="slate",
        **world.log_columns,
    )
    effect = cr.estimate_effect(log, world.graph, n_repeats=1)
    assert "same share" in effect.interference(log).answer


def _small_slates(size: int) -> Any:
    """Return a log of 600 slates of one size whose items are exposed by lot."""
    rng, n = np.random.default_rng(0), 600 * size
    events = pd.DataFrame({
        "user_id": np.arange(n) // (3 * size),
        "slate": np.arange(n) // size,
        "item_id": rng.integers(0, 200, n),
        "x": rng.normal(size=n),
        "shown": (rng.random(n) < 0.5).astype(int),
    })  # fmt: skip
    events["buy"] = events.x + 0.5 * events.shown + rng.normal(size=n)
    return cr.InteractionLog(events, outcome="buy", exposure="shown", slate="slate")


@pytest.mark.parametrize("estimand", ["ate", "att"])
@pytest.mark.parametrize(
    ("size", "shares"),
    [
        (2, ["0.00", "1.00"]),
        (3, ["0.00", "0.50", "1.00"]),
        (5, ["0.00 to 0.25", "0.50", "0.75 to 1.00"]),
    ],
)
def test_small_slates_of_one_size_are_compared_by_the_shares_they_have(
    size: int, shares: list[str], estimand: Any
) -> None:
    log = _small_slates(size)
    graph = cr.CausalGraph.from_dot(
        "digraph { a [role=exposure, column=shown]; y [role=outcome, column=buy]; x [column=x];"
        " x -> a; x -> y; a -> y }"
    )
    found = cr.estimate_effect(log, graph, estimand=estimand, n_repeats=1).interference(log)
    groups = [row for row in found.rows if row.label in PARTS]
    assert [row.note.rpartition(": ")[2] for row in groups] == shares
    for row in groups:
        assert abs(row.value - 0.5) < 4 * row.standard_error  # type: ignore[operator]
    assert found[SPILLOVER].p_value is not None


def test_one_share_makes_no_groups_and_many_make_thirds() -> None:
    counted = np.array([True, True, True, False])
    assert Parts.of(np.array([0.5, 0.5, 0.5, 1.0]), counted).labels == ()
    share = np.random.default_rng(0).random(900)
    thirds = Parts.of(share, np.ones(900, dtype=bool))
    assert np.bincount(thirds.codes).tolist() == [300, 300, 300]
    skewed = Parts.of(np.array([0.0] * 97 + [0.2, 0.4, 1.0]), np.ones(100, dtype=bool))
    assert np.bincount(skewed.codes).tolist() == [97, 1, 2]


def test_neighbours_who_all_have_one_share_are_refused_in_words() -> None:
    log = _small_slates(2)
    graph = cr.CausalGraph.from_dot(
        "digraph { a [role=exposure, column=shown]; y [role=outcome, column=buy]; x [column=x];"
        " x -> a; x -> y; a -> y }"
    )
    effect = cr.estimate_effect(log, graph, n_repeats=1)
    # In slates where both were exposed, or one alone: supported rows all look at the same.
    share = Neighbours.of(log, effect.internal("columns"), np.ones(log.n_rows, dtype=bool)).share
    alike = Neighbours.of(log, effect.internal("columns"), share == 1.0)
    assert "same share" in str(alike)
