"""The effect by an instrument: algebra, weak instruments, broken assumptions, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._anderson_rubin import anderson_rubin
from causalrec.errors import DataError, IdentificationError, StudyError
from causalrec.inference import Estimate
from causalrec.scores import Score

SIZE: Any = {"n_users": 1000, "n_items": 60, "random_state": 2}


@pytest.fixture(scope="module")
def world() -> Any:
    return cr.simulate("video", unmeasured=1.0, **SIZE)


@pytest.fixture(scope="module")
def effect(world: Any) -> Any:
    return cr.estimate_effect(world.log, world.graph, estimator="iv", n_repeats=1)


def changed(world: Any, **columns: Any) -> Any:
    """The same log with other event columns."""
    events = world.events.assign(**columns)
    return cr.InteractionLog(events, users=world.users, items=world.items, **world.log_columns)


def test_the_instrument_finds_what_adjustment_cannot(world: Any, effect: Any) -> None:
    low, high = effect.interval()
    assert low < world.population_truth["late"] < high < effect.naive
    with pytest.raises(IdentificationError):
        cr.estimate_effect(world.log, world.graph)
    false_graph = cr.load_graph("watch_time")  # says that nothing is unmeasured
    adjusted = cr.estimate_effect(world.log, false_graph, n_repeats=1)
    assert adjusted.interval()[0] > world.population_truth["late"]
    assert "compliers" in effect.answer
    assert "not the effect on everybody" in effect.answer
    assert {"exclusion", "monotonicity", "relevance"} <= {a.name for a in effect.assumptions}


def test_a_verb_that_needs_adjustment_says_what_to_ask_instead(world: Any, effect: Any) -> None:
    for ask in (lambda: effect.by("age"), lambda: effect.modifiers(["age"]), effect.sensitivity,
                lambda: effect.refute(world.log)):  # fmt: skip
        with pytest.raises(StudyError, match="reached by an instrument"):
            ask()
    with pytest.raises(StudyError, match="intention to treat"):
        _ = effect.propensity


def test_it_is_the_ratio_of_its_parts(effect: Any) -> None:
    parts = effect["intention to treat"].value / effect["first stage"].value
    assert effect.value == pytest.approx(parts, rel=1e-12)
    joint = effect.internal("arms")
    both = joint[["arm on outcome", "arm on exposure"]]
    gradient = np.array([1.0, -effect.value]) / effect["first stage"].value
    by_hand = float(np.sqrt(gradient @ both.covariance @ gradient))
    assert effect.standard_error == pytest.approx(by_hand, rel=1e-9)
    assert effect["naive - iv"].value == pytest.approx(effect.naive - effect.value, rel=1e-12)


def test_wald_is_the_ratio_of_differences_of_means(world: Any, effect: Any) -> None:
    events = world.events
    treated = events["arm"] == "treatment"
    by_hand = np.subtract(
        *(events.loc[rows, "watch_time"].mean() for rows in (treated, ~treated))
    ) / np.subtract(*(events.loc[rows, "exposed"].mean() for rows in (treated, ~treated)))
    assert effect["wald"].value == pytest.approx(by_hand, rel=1e-10)
    assert effect["iv"].standard_error < effect["wald"].standard_error  # covariates help


def test_the_reverse_contrast_changes_the_sign(world: Any, effect: Any) -> None:
    back = cr.estimate_effect(world.log, world.graph, estimator="iv", n_repeats=1, contrast=(0, 1))
    assert back.value == pytest.approx(-effect.value, rel=1e-12)
    assert back.interval() == pytest.approx(tuple(-end for end in effect.interval()[::-1]))


def test_an_arm_that_acts_past_the_exposure_misleads(world: Any, effect: Any) -> None:
    """The exclusion broken: nothing in the answer tells, as the ledger says (untestable)."""
    treated = world.events["arm"] == "treatment"
    moved = changed(world, watch_time=world.events["watch_time"] + 1.0 * treated)
    found = cr.estimate_effect(moved, world.graph, estimator="iv", n_repeats=1)
    assert found.interval()[0] > world.population_truth["late"]
    expected = effect.value + 1.0 / effect["first stage"].value
    assert found.value == pytest.approx(expected, rel=1e-6)
    exclusion = next(a for a in found.assumptions if a.name == "exclusion")
    assert exclusion.status == "untestable"


def test_an_arm_that_does_nothing_leaves_everything_possible(world: Any) -> None:
    rng = np.random.default_rng(0)
    coin = rng.random(world.log.n_users) < 0.5
    arm = np.where(coin[world.log.user_codes], "treatment", "control")
    found = cr.estimate_effect(changed(world, arm=arm), world.graph, estimator="iv", n_repeats=1)
    assert found.internal("anderson_rubin").shape in {"outside", "everything"}
    assert found.rows[0].status == "not_estimable"
    assert found.rows[0].lower is None
    assert "unbounded" in found.rows[0].note
    assert next(a for a in found.assumptions if a.name == "relevance").status == "violated"
    assert found.internal("anderson_rubin").contains(world.population_truth["late"])


def two_effects(first_stage: float, seed: int) -> Estimate:
    rng = np.random.default_rng(seed)
    n = 4000
    z, hidden = rng.integers(0, 2, n), rng.normal(size=n)
    a = first_stage * z + hidden + 0.2 * rng.normal(size=n)
    y = 0.5 * a + hidden + 0.2 * rng.normal(size=n)
    weight = np.where(z == 1, 1.0, -1.0) * n / np.where(z == 1, z.sum(), n - z.sum())
    score = Score(np.column_stack([weight * y, weight * a]))
    return Estimate.from_score(score, {"row": np.arange(n)}, ("top", "bottom"))


@pytest.mark.parametrize("first_stage", [0.5, 0.06, 0.0])
def test_the_anderson_rubin_set_covers_at_any_strength(first_stage: float) -> None:
    """Bound: 3.2 binomial standard errors of 400 replicates; the set inverts a z test."""
    hits, wald, unbounded = [], [], []
    for seed in range(400):
        joint = two_effects(first_stage, seed)
        found = anderson_rubin(joint, "top", "bottom", 0.95)
        hits.append(found.contains(0.5))
        unbounded.append(found.shape != "interval")
        grid = np.linspace(-20, 20, 9)
        tests = [joint.contrast({"b": {"top": 1.0, "bottom": -b}}).interval()[0] for b in grid]
        kept = [bool(low <= 0.0 <= high) for low, high in tests]
        assert [found.contains(b) for b in grid.tolist()] == kept
        y, a = joint.value
        gradient = np.array([1.0, -y / a]) / a
        error = 1.96 * np.sqrt(gradient @ joint.covariance @ gradient)
        wald.append(abs(y / a - 0.5) <= error)
    assert abs(np.mean(hits) - 0.95) < 0.035
    if first_stage == 0.0:
        assert np.mean(unbounded) > 0.9
        assert np.mean(wald) < 0.9  # what the set is for
    if first_stage == 0.5:
        assert not any(unbounded)


def test_instruments_that_mean_nothing_are_refused(world: Any) -> None:
    graph = cr.load_graph("exposure_click")
    shop = cr.simulate("shop", n_users=100, n_items=30)
    with pytest.raises(IdentificationError):
        cr.estimate_effect(shop.log, graph, estimator="iv")
    three = changed(world, arm=np.array(["a", "b", "c"])[world.log.user_codes % 3])
    with pytest.raises(DataError, match="has 3 levels"):
        cr.estimate_effect(three, world.graph, estimator="iv")
    with pytest.raises(StudyError, match="drawn user by user"):
        cr.estimate_effect(world.log, world.graph, estimator="iv", sampled=())
    with pytest.raises(StudyError, match="identifies one effect"):
        cr.estimate_effect(world.log, world.graph, estimator="iv", estimand="att")


def test_known_probabilities_of_the_arm_and_the_report(world: Any, tmp_path: Any) -> None:
    known = cr.KnownPropensity(np.full(world.log.n_rows, 0.5), of="exposure")
    found = cr.estimate_effect(
        world.log, world.graph, estimator="iv", n_repeats=1, propensity=known
    )
    low, high = found.interval()
    assert low < world.population_truth["late"] < high
    cr.write_report(found, tmp_path / "iv.html")
    assert type(found).from_json(found.to_json()).value == found.value


def test_a_graph_without_covariates_gives_the_ratio_of_means(world: Any) -> None:
    graph = cr.CausalGraph.from_dot(
        "digraph { arm [role=instrument]; exposed [role=exposure]; watch_time [role=outcome];"
        " taste [role=latent]; arm -> exposed -> watch_time; taste -> {exposed watch_time}; }"
    )
    found = cr.estimate_effect(world.log, graph, estimator="iv", n_repeats=1)
    assert found.value == pytest.approx(found["wald"].value, rel=1e-9)
    assert found.standard_error == pytest.approx(found["wald"].standard_error, rel=1e-9)
