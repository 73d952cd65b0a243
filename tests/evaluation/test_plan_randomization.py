"""Slices of the planned size are as precise as promised; those that ignore clusters are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError
from causalrec.evaluation._slice_design import SliceQuestion
from causalrec.evaluation._variance_components import Components, variance_components
from causalrec.inference import Estimate
from causalrec.scores import Score

USER, ITEM, CELL = 0.5, 0.3, 1.0
"""Standard deviations of users, items and cells."""
TRUE = Components(USER**2, ITEM**2, CELL**2)
CATALOGUE = 300


def selected(seed, *, n_users=600, n_items=CATALOGUE, gap=0.0):
    """A log of ratings that are recorded more where user, item and side are liked, with true p."""
    rng = np.random.default_rng(seed)
    a, b = USER * rng.normal(size=n_users), ITEM * rng.normal(size=n_items)
    side = rng.random(n_users) < 0.3
    p = 1 / (1 + np.exp(2.2 - a[:, None] - b[None, :]))
    y = 3 + a[:, None] + b[None, :] + gap * side[:, None] + CELL * rng.normal(size=p.shape)
    users, items = np.nonzero(rng.random(p.shape) < p)
    log = cr.InteractionLog(
        pd.DataFrame({"user_id": users, "item_id": items, "rating": y[users, items]}),
        users=pd.DataFrame({"user_id": range(n_users), "side": np.where(side, "a", "b")}),
        items=pd.DataFrame({"item_id": range(n_items)}), outcome="rating", kind="ratings",
    )  # fmt: skip
    return log, cr.KnownPropensity(p, of="observed"), y


def drawn(rng, users, each, catalogue=CATALOGUE):
    """A slice of new users and items: user codes, item codes, outcomes, and each user's side."""
    item = rng.random((users, catalogue)).argpartition(each - 1, axis=1)[:, :each]
    a, b = USER * rng.normal(size=users), ITEM * rng.normal(size=catalogue)
    y = 3 + a[:, None] + b[item] + CELL * rng.normal(size=item.shape)
    side = np.repeat(rng.random(users) < 0.3, each)
    return np.repeat(np.arange(users), each), item.ravel(), y.ravel(), side


def realised(users, each, *, gap=False, replicates=400, sampled=("user", "item")):
    """Return the standard deviation of the estimate over slices, and its mean half width."""
    rng = np.random.default_rng(0)
    found, half = [], []
    for _ in range(replicates):
        user, item, y, side = drawn(rng, users, each)
        clusters = {"user": user, "item": item}
        clusters = {name: clusters[name] for name in sampled}
        if gap:
            inside = np.column_stack([side, ~side]).astype(float)
            score = Score(y[:, None] * inside, inside)
            one = Estimate.from_score(score, clusters, ["a", "b"]).difference("a", "b")
        else:
            one = Estimate.from_score(Score(y), clusters, one_row_per_cell=True)
        lower, upper = one.interval()[0]
        found.append(float(one))
        half.append((upper - lower) / 2)
    return float(np.std(found)), float(np.mean(half))


def test_components_are_recovered_from_a_selected_log() -> None:
    log, p, _ = selected(0, n_users=2000, n_items=1000)
    weight = 1 / p.predict_codes(log.user_codes, log.item_codes)
    found = variance_components(log.outcome, weight, log.user_codes, log.item_codes)
    # 2000 users and 1000 items: variances are known to 3 and 5 %
    assert found.user == pytest.approx(TRUE.user, rel=0.12)
    assert found.item == pytest.approx(TRUE.item, rel=0.18)
    assert found.cell == pytest.approx(TRUE.cell, rel=0.05)


def test_cells_seen_twice_do_not_count_as_pairs_of_items() -> None:
    rng = np.random.default_rng(1)
    u, i = np.repeat(np.arange(400), 60), np.tile(np.arange(60), 400)
    h = USER * rng.normal(size=400)[u] + 0.8 * rng.normal(size=len(u))
    twice = np.tile(h, 2) + 0.5 * rng.normal(size=2 * len(u))
    found = variance_components(twice, np.ones(len(twice)), np.tile(u, 2), np.tile(i, 2))
    assert found.user == pytest.approx(USER**2, rel=0.25)
    assert found.item < 0.02


