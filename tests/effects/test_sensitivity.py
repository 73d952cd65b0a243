"""What would overturn an effect: exact formulas, known confounders, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import causalrec as cr
from causalrec.effects._adjustment import Adjustment
from causalrec.effects._evalue import arm_means
from causalrec.effects._linear_confounding import LinearConfounding
from causalrec.effects._marginal import MarginalSensitivity
from causalrec.effects._nuisances import Nuisances
from causalrec.effects._omitted_variables import OmittedVariables
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
def confounded() -> Any:
    """Return a world with a taste that nobody measured, and the graph that forgets it."""
    found = cr.simulate("shop", n_users=400, n_items=80, random_state=5, unmeasured=UNMEASURED)
    taste = found.potential.row_propensity  # of the rows, the taste included
    log = found.log
    users, items = log.users.iloc[log.user_codes], log.items.iloc[log.item_codes]
    known = (
        -0.5
        + 0.6 * users["activity"].to_numpy()
        - 0.25 * users["age"].to_numpy()
        + 0.6 * items["quality"].to_numpy()
        - 0.35 * items["price"].to_numpy()
    )
    return found, (np.log(taste / (1 - taste)) - known) / UNMEASURED


def test_sensitivity_has_every_figure_and_a_sentence(effect: Any) -> None:
    found = effect.sensitivity()
    assert found.kind == "sensitivity"
    labels = [row.label for row in found.rows]
    assert labels[:2] == ["robustness value", "robustness value at 95%"]
    assert {"E-value", "Lambda that reaches zero", "Lambda 1.5"} <= set(labels)
    # an interval is reached before its estimate
    for first, second in (
        ("robustness value", "robustness value at 95%"),
        ("doubly robust robustness value", "doubly robust robustness value at 95%"),
        ("E-value", "E-value at 95%"),
        ("Lambda that reaches zero", "Lambda whose 95% interval reaches zero"),
    ):
        assert found[first].value > found[second].value
    assert "times as strong as 'quality'" in found.answer
    assert found.from_json(found.to_json()) == found
    assert [table.name for table in found.tables] == [
        "benchmarks",
        "contour",
        "marginal sensitivity",
    ]


def test_report_draws_the_contour(effect: Any, tmp_path: Any) -> None:
    write_report(effect.sensitivity(lam=[1.5]), tmp_path / "found.html")
    text = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert 'class="nought dashed"' in text
    assert "as strong as quality" in text
    assert "The estimate under confounders of any strength" in text
    assert text.count("<svg") >= 3


def test_contour_crosses_zero_at_the_robustness_value(effect: Any) -> None:
    computation = effect.internal("computation")
    adjustment = Adjustment.of(computation.population.rows, effect.internal("columns"))
    population = computation.population
    linear = LinearConfounding.fit(adjustment, population.exposure, population.outcome)
    from causalrec.effects._linear_confounding import Strength

    value = linear.robustness_value()
    assert linear.adjusted(Strength(value, value)) == pytest.approx(0.0, abs=1e-12)
    half = 0.3 * abs(linear.estimate)
    at = linear.robustness_value(half)
    assert linear.adjusted_end(Strength(at, at), half) == pytest.approx(0.0, abs=1e-12)
    strongest = linear.strength_of(adjustment.groups["quality"])
    times = linear.times_to_zero(strongest)
    assert linear.adjusted(strongest.times(times)) == pytest.approx(0.0, abs=1e-8)


def test_a_confounder_of_the_true_strength_gives_the_true_regression(confounded: Any) -> None:
    world, taste = confounded
    columns = ["activity", "age", "category", "gender", "price", "quality"]
    short = Adjustment.of(world.log, columns)
    long = Adjustment(
        np.column_stack([short.matrix, taste]),
        {**short.groups, "taste": (short.matrix.shape[1],)},
    )
    exposure, outcome = world.log.exposure.astype(float), world.log.outcome
    without = LinearConfounding.fit(short, exposure, outcome)
    within = LinearConfounding.fit(long, exposure, outcome)
    strength = within.strength_of(long.groups["taste"])
    assert without.estimate > within.estimate  # taste flatters the effect
    assert without.adjusted(strength) == pytest.approx(within.estimate, abs=1e-10)
    assert without.robustness_value() > strength.exposure


def test_bounds_at_the_true_strength_contain_the_truth(confounded: Any) -> None:
    world, _ = confounded
    truth = world.truth["ate"]
    graph = cr.load_graph("exposure_click")  # it forgets the taste
    found = cr.estimate_effect(world.log, graph, n_repeats=1)
    low, _ = found.interval()
    assert low > truth  # confounded: the interval misses it
    p = world.potential.row_propensity
    supposed = found.internal("computation").nuisances.propensity
    odds = p / (1 - p) / (supposed / (1 - supposed))
    lam = float(np.exp(np.quantile(np.abs(np.log(odds)), 0.99)))
    bounds = MarginalSensitivity(found.internal("computation")).at(lam)
    assert bounds.lower[0] < truth < bounds.upper[0]
    # Chernozhukov et al.: the same by two shares of variance
    omitted = OmittedVariables.of(found.internal("computation"))
    log = world.log
    a = log.exposure.astype(float)
    means = (world.potential.expected_unexposed, world.potential.expected_exposed)
    long = np.where(a == 1, *(m[log.user_codes, log.item_codes] for m in means[::-1]))
    nuisances = found.internal("computation").nuisances
    short = np.where(a == 1, nuisances.exposed, nuisances.unexposed)
    share = ((long - short) ** 2).mean() / ((log.outcome - short) ** 2).mean()
    weight = 1 - (1 / (supposed * (1 - supposed))).mean() / (1 / (p * (1 - p))).mean()
    lowest, highest = omitted.bounds(share, weight)
    assert lowest < truth < highest
    assert omitted.robustness_value < max(share, weight)


@pytest.mark.parametrize("estimand", ["ate", "att", "atu", "overlap"])
@pytest.mark.parametrize("estimator", ["dr", "regression"])
@pytest.mark.parametrize("contrast", [(1, 0), (0, 1)])
def test_no_confounding_is_the_estimate_itself(
    world: Any, estimand: Any, estimator: Any, contrast: Any
) -> None:
    found = cr.estimate_effect(
        world.log, world.graph, n_repeats=1, estimand=estimand, estimator=estimator,
        contrast=contrast,
    )  # fmt: skip
    computation = found.internal("computation")
    bounds = MarginalSensitivity(computation).at(1.0)
    assert bounds.lower[0] == pytest.approx(found.value, abs=1e-12)
    assert bounds.upper[0] == pytest.approx(found.value, abs=1e-12)
    assert bounds.interval()[0] == pytest.approx(found.interval(), abs=1e-8)
    wider = MarginalSensitivity(computation).at(1.3)
    assert wider.lower[0] < found.value < wider.upper[0]
    omitted = OmittedVariables.of(computation)
    assert omitted.effect == pytest.approx(found.value, abs=1e-12)
    assert omitted.interval(0.0, 0.0) == pytest.approx(found.interval(), abs=1e-8)


def test_video_minutes_have_bounds_too() -> None:
    world: Any = cr.simulate("video", n_users=150, n_items=50, random_state=1)
    found = cr.estimate_effect(world.log, world.graph, n_repeats=1).sensitivity(lam=[1.2])
    assert found["E-value"].value > 1
    assert any("one shape" in note for note in found.notes)


def _largest_mean(y: Any, p: Any, lam: float, strata: Any, n_strata: int) -> float:
    """Return the largest mean of the rows' potential outcome, as a linear program."""
    odds = 1 / p - 1
    count = np.bincount(strata[0], minlength=n_strata)
    equal = np.zeros((n_strata, len(y)))
    equal[strata[1], np.arange(len(y))] = 1.0
    limits = list(zip(1 + odds / lam, 1 + odds * lam, strict=True))
    found = linprog(-y, A_eq=equal, b_eq=count, bounds=limits)
    assert found.status == 0
    return float(-found.fun / count.sum())


