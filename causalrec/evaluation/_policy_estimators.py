"""Estimators of a policy value, as sums of ratios of columns: what each does to the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import Estimate
from causalrec.scores import Score

IntArray = npt.NDArray[np.integer]
PolicyEstimator = Literal[
    "ips",
    "snips",
    "regression",
    "dr",
    "sndr",
    "switch_dr",
    "shrinkage_dr",
    "sub_gaussian_ips",
    "sub_gaussian_dr",
]
LOGGED = "logging policy"
MEAN_WEIGHT = "mean weight"
LOW_SUPPORT = 30.0
"""An effective sample size below this is reported as low support."""


@dataclass(frozen=True)
class Recipe:
    """What an estimator is made of.

    Attributes
    ----------
    transform : {"clip", "switch", "shrinkage", "sub_gaussian"} or None
        What may be done to the weights; None where they play no part.
    uses_model, self_normalised : bool
    words : str
        How a sentence calls it.
    """

    transform: str | None
    uses_model: bool
    self_normalised: bool
    words: str


RECIPES: dict[str, Recipe] = {
    "ips": Recipe("clip", False, False, "IPS"),
    "snips": Recipe("clip", False, True, "SNIPS"),
    "regression": Recipe(None, True, False, "regression (the direct method)"),
    "dr": Recipe("clip", True, False, "DR"),
    "sndr": Recipe("clip", True, True, "self-normalised DR"),
    "switch_dr": Recipe("switch", True, False, "switch-DR"),
    "shrinkage_dr": Recipe("shrinkage", True, False, "DR with shrinkage"),
    "sub_gaussian_ips": Recipe("sub_gaussian", False, False, "sub-Gaussian IPS"),
    "sub_gaussian_dr": Recipe("sub_gaussian", True, False, "sub-Gaussian DR"),
}
TUNED = tuple(name for name, recipe in RECIPES.items() if recipe.transform not in {None, "clip"})


def transformed(weight: FloatArray, transform: str | None, parameter: float | None) -> FloatArray:
    """Return modified importance weights.

    Parameters
    ----------
    weight : float64 (n,)
    transform : {"clip", "switch", "shrinkage", "sub_gaussian"} or None
        min(w, c); w where w <= c, else 0 (Wang, Agarwal & Dudik 2017); c w / (w^2 + c) (Su,
        Dimakopoulou, Krishnamurthy & Dudik 2020); w / (1 - c + c w) (Metelli, Russo & Restelli
        2021, equation 6 with s = -1).
    parameter : float, optional
        c; None leaves the weights alone.
    """
    if transform is None or parameter is None:
        return weight
    if transform == "clip":
        return np.minimum(weight, parameter)
    if transform == "switch":
        return np.where(weight <= parameter, weight, 0.0)
    if transform == "shrinkage":
        return np.asarray(weight / (1.0 + np.square(weight / np.sqrt(parameter))))
    return weight / (1.0 - parameter + parameter * weight)


def largest_weight(transform: str | None, parameter: float | None, largest: float) -> float:
    """Return the most that a modified weight can be when a weight is at most `largest`."""
    if transform is None or parameter is None:
        return largest
    if transform in {"clip", "switch"}:
        return min(parameter, largest)
    if transform == "shrinkage":
        return min(float(np.sqrt(parameter)) / 2.0, largest)
    return largest / (1.0 - parameter + parameter * largest) if largest > 0 else 0.0


def effective_size(weight: FloatArray) -> float:
    """Return Kish's effective sample size of weights."""
    squares = float(np.einsum("i,i->", weight, weight))
    return float(weight.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True, eq=False)
class Replay:
    """The rows of a log as a target policy sees them.

    Attributes
    ----------
    outcome, ratio : float64 (n,)
        The outcome, and target over logging probability: of the row, or of the places of its
        slate that the slate model asks for.
    logged_mean, policy_mean : float64 (n,) or None
        The reward model's mean of the logged item, and under the target policy.
    above : float64 (n,) or None
        Ratio of the places above, which carries `policy_mean` in a cascade; None: one.
    unit : float64 (n,)
        One in the rows that open a unit of the value (an impression, a slate), else zero.
    place : int (n,) or None
        Position from 0, where weights are normalised place by place.
    time_weight : float64 (n,) or None
        Weight of each row in an adaptive log.
    """

    outcome: FloatArray
    ratio: FloatArray
    logged_mean: FloatArray | None
    policy_mean: FloatArray | None
    unit: FloatArray
    above: FloatArray | None = None
    place: IntArray | None = None
    time_weight: FloatArray | None = None

    @property
    def n_units(self) -> float:
        """Number of impressions, or slates, that the value is a mean over."""
        return float(self.unit.sum())

    def residual(self, recipe: Recipe) -> FloatArray:
        """Return what the weights multiply: the outcome, less the model's mean of the item."""
        if not recipe.uses_model:
            return self.outcome
        assert self.logged_mean is not None
        return self.outcome - self.logged_mean

    def baseline(self, recipe: Recipe) -> FloatArray | None:
        """Return the reward model's mean under the policy, as the estimator adds it."""
        if not recipe.uses_model:
            return None
        assert self.policy_mean is not None
        return self.policy_mean if self.above is None else self.above * self.policy_mean


