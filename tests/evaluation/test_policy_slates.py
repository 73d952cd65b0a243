"""Values of slates in a world of lists without repeats whose every list can be enumerated."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError

ITEMS, PLACES = 4, 3
LISTS = np.array(list(permutations(range(ITEMS), PLACES)))
LIKED = np.array([0.7, 0.5, 0.3, 0.1])


@dataclass(frozen=True)
class Lists:
    """A policy that fills places from the top without repeats (Plackett & Luce).

    Attributes
    ----------
    joint : float64 (24,)
        Probability of every list.
    given_above : float64 (24, places, items)
        Of every item in each place, given the items above.
    in_place : float64 (places, items)
        Of every item in each place, whatever stands elsewhere.
    """

    joint: np.ndarray
    given_above: np.ndarray
    in_place: np.ndarray


def lists(strength: np.ndarray) -> Lists:
    left = np.tile(strength, (len(LISTS), PLACES, 1))
    for place in range(1, PLACES):
        for above in range(place):
            left[np.arange(len(LISTS)), place, LISTS[:, above]] = 0.0
    given = left / left.sum(axis=2, keepdims=True)
    joint = np.take_along_axis(given, LISTS[:, :, None], axis=2)[..., 0].prod(axis=1)
    marginal = np.zeros((PLACES, ITEMS))
    for place in range(PLACES):
        np.add.at(marginal[place], LISTS[:, place], joint)
    return Lists(joint, given, marginal)


LOGGING, TARGET = lists(np.array([1.0, 1.5, 2.0, 3.0])), lists(np.array([4.0, 2.0, 1.0, 1.0]))


def means(kind: str) -> np.ndarray:
    """Return the mean click of each place of every list, (24, places)."""
    liked = LIKED[LISTS]
    if kind == "independent":
        return liked
    above = np.hstack([np.zeros((len(LISTS), 1)), liked.cumsum(axis=1)[:, :-1]])
    if kind == "cascade":  # a liked item above takes clicks away
        return liked * (1.0 - 0.6 * above / 2.0)
    below = liked.sum(axis=1, keepdims=True) - liked - above
    return liked * (1.0 - 0.6 * (above + 2.0 * below) / 3.0)


def truth(kind: str) -> float:
    return float(TARGET.joint @ means(kind).sum(axis=1))


def draw(kind: str, slates: int, seed: int, users: int | None = None) -> tuple[np.ndarray, ...]:
    """Return the list of every slate, and its clicks; a user's taste moves all its clicks."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(LISTS), slates, p=LOGGING.joint)
    mean = means(kind)[chosen]
    if users is not None:
        mean = mean * (0.5 + rng.random(users))[np.arange(slates) * users // slates][:, None]
    return chosen, (rng.random(mean.shape) < mean).astype(float)


def log_of(
    chosen: np.ndarray, click: np.ndarray, model: str, users: int | None = None
) -> tuple[cr.InteractionLog, np.ndarray]:
    """Return the log with the propensities that a slate model asks for, and the target policy."""
    slates = len(chosen)
    slate, place = np.repeat(np.arange(slates), PLACES), np.tile(np.arange(PLACES), slates)
    item = LISTS[chosen].ravel()

    def of(policy: Lists) -> np.ndarray:
        if model == "independent":
            return policy.in_place[place]
        return policy.given_above[chosen[slate], place]

    user = slate if users is None else slate * users // slates
    events = pd.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "slate": slate,
            "position": place + 1,
            "click": click.ravel(),
            "p": of(LOGGING)[np.arange(len(item)), item],
        }
    )
    log = cr.InteractionLog(
        events,
        items=pd.DataFrame({"item_id": np.arange(ITEMS)}),
        outcome="click",
        slate="slate",
        position="position",
        logging_propensity="p",
        outcome_range=(0, 1),
    )
    return log, of(TARGET)


def test_weights_by_hand():
    chosen, click = draw("cascade", 50, 0)
    ratio = TARGET.joint[chosen] / LOGGING.joint[chosen]
    log, target = log_of(chosen, click, "standard")
    standard = cr.policy_value(log, target, estimator=["ips", "snips"], slate_model="standard")
    assert standard.rows[0].value == pytest.approx((ratio * click.sum(1)).mean())
    assert standard.rows[1].value == pytest.approx((ratio * click.sum(1)).sum() / ratio.sum())
    assert standard.rows[2].value == pytest.approx(click.sum(1).mean())
    assert standard.rows[0].clusters == {"user": 50}
    assert "a slate is worth" in standard.answer
    log, target = log_of(chosen, click, "independent")
    alone = cr.policy_value(log, target, estimator="ips", slate_model="independent").rows[0]
    places = np.arange(PLACES)
    weight = (TARGET.in_place / LOGGING.in_place)[places, LISTS[chosen]]
    assert alone.value == pytest.approx((weight * click).sum(1).mean())
    per_row = cr.policy_value(log, target, estimator="ips").rows[0]
    assert alone.value == pytest.approx(PLACES * per_row.value)
    assert alone.standard_error == pytest.approx(PLACES * per_row.standard_error)


def test_a_cascade_with_its_own_reward_model_has_no_noise_left():
    """Where the model is the truth and clicks are their means, every slate scores the value."""
    mean = means("cascade")
    chosen = np.random.default_rng(0).choice(len(LISTS), 300, p=LOGGING.joint)
    log, target = log_of(chosen, mean[chosen], "cascade")
    # Mean of the outcomes from a place down, given the items down to it, under the target policy.
    q = np.zeros((len(LISTS), PLACES, ITEMS))
    for number, shown in enumerate(LISTS):
        for place in range(PLACES):
            for item in range(ITEMS):
                alike = (LISTS[:, :place] == shown[:place]).all(1) & (LISTS[:, place] == item)
                if alike.any():
                    share = TARGET.joint[alike] / TARGET.joint[alike].sum()
                    q[number, place, item] = share @ mean[alike, place:].sum(1)
    table = q[chosen].reshape(-1, ITEMS)
    row = cr.policy_value(log, target, slate_model="cascade", q_model=table).rows[0]
    assert row.value == pytest.approx(truth("cascade"), abs=1e-12)
    assert row.standard_error < 1e-12


