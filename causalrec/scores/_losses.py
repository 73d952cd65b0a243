"""Imputations of a loss: E[h(Y) | X], which is not h of E[Y | X]."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from causalrec.scores._score import FloatArray


def squared_error_imputation(
    prediction: ArrayLike, mean: ArrayLike, variance: ArrayLike
) -> FloatArray:
    """E[(Y - f)^2 | X] = (g - f)^2 + Var(Y | X): the variance is part of it.

    Parameters
    ----------
    prediction : array-like
        f, the recommender's prediction.
    mean, variance : array-like
        g and the residual variance of the outcome model, of broadcastable shapes.

    Examples
    --------
    >>> squared_error_imputation(3.0, 4.0, 0.5).item()
    1.5
    """
    f, g, v = (np.asarray(x, dtype=np.float64) for x in (prediction, mean, variance))
    return np.asarray(np.square(g - f) + v)


def absolute_error_imputation(
    prediction: ArrayLike, mean: ArrayLike, variance: ArrayLike
) -> FloatArray:
    """E|Y - f| given X where the residual of the outcome model is normal (a folded normal).

    Leone, Nelson & Nottingham (1961): s sqrt(2 / pi) exp(-d^2 / (2 s^2)) + d (2 Phi(d / s) - 1),
    with d = g - f and s^2 the variance.

    Examples
    --------
    >>> absolute_error_imputation(3.0, 3.0, 1.0).round(4).item()
    0.7979
    """
    from scipy.special import ndtr

    f, g, v = (np.asarray(x, dtype=np.float64) for x in (prediction, mean, variance))
    d, s = g - f, np.sqrt(v)
    # Beyond forty standard deviations, or without spread, the law is a point: |d|.
    z = np.clip(d / np.maximum(s, np.finfo(np.float64).tiny), -40.0, 40.0)
    return np.asarray(s * np.sqrt(2.0 / np.pi) * np.exp(-0.5 * z**2) + d * (2.0 * ndtr(z) - 1.0))


def loss_imputation_from_residuals(
    prediction: ArrayLike, mean: ArrayLike, residuals: ArrayLike, *, power: Literal[1, 2] = 1
) -> FloatArray:
    """E|Y - f|^power given X where residuals follow their empirical law, whatever its shape.

    Parameters
    ----------
    prediction, mean : array-like (n,)
    residuals : array-like (r,)
        Out-of-fold residuals y - g of the outcome model, assumed independent of X.
    power : {1, 2}
        1 for an absolute, 2 for a squared error. Cost O((n + r) log r).

    Examples
    --------
    >>> loss_imputation_from_residuals([3.0], [3.0], [-1.0, 1.0]).tolist()
    [1.0]
    """
    f, g = (np.asarray(x, dtype=np.float64) for x in (prediction, mean))
    e = np.sort(np.asarray(residuals, dtype=np.float64))
    d = g - f
    if power == 2:
        return np.asarray(d**2 + 2.0 * d * e.mean() + np.square(e).mean())
    # mean |d + e|: e above -d count with plus, those below with minus; prefix sums give both.
    below = np.searchsorted(e, -d)
    prefix = np.concatenate([[0.0], np.cumsum(e)])
    positive = (prefix[-1] - prefix[below]) + (len(e) - below) * d
    negative = prefix[below] + below * d
    return np.asarray((positive - negative) / len(e))
