"""The world of music: ratings that are missing not at random, but at random given covariates.

Users of country A seek out mainstream songs, users of country B hardly; mainstream songs are
rated higher. So the naive gap between the countries is about three times the true one. Young
users choose pop and like it, seniors jazz (a cross of user and item covariates). Beyond the
covariates, users, items and a latent taste of rank 3 move the ratings, but not the selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from causalrec.errors import StudyError
from causalrec.simulation._ordinal import (
    ordinal_mean,
    ordinal_rating,
    ordinal_variance,
    selection_over_ratings,
)
from causalrec.simulation._sides import (
    HALF_WIDTH,
    BoolArray,
    FloatArray,
    Side,
    draw_levels,
    draw_uniform,
    drawn_side,
    level_axis,
    population_side,
    ratio_by_group,
    split_uniform_axis,
    uniform_axis,
)
from causalrec.simulation._world import RatingPotential, World

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph

AGE_GROUPS, AGE_SHARES = ("young", "adult", "senior"), (0.4, 0.4, 0.2)
COUNTRIES, COUNTRY_SHARES = ("A", "B"), (0.5, 0.5)
GENRES, GENRE_SHARES = ("pop", "rock", "jazz"), (0.45, 0.35, 0.2)
LABEL_GROUPS, LABEL_GROUP_SHARES = ("independent", "major"), (0.5, 0.5)
GROUPS = {
    "age_group": AGE_GROUPS,
    "country": COUNTRIES,
    "genre": GENRES,
    "label_group": LABEL_GROUPS,
}
MAINSTREAM_SHIFT, MAINSTREAM_SCALE = np.array([-0.5, 0.5]), 0.8
NOISE, USER_DEVIATION, ITEM_DEVIATION, TASTE_DEVIATION, RANK = 0.8, 0.35, 0.35, 0.6, 3

RATING_TASTE = np.array([[0.4, 0.0, -0.4], [0.0, 0.2, 0.0], [-0.3, 0.1, 0.4]])
SELECTION_TASTE = np.array([[0.4, 0.0, -0.2], [0.0, 0.2, 0.0], [-0.2, 0.0, 0.4]])
SELECTION_ENGAGEMENT = 0.25
SELECTION_MAINSTREAM = np.array([0.5, 0.05])  # by country: A, B


@dataclass(frozen=True)
class _Settings:
    density: float
    ordinal: bool
    provider_effect: float
    unmeasured: float
    selection_on_rating: float
    unsupported: float
    critics: float = 0.0


def simulate_music(
    n_users: int = 2000,
    n_items: int = 500,
    random_state: int | None = 0,
    *,
    density: float = 0.05,
    n_randomized: float = 0,
    n_labels: int = 32,
    provider_effect: float = 0.0,
    ordinal: bool = True,
    unmeasured: float = 0.0,
    selection_on_rating: float = 0.0,
    unsupported: float = 0.0,
    critics: float = 0.0,
) -> World[RatingPotential]:
    """Draw a music world; `simulate` documents the settings."""
    settings = _Settings(
        density, ordinal, provider_effect, unmeasured, selection_on_rating, unsupported, critics
    )
    if not 0 <= unsupported < 0.5:
        raise StudyError(f"unsupported={unsupported} must lie in [0, 0.5): country B is a half.")
    rng = np.random.default_rng(random_state)
    users = _draw_users(rng, n_users)
    items, labels = _draw_items(rng, n_items, n_labels, provider_effect)
    if critics:
        items = replace(items, columns={**items.columns, "critics": draw_uniform(rng, n_items)})
    potential = _potential(users, items, settings, rng)
    observed = rng.random(potential.propensity.shape) < _realised_propensity(
        users, items, potential.rating, settings
    )
    user_ids, item_ids = np.arange(n_users) + 100_001, np.arange(n_items) + 5_001
    events = _events(observed, potential.rating, n_randomized, rng, user_ids, item_ids)
    log_columns: dict[str, object] = {"kind": "ratings", "outcome": "rating", "provider": "label"}
    if n_randomized:
        log_columns["randomized"] = "uniform_slice"
    if ordinal:
        log_columns["outcome_range"] = (1.0, 5.0)
    return World(
        name="music",
        settings={"n_users": n_users, "n_items": n_items, "random_state": random_state}
        | {"n_randomized": n_randomized, "n_labels": n_labels}
        | dict(vars(settings)),
        users=_users_table(users, user_ids),
        items=_items_table(items, item_ids, labels),
        events=events,
        potential=potential,
        truth=_truth(users, items, settings),
        log_columns=log_columns,
        _graph=lambda: _graph(settings),
        _population=lambda: _truth(_user_population(), _item_population(settings), settings),
        _catalogue=lambda: _truth(_user_population(), items, settings),
    )


def _draw_users(rng: np.random.Generator, size: int) -> Side:
    columns: dict[str, npt.NDArray[np.generic]] = {
        "age_group": draw_levels(rng, AGE_SHARES, size),
        "country": draw_levels(rng, COUNTRY_SHARES, size),
        "engagement": draw_uniform(rng, size),
    }
    effect = USER_DEVIATION * rng.standard_normal((size, 1))
    return drawn_side(columns, effect, rng.standard_normal((size, RANK)))


def _draw_items(
    rng: np.random.Generator, size: int, n_labels: int, provider_effect: float
) -> tuple[Side, npt.NDArray[np.object_]]:
    group = draw_levels(rng, LABEL_GROUP_SHARES, size)
    n_major = max(1, n_labels // 4)
    counts = np.array([max(1, n_labels - n_major), n_major])
    label = np.floor(rng.random(size) * counts[group]).astype(np.int64)
    label_code = np.where(group == 0, label, counts[0] + label)
    names = [f"indie-{i + 1:02d}" for i in range(counts[0])]
    names += [f"major-{i + 1:02d}" for i in range(counts[1])]
    columns: dict[str, npt.NDArray[np.generic]] = {
        "label_group": group,
        "genre": draw_levels(rng, GENRE_SHARES, size),
        "mainstream": MAINSTREAM_SHIFT[group] + MAINSTREAM_SCALE * draw_uniform(rng, size),
    }
    effect = ITEM_DEVIATION * rng.standard_normal((size, 1))
    effect += provider_effect * rng.standard_normal((len(names), 1))[label_code]
    factors = TASTE_DEVIATION / np.sqrt(RANK) * rng.standard_normal((size, RANK))
    return drawn_side(columns, effect, factors), np.array(names, dtype=object)[label_code]


def _user_population() -> Side:
    axes = {
        "age_group": level_axis(AGE_SHARES),
        "country": level_axis(COUNTRY_SHARES),
        "engagement": uniform_axis(),
    }
    return population_side(axes, [USER_DEVIATION**2])


def _item_population(settings: _Settings) -> Side:
    variance = ITEM_DEVIATION**2 + settings.provider_effect**2
    nodes, weights = np.polynomial.laguerre.laggauss(12)
    weights = weights * np.sqrt(nodes)  # Gamma(3/2): half a chi-square with three degrees
    axes = {
        "label_group": level_axis(LABEL_GROUP_SHARES),
        "genre": level_axis(GENRE_SHARES),
        "mainstream": _mainstream_axis(settings),
        "spread": (2 * nodes * TASTE_DEVIATION**2 / RANK, weights / weights.sum()),
    }
    if settings.critics:
        axes["critics"] = uniform_axis(5)
    side = population_side(axes, [variance])
    group = side.code("label_group")
    mainstream = MAINSTREAM_SHIFT[group] + MAINSTREAM_SCALE * side.number("mainstream")
    columns = dict(side.columns) | {"mainstream": mainstream}
    return Side(columns, side.weight, side.effect, side.variance, None, side.number("spread"))


def _mainstream_axis(settings: _Settings) -> tuple[FloatArray, FloatArray]:
    if not settings.unsupported:
        return uniform_axis()
    return split_uniform_axis((_never_shown_below(settings) - MAINSTREAM_SHIFT) / MAINSTREAM_SCALE)


def _never_shown_below(settings: _Settings) -> float:
    reach = MAINSTREAM_SCALE * HALF_WIDTH
    low, high = (MAINSTREAM_SHIFT - reach), (MAINSTREAM_SHIFT + reach)
    points = np.sort(np.concatenate([low, high]))
    below = np.clip((points[:, None] - low) / (2 * reach), 0.0, 1.0) @ LABEL_GROUP_SHARES
    return float(np.interp(settings.unsupported / COUNTRY_SHARES[1], below, points))


def _supported(users: Side, items: Side, settings: _Settings) -> BoolArray:
    if not settings.unsupported:
        return np.ones((len(users), len(items)), dtype=np.bool_)
    niche = items.number("mainstream") < _never_shown_below(settings)
    return np.asarray(~((users.code("country") == 1)[:, None] & niche[None, :]))


def _taste(users: Side, items: Side) -> FloatArray:
    if users.factors is None or items.factors is None:
        return np.zeros((len(users), len(items)))
    return users.factors @ items.factors.T


def _latent_rating(users: Side, items: Side, settings: _Settings) -> FloatArray:
    by_user = 0.11 * (users.code("country") == 0) + 0.15 * users.number("engagement")
    by_item = 3.0 + 0.5 * items.number("mainstream") + items.effect[:, 0]
    if settings.critics:
        by_item = by_item + settings.critics * items.number("critics")
    cross = RATING_TASTE[np.ix_(users.code("age_group"), items.code("genre"))]
    both = (by_user + users.effect[:, 0])[:, None] + by_item[None, :]
    return np.asarray(both + cross + _taste(users, items))


def _left_to_integrate(users: Side, items: Side) -> FloatArray:
    variance = users.variance[:, :1] + items.variance[:, 0][None, :]
    if users.factors is None and items.spread is not None:
        variance = variance + items.spread[None, :]
    return np.asarray(variance)


def _expected_rating(users: Side, items: Side, settings: _Settings) -> FloatArray:
    latent = _latent_rating(users, items, settings)
    if not settings.ordinal:
        return latent
    return ordinal_mean(latent, np.sqrt(NOISE**2 + _left_to_integrate(users, items)))


def _selection_logit(users: Side, items: Side, settings: _Settings) -> FloatArray:
    cross = SELECTION_TASTE[np.ix_(users.code("age_group"), items.code("genre"))]
    slope = SELECTION_MAINSTREAM[users.code("country")]
    value = cross + slope[:, None] * items.number("mainstream")[None, :]
    value += (
        _intercept(settings.density) + SELECTION_ENGAGEMENT * users.number("engagement")[:, None]
    )
    if settings.unmeasured:
        value += settings.unmeasured / TASTE_DEVIATION * _taste(users, items)
    return np.asarray(value)


@lru_cache(maxsize=32)
def _intercept(density: float) -> float:
    """Return the selection intercept at which the population mean of p is `density`."""
    if not 0 < density < 1:
        raise StudyError(f"density={density} must lie in (0, 1).")
    users, items = _user_population(), _item_population(_Settings(0.5, True, 0, 0, 0, 0))
    slope = SELECTION_MAINSTREAM[users.code("country")][:, None]
    value = SELECTION_TASTE[np.ix_(users.code("age_group"), items.code("genre"))]
    value = value + slope * items.number("mainstream")
    value = value + SELECTION_ENGAGEMENT * users.number("engagement")[:, None]
    weight = np.outer(users.weight, items.weight)

    def excess(intercept: float) -> float:
        return float((weight * expit(intercept + value)).sum() - density)

    start = float(logit(density))
    return float(brentq(excess, start - 5.0, start + 5.0, xtol=1e-13))


def _realised_propensity(
    users: Side, items: Side, rating: FloatArray, settings: _Settings
) -> FloatArray:
    value = _selection_logit(users, items, settings)
    if settings.selection_on_rating:
        value += settings.selection_on_rating * (rating - 3.0)
    return np.asarray(expit(value) * _supported(users, items, settings))


def _potential(
    users: Side, items: Side, settings: _Settings, rng: np.random.Generator
) -> RatingPotential:
    latent = _latent_rating(users, items, settings)
    rating = latent + NOISE * rng.standard_normal(latent.shape)
    mean, variance = latent, np.full(latent.shape, NOISE**2)
    if settings.ordinal:
        rating = ordinal_rating(rating)
        mean, variance = ordinal_mean(latent, NOISE), ordinal_variance(latent, NOISE)
    propensity = expit(_selection_logit(users, items, settings))
    if settings.selection_on_rating:
        propensity = selection_over_ratings(
            _selection_logit(users, items, settings),
            settings.selection_on_rating,
            latent,
            NOISE,
            ordinal=settings.ordinal,
        )
    supported = _supported(users, items, settings)
    return RatingPotential(
        propensity=propensity * supported,
        supported=supported,
        expected_rating=mean,
        rating_variance=variance,
        rating=rating,
    )


def _events(
    observed: BoolArray,
    rating: FloatArray,
    n_randomized: float,
    rng: np.random.Generator,
    user_ids: npt.NDArray[np.int64],
    item_ids: npt.NDArray[np.int64],
) -> pd.DataFrame:
    cells = np.flatnonzero(observed)
    in_slice = np.zeros(len(cells), dtype=np.bool_)
    if n_randomized:
        size = round(n_randomized * rating.size) if n_randomized < 1 else int(n_randomized)
        if size > rating.size:
            raise StudyError(f"n_randomized={size} exceeds the {rating.size:,} cells of the grid.")
        uniform = np.sort(rng.choice(rating.size, size=size, replace=False))
        cells = np.concatenate([cells, uniform])
        in_slice = np.concatenate([in_slice, np.ones(size, dtype=np.bool_)])
    user, item = np.divmod(cells, rating.shape[1])
    events = pd.DataFrame(
        {
            "user_id": user_ids[user],
            "item_id": item_ids[item],
            "rating": rating.ravel()[cells],
        }
    )
    return events.assign(uniform_slice=in_slice) if n_randomized else events


def _users_table(users: Side, user_ids: npt.NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "age_group": np.array(AGE_GROUPS, dtype=object)[users.code("age_group")],
            "country": np.array(COUNTRIES, dtype=object)[users.code("country")],
            "engagement": users.number("engagement"),
        }
    )


def _items_table(
    items: Side, item_ids: npt.NDArray[np.int64], labels: npt.NDArray[np.object_]
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "item_id": item_ids,
            "genre": np.array(GENRES, dtype=object)[items.code("genre")],
            "mainstream": items.number("mainstream"),
            "label": labels,
            "label_group": np.array(LABEL_GROUPS, dtype=object)[items.code("label_group")],
        }
    )
    return table.assign(critics=items.number("critics")) if "critics" in items.columns else table


def _truth(users: Side, items: Side, settings: _Settings) -> dict[str, float]:
    expected = _expected_rating(users, items, settings)
    weight = np.outer(users.weight, items.weight)
    truth = ratio_by_group("mean", weight * expected, weight, users, items, GROUPS)
    if settings.unsupported:
        reached = weight * _supported(users, items, settings)
        truth |= ratio_by_group("mean:supported", reached * expected, reached, users, items, GROUPS)
        truth["share:supported"] = float(reached.sum())
    for column in ("country", "label_group"):
        first, second = (f"mean:{column}={level}" for level in GROUPS[column])
        if first in truth and second in truth:
            truth[f"gap:{column}"] = truth[first] - truth[second]
    return truth | _selection_coefficients(settings)


def _selection_coefficients(settings: _Settings) -> dict[str, float]:
    coefficients: Mapping[str, float] = {
        "selection:intercept": _intercept(settings.density),
        "selection:engagement": SELECTION_ENGAGEMENT,
        "selection:mainstream": float(SELECTION_MAINSTREAM[1]),
        "selection:country=A*mainstream": float(np.subtract(*SELECTION_MAINSTREAM)),
    }
    cross = {
        f"selection:age_group={age}*genre={genre}": float(SELECTION_TASTE[a, g])
        for a, age in enumerate(AGE_GROUPS)
        for g, genre in enumerate(GENRES)
    }
    return dict(coefficients) | cross


def _graph(settings: _Settings) -> CausalGraph:
    from causalrec.simulation._graphs import honest_graph, with_critics

    name = "rating_selection_on_rating" if settings.selection_on_rating else "rating_selection"
    graph = honest_graph(name, unmeasured=bool(settings.unmeasured))
    return with_critics(graph) if settings.critics else graph
