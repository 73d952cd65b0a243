"""Users and items as weighted points, so that one formula gives every true quantity.

A *side* is either the drawn users (or items), with their random effects and weight 1/n each, or
the population they are drawn from: quadrature nodes of the covariates, with the random effects
integrated out through their variances. The truth of a finite world, of a catalogue before new
users, and of the whole population are then the same expression on different sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

HALF_WIDTH = float(np.sqrt(3.0))
"""A uniform covariate on ±√3 has mean 0 and variance 1, and keeps propensities off zero."""


@dataclass(frozen=True)
class Side:
    """Users or items: covariates, weights and the random effects beyond the covariates.

    Attributes
    ----------
    columns : mapping of str to array (k,)
        Covariates: floats, or integer codes of levels.
    weight : float array (k,)
        Sums to one.
    effect, variance : float array (k, q)
        The random effects where they are drawn (variance 0), or their variances where they are
        integrated out (effect 0).
    factors : float array (k, rank), optional
        Latent taste factors, where drawn.
    spread : float array (k,), optional
        Squared length of the latent factors: the variance of the latent taste when the factors
        of the other side are integrated out.
    """

    columns: Mapping[str, npt.NDArray[np.generic]]
    weight: FloatArray
    effect: FloatArray
    variance: FloatArray
    factors: FloatArray | None = None
    spread: FloatArray | None = None

    def number(self, name: str) -> FloatArray:
        """Return a covariate as float64 (k,)."""
        return np.asarray(self.columns[name], dtype=np.float64)

    def code(self, name: str) -> IntArray:
        """Return the level codes of a covariate as int64 (k,)."""
        return np.asarray(self.columns[name], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.weight)


def drawn_side(
    columns: Mapping[str, npt.NDArray[np.generic]],
    effect: FloatArray,
    factors: FloatArray | None = None,
) -> Side:
    """Return the side of entities that were drawn: equal weights, nothing left to integrate."""
    k = len(effect)
    return Side(
        columns=columns,
        weight=np.full(k, 1.0 / k),
        effect=effect,
        variance=np.zeros_like(effect),
        factors=factors,
        spread=None if factors is None else np.square(factors).sum(axis=1),
    )


def population_side(
    axes: Mapping[str, tuple[npt.NDArray[np.generic], FloatArray]],
    variance: Sequence[float] | FloatArray,
) -> Side:
    """Return the population as the product of independent axes (nodes, weights).

    Parameters
    ----------
    axes : mapping of str to (nodes, weights)
        One quadrature rule (or probability table) a covariate.
    variance : sequence of float
        Variance of each random effect.
    """
    grids = np.meshgrid(*(np.arange(len(w)) for _, w in axes.values()), indexing="ij")
    columns: dict[str, npt.NDArray[np.generic]] = {}
    weight = np.ones(grids[0].size)
    for (name, (nodes, weights)), grid in zip(axes.items(), grids, strict=True):
        columns[name] = nodes[grid.ravel()]
        weight = weight * weights[grid.ravel()]
    spread = np.broadcast_to(np.asarray(variance, dtype=np.float64), (len(weight), len(variance)))
    return Side(columns, weight, np.zeros(spread.shape), np.array(spread))


def uniform_axis(n_nodes: int = 7) -> tuple[FloatArray, FloatArray]:
    """Return the Gauss-Legendre rule for the uniform distribution on ±√3.

    Examples
    --------
    >>> nodes, weights = uniform_axis(5)
    >>> round(float(weights @ nodes**2), 12)
    1.0
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return HALF_WIDTH * nodes, weights / 2.0


def split_uniform_axis(
    cuts: Sequence[float] | FloatArray, n_nodes: int = 7
) -> tuple[FloatArray, FloatArray]:
    """Return a rule for the uniform distribution on ±√3 that sees thresholds exactly.

    A support rule jumps at a threshold, which one smooth rule would miss: each piece between two
    cuts gets its own. Cuts outside ±√3 are ignored.
    """
    edges = np.unique(np.clip([-HALF_WIDTH, *cuts, HALF_WIDTH], -HALF_WIDTH, HALF_WIDTH))
    nodes, weights = uniform_axis(n_nodes)
    share = np.diff(edges) / (2 * HALF_WIDTH)
    middle = (edges[1:] + edges[:-1]) / 2
    pieces = middle[:, None] + share[:, None] * nodes
    return pieces.ravel(), np.asarray((share[:, None] * weights).ravel())


def normal_axis(n_nodes: int = 15) -> tuple[FloatArray, FloatArray]:
    """Return the Gauss-Hermite rule for the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    return nodes, weights / weights.sum()


def level_axis(probabilities: Sequence[float]) -> tuple[IntArray, FloatArray]:
    """Return the codes of a categorical covariate with their probabilities."""
    return np.arange(len(probabilities)), np.asarray(probabilities, dtype=np.float64)


def draw_levels(rng: np.random.Generator, probabilities: Sequence[float], size: int) -> IntArray:
    """Draw level codes with the given probabilities."""
    edges = np.cumsum(probabilities)[:-1]
    return np.searchsorted(edges, rng.random(size), side="right").astype(np.int64)


def draw_uniform(rng: np.random.Generator, size: int) -> FloatArray:
    """Draw a standardised bounded covariate: uniform on ±√3."""
    return rng.uniform(-HALF_WIDTH, HALF_WIDTH, size)


def expit_normal(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return E[expit(mean + sqrt(variance) Z)] for a standard normal Z.

    Examples
    --------
    >>> round(float(expit_normal(np.array([1.0]), np.array([4.0]))[0]), 4)
    0.6477
    """
    if not variance.any():
        return np.asarray(expit(mean), dtype=np.float64)
    nodes, weights = normal_axis(24)
    deviation = np.sqrt(variance)
    total = np.zeros(np.broadcast_shapes(mean.shape, variance.shape))
    for node, weight in zip(nodes, weights, strict=True):
        total += weight * expit(mean + deviation * node)
    return total


def ratio_by_group(
    key: str,
    numerator: FloatArray,
    denominator: FloatArray,
    users: Side,
    items: Side,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """Return sum(numerator) / sum(denominator) over all cells and within each group.

    Parameters
    ----------
    key : str
        Name of the quantity; groups are named `key:column=level`.
    numerator, denominator : float array (users, items)
        Weighted sums a cell.
    groups : mapping of str to sequence of str
        Columns of either side with their levels in code order.
    """
    truth = {key: float(numerator.sum() / denominator.sum())}
    margins = [(users, numerator.sum(axis=1), denominator.sum(axis=1))]
    margins.append((items, numerator.sum(axis=0), denominator.sum(axis=0)))
    for (column, levels), (side, above, below) in itertools.product(groups.items(), margins):
        if column in side.columns:
            code = side.code(column)
            above_level = np.bincount(code, above, minlength=len(levels))
            below_level = np.bincount(code, below, minlength=len(levels))
            for level, name in enumerate(levels):
                if below_level[level] > 0:
                    truth[f"{key}:{column}={name}"] = float(above_level[level] / below_level[level])
    return truth
