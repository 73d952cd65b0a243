"""The world of a shop: candidates that are recommended or not, bought in either case or not.

Active users and good, cheap products are recommended more, and bought more without it: the naive
difference of purchase rates overstates the effect. The effect is larger for books, for good
products and for women, and varies between users and products beyond the covariates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from causalrec.errors import StudyError
from causalrec.simulation._candidates import (
    Arms,
    add_gap,
    average,
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

GENDERS, GENDER_SHARES = ("f", "m"), (0.5, 0.5)
CATEGORIES, CATEGORY_SHARES = ("books", "games", "garden"), (0.4, 0.35, 0.25)
GROUPS = {"gender": GENDERS, "category": CATEGORIES}
LOGISTIC_DEVIATION = np.array([0.4, 0.5])  # of user and of item: baseline, effect
LINEAR_DEVIATION = np.array([0.02, 0.045])
AVERAGE_WORLDS, AVERAGE_USERS = 400, 50
AVERAGE_SEED = 20_240_229


@dataclass(frozen=True)
class _Settings:
    n_candidates: int
    model: str
    unmeasured: float
    interference: float
    unsupported: float
    exposure_by: str

    def n_slate(self, n_items: int) -> int:
        """Candidates of a user."""
        return min(self.n_candidates, n_items)


def simulate_shop(
    n_users: int = 1000,
    n_items: int = 200,
    random_state: int | None = 0,
    *,
    n_candidates: int = 40,
    n_brands: int = 20,
    model: str = "logistic",
    unmeasured: float = 0.0,
    interference: float = 0.0,
    unsupported: float = 0.0,
    exposure_by: str = "item",
) -> World[ExposurePotential]:
    """Draw a shop world; `simulate` documents the settings."""
    settings = _Settings(n_candidates, model, unmeasured, interference, unsupported, exposure_by)
    _check(settings)
    rng = np.random.default_rng(random_state)
    users, items = _draw_users(rng, n_users, settings), _draw_items(rng, n_items, settings)
    brand = np.floor(rng.random(n_items) * n_brands).astype(np.int64)
    cells = _draw_cells(rng, users, items, settings)
    bought = rng.random(len(cells.user)) < np.where(
        cells.exposed, cells.arms.exposed[cells.at], cells.arms.unexposed[cells.at]
    )
    user_ids, item_ids = np.arange(n_users) + 100_001, np.arange(n_items) + 5_001
    events = pd.DataFrame(
        {
            "user_id": user_ids[cells.user],
            "item_id": item_ids[cells.item],
            "exposed": cells.exposed.astype(np.int64),
            "purchase": bought.astype(np.int64),
        }
    )
    return World(
        name="shop",
        settings={"n_users": n_users, "n_items": n_items, "random_state": random_state}
        | {"n_brands": n_brands}
        | dict(vars(settings)),
        users=_users_table(users, user_ids),
        items=_items_table(items, item_ids, brand),
        events=events,
        potential=ExposurePotential(
            propensity=cells.arms.propensity,
            supported=cells.arms.supported,
            expected_unexposed=cells.arms.unexposed,
            expected_exposed=cells.arms.exposed,
            row_propensity=cells.arms.propensity[cells.at],
        ),
        truth=cells.truth,
        log_columns={
            "kind": "candidates",
            "outcome": "purchase",
            "exposure": "exposed",
            "provider": "brand",
            "outcome_range": (0.0, 1.0),
        },
        _graph=lambda: _graph(settings),
        _population=lambda: _population_truth(settings, None, n_items),
        _catalogue=lambda: _population_truth(settings, items, n_items),
    )


def _check(settings: _Settings) -> None:
    if settings.model not in ("logistic", "linear"):
        raise StudyError(f"model={settings.model!r} is neither 'logistic' nor 'linear'.")
    if settings.model == "linear" and (settings.unmeasured or settings.interference):
        raise StudyError(
            "The linear probability model stays within [0, 1] only without unmeasured= and"
            " interference=: use model='logistic' with them."
        )
    if settings.exposure_by not in ("item", "user"):
        raise StudyError(f"exposure_by={settings.exposure_by!r} is neither 'item' nor 'user'.")
    if settings.exposure_by == "user" and (settings.unmeasured or settings.unsupported):
        raise StudyError(
            "unmeasured= and unsupported= concern single items, which exposure_by='user' does not"
            " decide about: leave them out with it."
        )
    if not 0 <= settings.unsupported < 0.5:
        raise StudyError(
            f"unsupported={settings.unsupported} must lie in [0, 0.5): the rule concerns the"
            " younger half of the users."
        )


def _draw_users(rng: np.random.Generator, size: int, settings: _Settings) -> Side:
    gender = draw_levels(rng, GENDER_SHARES, size)
    columns: dict[str, npt.NDArray[np.generic]] = {
        "gender": gender,
        "age": draw_uniform(rng, size),
        "activity": _activity(gender, draw_uniform(rng, size)),
    }
    return drawn_side(columns, _draw_effect(rng, size, settings))


def _draw_items(rng: np.random.Generator, size: int, settings: _Settings) -> Side:
    columns: dict[str, npt.NDArray[np.generic]] = {
        "category": draw_levels(rng, CATEGORY_SHARES, size),
        "price": draw_uniform(rng, size),
        "quality": draw_uniform(rng, size),
    }
    return drawn_side(columns, _draw_effect(rng, size, settings))


def _draw_effect(rng: np.random.Generator, size: int, settings: _Settings) -> FloatArray:
    if settings.model == "linear":  # bounded, so that probabilities stay within [0, 1]
        return np.asarray(rng.uniform(-HALF_WIDTH, HALF_WIDTH, (size, 2)) * LINEAR_DEVIATION)
    return np.asarray(rng.standard_normal((size, 2)) * LOGISTIC_DEVIATION)


def _activity(gender: IntArray, own: FloatArray) -> FloatArray:
    return np.asarray(np.where(gender == 0, 0.25, -0.25) + 0.95 * own)


def _user_population(settings: _Settings) -> Side:
    age = split_uniform_axis([0.0] if settings.unsupported else [])
    axes = {"gender": level_axis(GENDER_SHARES), "age": age, "activity": uniform_axis()}
    side = population_side(axes, np.square(LOGISTIC_DEVIATION))
    activity = _activity(side.code("gender"), side.number("activity"))
    columns = dict(side.columns) | {"activity": activity}
    return Side(columns, side.weight, side.effect, side.variance)


def _item_population(settings: _Settings) -> Side:
    price = split_uniform_axis([_price_limit(settings)])
    axes = {"category": level_axis(CATEGORY_SHARES), "price": price, "quality": uniform_axis()}
    return population_side(axes, np.square(LOGISTIC_DEVIATION))


def _price_limit(settings: _Settings) -> float:
    return HALF_WIDTH * (1 - 4 * settings.unsupported)


def _supported(users: Side, items: Side, settings: _Settings) -> BoolArray:
    dear = items.number("price") > _price_limit(settings)
    return ~((users.number("age") < 0)[:, None] & dear[None, :]) | (settings.unsupported == 0)


def _propensity(users: Side, items: Side, taste: FloatArray, settings: _Settings) -> FloatArray:
    by_user = -0.5 + 0.6 * users.number("activity") - 0.25 * users.number("age")
    by_item = 0.6 * items.number("quality") - 0.35 * items.number("price")
    if settings.exposure_by == "user":
        by_item = np.zeros(len(items))
    value = by_user[:, None] + by_item[None, :] + settings.unmeasured * taste
    return np.asarray(expit(value) * _supported(users, items, settings))


def _outcomes(
    users: Side, items: Side, taste: FloatArray, crowding: FloatArray, settings: _Settings
) -> tuple[FloatArray, FloatArray]:
    """Return the expected purchase without and with exposure; crowding lowers the logit of both."""
    activity, age = users.number("activity"), users.number("age")
    quality, price = items.number("quality"), items.number("price")
    woman, book = users.code("gender") == 0, items.code("category") == 0
    effect = users.effect[:, None, :] + items.effect[None, :, :]
    if settings.model == "linear":
        by_user, by_item = 0.035 * activity - 0.015 * age, 0.035 * quality - 0.02 * price
        unexposed = 0.3 + by_user[:, None] + by_item[None, :] + effect[..., 0]
        gain_user, gain_item = 0.02 * woman - 0.015 * age, 0.02 * quality + 0.02 * book
        gain = 0.18 + gain_user[:, None] + gain_item[None, :] + effect[..., 1]
        return unexposed, unexposed + gain
    by_user, by_item = 0.45 * activity - 0.2 * age, 0.5 * quality - 0.35 * price
    base = -2.2 + by_user[:, None] + by_item[None, :] + effect[..., 0]
    base = base + settings.unmeasured * taste - settings.interference * crowding
    gain_user, gain_item = 0.2 * woman - 0.15 * age, 0.25 * quality + 0.2 * book
    gain = 0.7 + gain_user[:, None] + gain_item[None, :] + effect[..., 1]
    variance = users.variance[:, None, :] + items.variance[None, :, :]
    return (
        expit_normal(base, variance[..., 0]),
        expit_normal(base + gain, variance.sum(axis=-1)),
    )


@dataclass(frozen=True)
class _Cells:
    user: IntArray
    item: IntArray
    exposed: BoolArray
    arms: Arms
    truth: dict[str, float]

    @property
    def at(self) -> tuple[IntArray, IntArray]:
        return self.user, self.item


def _draw_cells(rng: np.random.Generator, users: Side, items: Side, settings: _Settings) -> _Cells:
    shape = (len(users), len(items))
    user, item = draw_candidates(rng, *shape, settings.n_candidates)
    taste = rng.standard_normal(shape) if settings.unmeasured else np.zeros((1, 1))
    propensity = _propensity(users, items, taste, settings)
    drawn = rng.random(len(user))
    if settings.exposure_by == "user":
        drawn = rng.random(len(users))[user]
    exposed = drawn < propensity[user, item]
    crowding = np.zeros((1, 1))
    if settings.interference:
        crowding = _crowding(user, item, exposed, shape)
    unexposed_mean, exposed_mean = _outcomes(users, items, taste, crowding, settings)
    arms = Arms(
        weight=row_weight(user, item, shape),
        propensity=propensity,
        unexposed=unexposed_mean,
        exposed=exposed_mean,
        supported=_supported(users, items, settings),
    )
    truth = _truth(arms, users, items)
    truth |= {"ate:policy": truth["ate"], "ate:slate": truth["ate"]}
    if settings.interference:
        alone, _ = _outcomes(users, items, taste, np.zeros((1, 1)), settings)
        _, crowded = _outcomes(users, items, taste, np.ones((1, 1)), settings)
        truth["ate:policy"] = float((arms.weight * (crowded - alone)).sum())
        step = 1.0 / max(settings.n_slate(len(items)) - 1, 1)
        around = [
            _outcomes(users, items, taste, crowding + move, settings) for move in (-step, 0.0, step)
        ]
        truth["ate:slate"] += _spillover(user, item, exposed, around)
    truth["policy:slate"] = truth["ate:policy"] * settings.n_slate(len(items))
    return _Cells(user, item, exposed, arms, truth)


def _spillover(
    user: IntArray,
    item: IntArray,
    exposed: BoolArray,
    around: Sequence[tuple[FloatArray, FloatArray]],
) -> float:
    """Return what exposing one candidate does to the user's others, as an average over rows.

    `around` holds the expected outcomes with one exposed neighbour less, as it was, and one more.
    Seen from the one that is moved: an exposed neighbour would be taken away, another one added.
    """
    fewer, same, more = (
        np.where(exposed, both[1][user, item], both[0][user, item]) for both in around
    )
    total = np.bincount(user, exposed)
    count = np.bincount(user)
    exposed_neighbours = total[user] - exposed
    others = count[user] - 1 - exposed_neighbours
    moved = exposed_neighbours * (same - fewer) + others * (more - same)
    return float(moved.mean())


def _crowding(
    user: IntArray, item: IntArray, exposed: BoolArray, shape: tuple[int, int]
) -> FloatArray:
    """Return the share of the user's *other* candidates that are exposed, for every cell."""
    total = np.bincount(user, exposed, minlength=shape[0])
    count = np.bincount(user, minlength=shape[0])
    others = np.repeat((total / count)[:, None], shape[1], axis=1)
    others[user, item] = (total[user] - exposed) / np.maximum(count[user] - 1, 1)
    return others


