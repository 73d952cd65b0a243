"""Ratings from 1 to 5 as an ordered probit: how many cuts a latent normal liking passes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import expit, ndtr

from causalrec.simulation._sides import FloatArray, normal_axis

CUTS = np.array([1.5, 2.5, 3.5, 4.5])


def ordinal_mean(latent: FloatArray, deviation: FloatArray | float) -> FloatArray:
    """Return the mean rating where the latent liking is normal about `latent`.

    Examples
    --------
    >>> round(float(ordinal_mean(np.array([3.0]), 0.8)[0]), 12)
    3.0
    """
    return np.asarray(1.0 + sum(ndtr((latent - cut) / deviation) for cut in CUTS))


def ordinal_variance(latent: FloatArray, deviation: float) -> FloatArray:
    """Return the variance of the rating where the latent liking is normal about `latent`."""
    above = [ndtr((latent - cut) / deviation) for cut in CUTS]
    # E[R²] = 1 + sum over r = 1..4 of (2r + 1) P(R > r).
    square = 1.0 + sum((2 * r + 1) * share for r, share in enumerate(above, start=1))
    return np.asarray(square - (1.0 + sum(above)) ** 2)


def ordinal_rating(liking: FloatArray) -> FloatArray:
    """Return the rating of a drawn liking: one star more for each cut that it passes."""
    return np.asarray(1.0 + sum((liking > cut).astype(np.float64) for cut in CUTS))


def selection_over_ratings(
    value: FloatArray, strength: float, latent: FloatArray, deviation: float, *, ordinal: bool
) -> FloatArray:
    """Return E[expit(value + strength (rating - 3))] over the noise of the rating."""
    if not ordinal:
        nodes, weights = normal_axis(24)
        distance = [latent - 3.0 + deviation * node for node in nodes]
    else:
        above = [np.ones_like(latent), *(ndtr((latent - cut) / deviation) for cut in CUTS)]
        above.append(np.zeros_like(latent))
        weights = np.array([more - less for more, less in pairwise(above)])
        distance = [np.full_like(latent, rating - 3.0) for rating in range(1, 6)]
    terms = (w * expit(value + strength * d) for w, d in zip(weights, distance, strict=True))
    return np.asarray(sum(terms))