def test_a_plan_says_size_precision_power_and_cost() -> None:
    log, p, y = selected(0)
    plan = cr.plan_randomization(log, "mean", 0.08, propensity=p, sampled=("user",))
    cells, users, each = (plan[f"{name}"].value for name in
                          ("cells of the slice", "users of the slice", "items a user"))  # fmt: skip
    assert cells == users * each
    assert plan["half width promised"].value == pytest.approx(0.08, rel=0.01)
    assert plan["detectable difference"].value == pytest.approx(
        0.08 * (1.96 + 0.84) / 1.96, rel=0.01
    )
    assert plan["users of the slice"].lower < users < plan["users of the slice"].upper
    # the cost is the mean that is recorded minus that of all cells
    cost = plan["cost of a cell"]
    assert cost.lower < log.outcome.mean() - y.mean() < cost.upper
    assert plan["cost of the slice"].value == pytest.approx(cells * cost.value)
    assert "in all" in plan.answer
    sizes = plan.tables[0].to_frame()
    assert (sizes["half width"].diff().dropna() < 0).all()
    assert (sizes["cells"].diff().dropna() > 0).all()
    ways = plan.tables[1].to_frame()
    assert (ways["users"].diff().dropna() <= 0).all()
    assert ways["cells"].iloc[-1] > ways["cells"].iloc[0]
    assert cr.Result.from_json(plan.to_json()).rows == plan.rows


def test_new_items_set_a_floor_that_users_cannot_pass() -> None:
    log, p, _ = selected(1)
    with pytest.raises(StudyError, match="because the items themselves differ"):
        cr.plan_randomization(log, "mean", 0.02, propensity=p)
    plan = cr.plan_randomization(log, "mean", 0.02, propensity=p, sampled=("user",))
    assert "more than the 600 users of the log" in plan.answer


def test_every_question_has_a_plan() -> None:
    log, p, _ = selected(2, gap=0.5)
    gap = cr.plan_randomization(log, "gap", 0.2, by="side", propensity=p)
    assert "the gap in mean rating between side a and b" in gap.answer
    models = {"mean": lambda u, i: np.full(len(u), 3.0), "low": lambda u, i: np.full(len(u), 2.8)}
    pair = cr.plan_randomization(log, "difference", 0.1, models=models, propensity=p)
    # losses differ by .4 (y - 2.9): the same spread, scaled
    mean = cr.plan_randomization(log, "mean", 0.25, propensity=p)
    assert pair["cells of the slice"].value == pytest.approx(
        mean["cells of the slice"].value, rel=0.01
    )
    shop = cr.simulate("shop", n_users=300, n_items=60, random_state=0)
    effect = cr.plan_randomization(shop.log, "effect", 0.05)
    assert "the effect of exposure on purchase" in effect.answer
    feed = cr.simulate("social", n_users=300, n_items=40, n_slates=10, random_state=0)
    shown = cr.plan_randomization(feed.log, "mean", 0.05)
    cost = shown["cost of a row"]
    assert cost.lower < feed.truth["policy:logging"] - feed.truth["policy:uniform"] < cost.upper
    uniform = cr.simulate("music", n_users=200, n_items=60, n_randomized=4000, random_state=0)
    pilot = cr.plan_randomization(uniform.log.randomized_part(), "mean", 0.2)
    assert "cost of a cell" not in [row.label for row in pilot.rows]
    assert "does not say" in pilot.answer


def test_an_encouragement_is_planned_from_its_pilot() -> None:
    """At the size and share of the pilot the promised error is that of its own Wald ratio."""
    log = cr.simulate("video", n_users=800, n_items=80, random_state=0).log
    arms = np.asarray(log.arm).astype(str)
    shown = {arm: float(log.exposure[arms == arm].mean()) for arm in set(arms)}
    arm = arms == max(shown, key=shown.get)
    share = float(arm.mean())
    inside = np.column_stack([arm, ~arm, arm, ~arm]).astype(float)
    values = np.column_stack([log.outcome, log.outcome, log.exposure, log.exposure])
    means = Estimate.from_score(
        Score(values * inside, inside), {"user": log.user_codes}, list("abcd")
    )
    effect, pull = means.value[0] - means.value[1], means.value[2] - means.value[3]
    gradient = np.array([[1, -1, -effect / pull, effect / pull]]) / pull
    wald = float(means.contrast(gradient, labels=["wald"]).standard_error[0])
    plan = cr.plan_randomization(
        log, "encouragement", 0.5, exposure_share=share, sampled=("user",), items_per_user=40
    )
    users = plan["users of the slice"].value
    promised = plan["half width promised"].value / 1.96
    assert promised * np.sqrt(users / 800) == pytest.approx(wald, rel=0.1)
    assert "by encouragement" in plan.answer
    drawn = cr.plan_randomization(log, "effect", 0.5, sampled=("user",), items_per_user=40)
    assert drawn["users of the slice"].value < users / 4


