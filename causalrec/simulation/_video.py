"""The world of video: candidates that are promoted or not, and minutes watched in either case.

Long-standing users and popular videos are promoted more and watched more without it. Half of the
users are in an experiment's treatment arm, which promotes everything more and acts through
promotion alone: an instrument. In a slice of the rows a fair coin decided. Minutes are zero for
whoever does not press play, and skewed for whoever does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from causalrec.errors import StudyError
from causalrec.simulation._candidates import (
    Arms,
    add_gap,
    draw_candidates,
    effect_truth,
    row_weight,
)
from causalrec.simulation._sides import (
    HALF_WIDTH,
    BoolArray,
    FloatArray,
    IntArray,
    Side,
    draw_levels,
    draw_uniform,
    drawn_side,
    expit_normal,
    level_axis,
    normal_axis,
    population_side,
    split_uniform_axis,
    uniform_axis,
)
from causalrec.simulation._world import ExposurePotential, World

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph

PLANS, PLAN_SHARES = ("free", "paid"), (0.6, 0.4)
ARMS, ARM_SHARES = ("control", "treatment"), (0.5, 0.5)
GROUPS = {"plan": PLANS}
DEVIATION = np.array([0.4, 0.4, 0.2])  # of user and of item: play, effect on play, log minutes
ENCOURAGEMENT = 0.9
GAMMA_SHAPE = 2.0


@dataclass(frozen=True)
class _Settings:
    n_candidates: int
    randomized_share: float
    unmeasured: float
    unsupported: float


def simulate_video(
    n_users: int = 1000,
    n_items: int = 200,
    random_state: int | None = 0,
    *,
    n_candidates: int = 40,
    n_channels: int = 16,
    randomized_share: float = 0.1,
    unmeasured: float = 0.0,
    unsupported: float = 0.0,
) -> World[ExposurePotential]:
    """Draw a video world; `simulate` documents the settings."""
    settings = _Settings(n_candidates, randomized_share, unmeasured, unsupported)
    _check(settings)
    rng = np.random.default_rng(random_state)
    shape = (n_users, n_items)
    users, items = _draw_users(rng, n_users), _draw_items(rng, n_items)
    channel = np.floor(rng.random(n_items) * n_channels).astype(np.int64)
    user, item = draw_candidates(rng, *shape, n_candidates)
    at = (user, item)
    taste = rng.standard_normal(shape) if unmeasured else np.zeros((1, 1))
    arms = _arms(users, items, taste, row_weight(user, item, shape), settings)
    randomized = rng.random(len(user)) < randomized_share
    coin = np.where(arms.supported[at], 0.5, 0.0)
    propensity = np.where(randomized, coin, arms.propensity[at])
    exposed = rng.random(len(user)) < propensity
    user_ids, item_ids = np.arange(n_users) + 100_001, np.arange(n_items) + 5_001
    events = pd.DataFrame(
        {
            "user_id": user_ids[user],
            "item_id": item_ids[item],
            "arm": np.array(ARMS, dtype=object)[users.code("arm")[user]],
            "randomized": randomized,
            "exposed": exposed.astype(np.int64),
            "watch_time": _draw_minutes(rng, users, items, taste, at, exposed, settings),
        }
    )
    return World(
        name="video",
        settings={"n_users": n_users, "n_items": n_items, "random_state": random_state}
        | {"n_channels": n_channels}
        | dict(vars(settings)),
        users=_users_table(users, user_ids),
        items=_items_table(items, item_ids, channel),
        events=events,
        potential=ExposurePotential(
            propensity=arms.propensity,
            supported=arms.supported,
            expected_unexposed=arms.unexposed,
            expected_exposed=arms.exposed,
            row_propensity=propensity,
        ),
        truth=_truth(arms, users, items, taste, settings),
        log_columns={
            "kind": "candidates",
            "outcome": "watch_time",
            "exposure": "exposed",
            "provider": "channel",
            "arm": "arm",
        }
        | ({"randomized": "randomized"} if randomized_share else {}),
        _graph=lambda: _graph(settings),
        _population=lambda: _population_truth(settings, None),
        _catalogue=lambda: _population_truth(settings, items),
    )


def _check(settings: _Settings) -> None:
    if not 0 <= settings.unsupported < PLAN_SHARES[0]:
        raise StudyError(
            f"unsupported={settings.unsupported} must lie in [0, {PLAN_SHARES[0]}): the rule"
            " concerns users of the free plan."
        )
    if not 0 <= settings.randomized_share < 1:
        raise StudyError(f"randomized_share={settings.randomized_share} must lie in [0, 1).")


def _draw_users(rng: np.random.Generator, size: int) -> Side:
    columns: dict[str, npt.NDArray[np.generic]] = {
        "plan": draw_levels(rng, PLAN_SHARES, size),
        "arm": draw_levels(rng, ARM_SHARES, size),
        "tenure": draw_uniform(rng, size),
    }
    return drawn_side(columns, rng.standard_normal((size, 3)) * DEVIATION)


def _draw_items(rng: np.random.Generator, size: int) -> Side:
    columns: dict[str, npt.NDArray[np.generic]] = {
        "length": draw_uniform(rng, size),
        "popularity": draw_uniform(rng, size),
    }
    return drawn_side(columns, rng.standard_normal((size, 3)) * DEVIATION)


def _user_population() -> Side:
    axes = {
        "plan": level_axis(PLAN_SHARES),
        "arm": level_axis(ARM_SHARES),
        "tenure": uniform_axis(),
    }
    return population_side(axes, np.square(DEVIATION))


def _item_population(settings: _Settings) -> Side:
    length = split_uniform_axis([_length_limit(settings)])
    axes = {"length": length, "popularity": uniform_axis()}
    return population_side(axes, np.square(DEVIATION))


def _length_limit(settings: _Settings) -> float:
    return HALF_WIDTH * (1 - 2 * settings.unsupported / PLAN_SHARES[0])


def _supported(users: Side, items: Side, settings: _Settings) -> BoolArray:
    if not settings.unsupported:
        return np.ones((len(users), len(items)), dtype=np.bool_)
    long = items.number("length") > _length_limit(settings)
    return np.asarray(~((users.code("plan") == 0)[:, None] & long[None, :]))


def _propensity(
    users: Side, items: Side, taste: FloatArray, arm: IntArray, settings: _Settings
) -> FloatArray:
    by_user = -1.2 + 0.5 * users.number("tenure") + 0.3 * users.code("plan") + ENCOURAGEMENT * arm
    by_item = 0.7 * items.number("popularity") - 0.25 * items.number("length")
    value = by_user[:, None] + by_item[None, :] + settings.unmeasured * taste
    return np.asarray(expit(value) * _supported(users, items, settings))


@dataclass(frozen=True)
class _Watching:
    """Logit of pressing play, its variance, and log of the mean minutes, without and with."""

    play: tuple[FloatArray, FloatArray]
    variance: tuple[FloatArray, FloatArray]
    log_minutes: tuple[FloatArray, FloatArray]

    def expected(self) -> tuple[FloatArray, FloatArray]:
        unexposed, exposed = (
            expit_normal(self.play[arm], self.variance[arm]) * np.exp(self.log_minutes[arm])
            for arm in (0, 1)
        )
        return unexposed, exposed


def _watching(users: Side, items: Side, taste: FloatArray, settings: _Settings) -> _Watching:
    tenure, paid = users.number("tenure"), users.code("plan")
    length, popularity = items.number("length"), items.number("popularity")
    effect = users.effect[:, None, :] + items.effect[None, :, :]
    variance = users.variance[:, None, :] + items.variance[None, :, :]
    by_user, by_item = 0.4 * tenure + 0.3 * paid, 0.5 * popularity - 0.2 * length
    play = -1.6 + by_user[:, None] + by_item[None, :] + effect[..., 0]
    play = play + settings.unmeasured * taste
    gain = 1.0 + (0.3 * paid)[:, None] + (0.15 * popularity)[None, :] + effect[..., 1]
    minutes = 2.0 + (0.1 * tenure)[:, None] + (0.3 * length)[None, :] + effect[..., 2]
    minutes = minutes + variance[..., 2] / 2  # the mean of a log-normal
    longer = (0.05 + 0.1 * paid)[:, None]
    return _Watching(
        play=(play, play + gain),
        variance=(variance[..., 0], variance[..., :2].sum(axis=-1)),
        log_minutes=(minutes, minutes + longer),
    )


def _draw_minutes(
    rng: np.random.Generator,
    users: Side,
    items: Side,
    taste: FloatArray,
    at: tuple[IntArray, IntArray],
    exposed: BoolArray,
    settings: _Settings,
) -> FloatArray:
    watching = _watching(users, items, taste, settings)
    play = np.where(exposed, watching.play[1][at], watching.play[0][at])
    mean = np.exp(np.where(exposed, watching.log_minutes[1][at], watching.log_minutes[0][at]))
    pressed = rng.random(len(play)) < expit(play)
    minutes = rng.gamma(GAMMA_SHAPE, mean / GAMMA_SHAPE)
    return np.asarray(np.where(pressed, minutes, 0.0))


def _arms(
    users: Side, items: Side, taste: FloatArray, weight: FloatArray, settings: _Settings
) -> Arms:
    unexposed, exposed = _watching(users, items, taste, settings).expected()
    return Arms(
        weight=weight,
        propensity=_propensity(users, items, taste, users.code("arm"), settings),
        unexposed=unexposed,
        exposed=exposed,
        supported=_supported(users, items, settings),
    )


def _truth(
    arms: Arms, users: Side, items: Side, taste: FloatArray, settings: _Settings
) -> dict[str, float]:
    share = settings.randomized_share
    mixed = (1 - share) * arms.propensity + share * 0.5 * arms.supported
    truth = effect_truth(replace(arms, propensity=mixed), users, items, GROUPS)
    add_gap(truth, "plan", "free", "paid")
    nobody, everybody = np.zeros(len(users), np.int64), np.ones(len(users), np.int64)
    encouraged = _propensity(users, items, taste, everybody, settings)
    compliers = arms.weight * (encouraged - _propensity(users, items, taste, nobody, settings))
    effect = arms.exposed - arms.unexposed
    truth["late"] = float((compliers * effect).sum() / compliers.sum())
    # The arm acts through exposure alone, and not in the rows that a coin decided.
    moved = (1 - share) * float((compliers * effect).sum() / arms.weight.sum())
    truth["effect:treatment-control"] = moved
    return truth


def _population_truth(settings: _Settings, items: Side | None) -> dict[str, float]:
    users = _user_population()
    items = _item_population(settings) if items is None else items
    nodes, node_weights = normal_axis() if settings.unmeasured else (np.zeros(1), np.ones(1))
    taste = nodes[:, None, None]
    weight = np.multiply.outer(node_weights, np.outer(users.weight, items.weight))
    arms = _arms(users, items, taste, weight, settings)
    return _truth(arms, users, items, taste, settings)


def _users_table(users: Side, user_ids: npt.NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "tenure": users.number("tenure"),
            "plan": np.array(PLANS, dtype=object)[users.code("plan")],
        }
    )


def _items_table(items: Side, item_ids: npt.NDArray[np.int64], channel: IntArray) -> pd.DataFrame:
    names = [f"channel-{code + 1:02d}" for code in channel.tolist()]
    return pd.DataFrame(
        {
            "item_id": item_ids,
            "length": items.number("length"),
            "popularity": items.number("popularity"),
            "channel": np.array(names, dtype=object),
        }
    )


def _graph(settings: _Settings) -> CausalGraph:
    from causalrec.simulation._graphs import honest_graph

    return honest_graph("watch_time", unmeasured=bool(settings.unmeasured))
