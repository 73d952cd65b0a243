"""What people of unknown category could change: bounds of rates and of impact ratios."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def rate_bounds(
    n: npt.ArrayLike, selected: npt.ArrayLike, unknown: float, unknown_selected: float
) -> FloatArray:
    """Return the lowest and the highest rate of each category, (categories, 2).

    Lowest: all unknown who were not selected belong to it; highest: all who were.

    Parameters
    ----------
    n, selected : array-like (categories,)
    unknown, unknown_selected : float
        Assessments of unknown category, and those of them that were selected.

    Examples
    --------
    >>> rate_bounds([80], [40], 20, 10).round(3).tolist()
    [[0.444, 0.556]]
    """
    size, chosen = np.asarray(n, np.float64), np.asarray(selected, np.float64)
    low = chosen / (size + unknown - unknown_selected)
    high = (chosen + unknown_selected) / (size + unknown_selected)
    return np.stack([low, high], axis=1)


def ratio_bounds(
    n: npt.ArrayLike, selected: npt.ArrayLike, unknown: float, unknown_selected: float
) -> FloatArray:
    """Return the lowest and the highest impact ratio of each category, (categories, 2).

    Lowest: the unknown who were not selected belong to it, those who were to one other category.
    Highest: those selected belong to it, and the others are spread over the rest so that the
    highest rate there is as low as can be.

    Parameters
    ----------
    n, selected, unknown, unknown_selected
        As in `rate_bounds`.

    Examples
    --------
    >>> ratio_bounds([80, 80], [40, 20], 0, 0).tolist()
    [[1.0, 1.0], [0.5, 0.5]]
    """
    size, chosen = np.asarray(n, np.float64), np.asarray(selected, np.float64)
    rates = rate_bounds(size, chosen, unknown, unknown_selected)
    found = np.ones((len(size), 2))
    for own in range(len(size)):
        rest = np.arange(len(size)) != own
        best = float(rates[rest, 1].max(initial=0.0))
        low, high = rates[own]
        found[own, 0] = 1.0 if best <= low else low / best
        least = _least_highest(size[rest], chosen[rest], unknown - unknown_selected)
        found[own, 1] = 1.0 if least <= high else high / least
    return found


def _least_highest(size: FloatArray, chosen: FloatArray, spare: float) -> float:
    """Return the smallest that the highest rate can be when `spare` others join, not selected."""
    low, high = 0.0, float((chosen / size).max(initial=0.0))
    for _ in range(60):  # bisection: joining chosen / t - size brings a rate down to t
        middle = 0.5 * (low + high)
        needed = np.maximum(chosen / middle - size, 0.0).sum() if middle > 0 else np.inf
        low, high = (low, middle) if needed <= spare else (middle, high)
    return high
