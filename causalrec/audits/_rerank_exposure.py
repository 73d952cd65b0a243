"""Exposure-constrained rankings: the most useful lottery over rankings that is fair enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from causalrec import errors
from causalrec.audits._birkhoff import draw_ranking
from causalrec.audits._browsing import browsing_weight
from causalrec.audits._candidates import candidates_of
from causalrec.audits._reranker import Codes, FloatArray, Reranker, check_length, item_groups
from causalrec.errors import DataError, StudyError

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

TINY = 1e-12


class ExposureReranker(Reranker):
    """Give each group of items its share of every list's exposure, at the least loss of score.

    For each user a linear programme finds the doubly stochastic matrix P of items and places with
    the highest expected score whose groups get their share of exposure. P is a lottery: it is
    resolved into rankings (Birkhoff-von Neumann), and one of them is drawn for each user.

    Parameters
    ----------
    model : Recommender or callable(users, items)
    by : str
        Column of the item table.
    target : "catalogue", "merit" or mapping of level to share
        The share of exposure of each group: that of its items in the catalogue; that of its
        items' positive predicted scores among the user's eligible ones; or as given.
    tolerance : float
        Shares may lie this far from the target, relatively: 0.1 is ten per cent.
    k : int
        Length of the lists.
    browsing : {"log", "equal"} or float
        Attention of a place, as in `audit`.
    exclude_seen : bool
    random_state : int or None
        Seed of the drawn rankings.

    Attributes
    ----------
    levels_ : tuple of str
    lists_, scores_ : int64 and float64 arrays (n_users, k)
        The drawn rankings.
    shares_ : float64 array (n_users, levels)
        *Expected* share of exposure of each group, over the lottery.
    n_infeasible_ : int
        Users whose eligible items cannot meet the target: they keep the model's order.

    Notes
    -----
    Singh & Joachims (2018), equations 4 to 7. Only the k best items of each group can stand in an
    optimal P, because exposure sees the group alone: the programme has k items a group. What
    `recommend` and `predict` hold is one draw; `place_probabilities` has the lottery itself.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=40, n_items=40, density=0.2, random_state=0)
    >>> popular = lambda users, items: [1.0 / float(item) for item in items]
    >>> fair = ExposureReranker(popular, by="label_group", k=5, tolerance=0.05).fit(world.log)
    >>> share = (world.log.items["label_group"] == "independent").mean()
    >>> bool(np.abs(fair.shares_[:, 0] / share - 1.0).max() < 0.051)
    True
    """

    def __init__(
        self,
        model: Any,
        by: str,
        *,
        target: Literal["catalogue", "merit"] | Mapping[str, float] = "catalogue",
        tolerance: float = 0.0,
        k: int = 10,
        browsing: str | float = "log",
        exclude_seen: bool = True,
        random_state: int | None = 0,
    ) -> None:
        self.model, self.by, self.target, self.tolerance = model, by, target, tolerance
        self.k, self.browsing, self.exclude_seen = k, browsing, exclude_seen
        self.random_state = random_state

    def fit(self, log: InteractionLog) -> Self:
        """Solve the programme of every user, and draw their rankings.

        Parameters
        ----------
        log : InteractionLog
            What is seen.

        Raises
        ------
        StudyError
            If an option lies outside its range, or the given shares do not fit the levels.
        DataError
            If `by` is not a column of the item table.
        """
        check_length(self.k)
        if self.tolerance < 0.0:
            raise StudyError(f"tolerance={self.tolerance!r} must not be below 0.")
        self.levels_, group = item_groups(log, self.by)
        candidates = candidates_of(
            self.model, log, self.k, groups=group, exclude_seen=self.exclude_seen
        )
        target = self._target(log, group, candidates.merit[:, 1:])
        attention = browsing_weight(np.arange(1, self.k + 1), self.browsing)
        rng = np.random.default_rng(self.random_state)
        self.lists_ = np.full((log.n_users, self.k), -1, dtype=np.int64)
        self.scores_ = np.full((log.n_users, self.k), -np.inf)
        self.shares_ = np.full((log.n_users, len(self.levels_)), np.nan)
        self.n_infeasible_ = 0
        lines: list[tuple[Codes, Codes, Codes, FloatArray]] = []
        for user in range(log.n_users):
            there = np.isfinite(candidates.scores[user])
            items, scores = candidates.items[user, there], candidates.scores[user, there]
            if not len(items):
                continue
            places = min(self.k, len(items))
            weight = attention[:places]
            lottery = fair_ranking(
                scores, group[items], weight, target[user], tolerance=self.tolerance
            )
            if lottery is None:
                self.n_infeasible_ += 1
                lottery = np.eye(len(items), places)
            chosen = draw_ranking(lottery, rng)
            self.lists_[user, :places] = items[chosen]
            self.scores_[user, :places] = scores[chosen]
            exposure = lottery @ weight
            known = group[items] >= 0
            by_group = np.bincount(
                group[items][known], weights=exposure[known], minlength=len(self.levels_)
            )
            self.shares_[user] = by_group / weight.sum()
            row, place = np.nonzero(lottery > TINY)
            lines.append((np.full(len(row), user), items[row], place + 1, lottery[row, place]))
        self._lottery = tuple(np.concatenate(part) for part in zip(*lines, strict=True))
        self._log = log
        return self

    def place_probabilities(self) -> pd.DataFrame:
        """Return the lottery: user_id, item_id, rank, and the probability of that place.

        Its expected exposure is what the programme bounds; a drawn ranking scatters around it.
        """
        if not hasattr(self, "lists_"):
            raise errors.NotFittedError.of(self)
        users, items, rank, probability = self._lottery
        return pd.DataFrame(
            {
                "user_id": self._log.user_ids[users],
                "item_id": self._log.item_ids[items],
                "rank": rank,
                "probability": probability,
            }
        )

    def _target(self, log: InteractionLog, group: Codes, merit: FloatArray) -> FloatArray:
        """Return the wanted share of exposure, (n_users, levels)."""
        size = (log.n_users, len(self.levels_))
        if isinstance(self.target, Mapping):
            wrong = sorted(set(self.target) ^ set(self.levels_))
            total = float(sum(self.target.values()))
            if wrong or total > 1.0 + 1e-9 or min(self.target.values()) < 0.0:
                raise StudyError(
                    f"target={dict(self.target)!r} must give each level of {self.by!r} a share"
                    f" ({', '.join(self.levels_)}), not negative and together at most 1."
                )
            return np.broadcast_to([self.target[name] for name in self.levels_], size)
        if self.target == "catalogue":
            count = np.bincount(group[group >= 0], minlength=len(self.levels_))
            return np.broadcast_to(count / log.n_items, size)
        if self.target == "merit":
            total_merit = merit.sum(axis=1, keepdims=True)
            if (total_merit <= 0).any():
                raise DataError(
                    "target='merit' shares exposure out by positive predictions, and some users"
                    " have none: predict probabilities or ratings, or choose target='catalogue'."
                )
            return np.asarray(merit / total_merit)
        raise StudyError(
            f"target={self.target!r} is not known: 'catalogue', 'merit', or a share for each level."
        )


def fair_ranking(
    scores: FloatArray,
    group: Codes,
    weight: FloatArray,
    target: FloatArray,
    *,
    tolerance: float,
) -> FloatArray | None:
    """Return the place probabilities with the highest expected score, (items, places), or None.

    Parameters
    ----------
    scores : float64 array (n,)
    group : int64 array (n,)
        -1 for none, which no constraint speaks of.
    weight : float64 array (places,)
        Attention of the places.
    target : float64 array (groups,)
        Share of all attention that a group should get.
    tolerance : float
        Relative.

    Returns
    -------
    float64 array (n, places) or None
        Each place holds one item, no item holds more than one place. None where the constraints
        cannot be met.

    Examples
    --------
    >>> fair_ranking(np.array([3.0, 2.0, 1.0]), np.array([0, 0, 1]), np.array([1.0, 0.5]),
    ...              np.array([2 / 3, 1 / 3]), tolerance=0.0).round(2).tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    from scipy.optimize import linprog

    n, places = len(scores), len(weight)
    value = np.outer(scores, weight).ravel()
    each_place = np.kron(np.ones((1, n)), np.eye(places))
    each_item = np.kron(np.eye(n), np.ones((1, places)))
    attention = np.zeros((len(target), n))
    known = group >= 0
    attention[group[known], np.flatnonzero(known)] = 1.0
    exposure = np.kron(attention, weight[None, :])
    wanted = target * weight.sum()
    slack = tolerance * wanted + 1e-9
    limits = np.vstack([each_item, exposure, -exposure])
    bounds = np.concatenate([np.ones(n), wanted + slack, -(wanted - slack)])
    solved = linprog(
        -value,
        A_ub=limits,
        b_ub=bounds,
        A_eq=each_place,
        b_eq=np.ones(places),
        bounds=(0.0, 1.0),
        method="highs",
    )
    if solved.status != 0 or solved.x is None:
        return None
    found = np.clip(solved.x.reshape(n, places), 0.0, 1.0) + 0.0  # no negative zeros
    return np.asarray(found / found.sum(axis=0))
