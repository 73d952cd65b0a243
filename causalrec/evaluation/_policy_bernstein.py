"""An interval for bounded means that holds in any sample size: empirical Bernstein."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._policy_estimators import (
    LOGGED,
    RECIPES,
    IntArray,
    Replay,
    largest_weight,
    parts_of,
)
from causalrec.evaluation._recommenders import FloatArray


@dataclass(frozen=True)
class Range:
    """What the bound takes for granted.

    Attributes
    ----------
    outcome : (float, float)
        No outcome outside it.
    weight : float
        No importance weight above it, before any transform.
    outcome_declared, weight_declared : bool
        Given, rather than read off the log.
    """

    outcome: tuple[float, float]
    weight: float
    outcome_declared: bool
    weight_declared: bool

    @property
    def words(self) -> str:
        """The assumption in a sentence."""
        low, high = self.outcome
        said = f"outcomes lie in [{low:g}, {high:g}] ("
        said += "declared" if self.outcome_declared else "the range of this log"
        said += f") and importance weights in [0, {self.weight:.4g}] ("
        said += "given" if self.weight_declared else "the largest of this log"
        return said + ")"

    @property
    def known(self) -> bool:
        """Whether both were given beforehand, as the theorem asks."""
        return self.outcome_declared and self.weight_declared


def refuse_unbounded(names: Sequence[str], sampled: Sequence[str]) -> None:
    """Raise unless every estimator is a mean over clusters of one kind."""
    wrong = [n for n in names if RECIPES[n].self_normalised or RECIPES[n].transform is None]
    if wrong:
        able = [n for n, r in RECIPES.items() if not r.self_normalised and r.transform is not None]
        raise StudyError(
            f"interval='empirical_bernstein' bounds the mean of a bounded score; {wrong[0]!r} is"
            f" no such mean. It takes: {', '.join(able)}."
        )
    if len(sampled) > 1:
        raise StudyError(
            "interval='empirical_bernstein' takes independent clusters of one kind, such as"
            f" sampled=('user',); these are {' and '.join(sampled)}."
        )


def bernstein_half_width(values: FloatArray, width: float, level: float) -> float:
    """Return how far the mean of independent numbers may lie from its expectation.

    Maurer & Pontil (2009), theorem 4, on both sides: with d = (1 - level) / 2,
    sqrt(2 V ln(2 / d) / n) + 7 width ln(2 / d) / (3 (n - 1)), V the sample variance.

    Parameters
    ----------
    values : float64 (n,)
    width : float
        Length of the interval that holds every value.
    level : float

    Examples
    --------
    >>> round(bernstein_half_width(np.tile([0.0, 1.0], 500), 1.0, 0.95), 4)
    0.0571
    """
    n = len(values)
    if n < 2:
        return np.inf
    log_term = np.log(4.0 / (1.0 - level))
    spread = float(values.var(ddof=1))
    return float(np.sqrt(2.0 * spread * log_term / n) + 7.0 * width * log_term / (3.0 * (n - 1)))


def bernstein_widths(
    replay: Replay,
    parameters: dict[str, float | None],
    codes: IntArray,
    allowed: Range,
    level: float,
) -> dict[str, float]:
    """Return the half-width of each estimator, of the logging policy and of their difference.

    The rows of a cluster are summed, and a cluster's sum lies within the range of a row times the
    most rows that a cluster of this log has.

    Raises
    ------
    StudyError
        If clusters differ in how many units of the value they hold.

    Returns
    -------
    dict
        Estimator -> half-width, "logging policy", and "difference" (of the first estimator).
    """
    clusters = np.unique(codes, return_inverse=True)[1]
    rows_each = np.bincount(clusters)
    _refuse_unequal(np.asarray(np.bincount(clusters, weights=replay.unit), dtype=np.float64))
    scale = len(rows_each) / replay.n_units
    most = float(rows_each.max())
    numerators: dict[str, tuple[FloatArray, float, float]] = {}
    for name, parameter in (*parameters.items(), (LOGGED, None)):
        (part,) = parts_of(replay, name, parameter)
        numerators[name] = (part.numerator, *_row_range(replay, name, parameter, allowed))
    first = next(iter(parameters))
    upper, lower = numerators[first], numerators[LOGGED]
    numerators["difference"] = (upper[0] - lower[0], upper[1] - lower[2], upper[2] - lower[1])
    found = {}
    for name, (values, low, high) in numerators.items():
        sums = np.asarray(np.bincount(clusters, weights=values) * scale, dtype=np.float64)
        # A cluster may have any number of rows from none to the most.
        width = (max(high, 0.0) - min(low, 0.0)) * most * scale
        if rows_each.min() == most:
            width = (high - low) * most * scale
        found[name] = bernstein_half_width(sums, width, level)
    return found


def _refuse_unequal(units_each: FloatArray) -> None:
    """Raise where clusters differ in size: the value is then a ratio, and no bounded mean."""
    if units_each.min() != units_each.max():
        raise StudyError(
            "interval='empirical_bernstein' bounds a mean over clusters of one size; these have"
            f" {units_each.min():g} to {units_each.max():g} units of the value, so that the value"
            " is a ratio of two sums. Ask for interval='clustered', or name clusters that are one"
            " unit each: sampled=('slate',) of a slate model, or ('row',)."
        )


def _row_range(
    replay: Replay, name: str, parameter: float | None, allowed: Range
) -> tuple[float, float]:
    """Return the least and the most that the score of a row can be, its reward model as known."""
    low, high = allowed.outcome
    if name == LOGGED:
        return low, high
    recipe = RECIPES[name]
    largest = largest_weight(recipe.transform, parameter, allowed.weight)
    if not recipe.uses_model:
        return min(0.0, largest * low), max(0.0, largest * high)
    assert replay.logged_mean is not None
    assert replay.policy_mean is not None
    carried = 1.0 if replay.above is None else allowed.weight
    base = carried * replay.policy_mean
    under = min(0.0, low - float(replay.logged_mean.max()))
    over = max(0.0, high - float(replay.logged_mean.min()))
    least = min(float(replay.policy_mean.min()), float(base.min()))
    most = max(float(replay.policy_mean.max()), float(base.max()))
    return least + largest * under, most + largest * over
