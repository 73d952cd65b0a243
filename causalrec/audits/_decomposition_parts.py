"""The parts of a gap as one joint estimate: means, and the delta method on their influence.

Beside each part stands how far it would move if something unmeasured were at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from causalrec.audits._decomposition_fits import Fitted, Floats
from causalrec.inference import Estimate, FittedNuisance, stack_nuisances
from causalrec.scores import Score

GAP = "gap"


@dataclass
class Means:
    """Means over rows, each with its influence: what the parts of a gap are made of.

    Attributes
    ----------
    names : list of str
    numerators, denominators, weights : list of float64 (n,)
    errors : list of (Fitted, dict of name to float64 (n,))
        Nuisances, and the derivative of each mean's numerator by the nuisance's mean (of outcome
        models) or logit (of propensities).
    """

    names: list[str] = field(default_factory=list)
    numerators: list[Floats] = field(default_factory=list)
    denominators: list[Floats] = field(default_factory=list)
    weights: list[Floats] = field(default_factory=list)
    errors: list[tuple[Fitted, Mapping[str, Floats], bool]] = field(default_factory=list)

    def add(
        self, name: str, numerator: Floats, denominator: Floats, weight: Floats | None = None
    ) -> None:
        """Add a mean, sum(numerator) / sum(denominator)."""
        self.names.append(name)
        self.numerators.append(numerator)
        self.denominators.append(denominator)
        self.weights.append(denominator if weight is None else weight)

    def error_of(
        self, fitted: Fitted, derivatives: Mapping[str, Floats], *, by_logit: bool = False
    ) -> None:
        """Say what the error of a nuisance does to the means."""
        self.errors.append((fitted, derivatives, by_logit))

    @property
    def values(self) -> Floats:
        """The means (k,)."""
        pairs = zip(self.numerators, self.denominators, strict=True)
        return np.array([float(top.sum() / below.sum()) for top, below in pairs])

    def of(self) -> dict[str, float]:
        """Return the means by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    def estimate(self, clusters: Mapping[str, npt.NDArray[np.integer]], level: float) -> Estimate:
        """Return them jointly, the error of linear nuisances in their influence."""
        score = Score(
            np.column_stack(self.numerators),
            np.column_stack(self.denominators),
            np.column_stack(self.weights),
        )
        for nuisance, derivative in self._errors():
            score = stack_nuisances(score, [(nuisance, derivative)])
        return Estimate.from_score(score, dict(clusters), self.names, level=level, estimator="dr")

    def _errors(self) -> Iterator[tuple[FittedNuisance, Floats]]:
        """Yield each nuisance with the derivative of every mean, one at a time: they are large."""
        for fitted, derivatives, by_logit in self.errors:
            for one in fitted.fits:
                nuisance, slope = one.error()
                here = one.used.astype(np.float64) if by_logit else slope
                columns = np.zeros((len(here), len(self.names)))
                for name, derivative in derivatives.items():
                    columns[:, self.names.index(name)] = derivative * here
                yield nuisance, columns


@dataclass(frozen=True, eq=False)
class Parts:
    """A gap and its parts.

    Attributes
    ----------
    labels : tuple of str
        Of the parts, in the order of the report.
    values : float64 (parts,)
    gradient : float64 (parts, means)
        Of each part by each mean.
    means : Means
    reach : dict of str to float
        How far a part moves for a unit of the bias factor of a hidden cause (its scale S).
    """

    labels: tuple[str, ...]
    values: Floats
    gradient: Floats
    means: Means
    reach: Mapping[str, float]

    @property
    def gap(self) -> float:
        """The gap that the parts sum to, from the group means."""
        found = self.means.of()
        return found["mean a"] - found["mean b"]

    def estimate(self, clusters: Mapping[str, npt.NDArray[np.integer]], level: float) -> Estimate:
        """Return the gap, its parts and the two group means jointly."""
        joint = self.means.estimate(clusters, level)
        gap = [(name == "mean a") * 1.0 - (name == "mean b") * 1.0 for name in self.means.names]
        each = [[float(name == one) for name in self.means.names] for one in ("mean a", "mean b")]
        rows = np.vstack([gap, self.gradient, each])
        moved = joint.contrast(rows, [GAP, *self.labels, "mean a", "mean b"])
        values = np.concatenate([[self.gap], self.values, joint[["mean a", "mean b"]].value])
        return moved.shift(values - moved.value)


def parts_of(
    means: Means,
    functions: Mapping[str, Callable[[Mapping[str, float]], float]],
    gradients: Mapping[str, Mapping[str, float]],
    reach: Mapping[str, float],
) -> Parts:
    """Return parts from functions of the means and their derivatives by name."""
    at = means.of()
    gradient = np.array(
        [[gradients[label].get(name, 0.0) for name in means.names] for label in functions]
    )
    values = np.array([function(at) for function in functions.values()])
    return Parts(tuple(functions), values, gradient, means, reach)


def hidden_cause_scale(residual: Floats, weight: Floats, rows: int) -> float:
    """Return S = sqrt(mean squared residual x mean squared weight) over the rows of a functional.

    A cause that explains a share c of the outcome's residual variance, and by which the weights'
    second moment would grow to 1 / (1 - c) of what it is, moves the mean by at most
    c / sqrt(1 - c) S (Chernozhukov, Cinelli, Newey, Sharma & Syrgkanis 2022, "Long story short").

    Parameters
    ----------
    residual : float64 (n,)
        0 in rows that the functional does not learn from.
    weight : float64 (n,)
        The Riesz representer of each row, over `rows` rows.
    rows : int
    """
    return float(np.sqrt((residual**2).sum() / rows * (weight**2).sum() / rows))


def robustness_value(part: float, scale: float) -> float:
    """Return the strength c at which a hidden cause could bring a part to zero.

    Solves c / sqrt(1 - c) = |part| / S (Cinelli & Hazlett 2020, equation 19).

    Examples
    --------
    >>> robustness_value(0.0, 1.0), round(robustness_value(0.1, 1.0), 4)
    (0.0, 0.0951)
    """
    if scale <= 0.0:
        return 1.0 if part else 0.0
    square = (part / scale) ** 2
    return float((np.sqrt(square**2 + 4.0 * square) - square) / 2.0)


def weight_summary(weights: Sequence[float] | Floats) -> tuple[float, float]:
    """Return Kish's effective number of weights and the share of the largest."""
    used = np.asarray(weights, dtype=np.float64)
    total = float(used.sum())
    if total <= 0.0:
        return 0.0, 0.0
    return total**2 / float((used**2).sum()), float(used.max()) / total
