"""Logs whose policy learned as it went: time order, weights that keep the interval valid.

A bandit draws less and less of what it takes for worse. The doubly robust score of a row stays
unbiased given the past, but its variance depends on the past too, and their plain mean need not be
normal: its interval covers too little. Weighting every row by one over the standard deviation that
the past foretells mends that (Hadad, Hirshberg, Zhan, Wager & Athey 2021; with contexts, Bibaut et
al. 2021 and Zhan et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._policies import RewardMeans, TargetPolicy, shrunk_means
from causalrec.evaluation._policy_estimators import IntArray, Part, estimate_parts
from causalrec.evaluation._recommenders import FloatArray

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

GROWTH = 1.25
FIRST_BLOCK = 20


@dataclass(frozen=True, eq=False)
class Clock:
    """The rows of a log in time.

    Attributes
    ----------
    order : int (n,)
        Rows, earliest first.
    moment : int (n,)
        Of each row: rows that were there before its unit began.
    words : str
        What says so.
    """

    order: IntArray
    moment: IntArray
    words: str


def time_order(log: InteractionLog, units: IntArray) -> Clock:
    """Return the time order of the rows, those of a unit together.

    Parameters
    ----------
    log : InteractionLog
    units : int (n,)
        What was drawn at once (a slate, a row): its rows keep together, at its first time.
    """
    n = log.n_rows
    if log.timestamp is None:
        clock, words = np.arange(n), "the order of the rows"
    else:
        clock = log.timestamp.astype(np.int64)
        words = f"column {log.columns.timestamp!r}, ties in the order of the rows"
    codes = np.unique(units, return_inverse=True)[1]
    first = np.full(int(codes.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, codes, clock)
    order = np.lexsort((np.arange(n), codes, first[codes]))
    opens = np.empty(n, dtype=bool)
    opens[0] = True
    opens[1:] = np.diff(codes[order]) != 0
    started = np.maximum.accumulate(np.where(opens, np.arange(n), 0))
    moment = np.empty(n, dtype=np.int64)
    moment[order] = started
    return Clock(order, moment, words)


def stabilising_weights(log: InteractionLog, target: TargetPolicy, clock: Clock) -> FloatArray:
    """Return a weight a row: one over the root of the variance that its past foretells.

    Given the past, a score's variance is in proportion to the sum over items of pi(a)^2 / e(a).
    For each item, pi^2 / e is taken from the last earlier row that showed it, and an item not yet
    shown counts as one of `n_items` drawn evenly. So a weight depends on earlier rows only, and
    where the logging policy does not look at contexts the weights are those of constant allocation
    in the paper (equation 15): the squared weights times the variances are alike.

    Parameters
    ----------
    log : InteractionLog
    target : TargetPolicy
    clock : Clock

    Returns
    -------
    float64 (n,), largest one.
    """
    assert log.logging_propensity is not None
    seen = np.square(target.of_logged) / log.logging_propensity
    if target.of_all is None:
        start = np.full(log.n_items, 1.0 / log.n_items)
    else:
        start = np.einsum("ij,ij->j", target.of_all, target.of_all) * (log.n_items / log.n_rows)
    in_time, items = seen[clock.order], log.item_codes[clock.order]
    by_item = np.argsort(items, kind="stable")
    before = np.empty(log.n_rows)
    before[by_item[1:]] = in_time[by_item[:-1]]
    opens = np.append(True, np.diff(items[by_item]) != 0)
    before[by_item[opens]] = start[items[by_item[opens]]]
    # Its sum is at least (sum of pi)^2 = 1, by Cauchy and Schwarz.
    foretold = np.append(0.0, np.cumsum(in_time - before)) + start.sum()
    weight = 1.0 / np.sqrt(np.maximum(foretold[clock.moment], 1.0))
    return np.asarray(weight / weight.max())


def forward_rewards(log: InteractionLog, target: TargetPolicy, clock: Clock) -> RewardMeans:
    """Return item means from earlier rows only, renewed as the log grows by a quarter.

    The first rows have none and take zero: their score is that of IPS.
    """
    assert log.outcome is not None
    assert target.of_all is not None
    n = log.n_rows
    ends = [0, min(FIRST_BLOCK, n)]
    while ends[-1] < n:
        ends.append(min(int(np.ceil(ends[-1] * GROWTH)), n))
    block = np.searchsorted(ends, clock.moment, side="right") - 1
    policy, logged = np.zeros(n), np.zeros(n)
    for number, begin in enumerate(ends[1:-1], start=1):
        rows, past = np.flatnonzero(block == number), clock.order[:begin]
        means = shrunk_means(log.item_codes[past], log.outcome[past], log.n_items)
        policy[rows] = np.einsum("ij,j->i", target.of_all[rows], means)
        logged[rows] = means[log.item_codes[rows]]
    return RewardMeans(policy, logged)


def drift(
    part: Part,
    clock: Clock,
    clusters: dict[str, IntArray],
    sampled: tuple[str, ...],
    level: float,
) -> tuple[float, float, float]:
    """Return the value in the later half of the units less the earlier, and its interval."""
    late = clock.moment >= len(clock.moment) // 2
    halves = [
        (name, [Part(np.where(half, part.numerator, 0.0), np.where(half, part.denominator, 0.0))])
        for name, half in (("late", late), ("early", ~late))
    ]
    gap = estimate_parts(halves, clusters, sampled, level).difference("late", "early")
    lower, upper = gap.interval(level)[0]
    return float(gap), float(lower), float(upper)