def _truth(arms: Arms, users: Side, items: Side) -> dict[str, float]:
    truth = effect_truth(arms, users, items, GROUPS)
    add_gap(truth, "gender", "f", "m")
    return truth


def _population_truth(settings: _Settings, items: Side | None, n_items: int) -> dict[str, float]:
    if settings.interference:
        return _average_truth(settings, items, n_items)
    users = _user_population(settings)
    items = _item_population(settings) if items is None else items
    nodes, node_weights = normal_axis() if settings.unmeasured else (np.zeros(1), np.ones(1))
    taste = nodes[:, None, None]
    unexposed, exposed = _outcomes(users, items, taste, np.zeros((1, 1)), settings)
    arms = Arms(
        weight=np.multiply.outer(node_weights, np.outer(users.weight, items.weight)),
        propensity=_propensity(users, items, taste, settings),
        unexposed=unexposed,
        exposed=exposed,
        supported=_supported(users, items, settings),
    )
    truth = _truth(arms, users, items)
    truth |= {"ate:policy": truth["ate"], "ate:slate": truth["ate"]}
    truth["policy:slate"] = truth["ate"] * settings.n_slate(n_items)
    return truth


def _average_truth(settings: _Settings, items: Side | None, n_items: int) -> dict[str, float]:
    """Average the truth of many drawn worlds: interference has no closed form."""
    rng = np.random.default_rng(AVERAGE_SEED)
    draws = []
    for _ in range(AVERAGE_WORLDS):
        users = _draw_users(rng, AVERAGE_USERS, settings)
        drawn_items = _draw_items(rng, n_items, settings) if items is None else items
        draws.append(_draw_cells(rng, users, drawn_items, settings).truth)
    return average(draws)


def _users_table(users: Side, user_ids: npt.NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "age": users.number("age"),
            "activity": users.number("activity"),
            "gender": np.array(GENDERS, dtype=object)[users.code("gender")],
        }
    )


def _items_table(items: Side, item_ids: npt.NDArray[np.int64], brand: IntArray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": item_ids,
            "price": items.number("price"),
            "quality": items.number("quality"),
            "category": np.array(CATEGORIES, dtype=object)[items.code("category")],
            "brand": np.array([f"brand-{code + 1:02d}" for code in brand.tolist()], dtype=object),
        }
    )


def _graph(settings: _Settings) -> CausalGraph:
    from causalrec.graph import load_graph
    from causalrec.simulation._graphs import with_statements

    graph = load_graph("exposure_click_latent" if settings.unmeasured else "exposure_click")
    if not settings.interference:
        return graph
    statements = [
        'crowding [entity=event, role=latent, label="share of the other candidates exposed"];',
        *(f"{cause} -> crowding;" for cause in ("activity", "age")),
        *([f'"{graph.exposure}" -> crowding;'] if settings.exposure_by == "user" else []),
        f'crowding -> "{graph.outcome}";',
    ]
    return with_statements(graph, statements, f"{graph.name}_interference")
