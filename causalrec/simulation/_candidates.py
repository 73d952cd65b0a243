"""What the worlds of candidates (shop, video) share: rows, effects and their true contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.simulation._sides import BoolArray, FloatArray, IntArray, Side, ratio_by_group


@dataclass(frozen=True)
class Arms:
    """Exposure probability and both expected outcomes a cell, (users, items).

    With a latent taste that is integrated out, a first axis runs over its nodes, and `weight`
    carries their probabilities.
    """

    weight: FloatArray
    propensity: FloatArray
    unexposed: FloatArray
    exposed: FloatArray
    supported: BoolArray


def draw_candidates(
    rng: np.random.Generator, n_users: int, n_items: int, n_candidates: int
) -> tuple[IntArray, IntArray]:
    """Draw each user's candidate items uniformly without replacement.

    Returns
    -------
    user_codes, item_codes : int64 array (n_users * min(n_candidates, n_items),)
        Sorted by user, then item.
    """
    size = min(n_candidates, n_items)
    if size == n_items:
        chosen = np.broadcast_to(np.arange(n_items), (n_users, n_items))
    else:
        keys = rng.random((n_users, n_items))
        chosen = np.sort(np.argpartition(keys, size - 1, axis=1)[:, :size], axis=1)
    return np.repeat(np.arange(n_users), size), chosen.ravel().astype(np.int64)


def row_weight(user: IntArray, item: IntArray, shape: tuple[int, int]) -> FloatArray:
    """Return the weight of each cell when rows count equally: 1/n_rows where there is one."""
    weight = np.zeros(shape)
    weight[user, item] = 1.0 / len(user)
    return weight


def effect_truth(
    arms: Arms, users: Side, items: Side, groups: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return ate, att, atu, overlap and the arm means, over all cells and by group."""
    weight = np.broadcast_to(
        arms.weight, np.broadcast_shapes(arms.weight.shape, arms.propensity.shape)
    )
    p = arms.propensity
    effect = arms.exposed - arms.unexposed
    targets = {
        "ate": (weight, effect),
        "att": (weight * p, effect),
        "atu": (weight * (1 - p), effect),
        "overlap": (weight * p * (1 - p), effect),
        "mean:unexposed": (weight, arms.unexposed),
        "mean:exposed": (weight, arms.exposed),
    }
    if not arms.supported.all():
        targets["ate:supported"] = (weight * arms.supported, effect)
    truth: dict[str, float] = {}
    for key, (target, value) in targets.items():
        above, below = target * value, np.broadcast_to(target, (target * value).shape)
        truth |= ratio_by_group(key, _cells(above), _cells(below), users, items, groups)
    if not arms.supported.all():
        truth["share:supported"] = float((weight * arms.supported).sum() / weight.sum())
    return truth


def add_gap(truth: dict[str, float], column: str, first: str, second: str) -> None:
    """Add `gap:column`, the difference of the average effects of two groups."""
    keys = (f"ate:{column}={first}", f"ate:{column}={second}")
    if all(key in truth for key in keys):
        truth[f"gap:{column}"] = truth[keys[0]] - truth[keys[1]]


def average(draws: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the true quantities that every drawn world has."""
    keys = [key for key in draws[0] if all(key in draw for draw in draws)]
    return {key: float(np.mean([draw[key] for draw in draws])) for key in keys}


def _cells(value: FloatArray) -> FloatArray:
    return np.asarray(value.sum(axis=0)) if value.ndim == 3 else value
