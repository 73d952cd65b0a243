"""The world of a social feed: slates of posts, filled at random by a policy that is known.

The catalogue is cut into k shelves. Each slate draws a rotation of the shelves uniformly, and each
slot then draws one post of its shelf, in proportion to a softmax of freshness (more for interested
users) that is sharper near the top, mixed with a uniform draw. So no post comes twice, every post
can stand at every position, and the probability of each post at each position is exact. Fresh
posts stand higher and are clicked more: the naive position effect overstates the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from causalrec.errors import StudyError
from causalrec.simulation._candidates import average
from causalrec.simulation._sides import (
    HALF_WIDTH,
    BoolArray,
    FloatArray,
    IntArray,
    Side,
    draw_levels,
    draw_uniform,
    drawn_side,
)
from causalrec.simulation._world import SlatePotential, World

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph

DEVICES, DEVICE_SHARES = ("desktop", "mobile"), (0.4, 0.6)
TOPICS, TOPIC_SHARES = ("news", "sports", "music"), (0.4, 0.3, 0.3)
LIKED_TOPIC = np.array([0.4, -0.2, 0.0])
DEVIATION = 0.4
EXAMINATION_DECAY = 0.7
AVERAGE_WORLDS, AVERAGE_USERS, CATALOGUE_USERS, AVERAGE_SEED = 400, 50, 20_000, 20_240_301
WEEK_MILLISECONDS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True)
class _Settings:
    n_positions: int
    n_slates: int
    exploration: float
    unmeasured: float
    interference: float
    unsupported: float
    trust: float


def simulate_social(
    n_users: int = 1000,
    n_items: int = 60,
    random_state: int | None = 0,
    *,
    n_positions: int = 5,
    n_slates: int = 3,
    n_creators: int = 16,
    exploration: float = 0.2,
    unmeasured: float = 0.0,
    interference: float = 0.0,
    unsupported: float = 0.0,
    trust: float = 0.0,
) -> World[SlatePotential]:
    """Draw a social world; `simulate` documents the settings."""
    settings = _Settings(
        n_positions, n_slates, exploration, unmeasured, interference, unsupported, trust
    )
    _check(settings, n_items)
    rng = np.random.default_rng(random_state)
    users, items = _draw_users(rng, n_users), _draw_items(rng, n_items)
    creator = np.floor(rng.random(n_items) * n_creators).astype(np.int64)
    feed = _draw_feed(rng, users, items, settings)
    clicked = rng.random(len(feed.user)) < feed.click_probability
    user_ids, item_ids = np.arange(n_users) + 100_001, np.arange(n_items) + 5_001
    seconds = np.sort(rng.integers(0, WEEK_MILLISECONDS, (n_users, n_slates)), axis=1).ravel()
    start = np.datetime64("2024-03-04T00:00:00", "ns")
    events = pd.DataFrame(
        {
            "user_id": user_ids[feed.user],
            "item_id": item_ids[feed.item],
            "slate": feed.slate + 1,
            "position": feed.position + 1,
            "click": clicked.astype(np.int64),
            "logging_propensity": feed.potential.propensity[feed.user, feed.position, feed.item],
            "timestamp": (start + seconds.astype("timedelta64[ms]"))[feed.slate],
        }
    )
    return World(
        name="social",
        settings={"n_users": n_users, "n_items": n_items, "random_state": random_state}
        | {"n_creators": n_creators}
        | dict(vars(settings)),
        users=_users_table(users, user_ids),
        items=_items_table(items, item_ids, creator),
        events=events,
        potential=feed.potential,
        truth=_truth(feed),
        log_columns={
            "kind": "impressions",
            "outcome": "click",
            "slate": "slate",
            "position": "position",
            "logging_propensity": "logging_propensity",
            "provider": "creator",
            "timestamp": "timestamp",
            "outcome_range": (0.0, 1.0),
        },
        _graph=lambda: _graph(settings),
        _population=lambda: _average_truth(settings, n_items),
        _catalogue=lambda: _catalogue_truth(settings, items),
    )


def _check(settings: _Settings, n_items: int) -> None:
    if n_items < settings.n_positions:
        raise StudyError(
            f"n_items={n_items} cannot fill slates of n_positions={settings.n_positions}."
        )
    if not 0 < settings.exploration <= 1:
        raise StudyError(f"exploration={settings.exploration} must lie in (0, 1].")
    if not 0 <= settings.interference <= 1:
        raise StudyError(f"interference={settings.interference} must lie in [0, 1].")
    if not 0 <= settings.trust < 1:
        raise StudyError(f"trust={settings.trust} must lie in [0, 1).")
    if not 0 <= settings.unsupported < 0.5:
        raise StudyError(
            f"unsupported={settings.unsupported} must lie in [0, 0.5): the rule concerns the less"
            " interested half of the users."
        )


def _draw_users(rng: np.random.Generator, size: int) -> Side:
    columns: dict[str, npt.NDArray[np.generic]] = {
        "interest": draw_uniform(rng, size),
        "device": draw_levels(rng, DEVICE_SHARES, size),
    }
    return drawn_side(columns, DEVIATION * rng.standard_normal((size, 1)))


def _draw_items(rng: np.random.Generator, size: int) -> Side:
    columns: dict[str, npt.NDArray[np.generic]] = {
        "freshness": draw_uniform(rng, size),
        "topic": draw_levels(rng, TOPIC_SHARES, size),
    }
    return drawn_side(columns, DEVIATION * rng.standard_normal((size, 1)))


def _measured_relevance(users: Side, items: Side) -> FloatArray:
    interest, freshness = users.number("interest"), items.number("freshness")
    liked = LIKED_TOPIC[items.code("topic")]
    by_user = -0.9 + 0.4 * interest - 0.2 * (users.code("device") == 1)
    return np.asarray(by_user[:, None] + 0.7 * freshness[None, :] + np.outer(interest, liked))


def _score(users: Side, items: Side, taste: FloatArray, settings: _Settings) -> FloatArray:
    interest = users.number("interest")
    by_freshness = np.outer(0.9 + 0.3 * interest, items.number("freshness"))
    by_topic = np.outer(0.5 * interest, LIKED_TOPIC[items.code("topic")])
    return np.asarray(by_freshness + by_topic + settings.unmeasured * taste)


def _supported(users: Side, items: Side, settings: _Settings) -> BoolArray:
    supported = np.ones((len(users), len(items)), dtype=np.bool_)
    if not settings.unsupported:
        return supported
    freshness = items.number("freshness")
    stale = freshness < HALF_WIDTH * (4 * settings.unsupported - 1)
    for shelf in range(settings.n_positions):
        # The freshest post of a shelf is always shown, else the shelf could not fill its slot.
        stale[shelf + settings.n_positions * freshness[shelf :: settings.n_positions].argmax()] = (
            False
        )
    return np.asarray(~((users.number("interest") < 0)[:, None] & stale[None, :]))


def _within_shelf(score: FloatArray, supported: BoolArray, settings: _Settings) -> FloatArray:
    """Return the probability of each post given that its shelf fills the slot, (m, k, n)."""
    k = settings.n_positions
    shelf = np.arange(score.shape[1]) % k
    sharpness = np.linspace(1.6, 0.1, k) if k > 1 else np.ones(1)
    weight = np.exp(sharpness[None, :, None] * score[:, None, :]) * supported[:, None, :]
    allowed = np.broadcast_to(supported[:, None, :], weight.shape).astype(np.float64)
    member = np.equal.outer(shelf, np.arange(k)).astype(np.float64)
    greedy = weight / (weight @ member)[..., shelf]
    uniform = allowed / (allowed @ member)[..., shelf]
    return np.asarray((1 - settings.exploration) * greedy + settings.exploration * uniform)


@dataclass(frozen=True)
class _Feed:
    user: IntArray
    slate: IntArray
    position: IntArray
    item: IntArray
    click_probability: FloatArray
    neighbours: FloatArray
    """Expected relevance of the other posts when a post of the shelf stands at the position,
    (users, shelf, position)."""
    potential: SlatePotential

    def expected_click(self, user: IntArray, item: IntArray, position: int) -> FloatArray:
        """Return the click probability at a position, averaged over the rest of the slate."""
        potential = self.potential
        shelf = item % len(potential.examination)
        kept = 1 - potential.interference * self.neighbours[user, shelf, position]
        return np.asarray(potential.at(position, potential.relevance[user, item]) * kept)


def _draw_feed(rng: np.random.Generator, users: Side, items: Side, settings: _Settings) -> _Feed:
    m, n, k = len(users), len(items), settings.n_positions
    taste = rng.standard_normal((m, n)) if settings.unmeasured else np.zeros((1, 1))
    effect = users.effect[:, 0][:, None] + items.effect[:, 0][None, :]
    measured = _measured_relevance(users, items)
    supported = _supported(users, items, settings)
    probability = _within_shelf(_score(users, items, taste, settings), supported, settings)
    target = np.exp(measured)
    potential = SlatePotential(
        propensity=probability / k,
        supported=supported,
        relevance=np.asarray(expit(measured + effect + settings.unmeasured * taste)),
        examination=np.arange(1, k + 1, dtype=np.float64) ** -EXAMINATION_DECAY,
        target_policy=target / target.sum(axis=1, keepdims=True),
        interference=settings.interference,
        trust=settings.trust / np.arange(1, k + 1, dtype=np.float64),
    )
    slate = np.repeat(np.arange(m * settings.n_slates), k)
    user, position = slate // settings.n_slates, np.tile(np.arange(k), m * settings.n_slates)
    shelf = (np.repeat(rng.integers(0, k, m * settings.n_slates), k) + position) % k
    item = _draw_from_shelf(rng, probability, user, position, shelf)
    relevance = potential.relevance[user, item]
    others = (relevance.reshape(-1, k).sum(axis=1).repeat(k) - relevance) / max(k - 1, 1)
    click = potential.at(position, relevance) * (1 - settings.interference * others)
    neighbours = _expected_neighbours(probability, potential.relevance, k)
    return _Feed(user, slate, position, item, click, neighbours, potential)


def _expected_neighbours(probability: FloatArray, relevance: FloatArray, k: int) -> FloatArray:
    m, n = relevance.shape
    member = np.equal.outer(np.arange(n) % k, np.arange(k)).astype(np.float64)
    by_slot = (probability * relevance[:, None, :]) @ member  # (users, slot, shelf)
    total = np.zeros((m, k, k))
    for shelf in range(k):
        for position in range(k):
            for slot in range(k):
                if slot != position:
                    total[:, shelf, position] += by_slot[:, slot, (shelf + slot - position) % k]
    return total / max(k - 1, 1)


def _draw_from_shelf(
    rng: np.random.Generator,
    probability: FloatArray,
    user: IntArray,
    position: IntArray,
    shelf: IntArray,
) -> IntArray:
    m, k, n = probability.shape
    depth = -(-n // k)
    padded = np.zeros((m, k, depth * k))
    padded[..., :n] = probability
    shelves = padded.reshape(m, k, depth, k)[user, position, :, shelf].cumsum(axis=1)
    mark = rng.random(len(user)) * shelves[:, -1]
    place = (shelves <= mark[:, None]).sum(axis=1)
    return np.asarray(place * k + shelf, dtype=np.int64)


def _truth(feed: _Feed) -> dict[str, float]:
    potential = feed.potential
    m, n = potential.relevance.shape
    clicks = [
        float(feed.expected_click(feed.user, feed.item, position).mean())
        for position in range(len(potential.examination))
    ]
    every_user, every_item = np.arange(m)[:, None], np.arange(n)[None, :]
    logging = [
        float((shown * feed.expected_click(every_user, every_item, position)).sum() / m)
        for position, shown in enumerate(np.moveaxis(potential.propensity, 1, 0))
    ]
    truth = {
        "relevance": float(potential.relevance.mean()),
        "policy:logging": float(np.mean(logging)),
        "policy:uniform": potential.policy_value(np.full(n, 1.0 / n)),
        "policy:target": potential.policy_value(potential.target_policy),
    }
    for r, share in enumerate(potential.examination.tolist(), start=1):
        truth[f"examination:{r}"] = share
        if potential.trust.any():
            truth[f"trust:{r}"] = float(potential.trust[r - 1])
        truth[f"click:{r}"] = clicks[r - 1]
        if r > 1:
            truth[f"effect:1-{r}"] = clicks[0] - clicks[r - 1]
    if not potential.supported.all():
        truth["share:supported"] = float(potential.supported.mean())
    return truth


def _average_truth(settings: _Settings, n_items: int) -> dict[str, float]:
    """Average the truth of many drawn worlds: a softmax over a finite catalogue has no integral."""
    rng = np.random.default_rng(AVERAGE_SEED)
    draws = []
    for _ in range(AVERAGE_WORLDS):
        users, items = _draw_users(rng, AVERAGE_USERS), _draw_items(rng, n_items)
        draws.append(_truth(_draw_feed(rng, users, items, settings)))
    return average(draws)


def _catalogue_truth(settings: _Settings, items: Side) -> dict[str, float]:
    rng = np.random.default_rng(AVERAGE_SEED)
    return _truth(_draw_feed(rng, _draw_users(rng, CATALOGUE_USERS), items, settings))


def _users_table(users: Side, user_ids: npt.NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": user_ids,
            "interest": users.number("interest"),
            "device": np.array(DEVICES, dtype=object)[users.code("device")],
        }
    )


def _items_table(items: Side, item_ids: npt.NDArray[np.int64], creator: IntArray) -> pd.DataFrame:
    names = [f"creator-{code + 1:02d}" for code in creator.tolist()]
    return pd.DataFrame(
        {
            "item_id": item_ids,
            "freshness": items.number("freshness"),
            "topic": np.array(TOPICS, dtype=object)[items.code("topic")],
            "creator": np.array(names, dtype=object),
        }
    )


def _graph(settings: _Settings) -> CausalGraph:
    from causalrec.simulation._graphs import honest_graph, with_statements

    graph = honest_graph("feed_position", unmeasured=bool(settings.unmeasured))
    if not settings.interference:
        return graph
    statements = [
        'neighbours [entity=event, role=latent, label="relevance of the rest of the slate"];',
        *(f'"{cause}" -> neighbours;' for cause in ("interest", "device", graph.exposure)),
        f'neighbours -> "{graph.outcome}";',
    ]
    return with_statements(graph, statements, f"{graph.name}_interference")
