"""DoWhy's refuters are asked in a way that avoids each of their traps."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects import _second_opinion
from causalrec.effects._adjustment import Adjustment
from causalrec.effects._second_opinion import _frame, _run, sample_users

NAMES = ("DoWhy: linear regression", "DoWhy: placebo exposure", "DoWhy: random common cause")


@pytest.fixture(scope="module", autouse=True)
def fewer() -> Any:
    """Return the module with fewer simulations: enough for traps, and quicker."""
    patch = pytest.MonkeyPatch()
    patch.setattr(_second_opinion, "SIMULATIONS", 20)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def world() -> Any:
    return cr.simulate("shop", n_users=100, n_items=60, random_state=3)


@pytest.fixture(scope="module")
def effect(world: Any) -> Any:
    return cr.estimate_effect(world.log, world.graph, n_repeats=1)


@pytest.fixture(scope="module")
def found(world: Any, effect: Any) -> Any:
    return effect.refute(world.log, n_draws=2, second_opinion=True)


def test_a_sound_estimate_passes(found: Any) -> None:
    estimate, placebo, cause = (found[name] for name in NAMES)
    assert estimate.value > 0.1
    assert abs(placebo.value) < 0.02
    assert cause.value == pytest.approx(estimate.value, abs=0.01)
    assert placebo.p_value > 0.05
    assert cause.p_value > 0.05
    assert "independent" in found.notes[-1]


def test_simulations_differ_though_the_seed_is_fixed(effect: Any, found: Any) -> None:
    # trap: an integer seed (or n_jobs > 1) repeats one simulation, sd 0, p 0. Were it so here, the
    # mean of 20 simulations would be the mean of 2
    frame, names = _asked(effect)
    placebo_20 = _run(frame, names, 0)[1][0]
    patch = pytest.MonkeyPatch()
    patch.setattr(_second_opinion, "SIMULATIONS", 2)
    placebo_2 = _run(frame, names, 0)[1][0]
    patch.undo()
    assert placebo_20 == found[NAMES[1]].value
    assert placebo_20 != placebo_2


@pytest.mark.filterwarnings("ignore")
def test_dowhys_subset_does_repeat_itself_and_ours_does_not(world: Any, effect: Any) -> None:
    from dowhy.causal_refuters import data_subset_refuter

    frame, names = _asked(effect)
    estimand, estimate = _second_opinion.identify_and_estimate(frame, names)
    seen: list[float] = []
    patch = pytest.MonkeyPatch()

    def keep(estimate: Any, simulated: Any, *args: Any, **kwargs: Any) -> Any:
        seen.extend(np.asarray(simulated).tolist())
        return {"p_value": None, "is_statistically_significant": None}

    patch.setattr(data_subset_refuter, "test_significance", keep)
    data_subset_refuter.refute_data_subset(
        frame.copy(), estimand, estimate, num_simulations=5, random_state=1
    )
    patch.undo()
    assert len(seen) == 5
    assert len(set(seen)) == 1  # the trap, in DoWhy 0.14
    draws = [row[3] for row in effect.refute(world.log, n_draws=5, random_state=1).tables[0].rows]
    assert len(set(draws)) == 5


def _asked(effect: Any) -> Any:
    computation = effect.internal("computation")
    rows = computation.population.rows
    adjustment = Adjustment.of(rows, effect.internal("columns"))
    return _frame(computation, adjustment, sample_users(computation, 0))


@pytest.mark.filterwarnings("ignore")
def test_dowhy_is_asked_for_one_job_and_given_a_generator(effect: Any) -> None:
    # trap: n_jobs > 1 hands every task a copy of one RandomState
    import dowhy.causal_refuters as refuters

    seen: list[Any] = []
    patch = pytest.MonkeyPatch()
    for name in ("refute_placebo_treatment", "refute_random_common_cause"):
        original = getattr(refuters, name)

        def record(*args: Any, original: Any = original, **options: Any) -> Any:
            seen.append((options["n_jobs"], type(options["random_state"])))
            return original(*args, **options)

        patch.setattr(refuters, name, record)
    frame, names = _asked(effect)
    _run(frame, names, 0)
    patch.undo()
    assert seen == [(1, np.random.RandomState)] * 2


def test_a_stale_propensity_column_is_not_read(world: Any, effect: Any, found: Any) -> None:
    # trap: a column called propensity_score in the frame is reused
    stale = np.random.default_rng(0).random(world.log.n_rows)
    log = cr.InteractionLog(
        world.events.assign(propensity_score=stale, ips_weight=1 / stale),
        users=world.users,
        items=world.items,
        **world.log_columns,
    )
    again = cr.estimate_effect(log, world.graph, n_repeats=1)
    frame, _ = _asked(again)
    assert not [name for name in frame if "propensity" in name or "ips" in name]
    refuted = again.refute(log, n_draws=2, second_opinion=True)
    assert refuted.rows == found.rows
    before = list(frame)
    _run(frame, [name for name in before if name.startswith("w")], 0)
    assert list(frame) == before  # and DoWhy writes into copies only


def test_the_global_generator_is_neither_read_nor_moved(
    world: Any, effect: Any, found: Any
) -> None:
    # trap: the default placebo draws from it
    np.random.seed(11)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = effect.refute(world.log, n_draws=2, second_opinion=True)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert again == found
    other = effect.refute(world.log, n_draws=2, second_opinion=True, random_state=1)
    assert other[NAMES[1]].value != found[NAMES[1]].value


def test_the_random_common_cause_is_really_added(found: Any) -> None:
    # trap: under general_adjustment it is a no-op, the new effect identical and p NaN
    assert found[NAMES[2]].value != found[NAMES[0]].value
    assert found[NAMES[2]].p_value is not None


def test_it_speaks_of_whole_users_within_its_limit(effect: Any) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(_second_opinion, "MOST_ROWS", 1000)
    computation = effect.internal("computation")
    inside = sample_users(computation, 0)
    patch.undo()
    users = computation.population.rows.user_codes
    assert 900 < inside.sum() <= 1000
    assert not set(users[inside]) & set(users[~inside])


def test_it_is_quiet(world: Any, effect: Any, capfd: Any, caplog: Any) -> None:
    with caplog.at_level(logging.ERROR):
        effect.refute(world.log, n_draws=2, second_opinion=True)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
