"""Propensities that depend on the outcome, against worlds whose slope is known."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, IdentificationError, NotFittedError, PropensityWarning
from causalrec.nuisances._shadow_fit import ShadowEquations, solve_equations
from causalrec.nuisances._shadow_tests import wald

SLOPE = 0.6


@pytest.fixture(scope="module")
def world():
    return cr.simulate("music", 300, 120, 4, density=0.15, selection_on_rating=SLOPE, critics=0.8)


@pytest.fixture(scope="module")
def model(world):
    return cr.ShadowPropensity().fit(world.log, world.graph)


def test_the_slope_is_that_of_the_world(world, model):
    assert abs(model.slope_ - SLOPE) < 3 * model.slope_error_
    assert model.slope_error_ < 0.1
    assert model.strength_ > 30
    assert model.shadow_ == "critics"
    assert model.covariates_ == ("age_group", "country", "engagement", "genre", "mainstream")
    assert abs(model.coefficients_["country=B x mainstream"] + 0.45 * 0.94) < 0.15


def test_the_weighted_cells_match_all_cells_in_covariates_and_shadow(world, model):
    weight = 1.0 / model.for_rows(world.log)
    items = world.items.loc[world.log.item_codes]
    assert weight.sum() == pytest.approx(300 * 120, rel=1e-6)
    for column in ("critics", "mainstream"):
        weighted = weight @ items[column].to_numpy() / weight.sum()
        assert weighted == pytest.approx(world.items[column].mean(), abs=1e-6)
    jazz = weight @ (items["genre"] == "jazz").to_numpy() / weight.sum()
    assert jazz == pytest.approx((world.items["genre"] == "jazz").mean(), abs=1e-6)


def test_an_ineligible_cell_balances_nothing(world):
    rng = np.random.default_rng(0)
    events = world.events
    taken = set(zip(events["user_id"], events["item_id"], strict=True))
    pairs = [
        (u, i)
        for u in world.users["user_id"]
        for i in world.items["item_id"]
        if (u, i) in taken or rng.random() < 0.8
    ]
    eligible = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    log = cr.InteractionLog(
        events, users=world.users, items=world.items, outcome="rating", eligible=eligible
    )
    found = cr.ShadowPropensity(crosses=False).fit(log, world.graph)
    assert (1.0 / found.for_rows(log)).sum() == pytest.approx(len(pairs), rel=1e-6)


def test_the_jacobian_is_the_derivative():
    rng = np.random.default_rng(1)
    functions = np.column_stack([np.ones(200), rng.standard_normal((200, 3))])
    design = np.column_stack([functions[:, :2], rng.standard_normal(200)])
    equations = ShadowEquations(functions, design, functions.sum(axis=0) * 4, 800)
    theta = np.array([-1.0, 0.3, 0.5])
    steps = 1e-6 * np.eye(3)
    numeric = [
        (equations.imbalance(theta + step) - equations.imbalance(theta - step)) / 2e-6
        for step in steps
    ]
    assert equations.jacobian(theta) == pytest.approx(np.transpose(numeric), abs=1e-8)


def test_the_response_of_the_parameters_is_that_of_solving_again():
    rng = np.random.default_rng(2)
    z, y = rng.standard_normal(4000), rng.standard_normal(4000)
    y = y + z
    kept = rng.random(4000) < 1 / (1 + np.exp(1.0 - 0.5 * y))
    functions = np.column_stack([np.ones(4000), z])
    design = np.column_stack([np.ones(4000), y])[kept]
    solved = np.ones(2, dtype=bool)
    options = {"tolerance": 1e-14, "max_iterations": 500, "shadow": "z"}

    def solve(shift):
        totals = functions.sum(axis=0) - 4000 * np.array([0.0, shift])
        return solve_equations(
            ShadowEquations(functions[kept], design, totals, 4000), solved, **options
        )

    change = (solve(1e-5).theta - solve(-1e-5).theta) / 2e-5
    assert change == pytest.approx(solve(0.0).response[:, 1], rel=1e-4)


@pytest.mark.filterwarnings("ignore:The shadow variable")
def test_two_equations_by_hand():
    """Of ten users, 6 like and 1 dislikes the praised item; 2 like and 3 dislike the other.

    6 v + w = 10 and 2 v + 3 w = 10: the weights are 1.25 and 2.5, the odds 4 and 2/3.
    """
    liked, praised = np.repeat([1, 0, 1, 0], [6, 1, 2, 3]), np.repeat([1, 0], [7, 5])
    users = np.concatenate([np.arange(7), np.arange(5)])
    events = pd.DataFrame({"user_id": users, "item_id": praised, "rating": liked})
    log = cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": range(10)}),
        items=pd.DataFrame({"item_id": [0, 1], "critics": [0.0, 1.0]}),
    )
    model = cr.ShadowPropensity("critics", covariates=[]).fit(log)
    assert model.slope_ == pytest.approx(np.log(6.0))
    assert model.for_rows(log) == pytest.approx(np.where(log.outcome == 1, 0.8, 0.4))
    assert np.isnan(model.overidentification_[0])
    mean = cr.estimate_mean(log, model)
    assert mean.value == pytest.approx(0.5)
    assert mean.tables[0].rows[0][-3:] == (None, 0, None)


def test_a_test_statistic_leaves_out_what_does_not_vary():
    assert wald(np.array([2.0, 0.0]), np.diag([4.0, 0.0])) == pytest.approx(1.0)


def test_a_shadow_that_decides_the_recording_fails_and_the_test_says_so(world):
    """Mainstream songs are rated more often, by country A above all: no shadow variable."""
    with pytest.warns(PropensityWarning) as warned:
        wrong = cr.ShadowPropensity(
            "mainstream", covariates=["age_group", "country", "engagement", "genre"]
        ).fit(world.log)
    assert any("has a say in what is recorded" in str(w.message) for w in warned)
    assert wrong.slope_ > SLOPE + 0.3
    assert wrong.overidentification_[2] < 0.001


def test_a_weak_shadow_is_counted_and_warned_of():
    weak = cr.simulate("music", 300, 120, 3, density=0.15, selection_on_rating=0.6, critics=0.1)
    with pytest.warns(PropensityWarning, match="is weak: F = "):
        model = cr.ShadowPropensity().fit(weak.log, weak.graph)
    assert model.strength_ < 10
    assert model.slope_error_ > 0.1


def test_words_make_a_shadow_too(world):
    items = world.items.assign(
        verdict=pd.cut(world.items["critics"], 4, labels=["poor", "fair", "good", "great"]).astype(
            str
        )
    )
    log = cr.InteractionLog(
        world.events, users=world.users, items=items, outcome="rating", outcome_range=(1, 5)
    )
    model = cr.ShadowPropensity("verdict", covariates=world_covariates()).fit(log)
    assert model.overidentification_[1] == 2  # three levels beside the first, one slope
    assert abs(model.slope_ - SLOPE) < 4 * model.slope_error_


def world_covariates():
    return ["age_group", "country", "engagement", "genre", "mainstream"]


def test_what_is_refused(world):
    with pytest.raises(IdentificationError, match="declare it in a graph"):
        cr.ShadowPropensity().fit(world.log)
    with pytest.raises(IdentificationError, match="no shadow variable is needed"):
        cr.ShadowPropensity().fit(world.log, cr.load_graph("rating_selection"))
    with pytest.raises(DataError, match="not known for cells that were not recorded"):
        cr.ShadowPropensity("rating", covariates=["country"]).fit(world.log)
    with pytest.raises(NotFittedError):
        cr.ShadowPropensity().for_rows(world.log)
    same = world.items.assign(critics=1.0)
    log = cr.InteractionLog(world.events, users=world.users, items=same, outcome="rating")
    with pytest.raises(DataError, match="takes one value only"):
        cr.ShadowPropensity("critics", covariates=["country"]).fit(log)
    copied = world.items.assign(critics=world.items["mainstream"])
    log = cr.InteractionLog(world.events, users=world.users, items=copied, outcome="rating")
    with pytest.raises(IdentificationError, match="does not determine"):
        cr.ShadowPropensity("critics", covariates=["mainstream"], crosses=False).fit(log)


def test_cells_of_another_part_are_read_at_their_own_outcomes(world, model):
    train, test = world.log.split(random_state=0)
    whole = model.for_rows(world.log)
    where = pd.MultiIndex.from_arrays([world.log.user_codes, world.log.item_codes])
    rows = where.get_indexer(pd.MultiIndex.from_arrays([test.user_codes, test.item_codes]))
    fitted = cr.ShadowPropensity().fit(train, world.graph)
    ratio = fitted.for_rows(test) / whole[rows]
    assert np.median(ratio) == pytest.approx(train.part.rate, abs=0.1)
