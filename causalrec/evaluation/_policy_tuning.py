"""The parameter of clipped, switched, shrunken and sub-Gaussian weights, by a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from causalrec.evaluation._policy_estimators import (
    RECIPES,
    IntArray,
    Part,
    Replay,
    estimate_parts,
    transformed,
)
from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import Estimate

TuningRule = Literal["mse_bound", "slope"]
N_CANDIDATES = 16
SLOPE_CONSTANT = float(np.sqrt(6.0)) - 1.0
RULES = {
    "slope": "SLOPE (Su, Srinath & Krishnamurthy 2020; Tucker & Lee 2021)",
    "mse_bound": "the smallest upper bound of the squared error (Su et al. 2020)",
}


@dataclass(frozen=True)
class Chosen:
    """The parameter of one estimator, and where it comes from.

    Attributes
    ----------
    parameter : float or None
        None: the weights as they are.
    rule : str
        "" where it was given.
    candidates : tuple of (parameter, value, standard error, bias bound or None)
        What the rule chose among.
    """

    parameter: float | None
    rule: str = ""
    candidates: tuple[tuple[float, float, float, float | None], ...] = ()

    @property
    def beside(self) -> str:
        """What stands beside the interval."""
        if self.parameter is None:
            return ""
        source = f"chosen on this log ({self.rule})" if self.rule else "given"
        return f"parameter {self.parameter:.4g}, {source}"

    @property
    def words(self) -> str:
        """The choice in a sentence."""
        return (
            f"parameter {self.parameter:.4g}, chosen among {len(self.candidates)} on this log by"
            f" {RULES[self.rule]}; the interval does not know of the choice"
        )


def candidate_parameters(transform: str, weight: FloatArray) -> FloatArray:
    """Return parameters from the heaviest hand on the weights to none."""
    used = weight[weight > 0.0]
    if not len(used):
        return np.array([1.0])
    high = max(float(used.max()), 1.0)
    if transform == "sub_gaussian":
        return np.append(np.geomspace(1.0, 1e-4, N_CANDIDATES - 1), 0.0)
    low = min(max(float(np.quantile(used, 0.5)), 1e-3), high)
    if transform == "shrinkage":
        return np.square(np.geomspace(low, 100.0 * high, N_CANDIDATES))
    return np.geomspace(low, high, N_CANDIDATES)


def choose_parameter(
    replay: Replay,
    name: str,
    rule: TuningRule,
    clusters: dict[str, IntArray],
    sampled: tuple[str, ...],
    level: float,
) -> Chosen:
    """Choose the parameter of one estimator on the log itself.

    Parameters
    ----------
    replay : Replay
    name : str
    rule : {"slope", "mse_bound"}
        SLOPE: candidates in order of falling confidence width c; the last before the first whose
        value is further from one before it, j, than c + (sqrt(6) - 1) c_j (the constants of Tucker
        & Lee 2021, which accept less bias than those of Su, Srinath & Krishnamurthy 2020). MSE
        bound: the least (|estimated bias| + confidence width of it)^2 + squared standard error,
        the bias being the mean of (w - modified w)(y - reward mean) (their page 17).
    clusters, sampled, level
        As the estimate has them; widths are of clustered t intervals.

    Notes
    -----
    A self-normalised estimator takes the parameter of the same one without normalisation.
    """
    recipe = RECIPES[name]
    assert recipe.transform is not None
    candidates = candidate_parameters(recipe.transform, replay.ratio)
    residual, baseline = replay.residual(recipe), replay.baseline(recipe)
    modified = [transformed(replay.ratio, recipe.transform, float(c)) for c in candidates]
    values = [w * residual if baseline is None else baseline + w * residual for w in modified]
    found = _estimates(replay, values, clusters, sampled, level)
    theta, error = np.asarray(found.value), np.asarray(found.standard_error)
    width = _width(found, level)
    bound: FloatArray | None = None
    if rule == "slope":
        at = _slope(theta, width)
    else:
        lost = [(replay.ratio - w) * residual for w in modified]
        bias = _estimates(replay, lost, clusters, sampled, level)
        bound = np.abs(np.asarray(bias.value)) + _width(bias, level)
        at = int(np.argmin(np.square(bound) + np.square(error)))
    rows = tuple(
        (float(c), float(t), float(e), None if bound is None else float(bound[i]))
        for i, (c, t, e) in enumerate(zip(candidates, theta, error, strict=True))
    )
    return Chosen(float(candidates[at]), rule, rows)


def _estimates(
    replay: Replay,
    columns: list[FloatArray],
    clusters: dict[str, IntArray],
    sampled: tuple[str, ...],
    level: float,
) -> Estimate:
    held = replay.unit if replay.time_weight is None else replay.time_weight * replay.unit
    if replay.time_weight is not None:
        columns = [replay.time_weight * column for column in columns]
    return estimate_parts(
        [(f"{number}", [Part(column, held)]) for number, column in enumerate(columns)],
        clusters,
        sampled,
        level,
    )


def _width(found: Estimate, level: float) -> FloatArray:
    bounds = found.interval(level)
    width = (bounds[:, 1] - bounds[:, 0]) / 2.0
    # Under five clusters there is no interval: two standard errors stand in for it.
    return np.where(np.isfinite(width), width, 2.0 * np.asarray(found.standard_error))


def _slope(theta: FloatArray, width: FloatArray) -> int:
    """Return the last candidate, by falling width, that agrees with all those before it."""
    order = np.argsort(-width, kind="stable")
    value, c = theta[order], width[order]
    apart = np.abs(value[:, None] - value) > c[:, None] + SLOPE_CONSTANT * c
    fails = np.tril(apart, -1).any(axis=1)
    return int(order[np.argmax(fails) - 1]) if fails.any() else int(order[-1])
