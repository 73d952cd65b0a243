"""Interference is seen where a slate column lets it be seen, and said to be unseen elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._interference import (
    CHANGE,
    ON_OTHERS,
    SPILLOVER,
    Neighbours,
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


@pytest.mark.slow
def test_neighbours_that_do_not_matter_are_left_alone() -> None:
    seen, n = np.zeros(4), 400
    for seed in range(n):
        _, log = _log(0.0, seed=seed, n_users=200)
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
    # binomial error of 400 replicates at 5 %: .011
    assert (seen[:3] / n > 0.015).all()
    assert (seen / n < 0.085).all()


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
