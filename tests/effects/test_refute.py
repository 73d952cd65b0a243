"""Refuters fall where they should, and say what they cannot show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._adjustment import Adjustment
from causalrec.effects._draws import permute_within, some_users
from causalrec.effects._quick import Quick
from causalrec.effects._refute import _estimate
from causalrec.errors import DataError, ResultError, StudyError
from causalrec.reporting import write_report

UNMEASURED = 0.8


@pytest.fixture(scope="module")
def world() -> Any:
    return cr.simulate("shop", n_users=300, n_items=80, random_state=3)


@pytest.fixture(scope="module")
def effect(world: Any) -> Any:
    return cr.estimate_effect(world.log, world.graph, n_repeats=1)


@pytest.fixture(scope="module")
def refuted(world: Any, effect: Any) -> Any:
    return effect.refute(world.log)


def _with_columns(world: Any, **columns: Any) -> Any:
    """Return the world's log with more event columns."""
    return cr.InteractionLog(
        world.events.assign(**columns), users=world.users, items=world.items, **world.log_columns
    )


def _controls(unmeasured: float, seed: int) -> tuple[Any, Any]:
    """Return a world with two negative controls of the taste, and its log.

    The control outcome is a visit that taste and activity move; the control exposure a banner of
    another shop that is shown by taste and activity. Neither is part of the shop.
    """
    world: Any = cr.simulate(
        "shop", n_users=400, n_items=80, random_state=seed, unmeasured=unmeasured
    )
    log = world.log
    users, items = log.users.iloc[log.user_codes], log.items.iloc[log.item_codes]
    activity = users["activity"].to_numpy()
    known = -0.5 + 0.6 * activity - 0.25 * users["age"].to_numpy()
    known = known + 0.6 * items["quality"].to_numpy() - 0.35 * items["price"].to_numpy()
    p = world.potential.row_propensity
    taste = np.log(p / (1 - p)) - known  # zero where nothing is unmeasured
    rng = np.random.default_rng(seed)

    def draw(score: Any) -> Any:
        return (rng.random(len(score)) < 1 / (1 + np.exp(-score))).astype(int)

    visit, banner = draw(-1 + 0.4 * activity + taste), draw(0.3 * activity + taste)
    return world, _with_columns(world, visit=visit, banner=banner)


def test_every_refuter_of_a_sound_estimate_passes(effect: Any, refuted: Any) -> None:
    quick = refuted["quick estimate"]
    assert quick.value == pytest.approx(effect.value, abs=2 * effect.standard_error)
    placebo = refuted["placebo exposure"]
    # centred at zero within Monte Carlo error, and the estimate is beyond all draws
    assert abs(placebo.value) < 4 * placebo.standard_error / np.sqrt(100)
    assert placebo.p_value == pytest.approx(1 / 101)
    assert "centred at zero" in placebo.note
    for name in ("random common cause", "subset of users"):
        assert refuted[name].p_value > 0.05
        assert refuted[name].lower < quick.value < refuted[name].upper
    assert refuted["random common cause"].value == pytest.approx(quick.value, abs=2e-3)
    assert "None of this proves" in refuted.answer
    assert refuted.from_json(refuted.to_json()) == refuted


def test_report_draws_the_refuters(refuted: Any, tmp_path: Any) -> None:
    write_report(refuted, tmp_path / "found.html")
    text = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert "placebo exposure" in text
    assert "<svg" in text


def test_every_draw_is_kept_and_is_another_one(refuted: Any) -> None:
    draws = np.array(refuted.tables[0].rows)[:, 1:]
    assert draws.shape == (100, 3)
    for column in draws.T:
        assert np.unique(column).size == 100  # DoWhy's subset repeats one under an integer seed
    assert refuted["subset of users"].value == pytest.approx(draws[:, 2].mean())


