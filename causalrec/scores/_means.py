"""Scores of a mean: naive, IPS, SNIPS, regression and doubly robust."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.errors import DataError, OverlapError, StudyError, near_miss
from causalrec.scores._score import FloatArray, Score, as_columns

MeanEstimator = Literal["naive", "ips", "snips", "regression", "dr"]


def _inputs(
    h: ArrayLike, observed: ArrayLike, propensity: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return h (n, q) with zeros where unobserved, O (n, 1), and O / p (n, 1)."""
    values = np.asarray(h, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    seen = np.asarray(observed, dtype=np.float64).reshape(-1, 1)
    if len(seen) != len(values):
        raise DataError(f"observed has {len(seen):,} rows, h has {len(values):,}.")
    values = np.where(seen != 0.0, values, 0.0)
    if propensity is None:
        return values, seen, seen
    p = np.broadcast_to(np.asarray(propensity, dtype=np.float64).reshape(-1, 1), seen.shape)
    check_propensity(p[:, 0], used=seen[:, 0] != 0.0)
    weight = np.divide(seen, p, out=np.zeros_like(seen), where=seen != 0.0)
    return values, seen, weight


def check_propensity(propensity: FloatArray, used: NDArray[np.bool_]) -> None:
    """Raise `OverlapError` where a propensity that divides is not in (0, 1]."""
    bad = np.flatnonzero(used & ~((propensity > 0.0) & (propensity <= 1.0)))
    if bad.size:
        raise OverlapError(
            f"The propensity lies outside (0, 1] in {bad.size:,} of {int(used.sum()):,} observed"
            f" rows (rows {bad[:5].tolist()}: {propensity[bad[:5]].tolist()}). A row that was"
            " observed had a chance to be: check that this is the probability of being observed,"
            " or restrict the question to the supported population."
        )


def dr_score(
    h: ArrayLike, observed: ArrayLike, propensity: ArrayLike, imputation: ArrayLike
) -> FloatArray:
    """Doubly robust score m + (O / p) (h - m), row by row.

    Its mean is right if the propensity or the imputation is. The imputation is of h, not of the
    outcome: see `squared_error_imputation`.

    Parameters
    ----------
    h : array-like (n,) or (n, q)
        Function of the outcome; not read where not observed.
    observed : array-like (n,) of 0 and 1
    propensity : array-like (n,) or scalar
        P(O = 1 | X), in (0, 1] where observed.
    imputation : array-like (n,) or (n, q)
        E[h(Y) | X, O = 1], in every row.

    Returns
    -------
    ndarray of float64, shaped like `h`

    Examples
    --------
    >>> dr_score([1.0, float("nan")], [1, 0], [0.5, 0.5], [0.25, 0.25]).tolist()
    [1.75, 0.25]
    """
    values, _, weight = _inputs(h, observed, propensity)
    m = np.broadcast_to(as_columns(imputation, "imputation"), values.shape)
    score: FloatArray = m + weight * (values - m)
    return score[:, 0] if np.ndim(h) == 1 else score


def naive_score(h: ArrayLike, observed: ArrayLike) -> Score:
    """Score of the plain mean of what was observed: O h over O."""
    values, seen, _ = _inputs(h, observed, None)
    return Score(seen * values, seen)


def ips_score(h: ArrayLike, observed: ArrayLike, propensity: ArrayLike) -> Score:
    """Score of Horvitz and Thompson's mean: O h / p over the number of rows (unbiased)."""
    values, _, weight = _inputs(h, observed, propensity)
    return Score(weight * values, weight=weight)


def snips_score(h: ArrayLike, observed: ArrayLike, propensity: ArrayLike) -> Score:
    """Score of Hajek's self-normalised mean: O h / p over O / p (less variable, consistent)."""
    values, _, weight = _inputs(h, observed, propensity)
    return Score(weight * values, weight)


def regression_score(imputation: ArrayLike) -> Score:
    """Score of the mean of an imputation; its interval treats the outcome model as known."""
    return Score(np.asarray(imputation, dtype=np.float64))


def mean_score(
    h: ArrayLike,
    observed: ArrayLike,
    propensity: ArrayLike | None = None,
    imputation: ArrayLike | None = None,
    *,
    estimator: MeanEstimator = "dr",
) -> Score:
    """Score of a mean by the estimator's name.

    Parameters
    ----------
    h, observed, propensity, imputation
        As in `dr_score`; what the estimator does not use may be None.
    estimator : {"naive", "ips", "snips", "regression", "dr"}

    Examples
    --------
    >>> mean_score([4.0, 2.0], [1, 1], [0.8, 0.2], estimator="snips").value.round(2).tolist()
    [2.4]
    """
    if estimator == "naive":
        return naive_score(h, observed)
    if estimator == "regression":
        return regression_score(needed(imputation, "imputation", estimator))
    p = needed(propensity, "propensity", estimator)
    if estimator == "ips":
        return ips_score(h, observed, p)
    if estimator == "snips":
        return snips_score(h, observed, p)
    if estimator == "dr":
        m = needed(imputation, "imputation", estimator)
        return Score(dr_score(h, observed, p, m), weight=_inputs(h, observed, p)[2])
    known = ("naive", "ips", "snips", "regression", "dr")
    raise StudyError(f"There is no estimator {estimator!r}.{near_miss(estimator, known)}")


def needed(values: ArrayLike | None, name: str, estimator: str) -> ArrayLike:
    if values is None:
        raise StudyError(f"estimator={estimator!r} needs {name}=...")
    return values


def dr_derivatives(
    h: ArrayLike, observed: ArrayLike, propensity: ArrayLike, imputation: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return the derivatives of `dr_score` that `causalrec.inference.stack_nuisances` asks for.

    Parameters
    ----------
    h, observed, propensity, imputation
        As in `dr_score`.

    Returns
    -------
    by_propensity : ndarray, shaped like `h`
        By the logit of p: -(O / p) (1 - p) (h - m).
    by_imputation : ndarray, shaped like `h`
        By m: 1 - O / p. Multiply by dm / d(linear predictor) where that is not 1: m (1 - m) for
        a logistic model of m.
    """
    values, seen, weight = _inputs(h, observed, propensity)
    m = np.broadcast_to(as_columns(imputation, "imputation"), values.shape)
    by_propensity = -(weight - seen) * (values - m)
    by_imputation = np.broadcast_to(1.0 - weight, values.shape)
    if np.ndim(h) == 1:
        return by_propensity[:, 0], by_imputation[:, 0]
    return by_propensity, by_imputation


def design_residual(
    h: ArrayLike,
    observed: ArrayLike,
    propensity: ArrayLike,
    imputation: ArrayLike | None = None,
    *,
    slate: ArrayLike | None = None,
) -> FloatArray:
    """Return what is random in a score if the rows are the population and only O was drawn.

    The variance of the mean of `dr_score` over these very rows is the sum of the squares of the
    result over N^2: sum (1 - p) w^2 (h - m)^2 / N^2, w = O / p (Horvitz & Thompson 1952, with
    independent draws). Rows of one slate were drawn jointly: their residuals are summed first,
    into the slate's first row.

    Parameters
    ----------
    h, observed, propensity
        As in `dr_score`.
    imputation : array-like, optional
        m; 0 for IPS, the estimate itself for SNIPS.
    slate : int array (n,), optional

    Returns
    -------
    ndarray of float64, shaped like `h`

    Examples
    --------
    >>> residual = design_residual([2.0, 0.0], [1, 0], [0.5, 0.5], [1.0, 1.0])
    >>> (residual**2).round(6).tolist()
    [2.0, 0.0]
    """
    values, seen, weight = _inputs(h, observed, propensity)
    m = np.asarray(0.0 if imputation is None else imputation, dtype=np.float64)
    m = m[:, None] if m.ndim == 1 else m
    kept = np.divide(1.0, weight, out=np.ones_like(weight), where=weight > 0.0)
    residual: FloatArray = np.sqrt(1.0 - kept) * weight * (values - m * seen)
    if slate is not None:
        _, first, place = np.unique(np.asarray(slate), return_index=True, return_inverse=True)
        summed = np.zeros((len(first), residual.shape[1]))
        np.add.at(summed, place, residual)
        residual = np.zeros_like(residual)
        residual[first] = summed
    return residual[:, 0] if np.ndim(h) == 1 else residual
