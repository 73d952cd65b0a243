"""A world whose users, items and ratings stay, while which ratings are recorded is drawn anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.interactions import InteractionLog
from causalrec.simulation import World


@dataclass(frozen=True)
class Redrawn:
    """Every cell's rating and propensity, and logs drawn from them."""

    world: World
    propensity: np.ndarray
    rating: np.ndarray

    def log(self, seed: int, *, fresh: bool = False) -> InteractionLog:
        """Draw which ratings are recorded, and with `fresh` the ratings too (normal noise)."""
        rng = np.random.default_rng(seed)
        recorded = rng.random(self.propensity.shape) < self.propensity
        rating = self.rating
        if fresh:
            potential = self.world.potential
            noise = rng.standard_normal(rating.shape) * np.sqrt(potential.rating_variance)
            rating = potential.expected_rating + noise
        users, items = np.nonzero(recorded)
        events = pd.DataFrame(
            {
                "user_id": self.world.users["user_id"].to_numpy()[users],
                "item_id": self.world.items["item_id"].to_numpy()[items],
                "rating": rating[recorded],
            }
        )
        return InteractionLog(
            events, users=self.world.users, items=self.world.items, outcome_range=(-9.0, 15.0)
        )


def redrawn(**settings: object) -> Redrawn:
    """Return a small music world to draw logs from."""
    chosen = {"n_users": 120, "n_items": 50, "random_state": 3, "density": 0.2} | settings
    world = cr.simulate("music", **chosen)
    potential = world.potential
    p = np.where(potential.supported, potential.propensity, 0.0)
    return Redrawn(world, p, potential.rating)


@pytest.fixture(scope="session")
def music() -> Redrawn:
    """The world as it is."""
    return redrawn()


@pytest.fixture(scope="session")
def normal_music() -> Redrawn:
    """Ratings are linear plus normal noise of one variance."""
    return redrawn(ordinal=False)


@pytest.fixture(scope="session")
def thin_music() -> Redrawn:
    """A third of the cells is never shown."""
    return redrawn(unsupported=1 / 3)


class Table:
    """A recommender that reads its predictions from a table."""

    def __init__(self, log: InteractionLog, values: np.ndarray) -> None:
        self.users, self.items, self.values = log.user_ids, log.item_ids, values

    def predict(self, users: object, items: object) -> np.ndarray:
        """Look the pairs up."""
        return self.values[self.users.get_indexer(users), self.items.get_indexer(items)]


@pytest.fixture(scope="session")
def as_recommender() -> type[Table]:
    """Turn a table of predictions into a recommender."""
    return Table
