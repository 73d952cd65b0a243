"""Decompositions: parts that sum to the gap, right where the graph holds, refused where not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import decomposition_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

import causalrec as cr
from causalrec.audits import DecompositionResult, decompose_gap
from causalrec.audits._decomposition_parts import robustness_value
from causalrec.errors import (
    DataError,
    GraphError,
    IdentificationError,
    OverlapWarning,
    ResultError,
    StudyError,
)
from causalrec.nuisances import ArmOutcomeModel

SHOP: dict[str, Any] = {"by": "gender", "groups": ("f", "m"), "n_repeats": 1}
FAIR: dict[str, Any] = {"method": "standard_fairness"}
MIXED = {**FAIR, "allowed_mediators": ["exposed"], "effect": "interventional"}
METHODS = [{}, FAIR, {**FAIR, "allowed_mediators": ["activity"]}, MIXED]
QUICK: dict[str, Any] = {"by": "team", "n_repeats": 1, "n_folds": 2, "sampled": ("user",)}


@pytest.fixture(scope="module")
def shop() -> Any:
    return cr.simulate("shop", n_users=120, n_items=40, random_state=1)


@pytest.fixture(scope="module")
def found(shop: Any) -> DecompositionResult:
    return decompose_gap(shop.log, shop.graph, **SHOP)


# ---------------------------------------------------------------- identities


@pytest.mark.parametrize("method", METHODS)
def test_parts_sum_to_the_gap_of_the_group_means(shop: Any, method: dict[str, Any]) -> None:
    found = decompose_gap(shop.log, shop.graph, **SHOP, **method)
    woman = shop.log.column("gender") == "f"
    gap = shop.log.outcome[woman].mean() - shop.log.outcome[~woman].mean()
    assert abs(sum(row.value for row in found.parts) - found["gap"].value) < 1e-10
    assert abs(found["gap"].value - gap) < 1e-10
    assert abs(found["gap (naive)"].value - gap) < 1e-10
    means = found["mean, gender=f"].value - found["mean, gender=m"].value
    assert abs(means - gap) < 1e-10
    # The influence of the sum is that of the gap: the parts' errors cancel, not only their values.
    labels = [row.label for row in found.parts]
    summed = found.estimate.contrast({"sum": {**dict.fromkeys(labels, 1.0), "gap": -1.0}})
    assert summed.standard_error[0] < 1e-8 * found["gap"].standard_error
    for row in found.parts:
        assert row.lower < row.value < row.upper
        assert row.p_adjusted >= row.p_value


def test_exposure_parts_are_the_four_of_the_formula(shop: Any) -> None:
    """With propensity and outcomes known exactly, each part is what its definition says."""
    world = worlds.four_parts(3)
    found = decompose_gap(world.log, world.graph, **QUICK)
    frame = world.log.events.assign(
        team=world.log.column("team"), t=world.log.exposure, y=world.log.outcome
    )
    shown = frame.groupby("team")["t"].mean()
    joint = found.estimate
    assert set(joint.labels) >= {"baseline", "prevalence", "effect", "selection"}
    # prevalence / (E_a T - E_b T) is the effect in b, and effect / E_a T the gap in effects
    effect_b = found["prevalence"].value / (shown["a"] - shown["b"])
    gap_of_effects = found["effect"].value / shown["a"]
    by_team = cr.estimate_effect(world.log, world.graph, n_repeats=1, sampled=("user",)).by("team")
    noise = 3 * by_team["team=b"].standard_error
    assert abs(effect_b - by_team["team=b"].value) < noise
    assert abs(gap_of_effects - by_team["gap in team: a - b"].value) < 2 * noise


# ---------------------------------------------------------------- the truth


def test_the_world_of_four_parts_is_the_one_meant() -> None:
    truth = worlds.four_truth()
    for label, meant in [("baseline", 0.22), ("prevalence", -0.017), ("effect", 0.077),
                         ("selection", -0.002)]:  # fmt: skip
        assert truth[label] == pytest.approx(meant, abs=1.5e-3)


@pytest.mark.parametrize(
    ("make", "method"),
    [(worlds.four_parts, {}), (worlds.pathways, FAIR),
     (worlds.witness, {**FAIR, "effect": "interventional"})],
)  # fmt: skip
def test_parts_find_the_truth(make: Any, method: dict[str, Any]) -> None:
    """Tolerance: four Monte Carlo standard errors of the mean error of twelve worlds."""
    errors = []
    for seed in range(12):
        world = make(seed)
        found = decompose_gap(world.log, world.graph, **QUICK, **method)
        errors.append([found[label].value - truth for label, truth in world.truth.items()])
    mean, noise = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(12)
    assert (np.abs(mean) < 4 * noise).all()
    assert (noise < 0.02).all()


def test_other_mediators_are_told_apart_where_the_graph_lets_them() -> None:
    """X -> S -> R -> Y: what runs through R beside S, in closed form."""
    rng = np.random.default_rng(0)
    n = 6000
    x = (rng.random(n) < 0.5).astype(float)
    first = 0.5 * x + rng.normal(size=n)
    second = 0.3 * x + 0.4 * first + rng.normal(size=n)
    users = pd.DataFrame({"user_id": np.arange(n), "team": np.where(x == 1, "a", "b"), "s": first})
    click = 0.2 * x + 0.6 * first + 0.5 * second + rng.normal(size=n)
    events = pd.DataFrame({"user_id": np.arange(n), "item_id": np.arange(n) % 9, "r": second,
                           "slate": np.arange(n), "place": 1, "click": click})  # fmt: skip
    log = cr.InteractionLog(events, users=users, outcome="click", slate="slate", position="place")
    graph = cr.CausalGraph.from_dot(
        "digraph { team; s; r; click [role=outcome]; team -> {s r click}; s -> {r click};"
        " r -> click }"
    )
    found = decompose_gap(log, graph, **QUICK, **FAIR, allowed_mediators="s")
    truth = {"direct": 0.2, "indirect (others)": 0.15, "indirect": 0.4, "spurious": 0.0}
    assert [row.label for row in found.parts] == list(truth)
    for label, value in truth.items():
        row = found[label]  # four standard errors: one draw
        assert abs(row.value - value) < 4 * row.standard_error + 1e-3


def test_four_parts_are_those_of_the_potential_outcomes_of_a_shop() -> None:
    """A binary outcome by other laws. Tolerance: four Monte Carlo errors of eight worlds."""
    errors = []
    for seed in range(8):
        world = cr.simulate("shop", n_users=150, n_items=50, random_state=seed)
        found = decompose_gap(world.log, world.graph, **{**SHOP, "n_folds": 2})
        cell = (world.log.user_codes, world.log.item_codes)
        baseline, shown = world.potential.expected_unexposed[cell], world.potential.propensity[cell]
        effect = world.potential.expected_exposed[cell] - baseline
        woman = np.asarray(world.log.column("gender") == "f")
        (y_a, t_a, e_a, c_a), (y_b, t_b, e_b, c_b) = (
            (baseline[rows].mean(), shown[rows].mean(), effect[rows].mean(),
             np.cov(shown[rows], effect[rows], bias=True)[0, 1])
            for rows in (woman, ~woman)
        )  # fmt: skip
        truth = (y_a - y_b, e_b * (t_a - t_b), t_a * (e_a - e_b), c_a - c_b)
        errors.append([row.value - part for row, part in zip(found.parts, truth, strict=True)])
    mean, noise = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(8)
    assert (np.abs(mean) < 4 * noise).all()
    assert (noise < 0.01).all()


@pytest.mark.parametrize("right", ["outcome", "propensity", "neither"])
def test_one_right_nuisance_is_enough_and_none_is_not(right: str) -> None:
    """Wrong: a constant propensity; an outcome model that predicts the mean of its arm.

    Tolerance: four Monte Carlo errors of ten worlds.
    """
    wrong: dict[str, Any] = {
        "outcome": {"propensity": 0.4},
        "propensity": {"outcome_model": DummyRegressor()},
        "neither": {"propensity": 0.4, "outcome_model": DummyRegressor()},
    }[right]
    errors = []
    for seed in range(10):
        world = worlds.four_parts(seed)
        found = decompose_gap(world.log, world.graph, **QUICK, **wrong)
        errors.append([row.value - world.truth[row.label] for row in found.parts])
    mean, noise = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(10)
    if right == "neither":
        assert np.abs(mean / noise).max() > 10
    else:
        assert (np.abs(mean) < 4 * noise).all()


def test_exposure_dealt_at_random_needs_no_covariates(shop: Any) -> None:
    graph = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; purchase [role=outcome]; gender -> purchase;"
        " exposed -> purchase }"
    )
    found = decompose_gap(shop.log, graph, **SHOP)
    assert found.adjustment == ()
    assert found.assumptions[1].status == "by design"
    woman = np.asarray(shop.log.column("gender") == "f")
    y, t = shop.log.outcome, shop.log.exposure
    means = [y[rows & (t == 0)].mean() for rows in (woman, ~woman)]
    noise = 0.2 * found["baseline"].standard_error  # folds reweigh their means a little
    assert found["baseline"].value == pytest.approx(means[0] - means[1], abs=noise)


# ---------------------------------------------------------------- where it is wrong


def test_a_hidden_cause_makes_the_parts_wrong_within_what_its_strength_allows() -> None:
    """Mediator and click share a cause that the graph denies: the parts are off by more than noise.

    Their robustness values are below the strength of that cause, as the scale says.
    """
    truth = worlds.paths_truth()
    wrong = worlds.pathways(0, hidden=1.5, n=6000)
    found = decompose_gap(wrong.log, wrong.graph, **QUICK, **FAIR)
    bias = found["direct"].value - truth["direct"]
    assert abs(bias) > 3 * found["direct"].standard_error
    assert not found["direct"].lower <= truth["direct"] <= found["direct"].upper
    # Of the cause, variance 1.5^2, this is left given activity; its share of what is left of click
    # is how strong it is with the outcome, and it is weaker with the weights: the bound holds.
    left = 1.5**2 / (1 + 1.5**2)
    table = {row[0]: row for row in found.tables[1].rows}
    scale, explained = table["direct"][3], 1 - 1 / (1 + left)
    assert abs(bias) < explained / np.sqrt(1 - explained) * scale
    assert robustness_value(bias, scale) < explained


def test_a_confounder_of_exposure_makes_the_four_parts_wrong() -> None:
    truth = worlds.four_truth()
    errors = []
    for seed in range(4):
        world = worlds.four_parts(seed, hidden=1.0)
        found = decompose_gap(world.log, world.graph, **QUICK)
        errors.append(found["effect"].value - truth["effect"])
    assert abs(np.mean(errors)) > 8 * np.std(errors, ddof=1) / 2 > 0


# ---------------------------------------------------------------- the graph decides


def test_a_recanting_witness_is_named_and_interventional_parts_are_offered() -> None:
    world = worlds.witness(0, n=800)
    with pytest.raises(IdentificationError, match="habit is a recanting witness") as caught:
        decompose_gap(world.log, world.graph, **QUICK, **FAIR)
    assert "effect='interventional'" in str(caught.value)
    assert caught.value.open_path == "mainstream <- habit -> click"
    both = decompose_gap(
        world.log, world.graph, **QUICK, **FAIR, allowed_mediators=["habit", "mainstream"]
    )
    assert [row.label for row in both.parts] == ["direct", "indirect", "spurious"]
    offered = decompose_gap(world.log, world.graph, **QUICK, **FAIR, effect="interventional")
    assert [row.label for row in offered.parts] == ["direct", "indirect", "remainder", "spurious"]
    assert abs(sum(row.value for row in offered.parts) - offered["gap"].value) < 1e-10


def test_an_unmeasured_confounder_of_mediator_and_outcome_is_named(shop: Any) -> None:
    graph = cr.CausalGraph.from_dot(
        "digraph { gender [entity=user]; activity [role=mediator]; exposed [role=exposure];"
        " purchase [role=outcome]; mood [role=latent]; gender -> activity -> purchase;"
        " gender -> purchase; mood -> {activity purchase}; exposed -> purchase }"
    )
    with pytest.raises(IdentificationError, match="mood") as caught:
        decompose_gap(shop.log, graph, **SHOP, **FAIR)
    assert "mood" in caught.value.open_path


def test_groups_that_open_a_path_or_follow_from_exposure_are_refused(shop: Any) -> None:
    collider = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; purchase [role=outcome]; gender;"
        " u [role=latent]; v [role=latent]; u -> {exposed gender}; v -> {gender purchase};"
        " exposed -> purchase }"
    )
    with pytest.raises(IdentificationError, match="Within the groups of gender") as caught:
        decompose_gap(shop.log, collider, **SHOP)
    assert caught.value.open_path.startswith("exposed <- u -> gender <- v -> purchase")
    later = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; purchase [role=outcome]; gender;"
        " exposed -> {gender purchase} }"
    )
    with pytest.raises(IdentificationError, match="made by the exposure itself"):
        decompose_gap(shop.log, later, **SHOP)


def test_within_groups_more_is_adjusted_for_where_the_group_opens_a_path(shop: Any) -> None:
    graph = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; purchase [role=outcome]; gender; age; activity;"
        " age -> {exposed gender}; activity -> {gender purchase}; exposed -> purchase }"
    )
    assert graph.identify("effect").adjustment == ("activity",)  # a cause of the outcome alone
    assert "activity" in decompose_gap(shop.log, graph, **SHOP).adjustment


def test_a_group_outside_the_graph_is_an_assumption_or_a_refusal(shop: Any) -> None:
    graph = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; purchase [role=outcome]; age; activity; price; quality;"
        " {age activity price quality} -> {exposed purchase}; exposed -> purchase }"
    )
    found = decompose_gap(shop.log, graph, **SHOP)
    named = {one.name: one.status for one in found.assumptions}
    assert named["the group is outside the graph"] == "untestable"
    with pytest.raises(GraphError, match="has the column 'gender'"):
        decompose_gap(shop.log, graph, **SHOP, **FAIR)


# ---------------------------------------------------------------- what stands beside


def test_the_result_says_what_it_rests_on(found: DecompositionResult) -> None:
    assert found.kind == "decomposition"
    assert "not an effect of gender" in found.answer
    names = {one.name: one for one in found.assumptions}
    assert names["pathways, not attributes"].status == "by design"
    assert "Robustness values: baseline" in names["no unmeasured confounding"].evidence
    assert names["overlap"].status == "tested"
    parts, robust, behind = found.tables
    assert parts.figure == "waterfall"
    assert parts.rows[-1][0] == "gap"
    for (label, value, of_interval, scale), row in zip(robust.rows, found.parts, strict=True):
        assert label == row.label
        assert 0.0 <= of_interval <= value <= 1.0
        assert robustness_value(row.value, scale) == value
    assert [row[0] for row in behind.rows] == ["gender=f", "gender=m"]
    assert found.family.startswith("One family of 4 parts")


@pytest.mark.parametrize("method", METHODS)
def test_refuters_fall_and_stand_where_they_should(shop: Any, method: dict[str, Any]) -> None:
    found = decompose_gap(shop.log, shop.graph, **SHOP, **method)
    refuted = found.refute(n_draws=12, random_state=1)
    assert refuted.kind == "refutation"
    assert len(refuted.rows) == 3 * len(found.parts)
    for row in refuted.rows:
        name, label = row.label.split(": ", 1)
        target = found["gap"].value if label == "baseline" else 0.0
        target = target if name == "placebo" else found[label].value
        # Draws of a placebo and of subsets scatter about where they should be; fits differ a little
        assert abs(row.value - target) < 4 * row.standard_error + 0.1 * abs(found["gap"].value)
    yardsticks, draws = refuted.tables
    assert [row[0] for row in yardsticks.rows] == ["nothing", *_covariates(found)]
    assert all(sum(row[1:]) == pytest.approx(found["gap"].value) for row in yardsticks.rows)
    assert len(draws.rows) == 12
    again = found.refute(n_draws=12, random_state=1)
    assert again.to_json() == refuted.to_json()
    with pytest.raises(StudyError, match="at least 2"):
        found.refute(n_draws=1)
    with pytest.raises(ResultError, match="reloaded"):
        DecompositionResult.model_validate(found.model_dump()).refute()


def _covariates(found: DecompositionResult) -> list[str]:
    """The columns of the adjustment set; in the shop's graph nodes bear their columns' names."""
    return [name for name in sorted(found.adjustment) if name != found.provenance.config["by"]]


def test_what_confounds_most_is_the_longest_yardstick() -> None:
    """In the shop activity decides exposure and purchase more than category, which decides one."""
    world = cr.simulate("shop", n_users=400, n_items=60, random_state=3)
    found = decompose_gap(world.log, world.graph, **SHOP)
    table = found.refute(n_draws=2).tables[0].to_frame().set_index("left out")
    moved = (table - table.loc["nothing"]).abs().sum(axis=1)
    assert moved["activity"] > moved["category"]


def test_robustness_values_grow_with_the_part() -> None:
    values = [robustness_value(part, 1.0) for part in (0.0, 0.1, -0.2, 1.0)]
    assert values == sorted(values)
    assert robustness_value(1.0, 0.0) == 1.0
    strength = robustness_value(0.3, 1.0)
    assert strength / np.sqrt(1 - strength) == pytest.approx(0.3)


# ---------------------------------------------------------------- small groups, no overlap


def test_a_small_group_hides_everything(shop: Any) -> None:
    hidden = decompose_gap(shop.log, shop.graph, **SHOP, min_cell=100)
    assert {row.status for row in hidden.rows} == {"suppressed"}
    assert "hidden" in hidden.answer
    assert hidden.tables == ()
    for row in json.loads(hidden.to_json())["rows"]:
        for number in ("value", "standard_error", "lower", "upper", "n", "p_value"):
            assert row[number] is None
    with pytest.raises(ResultError):
        hidden.refute()


def test_without_a_counterpart_nothing_is_estimable(shop: Any) -> None:
    log = shop.log
    never = np.asarray((log.column("gender") == "m") & (log.exposure == 1))
    found = decompose_gap(log.select(~never), shop.graph, **SHOP)
    assert found["gap"].status == "not_estimable"
    assert found["gap"].value is None
    assert "cannot be decomposed" in found.answer
    assert found.parts == ()


def test_rows_without_support_are_counted_and_the_parts_speak_of_the_others() -> None:
    world = worlds.pathways(1)
    with pytest.warns(OverlapWarning, match="have no counterpart"):
        found = decompose_gap(world.log, world.graph, **QUICK, **FAIR, floor=0.2)
    assert abs(sum(row.value for row in found.parts) - found["gap"].value) < 1e-10
    assert found["gap"].value != found["gap (naive)"].value
    overlap = next(one for one in found.assumptions if one.name == "overlap")
    assert not overlap.evidence.startswith("0 of")


# ---------------------------------------------------------------- options


def test_nuisances_of_scikit_learn_and_given_propensities(shop: Any) -> None:
    trees = HistGradientBoostingClassifier(max_iter=20, max_depth=3)
    found = decompose_gap(
        shop.log, shop.graph, **SHOP, outcome_model=trees, propensity=trees, n_folds=2
    )
    known = decompose_gap(shop.log, shop.graph, **SHOP, propensity=np.full(shop.log.n_rows, 0.4))
    for one in (found, known):
        assert abs(sum(row.value for row in one.parts) - one["gap"].value) < 1e-10
    with pytest.raises(StudyError, match="no classifier"):
        decompose_gap(shop.log, shop.graph, **SHOP, outcome_model=Ridge())


def test_an_attribute_of_providers_is_clustered_by_them() -> None:
    rng = np.random.default_rng(5)
    n_items, n_users, owners = 80, 60, 20
    owner = np.arange(n_items) % owners
    items = pd.DataFrame({
        "item_id": np.arange(n_items), "owner": owner,
        "size": np.where(owner < 10, "major", "small"), "merit": rng.normal(size=n_items),
    })  # fmt: skip
    user, item = np.repeat(np.arange(n_users), 30), rng.integers(0, n_items, n_users * 30)
    major, merit = (owner[item] < 10).astype(float), items["merit"].to_numpy()[item]
    exposed = (rng.random(len(user)) < 1 / (1 + np.exp(-0.5 * major - 0.5 * merit))).astype(int)
    click = (rng.random(len(user)) < 0.2 + 0.2 * exposed + 0.1 * major).astype(int)
    events = pd.DataFrame(
        {"user_id": user, "item_id": item, "exposed": exposed, "click": click}
    ).drop_duplicates(["user_id", "item_id"])
    log = cr.InteractionLog(
        events, items=items, outcome="click", exposure="exposed", provider="owner"
    )
    graph = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; click [role=outcome]; size; merit;"
        " {size merit} -> {exposed click}; size -> merit; exposed -> click }"
    )
    found = decompose_gap(log, graph, by="size", n_repeats=1)
    assert set(found["baseline"].clusters) == {"user", "provider"}
    assert any("clustered by provider" in note for note in found.notes)
    assert found["mean, size=major"].unit == "items"
    merits = decompose_gap(log, graph, by="size", n_repeats=1, **FAIR, allowed_mediators="merit")
    assert {row.label for row in merits.parts} >= {"direct", "indirect", "spurious"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "exposures"}, StudyError, "Did you mean 'exposure'"),
        ({"effect": "controlled", **FAIR}, StudyError, "is none of"),
        ({"allowed_mediators": ["activity"]}, StudyError, "standard_fairness"),
        ({"allowed_mediators": ["price"], **FAIR}, GraphError, "no measured node between"),
        ({"groups": ("f", "x")}, DataError, "no level 'x'"),
        ({"groups": ("f", "f")}, StudyError, "two different levels"),
        ({"by": "category", "groups": None}, StudyError, "name two"),
        ({"by": "exposed"}, DataError, "belongs to the events"),
        ({"sampled": ("slate",)}, StudyError, "sampled="),
        ({"floor": 0.0}, StudyError, "floor"),
        ({"n_repeats": 0}, StudyError, "n_repeats"),
        ({"outcome_model": ArmOutcomeModel()}, StudyError, "unfitted scikit-learn estimator"),
        ({"propensity": 0.5, **FAIR}, StudyError, "belonging to the first group"),
        ({"n_folds": 1}, StudyError, "n_folds"),
        ({**FAIR, "effect": "interventional"}, DataError, "one allowed mediator"),
        ({**FAIR, "effect": "interventional", "allowed_mediators": "activity"}, DataError,
         "Cut it into"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(
    shop: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        decompose_gap(shop.log, shop.graph, **{**SHOP, **options})


def test_a_graph_of_another_outcome_is_refused() -> None:
    world = worlds.four_parts(0)
    graph = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; match [role=outcome]; team; team -> match;"
        " exposed -> match }"
    )
    with pytest.raises(DataError, match="takes the log's own"):
        decompose_gap(world.log, graph, by="team")


PRINT = """
import causalrec as cr
from causalrec.audits import decompose_gap
world = cr.simulate("shop", n_users=60, n_items=30, random_state=1)
for options in ({}, {"method": "standard_fairness"}):
    found = decompose_gap(world.log, world.graph, by="gender", n_repeats=2, **options)
    print(found.to_json())
"""


def test_same_bytes_whatever_the_hash_seed_and_the_threads() -> None:
    outputs = set()
    for seed, threads in (("0", "1"), ("77", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", PRINT], env=environment, check=True,
                              capture_output=True)  # fmt: skip
        outputs.add(done.stdout)
    assert len(outputs) == 1
