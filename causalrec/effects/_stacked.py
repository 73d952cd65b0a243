"""The error of the linear nuisances of all folds, found in two readings of their common design.

The same rows as `causalrec.inference.stack_nuisances` adds, one nuisance after the other: here the
folds of a role go together, in pieces of the rows that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances import rows_at_a_time
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.effects._nuisances import Parametric, Role

Floats = NDArray[np.float64]


@one_thread
def stacked_rows(
    parametric: Sequence[Parametric],
    derivatives: Mapping[Role, Floats],
    target: Callable[[Role], Floats],
    weights: Floats | None,
) -> Floats | float:
    """Return what the nuisances' error adds to the numerator of a score, (n, q); 0 if nothing.

    Parameters
    ----------
    parametric : sequence of Parametric
    derivatives : mapping of role to float64 (n, q)
        Of numerator - value x denominator, by g (outcome models) or by the logit of p.
    target : callable
        What the models of a role were fitted to, float64 (n,).
    weights : float64 (n,) or None
        Row weights of the fits.
    """
    families: dict[tuple[Role, int, str], list[Parametric]] = {}
    for one in parametric:
        families.setdefault((one.role, id(one.design), one.fit.link), []).append(one)
    total: Floats | float = 0.0
    for (role, _, _), fits in families.items():
        family = _Family(fits, derivatives[role], target(role), weights)
        total = total + family.corrections()
    return total


class _Family:
    """The fits of one role on one design."""

    def __init__(
        self,
        fits: Sequence[Parametric],
        derivative: Floats,
        target: Floats,
        weights: Floats | None,
    ) -> None:
        self.fits, self.derivative, self.target = fits, derivative, target
        self.weights, self.design = weights, fits[0].design
        self.logistic = fits[0].fit.link == "logit"
        self.coefficients = np.vstack([one.fit.coefficients for one in fits])

    def _pieces(self) -> Iterator[tuple[slice, Floats, Floats, Floats]]:
        """Yield rows, their design, and of each fit the means and the weight of each row."""
        step = rows_at_a_time(self.design.shape[1])
        for at in range(0, len(self.design), step):
            piece = slice(at, at + step)
            x = self.design[piece]
            mean = self.coefficients @ x.T
            if self.logistic:
                from scipy.special import expit

                expit(mean, out=mean)
            weight = np.array([one.trained[piece] for one in self.fits], dtype=np.float64)
            if self.weights is not None:
                weight *= self.weights[piece]
            yield piece, x, mean, weight

    def corrections(self) -> Floats:
        """Return the sum of the corrections of all fits, (n, q)."""
        n, q = self.derivative.shape
        solved = self._solved()
        rows = np.empty((n, q))
        for piece, x, mean, weight in self._pieces():
            residual = weight * np.where(weight != 0.0, self.target[piece] - mean, 0.0)
            moved = (solved @ x.T).reshape(len(self.fits), q, len(x))
            rows[piece] = np.einsum("fn,fqn->nq", residual, moved)
        rows -= rows.mean(axis=0)  # sums to zero already where there is no penalty
        return rows

    def _solved(self) -> Floats:
        """Return what a unit of each fit's estimating equations adds, (n_fits x q, k)."""
        q, k, n_fits = self.derivative.shape[1], self.design.shape[1], len(self.fits)
        gradient = np.zeros((n_fits * q, k))
        known = [one.fit.curvature for one in self.fits]
        curvature = [np.zeros((k, k)) if found is None else found for found in known]
        for piece, x, mean, weight in self._pieces():
            slope = mean * (1.0 - mean) if self.logistic else np.ones_like(mean)
            by_fit = np.array([one.used[piece] for one in self.fits], dtype=np.float64)
            if self.fits[0].role != "propensity":  # by whose logit derivatives are taken already
                by_fit *= slope
            by = by_fit[:, None, :] * self.derivative[piece].T
            gradient += by.reshape(n_fits * q, -1) @ x
            root = np.sqrt(weight * slope)
            for at, found in enumerate(known):
                if found is None:
                    heavy = x * root[at, :, None]
                    curvature[at] += heavy.T @ heavy
        solved = [
            np.linalg.lstsq(total + np.diag(one.fit.penalty), part.T, rcond=None)[0].T
            for one, total, part in zip(
                self.fits, curvature, np.split(gradient, n_fits), strict=True
            )
        ]
        return np.vstack(solved)