def test_sharp_bounds_solve_the_linear_program(effect: Any) -> None:
    computation = effect.internal("computation")
    population = computation.population
    y, a = population.outcome, population.exposure
    strata = population.rows.column("category").astype("category").cat.codes.to_numpy(int)
    share = np.bincount(strata, a) / np.bincount(strata)
    mean = [
        np.bincount(strata, y * (a == arm)) / np.bincount(strata, (a == arm).astype(float))
        for arm in (0, 1)
    ]
    p = share[strata]
    found = replace(
        computation,
        nuisances=Nuisances(propensity=p, unexposed=mean[0][strata], exposed=mean[1][strata]),
    )
    one, none = a == 1, a == 0
    for lam in (1.0, 1.4, 3.0):
        bounds = MarginalSensitivity(found).at(lam)
        high = _largest_mean(y[one], p[one], lam, (strata, strata[one]), 3)
        low = -_largest_mean(-y[none], 1 - p[none], lam, (strata, strata[none]), 3)
        assert bounds.upper[0] == pytest.approx(high - low, abs=1e-8)
        high = _largest_mean(y[none], 1 - p[none], lam, (strata, strata[none]), 3)
        low = -_largest_mean(-y[one], p[one], lam, (strata, strata[one]), 3)
        assert bounds.lower[0] == pytest.approx(low - high, abs=1e-8)


