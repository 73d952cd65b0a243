"""uplift@k held to the potential outcomes of the shop world."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from causalrec import DebiasedMF, InteractionLog, simulate
from causalrec.errors import DataError, IdentificationError, OverlapError, StudyError
from causalrec.evaluation import evaluate_uplift


def a_shop(seed: int, **settings):
    return simulate("shop", n_users=200, n_items=40, n_candidates=20, random_state=seed, **settings)


def quality(world, sign: float = 1.0):
    """Return a recommender that needs no training: better products first, or last."""
    column = sign * world.log.items["quality"]
    return lambda users, items: column.loc[items].to_numpy()


def true_uplift(world, model, k: int) -> float:
    log = world.log
    score = np.full((log.n_users, log.n_items), -np.inf)
    codes = log.user_codes, log.item_codes
    score[codes] = model(log.user_ids[codes[0]], log.item_ids[codes[1]])
    first = np.argsort(-score, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(world.potential.effect, first, 1).mean())


def test_it_is_near_the_truth_and_says_who_adds_more() -> None:
    world = simulate("shop", n_users=1500, n_items=60, n_candidates=40, random_state=3)
    models = {"good": quality(world), "bad": quality(world, -1.0)}
    found = evaluate_uplift(models, world.log, k=5, graph=world.graph)
    rows = {row.label: row for row in found.rows}
    truth = {name: true_uplift(world, model, 5) for name, model in models.items()}
    for name, value in truth.items():
        assert abs(rows[name].value - value) < 4 * rows[name].standard_error
    assert abs(rows["random list"].value - world.truth["ate"]) < 4 * rows["good"].standard_error
    gap = rows["bad - good"]
    assert gap.upper < 0
    assert gap.p_adjusted >= gap.p_value
    assert abs(gap.value - (truth["bad"] - truth["good"])) < 4 * gap.standard_error
    assert "less than" not in found.answer
    assert found.adjustment


def test_a_list_of_every_candidate_is_the_average_effect() -> None:
    world = a_shop(0)
    found = evaluate_uplift(quality(world), world.log, k=40, graph=world.graph)
    score = found.internal("score")
    tau = score.numerator[:, 1] / score.denominator[:, 1]
    assert_allclose(found.rows[0].value, tau.mean())
    assert_allclose(found.rows[0].value, found.rows[1].value)
    assert any("fewer than 40 candidates" in note for note in found.notes)


def test_several_rows_of_a_candidate_are_one_place() -> None:
    events = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2, 2],
            "item_id": ["a", "a", "b", "c", "a", "b"],
            "shown": [1, 0, 1, 0, 0, 1],
            "bought": [1.0, 0.0, 1.0, 1.0, 0.0, 1.0],
        }
    )
    log = InteractionLog(events, outcome="bought", exposure="shown")
    likes = {"a": 3.0, "b": 2.0, "c": 1.0}
    found = evaluate_uplift(
        lambda users, items: np.array([likes[one] for one in items]),
        log,
        k=1,
        propensity=0.5,
        estimator="ips",
        n_folds=2,
    )
    # User 1's list is item a, half of 2 and half of 0; user 2's is item a, 0.
    assert_allclose(found.rows[0].value, (0.5 * 2.0 + 0.5 * 0.0 + 0.0) / 2)


def test_a_model_judged_on_its_own_candidates_is_told() -> None:
    world = a_shop(1)
    train, test = world.log.split(by="cell", test_size=0.5, random_state=0)
    model = DebiasedMF("dr", objective="effect", n_factors=0).fit(train, graph=world.graph)
    status = {}
    for name, log in (("own", train), ("other", test)):
        found = evaluate_uplift(model, log, k=3, graph=world.graph)
        status[name] = {one.name: one.status for one in found.assumptions}["held-out candidates"]
    assert status == {"own": "violated", "other": "tested"}


def test_lists_that_chase_their_own_noise_flatter_themselves() -> None:
    world = a_shop(2)
    found = evaluate_uplift(quality(world), world.log, k=3, graph=world.graph)
    score = found.internal("score")
    tau = score.numerator[:, 1] / score.denominator[:, 1]
    own = pd.Series(tau, index=[world.log.user_codes, world.log.item_codes])
    users = {one: at for at, one in enumerate(world.log.user_ids)}
    items = {one: at for at, one in enumerate(world.log.item_ids)}

    def chases(user_ids, item_ids):
        return np.array([own[users[u], items[i]] for u, i in zip(user_ids, item_ids, strict=True)])

    flattered = evaluate_uplift(chases, world.log, k=3, graph=world.graph).rows[0]
    assert flattered.lower > world.potential.effect.max()


def test_an_unmeasured_confounder_is_not_in_the_interval() -> None:
    # What would have told: the graph refuses (its open path), and `effect.sensitivity()` of the
    # same log says how strong a confounder would have to be.
    world = simulate("shop", n_users=600, n_items=40, unmeasured=1.5, random_state=0)
    model = quality(world)
    with pytest.raises(IdentificationError):
        evaluate_uplift(model, world.log, k=5, graph=world.graph)
    found = evaluate_uplift(model, world.log, k=5).rows[0]
    assert found.lower > true_uplift(world, model, 5)


def test_what_means_nothing_is_refused() -> None:
    world = a_shop(0)
    model = quality(world)
    with pytest.raises(StudyError, match="at least 1"):
        evaluate_uplift(model, world.log, k=0)
    with pytest.raises(StudyError, match="neither 'dr' nor 'ips'"):
        evaluate_uplift(model, world.log, estimator="snips")
    with pytest.raises(StudyError, match="name of the baseline"):
        evaluate_uplift({"random list": model}, world.log)
    with pytest.raises(DataError, match="what a list adds"):
        evaluate_uplift(model, simulate("music", n_users=40, n_items=20, random_state=0).log)
    with pytest.raises(OverlapError, match="only one arm"):
        evaluate_uplift(model, world.log, propensity=1.0)


@pytest.mark.slow
def test_intervals_cover_new_users_and_items() -> None:
    replicates, values, truths = 400, [], []
    for seed in range(replicates):
        world = simulate("shop", n_users=120, n_items=40, n_candidates=15, random_state=1000 + seed)
        models = {"good": quality(world), "bad": quality(world, -1.0)}
        found = evaluate_uplift(models, world.log, k=5, graph=world.graph, n_folds=2)
        rows = {row.label: row for row in found.rows}
        truth = {name: true_uplift(world, model, 5) for name, model in models.items()}
        values.append([(rows[one].value, rows[one].lower, rows[one].upper) for one in truth])
        truths.append(list(truth.values()))
    values, target = np.array(values), np.mean(truths, axis=0)
    inside = (values[..., 1] <= target) & (target <= values[..., 2])
    bias = values[..., 0].mean(0) - target
    error = values[..., 0].std(0, ddof=1) / np.sqrt(replicates)
    assert (np.abs(bias) < 3.5 * error).all()
    # Monte Carlo error of a coverage of 95 % over 400 worlds is 1.1 points.
    assert (inside.mean(0) > 0.95 - 3.5 * 0.011).all()
    assert (inside.mean(0) < 0.95 + 3.5 * 0.011).all()
