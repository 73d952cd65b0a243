"""Scores of the effect of an exposure on the exposed, the unexposed, everybody or the overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from causalrec.errors import DataError, OverlapError, StudyError, near_miss
from causalrec.scores._means import needed
from causalrec.scores._score import FloatArray, Score, as_columns, group_scores

EffectEstimator = Literal["dr", "ips", "snips", "regression"]
Target = Literal["ate", "att", "atu", "overlap"]


@dataclass(frozen=True)
class _Arms:
    """Weights of the two arms' residuals and of the rows of the target population, each (n, 1)."""

    exposed: FloatArray
    unexposed: FloatArray
    target: FloatArray

    @classmethod
    def of(cls, exposure: FloatArray, p: FloatArray, target: str) -> _Arms:
        a, b = exposure, 1.0 - exposure
        if target == "ate":
            return cls(_over(a, p), _over(b, 1.0 - p), np.ones_like(a))
        if target == "att":
            return cls(a, _over(b * p, 1.0 - p), a)
        if target == "atu":
            return cls(_over(a * (1.0 - p), p), b, b)
        return cls(a * (1.0 - p), b * p, p * (1.0 - p))

    def times(self, weights: ArrayLike | None) -> _Arms:
        """Return the arms with every row multiplied by its weight."""
        if weights is None:
            return self
        w = as_columns(weights, "weights")
        return _Arms(self.exposed * w, self.unexposed * w, self.target * w)


def _over(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=numerator != 0.0)


def effect_score(
    outcome: ArrayLike,
    exposure: ArrayLike,
    propensity: ArrayLike | None = None,
    imputation_unexposed: ArrayLike | None = None,
    imputation_exposed: ArrayLike | None = None,
    *,
    target: Target = "ate",
    estimator: EffectEstimator = "dr",
    groups: ArrayLike | None = None,
    n_groups: int | None = None,
    weights: ArrayLike | None = None,
) -> Score:
    """Score of the effect of an exposure, averaged over a target population.

    A target weights the rows by t(X): 1 for "ate", p for "att" (the exposed), 1 - p for "atu",
    p (1 - p) for "overlap" (Li, Morgan & Zaslavsky 2018).

    Parameters
    ----------
    outcome : array-like (n,)
        Measured in both arms.
    exposure : array-like (n,) of 0 and 1
    propensity : array-like (n,) or scalar
        P(A = 1 | X).
    imputation_unexposed, imputation_exposed : array-like (n,)
        g0 = E[Y | X, A = 0] and g1 = E[Y | X, A = 1] in every row ("dr", "regression"). The dr
        "att" needs only the first, the dr "atu" only the second.
    target : {"ate", "att", "atu", "overlap"}
    estimator : {"dr", "ips", "snips", "regression"}
        "ips" is Horvitz and Thompson's: divided by the target's rows. "snips" is Hajek's: each
        arm's weights are normalised. "regression" averages g1 - g0; its interval treats both as
        known (stack them with `causalrec.inference.stack_nuisances`).
    groups : int array (n,), optional
        One column a group, as in `group_scores`; "snips" is then normalised within groups.
    n_groups : int, optional
    weights : array-like (n,), optional
        How much each row counts in the population: it multiplies numerator and denominator.

    Raises
    ------
    OverlapError
        If a row of the target could never be in one of the arms.

    Notes
    -----
    dr: w1 (Y - g1) - w0 (Y - g0) + t (g1 - g0) over t, with

    | target  | w1            | w0                | t         |
    |---------|---------------|-------------------|-----------|
    | ate     | A / p         | (1 - A) / (1 - p) | 1         |
    | att     | A             | (1 - A) p/(1 - p) | A         |
    | atu     | A (1 - p) / p | 1 - A             | 1 - A     |
    | overlap | A (1 - p)     | (1 - A) p         | p (1 - p) |

    Examples
    --------
    >>> score = effect_score([3.0, 1.0], [1, 0], 0.5, [1.0, 1.0], [3.0, 3.0])
    >>> score.value.tolist()
    [2.0]
    """
    y, a = (
        as_columns(values, name) for values, name in ((outcome, "outcome"), (exposure, "exposure"))
    )
    if not np.isin(a, (0.0, 1.0)).all():
        raise DataError("The exposure must be 0 or 1 in every row.")
    if estimator == "regression" and target in ("ate", "att", "atu") and propensity is None:
        propensity = 0.5  # only the overlap target needs it
    p = np.asarray(needed(propensity, "propensity", estimator), dtype=np.float64)
    p = np.broadcast_to(p.reshape(-1, 1), a.shape)
    if estimator != "regression" or target == "overlap":
        _require_overlap(p, a, target)
    arms = _Arms.of(a, p, target).times(weights)
    if estimator == "snips":
        return _hajek_effect(y, arms, groups, n_groups)
    if estimator == "ips":
        numerator = (arms.exposed - arms.unexposed) * y
    else:
        optional = {"att": "imputation_exposed", "atu": "imputation_unexposed"}
        g0, g1 = (
            np.zeros_like(y)
            if values is None and estimator == "dr" and optional.get(target) == name
            else as_columns(needed(values, name, estimator), name)
            for values, name in (
                (imputation_unexposed, "imputation_unexposed"),
                (imputation_exposed, "imputation_exposed"),
            )
        )
        numerator = arms.target * (g1 - g0)
        if estimator == "dr":
            numerator = numerator + arms.exposed * (y - g1) - arms.unexposed * (y - g0)
    weight = arms.target if estimator == "regression" else arms.exposed + arms.unexposed
    score = Score(numerator, arms.target, weight)
    return score if groups is None else group_scores(score, groups, n_groups)


