"""Calibrated lists: each interest of a user in the proportion it has in their history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from causalrec.audits._browsing import browsing_weight
from causalrec.audits._candidates import candidates_of
from causalrec.audits._lists import cells_of
from causalrec.audits._reranker import Codes, FloatArray, Reranker, check_length, item_groups
from causalrec.errors import StudyError

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

CUBE = 1 << 21


class CalibratedReranker(Reranker):
    """Reorder a model's best items so that a list's genres follow the user's history.

    Parameters
    ----------
    model : Recommender or callable(users, items)
    by : str
        Column of the item table whose levels are the interests ("genre").
    tradeoff : float
        Weight of calibration, from 0 (the model's order) to 1 (calibration alone).
    k : int
        Length of the lists.
    n_candidates : int
        How many of the model's best items compete.
    smoothing : float
        Share of the history that is mixed into a list, so that the divergence is finite.
    places : {"equal", "log"}
        Weight of the places in a list's genres: 1, or 1 / log2(1 + r).
    propensity : Propensity, array, column name or float, optional
        Weighs the history by 1 / p: what users would take up, rather than what was put before
        them.
    exclude_seen : bool

    Attributes
    ----------
    levels_ : tuple of str
    profiles_ : float64 array (n_users, levels)
        p(c | u); the mean profile for users without a history.
    lists_, scores_ : int64 and float64 arrays (n_users, k)
    miscalibration_ : float64 array (n_users,)
        KL(p || q) of the final lists; NaN without a list.

    Notes
    -----
    Steck (2018): greedily add the item i that maximises (1 - l) sum s(i) - l KL(p || (1 - a) q +
    a p), which is submodular, so that the greedy list reaches 1 - 1/e of the best. Scores are the
    model's own, summed: l is in their units.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=60, n_items=40, density=0.3, random_state=0)
    >>> popular = lambda users, items: [-float(item) for item in items]
    >>> reranker = CalibratedReranker(popular, by="genre", tradeoff=0.9, k=5).fit(world.log)
    >>> reranker.recommend(k=5).shape[1]
    4
    """

    def __init__(
        self,
        model: Any,
        by: str,
        *,
        tradeoff: float = 0.5,
        k: int = 10,
        n_candidates: int = 100,
        smoothing: float = 0.01,
        places: Literal["equal", "log"] = "equal",
        propensity: Any = None,
        exclude_seen: bool = True,
    ) -> None:
        self.model, self.by, self.tradeoff, self.k = model, by, tradeoff, k
        self.n_candidates, self.smoothing, self.places = n_candidates, smoothing, places
        self.propensity, self.exclude_seen = propensity, exclude_seen

    def fit(self, log: InteractionLog) -> Self:
        """Make the list of every user.

        Parameters
        ----------
        log : InteractionLog
            What is seen, and the histories.

        Raises
        ------
        StudyError
            If an option lies outside its range.
        DataError
            If `by` is not a column of the item table.
        """
        check_length(self.k)
        if not 0.0 <= self.tradeoff <= 1.0:
            raise StudyError(f"tradeoff={self.tradeoff!r} must lie between 0 and 1.")
        if not 0.0 < self.smoothing < 1.0:
            raise StudyError(f"smoothing={self.smoothing!r} must lie between 0 and 1: 0.01, say.")
        self.levels_, genre = item_groups(log, self.by)
        self.profiles_ = profiles(log, genre, len(self.levels_), self.propensity)
        candidates = candidates_of(
            self.model, log, max(self.n_candidates, self.k), exclude_seen=self.exclude_seen
        )
        weight = browsing_weight(np.arange(1, self.k + 1), self.places)
        width = candidates.items.shape[1]
        height = max(1, CUBE // (width * len(self.levels_)))
        found = []
        for start in range(0, log.n_users, height):
            block = slice(start, start + height)
            found.append(
                greedy_lists(
                    candidates.scores[block],
                    np.where(candidates.items[block] >= 0, genre[candidates.items[block]], -1),
                    self.profiles_[block],
                    weight,
                    tradeoff=self.tradeoff,
                    smoothing=self.smoothing,
                )
            )
        places, self.miscalibration_ = (np.concatenate(part) for part in zip(*found, strict=True))
        at = np.maximum(places, 0)
        self.lists_ = np.where(places >= 0, np.take_along_axis(candidates.items, at, axis=1), -1)
        self.scores_ = np.take_along_axis(candidates.scores, at, axis=1)
        self._log = log
        return self


def profiles(
    log: InteractionLog, genre: Codes, n_levels: int, propensity: Any = None
) -> FloatArray:
    """Return p(c | u) of every user's history, (n_users, levels); the mean for who has none.

    Parameters
    ----------
    log : InteractionLog
        Its rows (shown ones with a positive outcome, for candidates and impressions).
    genre : int64 array (n_items,)
    n_levels : int
    propensity : Propensity, array, column name or float, optional
        Rows weigh 1 / p.
    """
    users, items = cells_of(log, log, positive=True)
    weight = np.ones(len(users))
    if propensity is not None:
        from causalrec.nuisances import cell_propensity, resolve_propensity

        resolved = resolve_propensity(propensity, log, None)
        codes = users.astype(np.int32), items.astype(np.int32)
        weight = 1.0 / cell_propensity(resolved, log, *codes)
    known = genre[items] >= 0
    key = users[known] * n_levels + genre[items[known]]
    mass = np.bincount(key, weights=weight[known], minlength=log.n_users * n_levels)
    mass = mass.reshape(log.n_users, n_levels)
    total = mass.sum(axis=1, keepdims=True)
    share = np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)
    held = total.ravel() > 0
    if held.any():
        share[~held] = share[held].mean(axis=0)
    else:
        share[:] = 1.0 / n_levels
    return np.asarray(share)


def divergence(profile: FloatArray, listed: FloatArray, smoothing: float) -> FloatArray:
    """Return KL(p || (1 - a) q + a p) over the last axis (Steck 2018, equation 6).

    Examples
    --------
    >>> divergence(np.array([0.5, 0.5]), np.array([0.5, 0.5]), 0.01).item()
    0.0
    """
    mixed = (1.0 - smoothing) * listed + smoothing * profile
    safe = np.where(profile > 0, mixed, 1.0)
    ratio = np.where(profile > 0, profile, 1.0) / safe
    return np.asarray((profile * np.log(ratio)).sum(axis=-1))


def greedy_lists(
    scores: FloatArray,
    genre: Codes,
    profile: FloatArray,
    weight: FloatArray,
    *,
    tradeoff: float,
    smoothing: float,
) -> tuple[Codes, FloatArray]:
    """Return which candidate stands in each place, and the divergence of the final lists.

    Parameters
    ----------
    scores : float64 array (m, width)
        -inf for no candidate.
    genre : int64 array (m, width)
        -1 for none; such an item adds to no genre.
    profile : float64 array (m, levels)
    weight : float64 array (k,)
        Of the places.
    tradeoff, smoothing : float

    Returns
    -------
    int64 array (m, k), float64 array (m,)
        -1 where the candidates have run out.
    """
    m, width = scores.shape
    levels = profile.shape[1]
    row = np.arange(m)
    mass, total = np.zeros((m, levels)), np.zeros(m)
    open_ = np.isfinite(scores)
    found = np.full((m, len(weight)), -1, dtype=np.int64)
    one_hot = np.zeros((m, width, levels))
    known = genre >= 0
    one_hot[(*np.nonzero(known), genre[known])] = 1.0
    for place, own in enumerate(weight):
        listed = mass[:, None, :] + own * one_hot
        share = listed / np.maximum(total[:, None, None] + own * known[:, :, None], 1e-300)
        cost = divergence(profile[:, None, :], share, smoothing)
        gain = (1.0 - tradeoff) * np.where(open_, scores, 0.0) - tradeoff * cost
        best = np.where(open_, gain, -np.inf).argmax(axis=1)
        left = open_[row, best]
        found[:, place] = np.where(left, best, -1)
        open_[row, best] = False
        mass += own * one_hot[row, best] * left[:, None]
        total += own * known[row, best] * left
    share = mass / np.maximum(total[:, None], 1e-300)
    final = divergence(profile, share, smoothing)
    return found, np.where(found[:, 0] >= 0, final, np.nan)
