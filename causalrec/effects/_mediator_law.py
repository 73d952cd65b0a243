"""The law of a mediator given covariates: its density, and its shares of nodes.

Discrete mediators: a multinomial logistic model. Continuous ones: a ridge regression whose errors
are normal, of one variance in each arm, in the density; their own quantiles carry the mean of what
is predicted at the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import OverlapError
from causalrec.nuisances import fit_softmax

if TYPE_CHECKING:
    from causalrec.effects._path_columns import Design, Mediator

Floats = NDArray[np.float64]
DRAWS = 200
"""Quantiles of the errors over which predictions are averaged."""


@dataclass(frozen=True, eq=False)
class Law:
    """A fitted law of the mediator in one arm.

    Attributes
    ----------
    density : float64 (n,)
        At the mediator of each row.
    shares : float64 (n, k)
        Mean share of each node.
    """

    density: Floats
    shares: Floats


def fit_law(mediator: Mediator, design: Design, rows: NDArray[np.bool_]) -> Law:
    """Fit the law on `rows` and apply it to all.

    Raises
    ------
    OverlapError
        If a level does not occur in these rows.
    """
    if mediator.levels is None:
        return _normal(mediator, design, rows)
    return _multinomial(mediator, design, rows)


def _normal(mediator: Mediator, design: Design, rows: NDArray[np.bool_]) -> Law:
    mean = design.regress(mediator.values[:, None], rows)[:, 0]
    errors = mediator.values[rows] - mean[rows]
    freedom = max(1.0, len(errors) - design.matrix.shape[1])
    spread = max(float(np.sqrt((errors**2).sum() / freedom)), 1e-12)
    standard = (mediator.values - mean) / spread
    density = np.exp(-0.5 * standard**2) / spread
    shares = _expected_shares(np.array(mediator.nodes), mean, errors)
    return Law(np.maximum(density, 1e-300), shares)


def _expected_shares(nodes: Floats, mean: Floats, errors: Floats) -> Floats:
    """Return the mean over errors of `Mediator.weights(mean + error)`, (n, k), without a loop.

    A piecewise linear function is a line plus hinges (m - node)+, whose means are piecewise linear
    in `mean` again. Errors are centred: a line keeps its exact mean.
    """
    kinks = np.sort(-np.quantile(errors, (np.arange(DRAWS) + 0.5) / DRAWS))
    kinks -= kinks.mean()
    at_kinks = np.maximum(kinks[:, None] - kinks[None, :], 0.0).mean(axis=1)
    k = len(nodes)
    hinges = np.zeros((len(mean), k))
    hinges[:, 0] = mean - nodes[0]
    for place in range(1, k - 1):
        beyond = mean - nodes[place]
        hinges[:, place] = np.interp(beyond, kinks, at_kinks) + np.maximum(beyond - kinks[-1], 0.0)
    per_slope = (hinges[:, :-1] - hinges[:, 1:]) / np.diff(nodes)
    shares = np.zeros((len(mean), k))
    shares[:, 0] = 1.0
    shares[:, 1:] += per_slope
    shares[:, :-1] -= per_slope
    return shares


def _multinomial(mediator: Mediator, design: Design, rows: NDArray[np.bool_]) -> Law:
    assert mediator.levels is not None  # discrete
    levels, k = mediator.levels, len(mediator.nodes)
    counts = np.bincount(levels[rows], minlength=k)
    if not counts.all():
        missing = mediator.nodes[int(np.argmin(counts))]
        raise OverlapError(
            f"The mediator {mediator.column!r} is never {missing!r} in one of the arms (or in one"
            " of its training folds): its law there cannot be compared. Merge this level with"
            " another."
        )
    fit = fit_softmax(design.matrix[rows], levels[rows], penalty=design.penalty)
    shares = fit.predict(design.matrix)
    return Law(shares[np.arange(len(levels)), levels], shares)