def test_an_exchange_of_positions_costs_what_better_items_lose_below() -> None:
    feed = cr.simulate("social", n_users=1500, n_items=40, n_slates=10, random_state=0)
    log = feed.log
    plan = cr.plan_randomization(log, "position", 0.02, positions=(1, 3), sampled=("user",))
    relevance = feed.potential.relevance[log.user_codes, log.item_codes]
    at = [relevance[np.asarray(log.position) == r].mean() for r in (1, 3)]
    rho = feed.potential.examination[2]
    cost = plan["cost of a row"]
    assert cost.lower < (1 - rho) * (at[0] - at[1]) / 4 < cost.upper
    assert cost.lower > 0
    # two clicks of about .4 and .2 differ by what independent rows say, a little more
    rate = [float(np.mean(log.outcome[np.asarray(log.position) == r])) for r in (1, 3)]
    cells = 2 * sum(p * (1 - p) for p in rate) * (1.96 / 0.02) ** 2
    assert cells < plan["rows of the slice"].value < 2 * cells


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"question": "gap"}, "by=COLUMN"),
        ({"by": "side"}, "is for question='gap'"),
        ({"question": "difference"}, "models="),
        ({"models": {}}, "is for question='difference'"),
        ({"question": "median"}, "no question 'median'"),
        ({"question": "effect"}, "needs candidates"),
        ({"question": "position"}, "those of impressions"),
        ({"positions": (1, 2)}, "is for question='position'"),
        ({"precision": 0.0}, "must be positive"),
        ({"power": 0.2}, "must lie in"),
        ({"items_per_user": 0}, "at least 1"),
        ({"items_per_user": 301}, "has 300 eligible items"),
        ({"sampled": ()}, "means nothing here"),
        ({"question": "gap", "by": "side", "groups": ["a", "c"]}, "two of the levels"),
    ],
)
def test_refusals(options, match) -> None:
    log, p, _ = selected(3, n_users=60)
    with pytest.raises(StudyError, match=match):
        cr.plan_randomization(log, **{"precision": 0.5, "propensity": p, **options})


def test_impressions_without_propensities_are_refused() -> None:
    feed = cr.simulate("social", n_users=50, n_items=20, random_state=0)
    log = cr.InteractionLog(
        feed.events.drop(columns="logging_propensity"), outcome="click", slate="slate",
        position="position",
    )  # fmt: skip
    with pytest.raises(DataError, match="logging_propensity"):
        cr.plan_randomization(log, "mean", 0.05)


@pytest.mark.slow
def test_planned_slices_are_as_precise_as_promised() -> None:
    """400 slices: their standard deviation has a Monte Carlo error of 3.5 %.

    The plan is made from the true variances, then from a log, whose own error its row carries (half
    of it, for a standard error).
    """
    for gap, target in ((False, 0.09), (True, 0.14)):
        balance = (1.0, 1.0)
        parts = TRUE
        if gap:  # users of each side have mean zero part: variance over share, twice
            share = np.array([0.3, 0.7])
            parts = Components(TRUE.user * (1 / share).sum(), 0.0, TRUE.cell * (1 / share).sum()
                               + TRUE.item * (1 / share).sum())  # fmt: skip
            inverse = 1 / share
            balance = (inverse.sum() ** 2 / (inverse**3).sum(), 1.0)
        ready = SliceQuestion(parts, CATALOGUE, ("user", "item"), 0.95, 0.8, balance)
        plan = ready.needed(target, 5)
        spread, half = realised(plan.users, 5, gap=gap)
        assert spread == pytest.approx(plan.standard_error, rel=3 * 0.035)
        assert half == pytest.approx(target, rel=0.05)
        # the cells that would do, were rows independent, do not
        naive = max(plan.independent // 5, 2)
        assert realised(naive, 5, gap=gap)[1] > 1.2 * target

    log, p, _ = selected(5)
    found = cr.plan_randomization(log, "mean", 0.09, propensity=p, items_per_user=5)
    users = found["users of the slice"]
    error = np.log(users.upper / users.lower) / (2 * 1.96)
    spread, half = realised(int(users.value), 5)
    assert abs(np.log(half / 0.09)) < 3 * error / 2 + 0.05


@pytest.mark.slow
def test_the_error_of_a_size_is_that_of_logs() -> None:
    """200 logs: the standard deviation of their sizes is known to 5 %."""
    sizes, errors = [], []
    for seed in range(200):
        log, p, _ = selected(seed, n_users=200, n_items=100)
        plan = cr.plan_randomization(
            log, "mean", 0.15, propensity=p, items_per_user=5, sampled=("user",)
        )
        row = plan["users of the slice"]
        sizes.append(np.log(row.value))
        errors.append(np.log(row.upper / row.lower) / (2 * 1.96))
    truth = SliceQuestion(TRUE, 100, ("user",), 0.95, 0.8).needed(0.15, 5).users
    assert abs(np.mean(sizes) - np.log(truth)) < 3 * np.std(sizes) / np.sqrt(200) + 0.02
    assert 0.8 < np.mean(errors) / np.std(sizes) < 1.4
