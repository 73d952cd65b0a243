"""What a re-ranker chooses from: the best unseen items of every user, by a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.audits._lists import Codes, cells_of
from causalrec.evaluation import contenders

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
CELLS_A_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Candidates:
    """The best items of each user, best first; -1 and -inf where there are fewer.

    Attributes
    ----------
    items : int64 array (n_users, width)
    scores : float64 array (n_users, width)
    merit : float64 array (n_users, groups)
        Sum of the positive scores of all eligible unseen items of each group.
    """

    items: Codes
    scores: FloatArray
    merit: FloatArray


def candidates_of(
    model: Any, log: InteractionLog, n: int, *, groups: Codes | None = None, exclude_seen: bool
) -> Candidates:
    """Return the n best items of each user, or the n best of each group together.

    Parameters
    ----------
    model : Recommender or callable(users, items)
    log : InteractionLog
        Its cells are seen.
    n : int
    groups : int64 array (n_items,), optional
        Group of each item from 0; -1 is a group of its own.
    exclude_seen : bool
    """
    (contender,) = contenders(model)
    seen = np.zeros(0, dtype=np.int64)
    if exclude_seen:
        users, items = cells_of(log, log)
        seen = np.unique(users * log.n_items + items)
    parts = _parts(log.n_items, groups)
    height = max(1, CELLS_A_BLOCK // max(log.n_items, 1))
    found = []
    for start in range(0, log.n_users, height):
        block = slice(start, min(start + height, log.n_users))
        score = _scores(contender, log, block, seen)
        positive = np.where(np.isfinite(score), np.maximum(score, 0.0), 0.0)
        merit = np.stack([positive[:, part].sum(axis=1) for part in parts], axis=1)
        best = [_best_of(score, part, n) for part in parts]
        columns = np.concatenate([one[0] for one in best], axis=1)
        values = np.concatenate([one[1] for one in best], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, axis=1)
        columns = np.take_along_axis(columns, order, axis=1)
        found.append((np.where(np.isfinite(values), columns, -1), values, merit))
    return Candidates(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _parts(n_items: int, groups: Codes | None) -> list[Codes]:
    if groups is None:
        return [np.arange(n_items)]
    return [np.flatnonzero(groups == code) for code in range(-1, int(groups.max()) + 1)]


def _scores(contender: Any, log: InteractionLog, block: slice, seen: Codes) -> FloatArray:
    allowed = log.eligible_block(block)
    shape = (block.stop - block.start, log.n_items)
    allowed = np.ones(shape, dtype=bool) if allowed is None else allowed.copy()
    first, last = np.searchsorted(seen, [block.start * log.n_items, block.stop * log.n_items])
    allowed.ravel()[seen[first:last] - block.start * log.n_items] = False
    users, items = np.nonzero(allowed)
    score = np.full(shape, -np.inf)
    codes = (users + block.start).astype(np.int32), items.astype(np.int32)
    score[users, items] = contender.predict(log, *codes) if len(users) else 0.0
    return score


def _best_of(score: FloatArray, part: Codes, n: int) -> tuple[Codes, FloatArray]:
    inside = score[:, part]
    order = np.argsort(-inside, axis=1, kind="stable")[:, :n]
    return part[order], np.take_along_axis(inside, order, axis=1)
