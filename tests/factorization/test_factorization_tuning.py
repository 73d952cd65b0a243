"""Tuning on the biased log: the loss is SNIPS's, the choice follows the rule, the model refits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalrec import DebiasedMF, InteractionLog, KnownPropensity, simulate, tune
from causalrec.errors import ResultError, StudyError
from causalrec.factorization import TuningResult
from causalrec.factorization._common import Pattern
from causalrec.factorization._training import Problem, train
from causalrec.factorization._tuning import _select
from causalrec.factorization._tuning_positives import relevance_losses
from causalrec.factorization._tuning_result import label
from causalrec.inference import Estimate
from causalrec.results import Result
from causalrec.scores import Score

GRID = {"n_factors": [0, 2], "regularization": [2.0, 8.0, 64.0]}


@pytest.fixture(scope="module")
def world():
    return simulate("music", n_users=80, n_items=40, random_state=0)


@pytest.fixture(scope="module")
def propensity(world) -> KnownPropensity:
    return KnownPropensity(world.potential.propensity)


@pytest.fixture(scope="module")
def tuning(world, propensity) -> TuningResult:
    return tune(DebiasedMF("ips", n_sweeps=5), world.log, propensity, grid=GRID, n_repeats=1)


def test_one_row_a_configuration_with_its_interval(tuning) -> None:
    frame = tuning.to_frame()
    assert len(frame) == 6
    assert (frame["lower"] < frame["value"]).all()
    assert (frame["value"] < frame["upper"]).all()
    assert tuning.kind == "tuning"
    assert "selection" in tuning.notes[0]
    best = frame.loc[frame["value"].idxmin(), "label"]
    assert label(tuning.selected) == best
    assert best in tuning.answer
    table = tuning.tables[0]
    assert [row[-1] for row in table.rows].count(True) == 1


def test_the_model_is_the_configuration_refitted_on_the_whole_log(
    world, propensity, tuning
) -> None:
    again = DebiasedMF("ips", n_sweeps=5, **tuning.selected).fit(world.log, propensity)
    everything = slice(None)
    assert (
        tuning.model.predict_block(everything).tobytes()
        == again.predict_block(everything).tobytes()
    )
    assert tuning.model.get_params() == again.get_params()


def test_the_loss_is_the_snips_mean_of_held_out_errors(world, propensity) -> None:
    """With no factors and all the ridge in the world the held-out error is that of a mean."""
    found = tune(
        DebiasedMF("ips"),
        world.log,
        propensity,
        grid={"n_factors": [0], "regularization": [1e12]},
        n_repeats=1,
        n_folds=3,
        random_state=5,
    )
    cells = world.log.observed_cells()
    w = 1.0 / world.potential.propensity[cells.users, cells.items]
    fold = np.random.default_rng(5).permutation(len(cells)) % 3
    errors = np.empty(len(cells))
    for held in range(3):
        mean = np.average(cells.outcome[fold != held], weights=w[fold != held])
        errors[fold == held] = (cells.outcome[fold == held] - mean) ** 2
    assert found.rows[0].value == pytest.approx(np.average(errors, weights=w), rel=1e-6)


def test_folds_rescale_the_propensities() -> None:
    pattern = Pattern(np.zeros(4, np.int32), np.arange(4, dtype=np.int32), 1, 4)
    whole = Problem(pattern, np.arange(4.0), np.full(4, 0.4))
    part = whole.part(np.array([True, True, True, False]), 0.75)
    assert part.propensity.tolist() == pytest.approx([0.3] * 3)
    assert part.outcome.tolist() == [0.0, 1.0, 2.0]


def test_same_seed_same_bytes_and_another_seed_other_folds(world, propensity) -> None:
    texts = [
        tune(
            DebiasedMF("mrdr", n_sweeps=3),
            world.log,
            propensity,
            grid=GRID,
            n_repeats=1,
            random_state=seed,
        ).to_json()
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_naive_is_validated_with_propensities_but_trained_without(world, propensity) -> None:
    found = tune(DebiasedMF("naive", n_sweeps=3), world.log, propensity, grid=GRID, n_repeats=1)
    plain = DebiasedMF("naive", n_sweeps=3, **found.selected).fit(world.log)
    np.testing.assert_array_equal(
        found.model.predict_block(slice(None)), plain.predict_block(slice(None))
    )
    assert found.rows[0].estimator == "snips"


def test_one_standard_error_takes_the_simplest_that_is_not_clearly_worse() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 1))
    losses = 1.0 + noise + np.array([0.5, 0.02, 0.01, 0.0]) + 0.3 * rng.normal(size=(400, 4))
    losses -= losses.mean(0) - np.array([1.5, 1.005, 1.004, 1.0])
    configurations = [
        {"n_factors": 0, "regularization": 9.0},
        {"n_factors": 2, "regularization": 1.0},
        {"n_factors": 2, "regularization": 4.0},
        {"n_factors": 8, "regularization": 4.0},
    ]
    users, items = np.arange(400) % 40, np.arange(400) // 20
    estimate = Estimate.from_score(
        Score(losses), {"user": users, "item": items}, [label(one) for one in configurations]
    )
    assert _select(estimate, configurations, "minimum") == 3
    assert _select(estimate, configurations, "one_standard_error") == 2


def test_the_loss_of_positives_is_the_error_of_relevance_on_average() -> None:
    """f_c trained without the fold of c, so that R_c is as good as new; z from 200 logs."""
    rng = np.random.default_rng(0)
    m, n, k = 30, 24, 3
    relevance = 1.0 / (1.0 + np.exp(1.0 - rng.normal(size=(m, 2)) @ rng.normal(size=(2, n))))
    exposure = (0.1 + 0.8 * relevance).clip(0.05, 0.95)
    recipe = DebiasedMF("relmf", n_factors=2, regularization=1.0, n_sweeps=3)._recipe()
    errors = []
    for _ in range(200):
        shown = rng.random((m, n)) < exposure
        liked = rng.random((m, n)) < relevance
        users, items = np.nonzero(shown & liked)
        pattern = Pattern(users.astype(np.int32), items.astype(np.int32), m, n)
        of_cell = rng.integers(k, size=(m, n))
        truth = 0.0
        problem = Problem(pattern, np.ones(len(users)), exposure[users, items])
        for held in range(k):
            part_of = of_cell[users, items] != held
            f = train(problem.part(part_of, 1 - 1 / k), recipe).factors.block(slice(None))
            truth += np.sum(((relevance - f) ** 2 - relevance**2)[of_cell == held]) / (m * n)
        losses = relevance_losses(problem, [recipe], of_cell[users, items], k)
        errors.append(losses.mean() - truth)
    assert abs(np.mean(errors) / (np.std(errors, ddof=1) / np.sqrt(len(errors)))) < 3.5


def test_positives_choose_a_ridge_that_is_near_the_best() -> None:
    rng = np.random.default_rng(1)
    taste = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 150))
    relevance, exposure = 1.0 / (1.0 + np.exp(1.0 - 1.5 * taste)), np.full(taste.shape, 0.6)
    happened = (rng.random(taste.shape) < exposure) & (rng.random(taste.shape) < relevance)
    users, items = np.nonzero(happened)
    log = InteractionLog(pd.DataFrame({"user_id": users, "item_id": items}), kind="positives")
    grid = {"n_factors": [2], "regularization": [1.0, 5.0, 1_000.0]}
    found = tune(DebiasedMF("relmf"), log, exposure, grid=grid, n_repeats=1)
    errors = []
    for ridge in grid["regularization"]:
        model = DebiasedMF("relmf", n_factors=2, regularization=ridge).fit(log, exposure)
        errors.append(np.mean((model.predict_block(slice(None)) - relevance) ** 2))
    chosen = grid["regularization"].index(found.selected["regularization"])
    assert errors[chosen] < 1.1 * min(errors)
    assert max(errors) > 1.5 * min(errors)  # the grid is worth choosing from
    assert "relevance" in found.answer
    assert found.rows[0].estimator == "ips"
    assert found.assumptions[0].name == "exposure model"


def test_a_reloaded_result_has_no_model(tuning) -> None:
    back = Result.from_json(tuning.to_json())
    assert back.to_frame().equals(tuning.to_frame())
    with pytest.raises(ResultError, match="model"):
        TuningResult.model_validate_json(tuning.to_json()).model  # noqa: B018


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"grid": {"n_factor": [1]}}, "Did you mean 'n_factors'"),
        ({"grid": {"estimator": ["relmf", "ips"]}}, "relmf on its own"),
        ({"grid": {"regularization": []}}, "must be a list"),
        ({"grid": {"imputation": "naive"}}, "must be a list"),
        ({"grid": {"regularization": [-1.0]}}, "at least 0"),
        ({"grid": {}}, "empty"),
        ({"n_folds": 1}, "n_folds=1 .* at least 2"),
        ({"n_repeats": 0}, "n_repeats=0 .* at least 1"),
        ({"selection": "min"}, "selection"),
        ({"n_folds": 10**6}, "observed cells"),
    ],
)
def test_options_that_mean_nothing_are_refused(world, options, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        tune(DebiasedMF("ips"), world.log, 0.2, **options)
