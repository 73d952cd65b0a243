"""How wrong the propensities would have to be for a gap to vanish: Lambda* of each gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
AnyCodes = npt.NDArray[np.integer[Any]]
LARGEST = 100.0


@dataclass(frozen=True, eq=False)
class Extremes:
    """The recorded outcomes of one group, sorted once: bounds of their mean for any Lambda.

    Under the marginal sensitivity model the weight of a row lies in [1 + (1/p - 1) / Lambda,
    1 + (1/p - 1) Lambda]. The extreme self-normalised mean t has the large weights on one side of
    itself (Zhao, Small & Bhattacharya 2019, section 4.3), so that with sums up to each place of the
    sorted outcomes any t is judged in a binary search.

    Attributes
    ----------
    order : int64 array (n,)
        Rows of the group, by their outcome.
    x, odds : float64 arrays (n,)
        Outcomes and (1 - p) / p in that order.
    """

    order: Codes
    x: FloatArray
    odds: FloatArray
    sums: FloatArray = field(repr=False)

    @classmethod
    def of(cls, x: FloatArray, p: FloatArray, rows: Codes) -> Extremes:
        """Sort the rows of a group.

        Parameters
        ----------
        x, p : float64 arrays (all rows,)
        rows : int64 array (n,)
            Those of the group.
        """
        order = rows[np.argsort(x[rows], kind="stable")]
        values, odds = x[order], 1.0 / p[order] - 1.0
        parts = np.stack([np.ones(len(order)), values, odds, odds * values])
        return cls(order, values, odds, np.pad(np.cumsum(parts, axis=1), ((0, 0), (1, 0))))

    def bound(self, lam: float, upper: bool) -> float:
        """Return the largest (smallest) mean there can be."""
        low, high = 0, len(self.x)
        while low < high:
            middle = (low + high) // 2
            # Rows before `middle` lie below the threshold: is the mean still above its outcome?
            if self._mean(middle, lam, upper) > self.x[middle]:
                low = middle + 1
            else:
                high = middle
        return self._mean(low, lam, upper)

    def _mean(self, place: int, lam: float, upper: bool) -> float:
        below, above = (1.0 / lam, lam) if upper else (lam, 1.0 / lam)
        odds, odds_x = self.sums[2:, place]
        all_n, all_x, all_odds, all_odds_x = self.sums[:, -1]
        top = all_x + below * odds_x + above * (all_odds_x - odds_x)
        bottom = all_n + below * odds + above * (all_odds - odds)
        return float(top / bottom)

    def influence(self, lam: float, upper: bool) -> FloatArray:
        """Return each row's influence on the bound, in `order`: the threshold adds nothing."""
        bound = self.bound(lam, upper)
        factor = np.where((self.x > bound) == upper, lam, 1.0 / lam)
        weight = 1.0 + self.odds * factor
        return np.asarray(weight * (self.x - bound) / weight.sum())


@dataclass(frozen=True)
class GapLambda:
    """Lambda* of one gap.

    Attributes
    ----------
    gap : float
        By SNIPS: the gap at Lambda 1.
    of_gap : float
        The smallest Lambda at which the bounds of the gap contain zero.
    of_interval : float
        The smallest at which the confidence interval around the bounds does; 1 where the plain one
        does. Infinite where no Lambda up to 100 is enough.
    """

    gap: float
    of_gap: float
    of_interval: float


def gap_lambda(
    first: Extremes,
    second: Extremes,
    clusters: Mapping[str, AnyCodes],
    critical: float,
) -> GapLambda:
    """Return how wrong the odds of being recorded would have to be for a gap to vanish.

    Parameters
    ----------
    first, second : Extremes
        The gap is the first group's mean minus the second's.
    clusters : mapping of dimension to int64 array (all rows,)
        One dimension or two.
    critical : float
        Half width of the interval in standard errors.

    Notes
    -----
    Both groups are bounded at the same Lambda, each at its worst: the odds of every cell may be
    wrong by that factor in either direction.
    """
    gap = first.bound(1.0, True) - second.bound(1.0, True)
    sign = gap >= 0.0  # bounds of a positive gap reach zero from above, by its lower end

    def end(log_lam: float) -> float:
        lam = float(np.exp(log_lam))
        found = first.bound(lam, not sign) - second.bound(lam, sign)
        return found if sign else -found

    def end_of_interval(log_lam: float) -> float:
        lam = float(np.exp(log_lam))
        error = _standard_error(first, second, clusters, lam, sign)
        return end(log_lam) - critical * error

    return GapLambda(gap, _root(end), _root(end_of_interval))


def _root(distance: Callable[[float], float]) -> float:
    """Return the Lambda at which a falling distance from zero is used up."""
    if distance(0.0) <= 0.0:
        return 1.0
    if distance(float(np.log(LARGEST))) > 0.0:
        return float("inf")
    return float(np.exp(brentq(distance, 0.0, np.log(LARGEST), xtol=1e-4)))


def _standard_error(
    first: Extremes, second: Extremes, clusters: Mapping[str, AnyCodes], lam: float, sign: bool
) -> float:
    rows = np.concatenate([first.order, second.order])
    psi = np.concatenate([first.influence(lam, not sign), -second.influence(lam, sign)])
    by = [
        float(np.square(np.bincount(codes[rows], weights=psi)).sum()) for codes in clusters.values()
    ]
    if len(by) < 2:
        return float(np.sqrt(by[0]))
    # Rows are cells: of a user and a provider there may be several, which is a little cautious.
    total = sum(by) - float(psi @ psi)
    return float(np.sqrt(total if total > 0.0 else max(by)))
