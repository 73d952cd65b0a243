"""The draws of the refuters: a placebo exposure, a random common cause, a subset of the users."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._adjustment import Floats
from causalrec.effects._quick import Quick

PLACEBO, CAUSE, SUBSET = "placebo exposure", "random common cause", "subset of users"
KEPT = 0.8
"""Share of the users in a subset."""

Draw = Callable[[np.random.Generator], float]


def draw_all(quick: Quick, n_draws: int, seed: int | None) -> dict[str, Floats]:
    """Return the estimates of every draw by refuter, each (n_draws,).

    Each refuter has a stream of its own, so that one more draw of one changes no other.
    """
    rows = quick.computation.population.rows
    users, items = np.asarray(rows.user_codes), np.asarray(rows.item_codes)
    # A placebo keeps how often a user was shown something, and what came of it: chance differences
    # between users would carry some of the true effect into it, were the rate not adjusted for.
    counts = np.bincount(users)
    rate = (np.bincount(users, quick.exposure) / np.maximum(counts, 1))[users]
    within = users
    adjusted: Floats | None = rate
    if np.array_equal(rate, quick.exposure):  # no user has both: a placebo is dealt among users
        within, adjusted = np.zeros_like(users), None
    one_each: dict[str, Draw] = {
        PLACEBO: lambda rng: quick.value(
            quick.score(exposure=permute_within(quick.exposure, within, rng), extra=adjusted)
        ),
        CAUSE: lambda rng: quick.value(quick.score(extra=random_cause(users, items, rng))),
        SUBSET: lambda rng: quick.value(quick.score(rows=some_users(users, rng))),
    }
    streams = np.random.default_rng(seed).spawn(len(one_each))
    return {
        name: np.array([draw(stream) for _ in range(n_draws)])
        for (name, draw), stream in zip(one_each.items(), streams, strict=True)
    }


def permute_within(values: Floats, groups: NDArray[np.integer], rng: np.random.Generator) -> Floats:
    """Return values dealt again within each group: every group keeps its own.

    Examples
    --------
    >>> dealt = permute_within(np.array([1.0, 0.0, 0.0, 2.0]), np.array([0, 0, 0, 1]),
    ...                        np.random.default_rng(0))
    >>> sorted(dealt[:3].tolist()), float(dealt[3])
    ([0.0, 0.0, 1.0], 2.0)
    """
    places = np.argsort(groups, kind="stable")
    shuffled = np.lexsort((rng.random(len(values)), groups))
    dealt = np.empty_like(values)
    dealt[places] = values[shuffled]
    return dealt


def random_cause(
    users: NDArray[np.integer], items: NDArray[np.integer], rng: np.random.Generator
) -> Floats:
    """Return a covariate that causes nothing, with parts of user, item and row."""
    by_user = rng.standard_normal(int(users.max()) + 1)[users]
    by_item = rng.standard_normal(int(items.max()) + 1)[items]
    return np.asarray((by_user + by_item + rng.standard_normal(len(users))) / np.sqrt(3.0))


def some_users(users: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the rows of a random share of the users, all rows of each."""
    present = np.unique(users)
    kept = rng.choice(present, max(1, round(KEPT * len(present))), replace=False)
    inside = np.zeros(int(present.max()) + 1, dtype=bool)
    inside[kept] = True
    return np.asarray(inside[users])


def p_beyond(draws: Floats, value: float) -> float:
    """Return (1 + draws at least as far from zero as a value) / (1 + draws).

    Examples
    --------
    >>> p_beyond(np.array([0.1, -0.3, 0.2]), 0.25)
    0.5
    """
    return float((1 + (np.abs(draws) >= abs(value)).sum()) / (1 + len(draws)))


def p_among(draws: Floats, value: float) -> float:
    """Return twice the smaller tail of the draws at a value, by the same count, at most 1.

    Examples
    --------
    >>> p_among(np.array([0.1, 0.2, 0.3]), 0.5)
    0.5
    """
    tail = min((draws <= value).sum(), (draws >= value).sum())
    return float(min(1.0, 2 * (1 + tail) / (1 + len(draws))))
