"""What `estimate_effect` says: the truth, refusals, support, the result and its verbs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.effects import EffectResult
from causalrec.errors import (
    DataError,
    IdentificationError,
    OverlapError,
    OverlapWarning,
    ResultError,
    StudyError,
)
from causalrec.nuisances import ArmOutcomeModel, row_propensity

ESTIMANDS = ("ate", "att", "atu", "overlap")
ESTIMATORS = ("dr", "ips", "snips", "regression", "econml")


@pytest.fixture(scope="module")
def shop() -> Any:
    return cr.simulate("shop", n_users=500, n_items=120, random_state=3)


@pytest.fixture(scope="module")
def video() -> Any:
    return cr.simulate("video", n_users=500, n_items=120, random_state=3)


@pytest.fixture(scope="module")
def effect(shop: Any) -> EffectResult:
    return cr.estimate_effect(shop.log, shop.graph)


STRATA = """digraph strata {
  exposed [role=exposure]; minutes [role=outcome]; stratum [entity=user];
  stratum -> exposed; stratum -> minutes; exposed -> minutes;
}"""


def strata_log(noise: float = 0.5) -> cr.InteractionLog:
    """Strata 1:1:1 with exactly a tenth, a half and none of the rows exposed; effects 1, 3, 5."""
    rng = np.random.default_rng(0)
    users = pd.DataFrame({"user_id": range(300), "stratum": np.tile(["a", "b", "c"], 100)})
    events = pd.DataFrame(
        {"user_id": np.repeat(range(300), 20), "item_id": np.tile(range(20), 300)}
    )
    stratum = users["stratum"].to_numpy()[events["user_id"]]
    exposed = np.zeros(len(events), dtype=int)
    for level, share in (("a", 0.1), ("b", 0.5)):
        members = rng.permutation(np.flatnonzero(stratum == level))
        exposed[members[: int(share * len(members))]] = 1
    gain = pd.Series(stratum).map({"a": 1.0, "b": 3.0, "c": 5.0}).to_numpy()
    base = pd.Series(stratum).map({"a": 10.0, "b": 11.0, "c": 12.0}).to_numpy()
    events["exposed"] = exposed
    events["p"] = pd.Series(stratum).map({"a": 0.1, "b": 0.5, "c": 0.0}).to_numpy()
    events["minutes"] = base + gain * exposed + noise * rng.normal(size=len(events))
    return cr.InteractionLog(
        events, users=users, outcome="minutes", exposure="exposed", outcome_range=(0, 30)
    )


# ---------------------------------------------------------------------- the truth


@pytest.mark.parametrize("estimand", ESTIMANDS)
@pytest.mark.parametrize("name", ["shop", "video"])
def test_dr_recovers_the_truth_and_naive_does_not(
    name: str, estimand: Any, request: pytest.FixtureRequest
) -> None:
    # Three standard errors: one false alarm in 370 on each line; the seed is fixed.
    world = request.getfixturevalue(name)
    found = cr.estimate_effect(world.log, world.graph, estimand=estimand, n_repeats=1, n_folds=2)
    truth = world.population_truth[estimand]
    assert abs(found.value - truth) < 3 * found.standard_error
    naive = found["naive"]
    assert found.naive - truth > 3 * float(naive.standard_error or 0)
    assert found["naive - dr"].lower > 0  # the difference has an interval of its own


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_near_the_truth(shop: Any, estimator: Any) -> None:
    found = cr.estimate_effect(shop.log, shop.graph, estimator=estimator, n_repeats=1, n_folds=2)
    assert abs(found.value - shop.population_truth["ate"]) < 3 * found.standard_error
    assert found.rows[0].label == found.rows[0].estimator == estimator


@pytest.mark.parametrize("estimand", ["att", "atu", "overlap"])
def test_econml_serves_every_estimand(shop: Any, estimand: Any) -> None:
    theirs = cr.estimate_effect(
        shop.log, shop.graph, estimator="econml", estimand=estimand, n_repeats=1, n_folds=2
    )
    ours = cr.estimate_effect(shop.log, shop.graph, estimand=estimand, n_repeats=1, n_folds=2)
    # One model of (W, T) against one an arm: nearly the same number on the same folds.
    assert abs(theirs.value - ours.value) < ours.standard_error / 2


def test_this_catalogue_and_these_rows_have_smaller_errors(shop: Any) -> None:
    options: Any = {"propensity": shop.potential.row_propensity, "n_repeats": 1, "n_folds": 2}
    errors = [
        cr.estimate_effect(shop.log, shop.graph, sampled=sampled, **options).standard_error
        for sampled in (("user", "item"), ("user",), ())
    ]
    assert errors[0] > errors[1] > errors[2] > 0
    these = cr.estimate_effect(shop.log, shop.graph, sampled=(), **options)
    assert abs(these.value - shop.truth["ate"]) < 3 * these.standard_error


def test_contrast_turns_the_sign(shop: Any) -> None:
    one = cr.estimate_effect(shop.log, shop.graph, n_repeats=1, n_folds=2)
    other = cr.estimate_effect(shop.log, shop.graph, contrast=(0, 1), n_repeats=1, n_folds=2)
    assert other.value == -one.value
    assert other.interval() == tuple(-end for end in reversed(one.interval()))


# ---------------------------------------------------------------------- support


@pytest.mark.parametrize(
    ("estimand", "truth"), [("ate", 2.0), ("att", 8 / 3), ("overlap", 0.84 / 0.34)]
)
@pytest.mark.parametrize("estimator", ["dr", "ips", "snips", "regression"])
def test_strata_without_support(estimand: Any, truth: float, estimator: Any) -> None:
    with pytest.warns(OverlapWarning, match=r"2,000 of 6,000 rows \(33.3%\)"):
        found = cr.estimate_effect(
            strata_log(),
            cr.CausalGraph.from_dot(STRATA),
            estimand=estimand,
            estimator=estimator,
            propensity="p",
            n_repeats=1,
            n_folds=2,
        )
    # Noise .5: the Monte Carlo error of the ATE is .5 sqrt(mean 1/p + 1/(1-p)) / sqrt(4000) = .02.
    assert found.value == pytest.approx(truth, abs=0.06)


def test_no_point_for_all_rows_but_bounds() -> None:
    with pytest.warns(OverlapWarning):
        found = cr.estimate_effect(strata_log(), cr.CausalGraph.from_dot(STRATA), propensity="p")
    every = found["all rows"]
    assert every.value is None
    assert every.status == "not_estimable"
    assert "no point: 33.3%" in every.note
    assert every.lower is not None
    assert every.upper is not None
    assert every.lower < 3.0 < every.upper  # the truth over all rows
    assert found.rows[0].population == "supported rows"
    assert any("2,000 of 6,000 rows are set aside" in note for note in found.notes)


def test_without_noise_the_strata_are_exact() -> None:
    for estimand, truth in (("att", 8 / 3), ("overlap", 0.84 / 0.34)):
        with pytest.warns(OverlapWarning):
            found = cr.estimate_effect(
                strata_log(noise=0.0),
                cr.CausalGraph.from_dot(STRATA),
                estimand=estimand,  # type: ignore[arg-type]
                estimator="snips",
                propensity="p",
            )
        assert found.value == pytest.approx(truth, abs=1e-12)


def test_nothing_left_to_compare() -> None:
    log = strata_log()
    p = np.where(log.column("p") > 0.2, 0.9995, log.column("p") / 1000)
    with pytest.raises(OverlapError, match="nobody is left to compare"):
        cr.estimate_effect(log, cr.CausalGraph.from_dot(STRATA), propensity=p)


def test_an_unsupported_third_of_a_world_is_found_and_set_aside() -> None:
    world = cr.simulate("video", n_users=400, n_items=100, random_state=5, unsupported=0.3)
    with pytest.warns(OverlapWarning):
        found = cr.estimate_effect(world.log, world.graph, n_repeats=1, n_folds=2)
    assert abs(found.value - world.population_truth["ate:supported"]) < 3 * found.standard_error
    supported = world.potential.supported[world.log.user_codes, world.log.item_codes]
    assert np.mean(supported == found.internal("support").rows()) > 0.99


def test_clipping_is_counted(shop: Any) -> None:
    found = cr.estimate_effect(shop.log, shop.graph, clip=0.2, n_repeats=1, n_folds=2)
    assert any("propensities were brought into [0.2, 0.8]" in note for note in found.notes)
    weights = next(table for table in found.tables if table.name == "weights")
    assert all(float(str(row[-1])) > 0 for row in weights.rows)


# ---------------------------------------------------------------------- refusals


def test_a_latent_taste_is_refused_with_the_open_path() -> None:
    world = cr.simulate("shop", n_users=100, n_items=40, unmeasured=1.0)
    with pytest.raises(IdentificationError, match="exposure <- taste -> click") as caught:
        cr.estimate_effect(world.log, world.graph)
    assert caught.value.exit_code == 4


def test_a_click_log_is_told_what_to_log() -> None:
    world = cr.simulate("social", n_users=50, n_items=30)
    with pytest.raises(DataError, match="the effect of exposure") as caught:
        cr.estimate_effect(world.log, cr.load_graph("exposure_click"))
    assert "not" in str(caught.value)
    assert "exposure" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "drr"}, "Did you mean 'dr'"),
        ({"estimand": "atx"}, "no estimand 'atx'"),
        ({"contrast": (2, 0)}, "a binary exposure does not have"),
        ({"unit": "itm"}, "Did you mean 'item'"),
        ({"n_repeats": 0}, "at least 1"),
        ({"n_folds": 1}, "n_folds=1 must be a whole number of at least 2"),
        ({"clip": 0.7}, "between 0 and 0.5"),
        ({"floor": 0.7}, "floor must lie"),
        ({"sampled": ("usr",)}, "nothing to cluster by"),
        ({"estimator": "econml", "propensity": 0.4}, "cannot take given ones"),
    ],
)
def test_options_that_mean_nothing(shop: Any, options: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        cr.estimate_effect(shop.log, shop.graph, **options)


def test_clusters_that_the_log_does_not_have(shop: Any) -> None:
    with pytest.raises(DataError, match="no slate"):
        cr.estimate_effect(shop.log, shop.graph, sampled=("user", "slate"), n_repeats=1, n_folds=2)


def test_columns_of_the_graph_must_be_those_of_the_log(shop: Any) -> None:
    text = shop.graph.to_dot().replace("price", "prize")
    with pytest.raises(DataError, match="Did you mean 'price'"):
        cr.estimate_effect(shop.log, cr.CausalGraph.from_dot(text))
    swapped = STRATA.replace("minutes [role=outcome]", "minutes [role=outcome, column=p]")
    with pytest.raises(DataError, match="graph's outcome 'minutes' is column 'p'"):
        cr.estimate_effect(strata_log(), cr.CausalGraph.from_dot(swapped))


# ---------------------------------------------------------------------- the result


def test_the_result_says_what_it_rests_on(effect: EffectResult, shop: Any) -> None:
    status = {assumption.name: assumption.status for assumption in effect.assumptions}
    assert status["no unmeasured confounding"] == "untestable"
    assert status["no interference between items of a slate"] == "untestable"
    assert status["not a policy effect"] == "by design"
    assert status["overlap"] == "tested"
    assert status["consistency"] == "untestable"
    assert "what was sampled" in status
    assert effect.adjustment == tuple(sorted(effect.adjustment))
    assert "activity" in effect.adjustment
    assert effect.graph_dot.startswith("digraph")
    assert effect.provenance.config["estimator"] == "dr"
    assert [table.name for table in effect.tables] == ["overlap", "balance", "weights", "repeats"]
    assert any(note.startswith("3 repeats") for note in effect.notes)


def test_the_answer_is_whole(effect: EffectResult) -> None:
    text = effect.summary()
    for part in (
        "Being exposed changes purchase by", "95% interval", "20,000 supported rows", "120 items",
        "500 users", "The observed means differ by", "not called bias",
    ):  # fmt: skip
        assert part in text
    assert effect.rows[0].clusters == {"item": 120, "user": 500}
    assert effect.rows[0].interval_method == "t, clustered by user and item"


def test_the_median_repeat_is_kept_whole(effect: EffectResult) -> None:
    repeats = next(table for table in effect.tables if table.name == "repeats")
    assert effect.value == pytest.approx(sorted(float(str(r[1])) for r in repeats.rows)[1])
    assert float(effect.estimate["dr"]) == pytest.approx(effect.value, abs=0)
    gap = effect.estimate.difference("naive", "dr")
    assert gap.interval()[0] == pytest.approx(effect.estimate["naive - dr"].interval()[0])


def test_values_intervals_and_levels(effect: EffectResult) -> None:
    assert float(effect) == effect.value
    assert effect.p_value < 1e-6
    low, high = effect.interval()
    wider = effect.interval(0.99)
    assert wider[0] < low < effect.value < high < wider[1]


def test_same_seed_same_bytes(shop: Any) -> None:
    runs = [
        cr.estimate_effect(shop.log, shop.graph, n_repeats=2, random_state=7).to_json()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    other = cr.estimate_effect(shop.log, shop.graph, n_repeats=2, random_state=8)
    assert other.to_json() != runs[0]


def test_a_reloaded_result_keeps_its_rows_and_says_what_it_lost(effect: EffectResult) -> None:
    reloaded = EffectResult.from_json(effect.to_json())
    assert isinstance(reloaded, EffectResult)
    assert (reloaded.value, reloaded.naive) == (effect.value, effect.naive)
    assert reloaded.interval() == effect.interval()
    for ask in (
        lambda: reloaded.by("gender"),
        lambda: reloaded.propensity,
        lambda: reloaded.interval(0.9),
    ):
        with pytest.raises(ResultError, match="reloaded from a file"):
            ask()
    assert "influence" not in effect.to_json()


def test_a_copy_with_sections_keeps_its_numbers(effect: EffectResult) -> None:
    by = effect.by("gender")
    whole = effect.model_copy(update={"sections": (by,)})
    assert math.isfinite(float(whole.estimate["dr"]))
    assert "gender=f" in whole.summary()


# ---------------------------------------------------------------------- one object, the chain


def test_the_propensity_goes_on_through_the_chain(effect: EffectResult, shop: Any) -> None:
    p = row_propensity(effect.propensity, shop.log)
    assert p.shape == (shop.log.n_rows,)
    assert np.corrcoef(p, shop.potential.row_propensity)[0, 1] > 0.97
    again = cr.estimate_effect(
        shop.log, shop.graph, propensity=effect.propensity, n_repeats=1, n_folds=2
    )
    assert abs(again.value - effect.value) < effect.standard_error / 2
    assert np.array_equal(row_propensity(again.propensity, shop.log), p)


def test_training_evaluation_and_audit_take_it(effect: EffectResult, shop: Any) -> None:
    log, p = shop.log, effect.propensity
    model = cr.DebiasedMF(estimator="ips", n_factors=2).fit(log, propensity=p)
    assert np.isfinite(model.predict(log.user_ids[:3], log.item_ids[:3])).all()
    results = (
        cr.evaluate(model, log, metrics=["mse"], estimator="snips", propensity=p),
        cr.estimate_mean(log, propensity=p, estimator="snips"),
        cr.audit(log, model, user_groups=["gender"], propensity=p),
    )
    assert all(result.rows[0].value is not None for result in results)


def test_a_fitted_model_wins_and_its_error_is_stacked(shop: Any) -> None:
    model = cr.PropensityModel().fit(shop.log, graph=shop.graph)
    found = cr.estimate_effect(
        shop.log, shop.graph, propensity=model, estimator="ips", n_repeats=1, n_folds=2
    )
    known = cr.estimate_effect(
        shop.log,
        shop.graph,
        propensity=row_propensity(model, shop.log),
        estimator="ips",
        n_repeats=1,
        n_folds=2,
    )
    assert found.value == pytest.approx(known.value, abs=1e-12)
    assert found.standard_error != known.standard_error
    text = {a.name: a.evidence for a in found.assumptions}["right propensities"]
    assert "part of the interval" in text
    text = {a.name: a.evidence for a in known.assumptions}["right propensities"]
    assert "takes them as known" in text


def test_models_of_the_users_own(shop: Any) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8)
    found = cr.estimate_effect(
        shop.log,
        shop.graph,
        outcome_model=trees,
        propensity=cr.PropensityModel(classifier=trees),
        n_folds=2,
        n_repeats=1,
    )
    assert abs(found.value - shop.population_truth["ate"]) < 3 * found.standard_error
    text = {a.name: a.evidence for a in found.assumptions}
    assert "though they are estimated" in text["right propensities"]
    assert "as known" in text["right outcome models"]


# ---------------------------------------------------------------------- two chances


def bias(propensity: str, outcome: str, n_worlds: int = 12) -> tuple[float, float]:
    """Return the mean error of dr against each world's own truth, and its Monte Carlo error."""
    errors = []
    for seed in range(n_worlds):
        world = cr.simulate("shop", n_users=250, n_items=60, random_state=500 + seed)
        right = world.potential.row_propensity
        found = cr.estimate_effect(
            world.log,
            world.graph,
            propensity=right if propensity == "right" else np.full(len(right), right.mean()),
            outcome_model=ArmOutcomeModel(covariates=None if outcome == "right" else ["gender"]),
            n_folds=2,
            n_repeats=1,
        )
        errors.append(found.value - world.truth["ate"])
    return float(np.mean(errors)), float(np.std(errors, ddof=1) / np.sqrt(n_worlds))


@pytest.mark.parametrize("which", [("right", "right"), ("right", "wrong"), ("wrong", "right")])
def test_dr_is_right_with_one_nuisance_wrong(which: tuple[str, str]) -> None:
    mean, error = bias(*which)
    assert abs(mean) < 3.5 * error  # t with 11 degrees of freedom: .5 % false alarms
    assert error < 0.005


def test_dr_is_wrong_with_both_wrong() -> None:
    mean, error = bias("wrong", "wrong")
    assert mean > 10 * error
    assert mean > 0.05
