"""Bounds where a point is not identified: the outcome range, and the marginal sensitivity model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from causalrec.errors import DataError
from causalrec.inference._clusters import sum_by
from causalrec.inference._estimate import Estimate
from causalrec.inference._grouped import check_groups
from causalrec.inference._intervals import check_level
from causalrec.inference._sums import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Bounds:
    """Lower and upper bound of numbers that the data do not pin down, with their uncertainty.

    Parameters
    ----------
    labels : tuple of str
    lower_bound, upper_bound : Estimate
        Same labels, same cells.
    kind : str
        What the bounds assume, in words.

    Examples
    --------
    >>> import numpy as np
    >>> from causalrec.inference import Estimate
    >>> from causalrec.scores import Score
    >>> users = np.arange(200)
    >>> liked = Estimate.from_score(Score(users % 2), clusters={"user": users})
    >>> found = range_bounds(liked, share_unsupported=0.25, outcome_range=(0, 1))
    >>> found.lower.tolist(), found.upper.tolist()
    ([0.375], [0.625])
    """

    labels: tuple[str, ...]
    lower_bound: Estimate
    upper_bound: Estimate
    kind: str = ""

    @property
    def lower(self) -> FloatArray:
        """Point estimates of the lower bounds, (q,)."""
        return self.lower_bound.value

    @property
    def upper(self) -> FloatArray:
        """Point estimates of the upper bounds, (q,)."""
        return self.upper_bound.value

    @property
    def status(self) -> tuple[str, ...]:
        """Status of each label; the worse of the two bounds."""
        return tuple(
            b if a == "ok" else a
            for a, b in zip(self.lower_bound.status, self.upper_bound.status, strict=True)
        )

    @property
    def n(self) -> IntArray:
        """Rows or cells behind each label, (q,)."""
        return self.lower_bound.n

    def interval(self, level: float | None = None) -> FloatArray:
        """Confidence intervals (q, 2) for the number itself, not for the pair of bounds.

        Imbens & Manski (2004), equations 6-7: the critical value runs from the two-sided one,
        where the bounds meet, to the one-sided one, where they are far apart. Under few clusters
        both standard errors are widened as in `Estimate.interval`.
        """
        chosen = check_level(self.lower_bound.level if level is None else level)
        se_lower, widened_lower = _widened(self.lower_bound, chosen)
        se_upper, widened_upper = _widened(self.upper_bound, chosen)
        found = np.full((len(self.labels), 2), np.nan)
        for j in range(len(self.labels)):
            largest = max(se_lower[j], se_upper[j])
            if np.isfinite(largest):
                width = max(float(self.upper[j] - self.lower[j]), 0.0)
                factor = _imbens_manski(chosen, width / largest if largest > 0.0 else np.inf)
                found[j, 0] = self.lower[j] - factor * widened_lower[j]
                found[j, 1] = self.upper[j] + factor * widened_upper[j]
        estimable = np.array(
            [status not in ("not_estimable", "suppressed") for status in self.status]
        )
        found[~estimable] = np.nan
        return found

    def contains(self, value: ArrayLike) -> np.ndarray:
        """Whether the bounds' point estimates contain a value, (q,) of bool."""
        target = np.asarray(value, dtype=np.float64)
        return np.asarray((self.lower <= target) & (target <= self.upper))

    def difference(self, first: str, second: str) -> Bounds:
        """Bounds of the first label minus the second, each free within its own bounds."""
        name = f"{first} - {second}"
        return Bounds(
            (name,),
            (self.lower_bound[first] - self.upper_bound[second]).relabel([name]),
            (self.upper_bound[first] - self.lower_bound[second]).relabel([name]),
            self.kind,
        )


def _widened(bound: Estimate, level: float) -> tuple[FloatArray, FloatArray]:
    """Return standard errors, plain and times the ratio of t to normal critical values."""
    from scipy import special

    interval = bound.interval(level)
    half = (interval[:, 1] - interval[:, 0]) / 2.0
    return bound.standard_error, half / special.ndtri((1.0 + level) / 2.0)


def _imbens_manski(level: float, width: float) -> float:
    from scipy import special

    one_sided = float(special.ndtri(level))
    if not np.isfinite(width):
        return one_sided
    two_sided = float(special.ndtri((1.0 + level) / 2.0))

    from scipy.optimize import brentq

    def coverage(c: float) -> float:
        return float(special.ndtr(c + width) - special.ndtr(-c) - level)

    if coverage(one_sided) >= 0.0:
        return one_sided
    return float(brentq(coverage, one_sided, two_sided + 1e-12))