def test_sorted_bounds_solve_the_fractional_program(world: Any) -> None:
    found = cr.estimate_effect(world.log, world.graph, estimator="snips", n_repeats=1)
    computation = found.internal("computation")
    marginal = MarginalSensitivity(computation)
    assert not marginal.sharp
    y, a = computation.population.outcome, computation.population.exposure
    p, lam = computation.nuisances.propensity, 1.7

    def largest(values: Any, chance: Any) -> float:
        # Charnes and Cooper: weights over their sum, t = 1 / sum
        odds, n = 1 / chance - 1, len(values)
        upper = np.hstack([np.eye(n), -(1 + odds * lam)[:, None]])
        lower = np.hstack([-np.eye(n), (1 + odds / lam)[:, None]])
        solved = linprog(
            -np.append(values, 0.0),
            A_ub=np.vstack([upper, lower]),
            b_ub=np.zeros(2 * n),
            A_eq=np.append(np.ones(n), 0.0)[None, :],
            b_eq=[1.0],
        )
        return float(-solved.fun)

    keep = np.arange(len(y)) < 400  # a program of 400 rows is enough
    from causalrec.inference import marginal_sensitivity_bounds

    for inside, chance in ((keep & (a == 1), p), (keep & (a == 0), 1 - p)):
        users = {"user": computation.population.rows.user_codes[inside]}
        bounds = marginal_sensitivity_bounds(
            y[inside], chance[inside], np.ones(inside.sum()), lam, users, sampled=("user",)
        )
        assert bounds.upper[0] == pytest.approx(largest(y[inside], chance[inside]), abs=1e-7)
        assert bounds.lower[0] == pytest.approx(-largest(-y[inside], chance[inside]), abs=1e-7)
    assert marginal.at(1.0).lower[0] == pytest.approx(found.value, abs=1e-10)
    assert marginal.at(lam).lower[0] < found.value


def test_the_sharp_bounds_are_no_wider(world: Any, effect: Any) -> None:
    sorted_ = cr.estimate_effect(world.log, world.graph, estimator="snips", n_repeats=1)
    sharp = MarginalSensitivity(effect.internal("computation")).at(2.0)
    wide = MarginalSensitivity(sorted_.internal("computation")).at(2.0)
    assert sharp.upper[0] - sharp.lower[0] < wide.upper[0] - wide.lower[0]


def test_the_interval_reaches_zero_at_the_lambda_it_says(effect: Any) -> None:
    found = effect.sensitivity(lam=[1.5])
    lam = found["Lambda whose 95% interval reaches zero"].value
    bounds = MarginalSensitivity(effect.internal("computation")).at(lam)
    assert bounds.interval()[0, 0] == pytest.approx(0.0, abs=1e-3)


def test_what_cannot_be_computed_is_said(world: Any) -> None:
    options: Any = {"n_repeats": 1, "estimator": "ips", "sampled": ()}
    found = cr.estimate_effect(world.log, world.graph, **options).sensitivity()
    assert any("No bounds by Lambda" in note for note in found.notes)
    assert any("No doubly robust" in note for note in found.notes)


def test_given_propensities_take_their_yardsticks_from_the_graph(world: Any) -> None:
    p = world.potential.row_propensity
    found = cr.estimate_effect(world.log, world.graph, propensity=p, n_repeats=1)
    table = found.sensitivity(benchmark=["age", "quality"], lam=[1.5]).tables[0]
    assert {row[0] for row in table.rows} == {"age", "quality"}


def test_the_effect_carries_its_robustness_value(effect: Any) -> None:
    named = {one.name: one for one in effect.assumptions}["no unmeasured confounding"]
    assert named.status == "untestable"
    value = effect.sensitivity(lam=[1.5])["robustness value"].value
    assert f"Robustness value {value:.4g}" in named.evidence


