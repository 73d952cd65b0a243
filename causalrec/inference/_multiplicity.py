"""Corrections of several p-values: Holm for verdicts, Benjamini and Hochberg for screens."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from causalrec.errors import StudyError, near_miss
from causalrec.inference._sums import FloatArray


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjust p-values so that the chance of any false verdict is held (Holm 1979).

    Parameters
    ----------
    p_values : array-like of float, shape (k,)
        NaN where there is no test; it stays NaN and does not count.

    Returns
    -------
    ndarray of float64, shape (k,)

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Adjust p-values so that the false discovery rate is held (Benjamini & Hochberg 1995).

    Parameters
    ----------
    p_values : array-like of float, shape (k,)
        NaN where there is no test; it stays NaN and does not count.

    Returns
    -------
    ndarray of float64, shape (k,)

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, float("nan")])
    array([0.03, 0.04, 0.04,  nan])
    """
    from scipy.stats import false_discovery_control

    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        adjusted[tested] = false_discovery_control(p[tested], method="bh")
    return adjusted


def correct(p_values: ArrayLike, method: str) -> FloatArray:
    """Adjust p-values by the method's name, "holm" or "bh"."""
    methods = {"holm": holm, "bh": benjamini_hochberg}
    if method not in methods:
        raise StudyError(
            f"There is no correction {method!r}.{near_miss(method, methods)}"
            ' Use "holm" for verdicts or "bh" for screens.'
        )
    return methods[method](p_values)