def test_draws_depend_on_the_seed_alone(world: Any, effect: Any, refuted: Any) -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = effect.refute(world.log)
    assert again == refuted
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    other = effect.refute(world.log, random_state=1)
    assert other.tables[0].rows != refuted.tables[0].rows
    fewer = effect.refute(world.log, n_draws=7)
    assert fewer.tables[0].rows == refuted.tables[0].rows[:7]


def test_placebo_is_centred_at_zero_on_a_confounded_estimate_too() -> None:
    world: Any = cr.simulate("shop", n_users=400, n_items=80, random_state=5, unmeasured=UNMEASURED)
    found = cr.estimate_effect(world.log, cr.load_graph("exposure_click"), n_repeats=1)
    assert found.interval()[0] > world.truth["ate"]  # the estimate is wrong
    refuted = found.refute(world.log)
    placebo = refuted["placebo exposure"]
    assert abs(placebo.value) < 4 * placebo.standard_error / np.sqrt(100)
    assert refuted["subset of users"].p_value > 0.05
    assert any("cannot show confounding" in note for note in refuted.notes)


@pytest.mark.parametrize("seed", [5, 6])
def test_negative_controls_tell_an_unmeasured_taste(seed: int) -> None:
    options: Any = {
        "n_draws": 5,
        "negative_control_outcome": "visit",
        "negative_control_exposure": "banner",
    }
    for unmeasured in (0.0, UNMEASURED):
        _, log = _controls(unmeasured, seed)
        effect = cr.estimate_effect(log, cr.load_graph("exposure_click"), n_repeats=1)
        found = effect.refute(log, **options)
        for name in ("negative-control outcome", "negative-control exposure"):
            row = found[name]
            if unmeasured:
                assert row.p_value < 1e-4
                assert "unmeasured confounding" in row.note
            else:
                assert row.p_value > 0.01
                assert row.lower is not None
                assert row.lower < 0.01


@pytest.mark.parametrize("unmeasured", [0.0, UNMEASURED])
def test_controls_that_the_graph_declares_are_tested_by_default(unmeasured: float) -> None:
    _, log = _controls(unmeasured, 5)
    graph = cr.load_graph("negative_controls")
    effect = cr.estimate_effect(log, graph, n_repeats=1)
    found = effect.refute(log, n_draws=3)
    for name, column in (("outcome", "visit"), ("exposure", "banner")):
        row = found[f"negative-control {name}"]
        assert f"{column!r}" in row.note
        assert ("unmeasured confounding" in row.note) == bool(unmeasured)
        assert any(f"{column} is a negative-control {name}: it shares" in n for n in found.notes)
    # A named column stands in for the declared ones of its kind.
    other = effect.refute(log, n_draws=3, negative_control_outcome="age")
    assert "'age'" in other["negative-control outcome"].note
    assert "'banner'" in other["negative-control exposure"].note
    assert type(found).from_json(found.to_json()) == found


def test_controls_that_cannot_be_tested_are_named() -> None:
    world, log = _controls(0.0, 5)
    body = cr.load_graph("negative_controls").to_dot().rstrip().rstrip("}")
    more = "leaflet [role=negative_control_outcome]; taste -> leaflet;"
    more += "call [role=negative_control_outcome]; age -> call; call -> purchase; }"
    graph = cr.CausalGraph.from_dot(body + more)
    found = cr.estimate_effect(log, graph, n_repeats=1).refute(log, n_draws=3)
    text = " ".join(found.notes)
    assert "the log has no column 'leaflet': not tested" in text
    assert "the log has no column 'call': not tested" in text
    assert "'visit'" in found["negative-control outcome"].note
    # One that the graph itself joins to the exposure, and two of a kind.
    more_columns = {
        **{name: log.column(name).to_numpy() for name in ("visit", "banner")},
        "call": np.arange(log.n_rows) % 2,
        "leaflet": np.arange(log.n_rows) % 3,
    }
    joined = "taste -> leaflet; gender -> call; gender -> exposure; }"
    roles = "leaflet [role=negative_control_outcome]; call [role=negative_control_outcome];"
    graph = cr.CausalGraph.from_dot(body + f"gender [latent=yes]; {roles} {joined}")
    log = _with_columns(world, **more_columns)
    found = cr.estimate_effect(log, graph, n_repeats=1).refute(log, n_draws=3)
    assert "goes with exposure even if the graph is right (call <- gender -> exposure)" in " ".join(
        found.notes
    )
    labels = [row.label for row in found.rows]
    assert "negative-control outcome leaflet" in labels
    assert "negative-control outcome visit" in labels
    assert not any("call" in label for label in labels)