def test_what_means_nothing_is_refused():
    chosen, click = draw("cascade", 20, 0)
    log, target = log_of(chosen, click, "cascade")
    with pytest.raises(StudyError, match="Did you mean 'cascade'"):
        cr.policy_value(log, target, slate_model="cascades")
    with pytest.raises(StudyError, match="of whole slates"):
        cr.policy_value(log, target, slate_model="standard")
    with pytest.raises(StudyError, match="which only these carry"):
        cr.policy_value(log, target, slate_model="cascade", estimator="switch_dr")
    with pytest.raises(StudyError, match="so they are one draw"):
        cr.policy_value(log, target, sampled=("row",))
    with pytest.raises(StudyError, match="one by one"):
        cr.policy_value(log, target, slate_model="independent", adaptive=True)
    headless = log.select(log.position > 1)
    with pytest.raises(DataError, match="a position missing above"):
        cr.policy_value(headless, target[log.position > 1], slate_model="cascade")
    single = cr.InteractionLog(
        pd.DataFrame({"user_id": [1, 2], "item_id": [1, 1], "click": [1, 0], "p": [0.5, 0.5]}),
        outcome="click",
        logging_propensity="p",
    )
    with pytest.raises(DataError, match="no slate"):
        cr.policy_value(single, slate_model="cascade")


REPLICATES = 400
ESTIMATORS = {"independent": ("ips", "dr"), "cascade": ("ips", "snips", "dr"), "standard": ("ips",)}
RIGHT = {
    "independent": {"independent", "cascade", "standard"},
    "cascade": {"cascade", "standard"},
    "standard": {"standard"},
}
"""World -> the slate models that hold in it."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cascade", "standard"])
def test_slates_are_valued_without_bias_where_their_model_holds(kind):
    """Coverage where the assumption holds, and a bias that is found where it does not."""
    found: dict[tuple[str, str], list[tuple[float, float, bool]]] = {}
    value, users = truth(kind), 150
    for seed in range(REPLICATES):
        chosen, click = draw(kind, 600, seed, users)
        for model, estimators in ESTIMATORS.items():
            log, target = log_of(chosen, click, model, users)
            rows = cr.policy_value(log, target, estimator=estimators, slate_model=model).rows
            for name, row in zip(estimators, rows, strict=False):
                inside = row.lower <= value <= row.upper
                found.setdefault((model, name), []).append((row.value, row.standard_error, inside))
    noise = 1.96 * np.sqrt(0.95 * 0.05 / REPLICATES)
    spread = {}
    for (model, name), runs in found.items():
        values, _, inside = np.array(runs, dtype=float).T
        off = (values.mean() - value) / (values.std(ddof=1) / np.sqrt(REPLICATES))
        spread[model, name] = values.std(ddof=1)
        if model in RIGHT[kind]:
            assert abs(off) < 4, (model, name, off)
            assert 0.93 - noise <= inside.mean() <= 0.97 + noise, (model, name, inside.mean())
        else:
            assert abs(off) > 6, (model, name, off)
            assert name != "dr" or inside.mean() < 0.93 - noise, (model, name, inside.mean())
    # What assumes more is less noisy, and a reward model helps.
    assert spread["independent", "ips"] < spread["cascade", "ips"] < spread["standard", "ips"]
    assert spread["cascade", "dr"] < spread["cascade", "ips"]


def uneven(n: int = 300) -> cr.InteractionLog:
    """Return slates of one row or three, shown uniformly, a user each."""
    rng = np.random.default_rng(0)
    length = rng.choice([1, 3], size=n)
    user = np.repeat(np.arange(n), length)
    shown = pd.DataFrame({
        "user_id": user, "slate": user, "item_id": rng.integers(4, size=len(user)),
        "position": np.concatenate([np.arange(1, k + 1) for k in length]), "p": 0.25,
        "click": (rng.random(len(user)) < 0.5).astype(float),
    })  # fmt: skip
    return cr.InteractionLog(
        shown, outcome="click", logging_propensity="p", slate="slate", position="position",
        outcome_range=(0, 1),
    )  # fmt: skip


@pytest.mark.parametrize("model", ["independent", "cascade"])
def test_lengths_of_slates_are_in_the_error_of_self_normalised_weights(model: str) -> None:
    """All weights are one: the two are the same number, and its error that of a slate's sum."""
    names = ["ips", "snips"]
    found = cr.policy_value(uneven(), "uniform", estimator=names, slate_model=model)
    ips, snips = found.rows[:2]
    assert snips.value == pytest.approx(ips.value, abs=1e-12)
    assert snips.standard_error == pytest.approx(ips.standard_error, rel=1e-9)


def test_the_bound_of_bernstein_is_refused_for_clusters_of_unlike_sizes() -> None:
    with pytest.raises(StudyError, match="1 to 3 units of the value"):
        cr.policy_value(
            uneven(), estimator="ips", interval="empirical_bernstein", sampled=("user",)
        )
    found = cr.policy_value(
        uneven(), estimator="ips", interval="empirical_bernstein", slate_model="independent",
        largest_weight=1.0,
    )  # fmt: skip
    assert found.rows[0].lower < found.rows[0].value < found.rows[0].upper
