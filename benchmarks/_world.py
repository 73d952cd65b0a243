"""A log the size of MovieLens 1M whose truth is known: 22 million cells, .9 million ratings.

Import `_timing` before this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit

from causalrec.factorization._common import Pattern

USERS, ITEMS, RATINGS, FACTORS = 6_040, 3_706, 900_000, 32
BLOCK = 256


@dataclass(frozen=True)
class World:
    """A log whose truth is known.

    Attributes
    ----------
    pattern : Pattern
    rating, propensity : float64 (n,)
        Of the observed cells.
    left, right : float64 (USERS, r), (ITEMS, r)
        The true mean rating of every cell is left right'.
    """

    pattern: Pattern
    rating: np.ndarray
    propensity: np.ndarray
    left: np.ndarray
    right: np.ndarray


def draw(seed: int = 0) -> World:
    """Draw users, items, tastes, and which cells are rated: the better liked, the more often."""
    rng = np.random.default_rng(seed)
    taste, trait = rng.normal(size=(USERS, 4)) * 0.35, rng.normal(size=(ITEMS, 4))
    level, quality = 0.4 * rng.normal(size=USERS) + 3.4, 0.4 * rng.normal(size=ITEMS)
    left = np.column_stack([taste, level, np.ones(USERS)])
    right = np.column_stack([trait, np.ones(ITEMS), quality])
    active, popular = 0.5 * rng.normal(size=USERS), 0.8 * rng.normal(size=ITEMS)

    def logits(users: slice) -> np.ndarray:
        liked = left[users] @ right.T - 3.4
        return active[users, None] + popular + 0.7 * liked - 4.3

    def block(users: slice, shift: float) -> np.ndarray:
        return expit(logits(users) + shift)

    parts = [slice(at, min(at + BLOCK, USERS)) for at in range(0, USERS, BLOCK)]
    shift = 0.0
    for _ in range(6):  # to the wanted number of ratings
        shift += np.log(RATINGS / sum(block(users, shift).sum() for users in parts))
    users, items, propensity = [], [], []
    for part in parts:
        p = block(part, shift)
        row, column = np.nonzero(rng.random(p.shape) < p)
        users.append(row + part.start)
        items.append(column)
        propensity.append(p[row, column])
    u, i = np.concatenate(users).astype(np.int32), np.concatenate(items).astype(np.int32)
    rating = np.einsum("ij,ij->i", left[u], right[i]) + rng.normal(size=len(u))
    return World(Pattern(u, i, USERS, ITEMS), rating, np.concatenate(propensity), left, right)


def offered(world: World, scores: Callable[[slice], np.ndarray], k: int = 10) -> float:
    """Return the mean true rating of each user's k best unseen items."""
    pointer, columns, total = world.pattern.user_pointer, world.pattern.items, 0.0
    for at in range(0, USERS, BLOCK):
        part = slice(at, min(at + BLOCK, USERS))
        predicted = np.array(scores(part), dtype=np.float64)
        for row, user in enumerate(range(part.start, part.stop)):
            predicted[row, columns[pointer[user] : pointer[user + 1]]] = -np.inf
        best = np.argpartition(-predicted, k, axis=1)[:, :k]
        total += np.take_along_axis(world.left[part] @ world.right.T, best, axis=1).sum()
    return total / (USERS * k)


def mean_rating(world: World) -> float:
    """Return the true mean rating over all cells."""
    return float(world.left.mean(0) @ world.right.mean(0))


def halves(world: World, share: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return which ratings are trained on, and which are held out."""
    held = np.random.default_rng(1).random(world.pattern.n) < share
    return ~held, held


def by_user(world: World, values: np.ndarray) -> sparse.csr_matrix:
    """Return values of the ratings as a sparse matrix, as peers take it."""
    pattern = world.pattern
    pointer = pattern.user_pointer.astype(np.int32)
    return sparse.csr_matrix((values, pattern.items, pointer), shape=(USERS, ITEMS))