def range_bounds(
    supported: Estimate, share_unsupported: ArrayLike, outcome_range: tuple[float, float]
) -> Bounds:
    """Bounds of a mean over all cells where some were never supported (Manski 1989).

    The unsupported share could hold anything between the ends of the outcome's range.

    Parameters
    ----------
    supported : Estimate
        Means over the supported cells.
    share_unsupported : float or array (q,)
        In [0, 1]; taken as known.
    outcome_range : (float, float)
    """
    low, high = map(float, outcome_range)
    share = np.broadcast_to(np.asarray(share_unsupported, dtype=np.float64), supported.value.shape)
    if not low <= high:
        raise DataError(f"outcome_range={outcome_range} must be (smallest, largest).")
    if ((share < 0.0) | (share > 1.0)).any():
        raise DataError(f"share_unsupported={share.tolist()} must lie in [0, 1].")
    kept = supported.contrast(np.diag(1.0 - share), labels=supported.labels)
    ends = (kept.shift(share * low), kept.shift(share * high))
    return Bounds(supported.labels, *ends, kind=f"outcome between {low:g} and {high:g}")


def marginal_sensitivity_bounds(
    h: ArrayLike,
    propensity: ArrayLike,
    observed: ArrayLike,
    lam: float,
    clusters: Mapping[str, IntArray],
    labels: Sequence[str] | None = None,
    *,
    of: Literal["everybody", "unobserved"] = "everybody",
    row_weight: ArrayLike = 1.0,
    groups: IntArray | None = None,
    n_groups: int | None = None,
    **estimate_options: Any,
) -> Bounds:
    """Bounds of a SNIPS mean when the propensity's odds may be wrong by a factor `lam`.

    Under the marginal sensitivity model (Tan 2006) the odds of the true P(O = 1 | X, Y) lie
    within [1 / lam, lam] times those of p, so a weight lies in [1 + (1/p - 1) / lam,
    1 + (1/p - 1) lam], and without the 1 where the mean is that of the unobserved. The extreme
    self-normalised means put the large weights above a threshold of h and the small ones below
    (Zhao, Small & Bhattacharya 2019, section 4.3): found by sorting. At the optimum the threshold
    is the bound itself, so its influence is that of the weights as they stand.

    Parameters
    ----------
    h : array-like (n,)
        Function of the outcome; not read where not observed.
    propensity : array-like (n,)
    observed : array-like (n,) of 0 and 1
    lam : float
        At least 1; 1 gives SNIPS itself.
    of : {"everybody", "unobserved"}
        Whose mean it is: a row that was observed is no news about the unobserved but by its odds.
    row_weight : array-like (n,)
        Known weight of each row in the mean, at least 0.
    clusters, labels, groups, n_groups
        As in `Estimate.from_score`; bounds are computed within each group.
    **estimate_options
        `sampled`, `level`, `population`, `estimator`, `one_row_per_cell`.

    Returns
    -------
    Bounds

    Examples
    --------
    >>> import numpy as np
    >>> users = np.arange(60)
    >>> found = marginal_sensitivity_bounds(
    ...     users % 5, np.full(60, 0.5), np.ones(60), lam=2.0, clusters={"user": users})
    >>> found.lower.round(3).tolist(), found.upper.round(3).tolist()
    ([1.571], [2.429])
    """
    seen = np.asarray(observed, dtype=bool).reshape(-1)
    values = np.where(seen, np.asarray(h, dtype=np.float64), 0.0)
    p = np.broadcast_to(np.asarray(propensity, dtype=np.float64), values.shape)
    _check_model(lam, p, seen)
    codes, count = check_groups(
        np.zeros(len(values), np.int64) if groups is None else groups, n_groups, len(values)
    )
    known = np.broadcast_to(np.asarray(row_weight, dtype=np.float64), values.shape)
    odds = known * np.where(seen, 1.0 / np.where(seen, p, 1.0) - 1.0, 0.0)
    sure = known if of == "everybody" else np.zeros_like(values)
    limits = sure + odds / lam, sure + odds * lam
    ends = []
    for large_above in (False, True):
        weight = _extreme_weights(values, limits, seen, codes, count, large_above)
        ends.append(_Weighted((weight * values)[:, None], weight[:, None]))
    lower, upper = (
        Estimate.from_score(
            score, clusters, labels, groups=_back(codes, count), n_groups=count, **estimate_options
        )
        for score in ends
    )
    return Bounds(lower.labels, lower, upper, kind=f"marginal sensitivity model, lambda {lam:g}")