def effect_derivatives(
    outcome: ArrayLike,
    exposure: ArrayLike,
    propensity: ArrayLike,
    imputation_unexposed: ArrayLike,
    imputation_exposed: ArrayLike,
    *,
    target: Target = "ate",
    estimator: Literal["dr", "regression"] = "dr",
    value: float | None = None,
    weights: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Return the derivatives of `effect_score` for `causalrec.inference.stack_nuisances`.

    Parameters
    ----------
    outcome, exposure, propensity, imputation_unexposed, imputation_exposed, target, estimator, \
    weights
        As in `effect_score`.
    value : float, optional
        The estimate; needed by the overlap target, whose weights depend on p. Default: computed.

    Returns
    -------
    by_propensity, by_unexposed, by_exposed : ndarrays (n, 1)
        Derivatives of numerator - value x denominator by the logit of p, by g0 and by g1
        (multiply the latter by g (1 - g) where g is a logistic model).
    """
    y, a, g0, g1 = (
        as_columns(values, name)
        for values, name in (
            (outcome, "outcome"),
            (exposure, "exposure"),
            (imputation_unexposed, "imputation_unexposed"),
            (imputation_exposed, "imputation_exposed"),
        )
    )
    p = np.broadcast_to(np.asarray(propensity, dtype=np.float64).reshape(-1, 1), a.shape)
    arms = _Arms.of(a, p, target).times(weights)
    if value is None:
        arguments = (outcome, exposure, propensity, imputation_unexposed, imputation_exposed)
        found = effect_score(*arguments, target=target, estimator=estimator, weights=weights)
        value = float(found.value[0])
    w = 1.0 if weights is None else as_columns(weights, "weights")
    by_tilt = p * (1.0 - p) * (1.0 - 2.0 * p) if target == "overlap" else np.zeros_like(p)
    by_propensity = w * by_tilt * (g1 - g0 - value)
    if estimator == "regression":
        return by_propensity, -arms.target, arms.target
    if target in ("ate", "atu"):
        by_propensity = by_propensity - w * _over(a * (1.0 - p), p) * (y - g1)
    if target in ("ate", "att"):
        by_propensity = by_propensity - w * _over((1.0 - a) * p, 1.0 - p) * (y - g0)
    if target == "overlap":
        residual = a * (y - g1) + (1.0 - a) * (y - g0)
        by_propensity = by_propensity - w * p * (1.0 - p) * residual
    return by_propensity, arms.unexposed - arms.target, arms.target - arms.exposed


def _require_overlap(p: FloatArray, exposure: FloatArray, target: str) -> None:
    if target not in ("ate", "att", "atu", "overlap"):
        known = ("ate", "att", "atu", "overlap")
        raise StudyError(f"There is no target {target!r}.{near_miss(target, known)}")
    outside = (
        ~((p >= 0.0) & (p <= 1.0))
        | ((p == 0.0) & (exposure == 1.0))
        | ((p == 1.0) & (exposure == 0.0))
    )
    never = (
        outside
        | ((p <= 0.0) & (target in ("ate", "atu")))
        | ((p >= 1.0) & (target in ("ate", "att")))
    )
    bad = np.flatnonzero(never)
    if bad.size:
        raise OverlapError(
            f"In {bad.size:,} of {len(p):,} rows the propensity leaves only one arm possible"
            f" (rows {bad[:5].tolist()}: p = {p[bad[:5], 0].tolist()}), so the {target} is not"
            " defined by these data there. Leave these rows out (the supported population), or"
            ' ask for target="overlap".'
        )


def _hajek_effect(
    y: FloatArray, arms: _Arms, groups: ArrayLike | None, n_groups: int | None
) -> Score:
    """Difference of two normalised means, as one score: its value plus its centred influence."""
    exposed, unexposed = (
        Score(arms.exposed * y, arms.exposed),
        Score(arms.unexposed * y, arms.unexposed),
    )
    rows = Score(np.ones_like(y), weight=arms.exposed + arms.unexposed)
    if groups is not None:
        exposed, unexposed, rows = (
            group_scores(s, groups, n_groups) for s in (exposed, unexposed, rows)
        )
    value = exposed.value - unexposed.value
    linear = rows.denominator.sum(axis=0) * (exposed.influence - unexposed.influence)
    return Score(rows.denominator * value + linear, rows.denominator, rows.weight)
