"""Examination by position: known curves, coverage, and what each method cannot survive."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, NotFittedError, StudyError
from causalrec.nuisances import ExaminationModel

THETA = np.array([1.0, 0.6, 0.4, 0.3])


def feed(seed: int, *, sorting: float, n_users: int = 150, times: int = 12, hidden: float = 0.0):
    """Impressions of four items a slate, ranked by liking (`sorting`) and noise; slates may swap.

    Half of the slates exchange their first place with one of the others by a coin (column "swap").
    """
    rng = np.random.default_rng(seed)
    n_items, k = 20, 4
    taste, genre = rng.integers(0, 2, n_users), rng.integers(0, 2, n_items)
    logit = -1.0 + 1.2 * (taste[:, None] == genre[None, :])
    logit = logit + hidden * rng.normal(size=(n_users, n_items))
    relevance = 1 / (1 + np.exp(-logit))
    slates = n_users * times
    user = np.repeat(np.arange(n_users), times)
    item = np.argsort(rng.random((slates, n_items)), axis=1)[:, :k]
    rank = np.argsort(
        -(sorting * logit[user[:, None], item] + rng.gumbel(size=(slates, k))), axis=1
    )
    item = np.take_along_axis(item, rank, axis=1)
    partner = rng.integers(1, k, slates) * (rng.random(slates) < 0.5)
    turned = (partner > 0) & (rng.random(slates) < 0.5)
    first, other = item[:, 0].copy(), item[np.arange(slates), partner].copy()
    item[turned, 0], item[turned, partner[turned]] = other[turned], first[turned]
    click = rng.random((slates, k)) < THETA * relevance[user[:, None], item]
    events = pd.DataFrame({
        "user_id": np.repeat(user, k), "item_id": item.ravel(),
        "slate": np.repeat(np.arange(slates), k), "position": np.tile(np.arange(1, k + 1), slates),
        "click": click.ravel().astype(int), "swap": np.repeat(np.where(partner, partner + 1, 0), k),
    })  # fmt: skip
    return cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": range(n_users), "taste": np.array(["x", "y"])[taste]}),
        items=pd.DataFrame({"item_id": range(n_items), "genre": np.array(["a", "b"])[genre]}),
        outcome="click", position="position", slate="slate",
    )  # fmt: skip


METHODS = {
    "swaps": ExaminationModel("swaps", swap="swap"),
    "harvesting": ExaminationModel("harvesting"),
    "regression-em": ExaminationModel("regression-em"),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_curve_is_found_where_clicks_alone_mislead(name) -> None:
    log = feed(0, sorting=1.5, n_users=500)
    model = METHODS[name].clone().fit(log)
    rates = np.array([log.outcome[log.position == r].mean() for r in range(1, 5)])
    assert (np.abs(rates / rates[0] - THETA)[2:] > 0.06).all()
    z = (np.log(model.theta_[1:]) - np.log(THETA[1:])) / model.estimate_.standard_error
    assert np.abs(z).max() < 3.2
    assert (model.estimate_.standard_error < 0.15).all()
    assert model.predict([3, 1]).tolist() == model.theta_[[2, 0]].tolist()
    assert model.curve_["value"].tolist() == model.theta_.tolist()
    assert (model.curve_["lower"] <= model.curve_["value"]).all()


def test_items_alone_harvest_what_stands_high_before_those_who_like_it() -> None:
    log = feed(1, sorting=1.5, n_users=500)
    wrong = ExaminationModel("harvesting", same="item").fit(log)
    z = (np.log(wrong.theta_[1:]) - np.log(THETA[1:])) / wrong.estimate_.standard_error
    assert z[-1] < -3


def test_em_fails_where_a_feature_is_missing_and_swaps_do_not() -> None:
    log = feed(2, sorting=1.5, n_users=500)
    wrong = ExaminationModel("regression-em", covariates=["taste"]).fit(log)
    z = (np.log(wrong.theta_[1:]) - np.log(THETA[1:])) / wrong.estimate_.standard_error
    assert (z[1:] < -3).all()
    hidden = feed(3, sorting=1.5, n_users=500, hidden=1.0)
    wrong = ExaminationModel("regression-em").fit(hidden)
    right = ExaminationModel("swaps", swap="swap").fit(hidden)
    assert np.log(wrong.theta_[1:] / THETA[1:]).mean() < -0.1
    gap = (np.log(right.theta_[1:]) - np.log(THETA[1:])) / right.estimate_.standard_error
    assert np.abs(gap).max() < 3.2


def test_the_feed_of_the_social_world() -> None:
    world = cr.simulate("social", n_users=500, n_items=40, n_slates=20, random_state=1)
    truth = np.array([world.truth[f"examination:{r}"] for r in range(1, 6)])
    model = ExaminationModel().fit(world.log)
    z = (np.log(model.theta_[1:]) - np.log(truth[1:])) / model.estimate_.standard_error
    assert np.abs(z).max() < 3.3
    assert "stood at more than one position" in model.notes_[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swaps", "harvesting"])
def test_intervals_cover(name) -> None:
    """400 feeds: a covered share of 95 % has a Monte Carlo error of 1.1 %."""
    covered, bias = [], []
    for seed in range(400):
        model = METHODS[name].clone().fit(feed(seed, sorting=1.5))
        ends = model.estimate_.interval()
        truth = np.log(THETA[1:])
        covered.append((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
        bias.append(np.log(model.theta_[1:]) - truth)
    share, off = np.mean(covered, axis=0), np.array(bias)
    assert (share > 0.95 - 3 * 0.011).all(), share
    # a log of a ratio has a bias of the order of its variance
    noise = 3 * off.std(axis=0) / 20
    assert (np.abs(off.mean(axis=0)) < noise + off.var(axis=0)).all()


@pytest.mark.slow
def test_em_is_consistent() -> None:
    """The error falls as one over the root of the users: 16 times as many, a quarter of it."""

    def error(n_users: int, seeds: range) -> float:
        fits = [METHODS["regression-em"].clone().fit(feed(s, sorting=1.5, n_users=n_users))
                for s in seeds]  # fmt: skip
        return float(np.sqrt(np.mean([np.log(f.theta_[1:] / THETA[1:]) ** 2 for f in fits])))

    assert error(1600, range(6)) < 0.5 * error(100, range(12))


def test_refusals() -> None:
    log = feed(4, sorting=0.0, n_users=20)
    with pytest.raises(StudyError, match="drawn by lot"):
        ExaminationModel("swaps").fit(log)
    with pytest.raises(StudyError, match="no examination method"):
        ExaminationModel("cascade").fit(log)
    with pytest.raises(StudyError, match="swap= is for"):
        ExaminationModel(swap="swap").fit(log)
    with pytest.raises(NotFittedError):
        ExaminationModel().predict([1])
    model = ExaminationModel("regression-em").fit(log)
    with pytest.raises(DataError, match=r"positions \[9\]"):
        model.predict([1, 9])
    quiet = cr.InteractionLog(
        pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 2, 1], "position": [1, 2, 1, 2],
                      "click": [1, 0, 1, 0], "slate": [1, 1, 2, 2]}),
        outcome="click", position="position", slate="slate",
    )  # fmt: skip
    with pytest.raises(DataError, match=r"Positions \[1, 2\] have no clicks"):
        ExaminationModel().fit(quiet)
