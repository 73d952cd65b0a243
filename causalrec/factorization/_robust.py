"""Robust IPS: factors for the worst propensities within a stated distance of the given ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Pattern
from causalrec.factorization._weighted import Fit, mean_one

Floats = NDArray[np.float64]
ROUNDS = 12


def weight_bounds(propensity: Floats, sensitivity: float) -> tuple[Floats, Floats]:
    """Return the smallest and largest weight of each cell under a sensitivity bound.

    If the odds of being observed differ from p / (1 - p) by a factor of at most `sensitivity`
    (Tan 2006), 1 / p lies in [1 + (1/p - 1) / G, 1 + (1/p - 1) G] (Ding et al. 2022).

    Examples
    --------
    >>> low, high = weight_bounds(np.array([0.5, 0.2]), 2.0)
    >>> low.tolist(), high.tolist()
    ([1.5, 3.0], [3.0, 9.0])
    """
    odds = 1.0 / propensity - 1.0
    return 1.0 + odds / sensitivity, 1.0 + odds * sensitivity


def worst_weights(loss: Floats, low: Floats, high: Floats) -> Floats:
    """Return the weights in [low, high] that maximise sum(w loss) / sum(w).

    The maximum gives the largest weight to losses above some threshold and the smallest to those
    below it (Zhao, Small & Bhattacharya 2019); all thresholds are tried.

    Examples
    --------
    >>> worst_weights(np.array([0.0, 4.0, 1.0]), np.ones(3), np.full(3, 2.0)).tolist()
    [1.0, 2.0, 1.0]
    """
    order = np.argsort(-loss, kind="stable")
    gain = (high - low)[order]
    upper = np.cumsum(gain * loss[order]) + float(low @ loss)
    lower = np.cumsum(gain) + float(low.sum())
    ratio = np.concatenate([[float(low @ loss) / float(low.sum())], upper / lower])
    weights = low.copy()
    chosen = order[: int(np.argmax(ratio))]
    weights[chosen] = high[chosen]
    return weights


def fit_robust(
    fit: Callable[[Floats, Floats], Fit],
    pattern: Pattern,
    target: Floats,
    propensity: Floats,
    sensitivity: float,
) -> tuple[Fit, Floats]:
    """Minimise the largest self-normalised weighted loss: factors against weights, in turn.

    The weights move a share 1 / (t + 1) of the way to the worst ones of round t (fictitious
    play), which settles where jumping all the way would cycle; the fit with the smallest worst
    loss is kept.

    Parameters
    ----------
    fit : callable(target, weights)
        One weighted fit.
    pattern : Pattern
    target, propensity : float64 array, shape (n,)
    sensitivity : float
        At least 1; 1 is plain IPS.

    Returns
    -------
    Fit, float64 array (n,)
        The fit and its weights, of mean 1.
    """
    low, high = weight_bounds(propensity, sensitivity)
    mixed = 1.0 / propensity
    best: tuple[float, Fit, Floats] | None = None
    for round_number in range(1, ROUNDS + 1):
        weights = mean_one(mixed)
        found = fit(target, weights)
        loss = np.square(target - found.factors.predict(pattern.users, pattern.items))
        worst = worst_weights(loss.astype(np.float64), low, high)
        value = float(worst @ loss) / float(worst.sum())
        if best is None or value < best[0]:
            best = value, found, weights
        if sensitivity == 1.0:
            break
        mixed = mixed + (worst - mixed) / (round_number + 1)
    assert best is not None  # there is at least one round
    return best[1], best[2]