@dataclass(frozen=True, eq=False)
class Part:
    """A ratio of column sums, times a known coefficient."""

    numerator: FloatArray
    denominator: FloatArray
    coefficient: float = 1.0


def weights_of(replay: Replay, name: str, parameter: float | None) -> FloatArray:
    """Return the weights that an estimator uses."""
    return transformed(replay.ratio, RECIPES[name].transform, parameter)


def parts_of(replay: Replay, name: str, parameter: float | None) -> list[Part]:
    """Return the ratios whose sum is the estimate.

    Parameters
    ----------
    replay : Replay
    name : str
        An estimator, or "logging policy" for the plain mean.
    parameter : float or None
        Of the weights' transform.
    """
    if name == LOGGED:
        parts = [Part(replay.outcome, replay.unit)]
    else:
        recipe = RECIPES[name]
        baseline = replay.baseline(recipe)
        if recipe.transform is None:
            assert baseline is not None
            parts = [Part(baseline, replay.unit)]
        else:
            weight = weights_of(replay, name, parameter)
            corrected = weight * replay.residual(recipe)
            if recipe.self_normalised:
                parts = _normalised(replay, corrected, weight)
                if baseline is not None:
                    parts.insert(0, Part(baseline, replay.unit))
            else:
                whole = corrected if baseline is None else baseline + corrected
                parts = [Part(whole, replay.unit)]
    if replay.time_weight is None or name == LOGGED:
        return parts
    held = replay.time_weight
    return [
        replace(p, numerator=held * p.numerator, denominator=held * p.denominator) for p in parts
    ]


def mean_weight(replay: Replay) -> Part:
    """Return the mean of the unmodified weights over rows, which should be one."""
    whole = replay.place is None and replay.n_units == len(replay.ratio)
    return Part(replay.ratio, replay.unit if whole else np.ones(len(replay.ratio)))


def _normalised(replay: Replay, corrected: FloatArray, weight: FloatArray) -> list[Part]:
    """Divide by the sum of weights: one for all rows, or one a place of the slate.

    A ratio is multiplied by its rows a unit, which are random where slates differ in length. Their
    influence is a part of its own, whose value is zero.
    """
    everywhere = np.ones(len(weight), dtype=np.bool_)
    places = [everywhere]
    if replay.place is not None:
        places = [replay.place == place for place in np.unique(replay.place).tolist()]
    parts = []
    for here in places:
        share = float(here.sum()) / replay.n_units
        above, below = np.where(here, corrected, 0.0), np.where(here, weight, 0.0)
        parts.append(Part(above, below, share))
        surplus = here - share * replay.unit
        # Nothing is random where every row is a unit, or every slate has the place.
        fixed = share == 1.0 if replay.place is not None else not surplus.any()
        if not fixed and below.sum() > 0.0:
            ratio = float(above.sum() / below.sum())
            parts.append(Part(surplus, replay.unit, ratio))
    return parts


def estimate_parts(
    estimators: Sequence[tuple[str, list[Part]]],
    clusters: dict[str, IntArray],
    sampled: tuple[str, ...],
    level: float,
) -> Estimate:
    """Return one label an estimator, with the covariances between them."""
    columns = [part for _, parts in estimators for part in parts]
    denominators = [part.denominator for part in columns]
    # One denominator that all share is held once: the inference then sums it once.
    shared = all(column is denominators[0] for column in denominators)
    score = Score(
        # Column after column: sums down a column then read memory in order.
        numerator=np.array([part.numerator for part in columns]).T,
        denominator=denominators[0][:, None] if shared else np.array(denominators).T,
    )
    names = [name for name, _ in estimators]
    whole = len(columns) == len(names) and all(part.coefficient == 1.0 for part in columns)
    labels = names if whole else [f"part {number}" for number in range(len(columns))]
    found = Estimate.from_score(
        score, clusters=clusters, labels=labels, sampled=sampled, level=level
    )
    if whole:
        return found
    matrix, start = np.zeros((len(names), len(columns))), 0
    for row, (_, parts) in enumerate(estimators):
        matrix[row, start : start + len(parts)] = [part.coefficient for part in parts]
        start += len(parts)
    return found.contrast(matrix, names)
