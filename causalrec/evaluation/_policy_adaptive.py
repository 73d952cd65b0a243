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
from causalrec.evaluation._policy_estimators import (
    LOW_SUPPORT,
    IntArray,
    Part,
    effective_size,
    estimate_parts,
)
from causalrec.evaluation._recommenders import FloatArray

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

GROWTH = 1.1
FIRST_BLOCK = 20
"""The default reward model is renewed when the log has grown by this factor since."""
RECENT = 10
"""Rows before, whose foretold variances are averaged."""
RENEW = 1000
"""Rows after which sums that are updated step by step are added up anew."""
LEAST = 1e-3
"""Least probability of an item that weights count with, times the number of items."""


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


def stabilising_weights(
    log: InteractionLog, target: TargetPolicy, clock: Clock, logging: FloatArray | None
) -> FloatArray:
    """Return a weight a row: one over the root of the variance that its past foretells.

    Given the past, a score's variance is in proportion to the sum over items of pi^2 / e. A weight
    may depend on earlier rows only; where the logging policy does not look at contexts these are
    those of constant allocation in the paper (its equation 15).

    Parameters
    ----------
    log : InteractionLog
    target : TargetPolicy
    clock : Clock
    logging : float64 (n_rows, n_items) or None
        The logging policy's probabilities of all items: the sum is then the mean over the ten
        rows before. None: see `_tracked`.

    Returns
    -------
    float64 (n_rows,), largest one.
    """
    if logging is None or target.of_all is None:
        foretold = _tracked(log, target, clock)
    else:
        safe = np.maximum(logging, LEAST / log.n_items)
        ratio = np.einsum("ij,ij->i", target.of_all, target.of_all / safe)[clock.order]
        total = np.append(0.0, np.cumsum(ratio))
        at = np.arange(log.n_rows)
        first = np.maximum(at - RECENT, 0)
        # Before the first row nothing is known: the items count as drawn evenly.
        even = _squares(log, target).sum() * log.n_items
        foretold = np.where(at > 0, (total[at] - total[first]) / np.maximum(at - first, 1), even)
    weight = 1.0 / np.sqrt(np.maximum(foretold[clock.moment], 1.0))
    return np.asarray(weight / weight.max())


def _squares(log: InteractionLog, target: TargetPolicy) -> FloatArray:
    """Return the mean squared target probability of each item; even where it is not known."""
    if target.of_all is None:
        return np.full(log.n_items, 1.0 / log.n_items**2)
    return np.asarray(np.einsum("ij,ij->j", target.of_all, target.of_all) / log.n_rows)


def _tracked(log: InteractionLog, target: TargetPolicy, clock: Clock) -> FloatArray:
    """Foretell the sum of pi^2 / e before each row from logged propensities alone.

    Each row tells the probability of the item it shows; what is left of one goes to the other
    items in proportion to what was last known of them, all alike at first. (With two items that
    is exact a row later; a loser's probability falls when the winner is shown, not when the loser
    is shown next.) The common factor of the others is kept apart, so a row costs one step.
    """
    assert log.logging_propensity is not None
    least = LEAST / log.n_items
    squares = _squares(log, target).tolist()
    known = target.of_all is not None
    held = [1.0 / log.n_items] * log.n_items
    factor, total = 1.0, sum(squares) * log.n_items
    foretold = np.empty(log.n_rows)
    items = log.item_codes[clock.order].tolist()
    shown = np.clip(log.logging_propensity[clock.order], least, 1.0 - least).tolist()
    wanted = np.square(target.of_logged[clock.order]).tolist()
    for row, (item, p, square) in enumerate(zip(items, shown, wanted, strict=True)):
        foretold[row] = total / factor
        old = held[item] * factor
        total -= squares[item] / held[item]
        factor *= (1.0 - p) / max(1.0 - old, least)
        held[item] = p / factor
        if not known:
            squares[item] = square
        total += squares[item] / held[item]
        if not 1e-9 < factor < 1e9 or row % RENEW == RENEW - 1:
            held = [max(value * factor, least) for value in held]
            whole = sum(held)
            held, factor = [value / whole for value in held], 1.0
            total = sum(s / value for s, value in zip(squares, held, strict=True))
    return foretold


def forward_rewards(log: InteractionLog, target: TargetPolicy, clock: Clock) -> RewardMeans:
    """Return item means from earlier rows only, renewed as the log grows by a tenth.

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
    weight: FloatArray,
    clock: Clock,
    clusters: dict[str, IntArray],
    sampled: tuple[str, ...],
    level: float,
) -> tuple[float, float, float] | None:
    """Return the value in the later half of the units less the earlier, and its interval.

    None where the weights of a half are worth fewer than 30 rows: then a bandit's loser was
    hardly shown, and the interval would be too narrow.
    """
    late = clock.moment >= len(clock.moment) // 2
    halves = (("late", late), ("early", ~late))
    if min(effective_size(weight[half]) for _, half in halves) < LOW_SUPPORT:
        return None
    parts = [
        (name, [Part(np.where(half, part.numerator, 0.0), np.where(half, part.denominator, 0.0))])
        for name, half in halves
    ]
    gap = estimate_parts(parts, clusters, sampled, level).difference("late", "early")
    lower, upper = gap.interval(level)[0]
    return (float(gap), float(lower), float(upper)) if np.isfinite(lower) else None