@dataclass(frozen=True)
class _Weighted:
    """A self-normalised mean as the rows that `Estimate.from_score` reads."""

    numerator: FloatArray
    denominator: FloatArray
    weight: None = None
    design_residual: None = None


def _back(codes: IntArray, count: int) -> IntArray:
    return np.where(codes == count, -1, codes)


def _check_model(lam: float, propensity: FloatArray, seen: np.ndarray) -> None:
    if not lam >= 1.0:
        raise DataError(f"lam={lam} must be at least 1, where the propensity is taken as right.")
    bad = np.flatnonzero(seen & ~((propensity > 0.0) & (propensity <= 1.0)))
    if bad.size:
        raise DataError.bad_rows(
            "propensity",
            "lies outside (0, 1]",
            count=bad.size,
            total=int(seen.sum()),
            rows=bad.tolist(),
            way_out="A row that was observed had a chance to be; check what p is the chance of.",
        )


def _extreme_weights(
    values: FloatArray,
    limits: tuple[FloatArray, FloatArray],
    seen: np.ndarray,
    codes: IntArray,
    count: int,
    large_above: bool,
) -> FloatArray:
    """Weights that make each group's self-normalised mean extreme; 0 where not observed."""
    small, large = limits
    weight = np.zeros_like(values)
    order = np.lexsort((values, codes))
    order = order[seen[order] & (codes[order] < count)]
    starts = np.searchsorted(codes[order], np.arange(count + 1))
    for start, stop in pairwise(starts.tolist()):
        rows = order[start:stop]
        if len(rows) == 0:
            continue
        below, above = (small, large) if large_above else (large, small)
        x, b, a = values[rows], below[rows], above[rows]
        # Mean with the first k rows at `below` and the rest at `above`, for every k.
        top = _prefix(b * x) + (a * x).sum() - _prefix(a * x)
        bottom = _prefix(b) + a.sum() - _prefix(a)
        means = top / bottom
        best = int(np.argmax(means) if large_above else np.argmin(means))
        weight[rows[:best]], weight[rows[best:]] = b[:best], a[best:]
    return weight


def _prefix(values: FloatArray) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(values)])


def smallest_lambda(
    h: ArrayLike,
    propensity: ArrayLike,
    observed: ArrayLike,
    target: float,
    *,
    row_weight: ArrayLike = 1.0,
    largest: float = 100.0,
) -> float:
    """Return the smallest `lam` whose bounds contain `target`: how wrong p would have to be.

    Parameters
    ----------
    h, propensity, observed
        As in `marginal_sensitivity_bounds`.
    target : float
        For example the mean of a randomised slice.
    row_weight
        As in `marginal_sensitivity_bounds`.
    largest : float
        Where the search ends; infinity is returned if not even that is enough (a target outside
        the range of h never is).

    Examples
    --------
    >>> import numpy as np
    >>> smallest_lambda(np.arange(60) % 5, np.full(60, 0.5), np.ones(60), target=2.5).__round__(3)
    2.25
    """
    seen = np.asarray(observed, dtype=bool).reshape(-1)
    values = np.asarray(h, dtype=np.float64)[seen]
    p = np.broadcast_to(np.asarray(propensity, dtype=np.float64), seen.shape)[seen]
    _check_model(largest, p, np.ones(len(p), dtype=bool))
    known = np.broadcast_to(np.asarray(row_weight, dtype=np.float64), seen.shape)[seen]
    odds, codes = known * (1.0 / p - 1.0), np.zeros(len(p), dtype=np.int64)
    here = np.ones(len(p), dtype=bool)
    plain = known / p
    above = target > float(sum_by(codes, (values * plain)[:, None])[0, 0] / plain.sum())

    def missing(log_lam: float) -> float:
        lam = float(np.exp(log_lam))
        limits = known + odds / lam, known + odds * lam
        w = _extreme_weights(values, limits, here, codes, 1, above)
        reached = float(w @ values / w.sum())
        return reached - target if above else target - reached

    if missing(0.0) >= 0.0:
        return 1.0
    if missing(np.log(largest)) < 0.0:
        return float("inf")
    from scipy.optimize import brentq

    return float(np.exp(brentq(missing, 0.0, np.log(largest), xtol=1e-10)))