@pytest.mark.slow
def test_negative_controls_keep_their_rate_where_nothing_is_unmeasured() -> None:
    rejected, n = np.zeros(2), 400
    for seed in range(n):
        world: Any = cr.simulate("shop", n_users=120, n_items=60, random_state=seed)
        if seed == 0:
            effect = cr.estimate_effect(world.log, world.graph, n_repeats=1, n_folds=2)
            columns = effect.internal("columns")
        log = world.log
        rng = np.random.default_rng(seed)
        activity = log.column("activity").to_numpy()
        p = 1 / (1 + np.exp(1 - 0.4 * activity - rng.standard_normal(log.n_users)[log.user_codes]))
        visit = (rng.random(log.n_rows) < p).astype(float)
        computation = effect.internal("computation")
        population = replace(computation.population, log=log, rows=log)
        now = replace(computation, population=population)
        quick = Quick.of(now, Adjustment.of(log, columns).matrix)
        banner = (rng.random(log.n_rows) < 1 / (1 + np.exp(-0.3 * activity))).astype(float)
        for i, score in enumerate(
            (quick.score(outcome=visit), quick.score(exposure=banner, extra=quick.exposure))
        ):
            rejected[i] += _estimate(quick, score, "control").p_value()[0] < 0.05
    # binomial error of 400 replicates at 5 %: .011
    assert (rejected / n > 0.02).all()
    assert (rejected / n < 0.085).all()


def test_given_propensities_are_kept(world: Any) -> None:
    p = world.potential.row_propensity
    found = cr.estimate_effect(world.log, world.graph, propensity=p, n_repeats=1)
    refuted = found.refute(world.log, n_draws=20)
    assert refuted["quick estimate"].value == pytest.approx(found.value, abs=5e-3)
    assert abs(refuted["placebo exposure"].value) < 0.02


@pytest.mark.parametrize("estimand", ["att", "overlap"])
def test_other_estimands_and_directions(world: Any, estimand: Any) -> None:
    found = cr.estimate_effect(
        world.log, world.graph, estimand=estimand, contrast=(0, 1), n_repeats=1
    )
    refuted = found.refute(world.log, n_draws=20)
    assert refuted["quick estimate"].value == pytest.approx(found.value, abs=5e-3)
    assert refuted["subset of users"].value < 0


def test_dealing_keeps_each_users_exposures() -> None:
    rng = np.random.default_rng(0)
    users, exposure = rng.integers(0, 9, 300), rng.integers(0, 2, 300).astype(float)
    dealt = permute_within(exposure, users, rng)
    assert (np.bincount(users, dealt) == np.bincount(users, exposure)).all()
    assert (dealt != exposure).any()
    inside = some_users(users, rng)
    assert all(len(set(inside[users == user])) == 1 for user in range(9))


def test_refusals(world: Any, effect: Any) -> None:
    with pytest.raises(StudyError, match="at least 1"):
        effect.refute(world.log, n_draws=0)
    other: Any = cr.simulate("shop", n_users=300, n_items=80, random_state=4)
    with pytest.raises(DataError, match="not the one"):
        effect.refute(other.log)
    with pytest.raises(DataError, match="gender"):
        effect.refute(world.log, n_draws=2, negative_control_outcome="gender")
    with pytest.raises(DataError, match="0 or 1"):
        effect.refute(world.log, n_draws=2, negative_control_exposure="age")
    with pytest.raises(ResultError, match="reloaded"):
        type(effect).from_json(effect.to_json()).refute(world.log)