@pytest.mark.parametrize("estimator", ["dr", "ips", "snips", "regression"])
@pytest.mark.parametrize("estimand", ["ate", "att"])
def test_the_means_of_both_arms_differ_by_the_effect(
    world: Any, estimator: Any, estimand: Any
) -> None:
    found = cr.estimate_effect(
        world.log, world.graph, estimator=estimator, estimand=estimand, n_repeats=1
    )
    means = arm_means(found.internal("computation"))
    gap = means.difference("exposed", "unexposed")
    assert float(gap) == pytest.approx(found.value, abs=1e-10)
    # the weighting estimators' own error is smaller where it counts that p was fitted
    assert gap.standard_error[0] == pytest.approx(
        found.standard_error, rel=0.02 if estimator in {"dr", "regression"} else 0.25
    )


@pytest.mark.slow
def test_sharp_bounds_have_intervals_that_cover() -> None:
    share, base, gain = np.array([0.3, 0.5, 0.6]), np.array([0.2, 0.3, 0.4]), 0.15
    lam, n, covered = 1.5, 400, np.zeros(2)
    exposed, unexposed = base + gain, base

    def worst(chance: Any) -> Any:  # the largest mean of a binary outcome, weights in [1/lam, lam]
        return np.minimum(lam * chance, 1 - (1 - chance) / lam)

    high1 = share * exposed + (1 - share) * worst(exposed)
    low0 = (1 - share) * unexposed + share * (1 - worst(1 - unexposed))
    low1 = share * exposed + (1 - share) * (1 - worst(1 - exposed))
    high0 = (1 - share) * unexposed + share * worst(unexposed)
    truth = np.array([(low1 - high0).mean(), (high1 - low0).mean()])
    base_log: Any = cr.simulate("shop", n_users=90, n_items=60, n_candidates=20, random_state=0)
    effect = cr.estimate_effect(base_log.log, base_log.graph, n_repeats=1, n_folds=2)
    computation = effect.internal("computation")
    for seed in range(n):
        rng = np.random.default_rng(seed)
        users, items = np.repeat(np.arange(90), 20), rng.integers(0, 60, 1800)
        kind = rng.integers(0, 3, 90)[users]
        a = (rng.random(1800) < share[kind]).astype(float)
        own = rng.uniform(-0.15, 0.15, 90)[users] + rng.uniform(-0.15, 0.15, 60)[items] * 0.5
        y = (rng.random(1800) < base[kind] + gain * a + own * 0.8).astype(float)
        events = pd.DataFrame({"user_id": users, "item_id": items, "a": a.astype(int), "y": y})
        log = cr.InteractionLog(events, outcome="y", exposure="a")
        p, g0, g1 = share[kind], unexposed[kind], exposed[kind]
        population = replace(
            computation.population, log=log, rows=log, supported=np.ones(1800, bool)
        )
        nuisances = Nuisances(propensity=p, unexposed=g0, exposed=g1)
        bounds = MarginalSensitivity(
            replace(computation, population=population, nuisances=nuisances)
        ).at(lam)
        for end, estimate in enumerate((bounds.lower_bound, bounds.upper_bound)):
            low, high = estimate.interval()[0]
            covered[end] += low < truth[end] < high
    # binomial error of 400 replicates at 95 %: .011
    assert (np.abs(covered / n - 0.95) < 0.03).all()


def test_few_clusters_have_no_interval_and_say_so() -> None:
    world: Any = cr.simulate("shop", n_users=300, n_items=4, n_candidates=3, random_state=2)
    found = cr.estimate_effect(world.log, world.graph, n_repeats=1).sensitivity(lam=[1.5])
    assert "too few clusters" in found.answer
    assert found["robustness value"].value > 0
    for label in ("robustness value", "doubly robust robustness value"):
        assert found[f"{label} at 95%"].status == "not_estimable"
    assert found.from_json(found.to_json()) == found


def test_refusals(effect: Any) -> None:
    with pytest.raises(DataError, match=r"not in the adjustment set.*[Qq]uality"):
        effect.sensitivity(benchmark=["qualty"])
    with pytest.raises(StudyError, match="at least 1"):
        effect.sensitivity(lam=[0.5])
    with pytest.raises(ResultError, match="reloaded"):
        type(effect).from_json(effect.to_json()).sensitivity()
