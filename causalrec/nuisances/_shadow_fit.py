"""Estimating equations of a propensity that depends on the outcome itself.

    sum over recorded cells of h / p = sum over eligible cells of h,   p = expit(x'b + slope y)

with h functions of covariates and of a shadow variable: the equations of Wang, Shao & Kim (2014,
equation 7). Where there are more of them than parameters they are solved by weighted least squares
(Hansen 1982); and those that the parameters cannot satisfy are a test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, IdentificationError
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
LARGEST_LOGIT = 200.0
"""exp stays finite, and so does its square: no propensity is told apart from 0 beyond it."""


@dataclass(frozen=True, eq=False)
class ShadowEquations:
    """The recorded cells of a log, and what the weighted ones must add up to.

    Attributes
    ----------
    functions : float64 (n, K)
        h at the recorded cells.
    design : float64 (n, k)
        [x, y] at the recorded cells: x is part of h; y is centred.
    totals : float64 (K,)
        Sum of h over the eligible cells.
    n_cells : int
        Eligible cells.
    """

    functions: Floats
    design: Floats
    totals: Floats
    n_cells: int

    def odds_against(self, theta: Floats) -> Floats:
        """Return (1 - p) / p of each recorded cell."""
        return np.exp(np.clip(-(self.design @ theta), -LARGEST_LOGIT, LARGEST_LOGIT))

    def imbalance(self, theta: Floats) -> Floats:
        """Return the equations, a mean over eligible cells, (K,)."""
        weighted = (1.0 + self.odds_against(theta)) @ self.functions
        return np.asarray((weighted - self.totals) / self.n_cells)

    def jacobian(self, theta: Floats) -> Floats:
        """Return the derivative of the equations by the parameters, (K, k)."""
        steep = self.design * self.odds_against(theta)[:, None]
        return np.asarray(-(self.functions.T @ steep) / self.n_cells)

    def spread(self, theta: Floats) -> Floats:
        """Return the covariance of the equations if cells were recorded independently, (K, K)."""
        against = self.odds_against(theta)
        weighted = self.functions * (against * (1.0 + against))[:, None]
        return np.asarray(self.functions.T @ weighted / float(self.n_cells) ** 2)


@dataclass(frozen=True, eq=False)
class ShadowSolution:
    """The parameters, and how an error of the equations passes into them.

    Attributes
    ----------
    theta : float64 (k,)
        The last is the slope of the outcome.
    response : float64 (k, K)
        d theta = response @ d equations.
    left_over : float64 (K, K - k)
        Combinations of the equations that the parameters cannot move.
    """

    theta: Floats
    response: Floats
    left_over: Floats


@one_thread
def solve_equations(
    equations: ShadowEquations,
    solved: NDArray[np.bool_],
    *,
    tolerance: float,
    max_iterations: int,
    shadow: str,
) -> ShadowSolution:
    """Solve some of the equations, by least squares weighted by their spread.

    Parameters
    ----------
    equations : ShadowEquations
    solved : bool (K,)
        The equations that determine the parameters; the others only test.
    tolerance, max_iterations, shadow
        As in `ShadowPropensity`.

    Raises
    ------
    IdentificationError
        If the equations do not determine the parameters.
    DataError
        If no propensities satisfy them.
    """
    chosen = replace(
        equations, functions=equations.functions[:, solved], totals=equations.totals[solved]
    )
    rate = len(equations.design) / equations.n_cells
    theta = np.zeros(equations.design.shape[1])
    theta[0] = np.log(rate / max(1.0 - rate, 1e-12))
    steps = 3 if len(chosen.totals) > len(theta) else 1  # weights matter where there are more
    for _ in range(steps):
        root = _whitening(chosen.spread(theta))
        theta = _least_squares(chosen, theta, root, tolerance, max_iterations, shadow)
    left, sizes, right = np.linalg.svd(root @ chosen.jacobian(theta), full_matrices=False)
    if sizes[-1] <= 1e-8 * sizes[0]:
        raise IdentificationError(_not_rich_enough(shadow))
    response = np.zeros((len(theta), len(solved)))
    response[:, solved] = -(right.T / sizes) @ left.T @ root
    root = _whitening(equations.spread(theta))
    left, sizes, _ = np.linalg.svd(root @ equations.jacobian(theta), full_matrices=True)
    return ShadowSolution(theta, response, root.T @ left[:, len(sizes) :])


def _whitening(covariance: Floats) -> Floats:
    """Return a root of the inverse; what does not vary gets no weight."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-12 * values[-1]
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])).T)


def _least_squares(
    equations: ShadowEquations,
    start: Floats,
    root: Floats,
    tolerance: float,
    max_iterations: int,
    shadow: str,
) -> Floats:
    from scipy.optimize import least_squares

    if len(root) < len(start):
        raise IdentificationError(_not_rich_enough(shadow))

    def residual(theta: Floats) -> Floats:
        return np.asarray(root @ equations.imbalance(theta))

    def derivative(theta: Floats) -> Floats:
        return np.asarray(root @ equations.jacobian(theta))

    found = least_squares(
        residual,
        start,
        jac=derivative,
        method="lm",
        x_scale="jac",
        ftol=tolerance,
        xtol=tolerance,
        gtol=tolerance,
        max_nfev=max_iterations,
    )
    against = equations.odds_against(found.x)
    if not found.success or not np.isfinite(found.x).all() or against.max() > 1e12:
        raise DataError(
            f"No propensities that depend on the outcome balance the shadow variable {shadow!r} and"
            f" the covariates (the largest weight reached {1.0 + against.max():.3g}). The shadow"
            " may be too weak, or decide the recording itself; use fewer covariates or"
            " crosses=False, a randomised slice, or cr.bounds."
        )
    return np.asarray(found.x, dtype=np.float64)


def _not_rich_enough(shadow: str) -> str:
    return (
        f"The shadow variable {shadow!r} does not determine how the outcome decides its recording:"
        " the equations have no single solution. Given the covariates it hardly moves the outcome,"
        " or it is a function of them, or it decides the recording itself. Choose another shadow"
        " variable, a randomised slice, or cr.bounds."
    )


def shadow_strength(
    equations: ShadowEquations, theta: Floats, explains: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Regress the outcome on covariates and shadow, as the equations weight them.

    Returns
    -------
    coefficients : float64 (r,)
        Of the functions with the shadow in them.
    information : float64 (r, r)
    rows : float64 (n, r)
        What each recorded cell adds to the score of the coefficients.
    """
    weight = equations.odds_against(theta)
    x, s, y = equations.design[:, :-1], equations.functions[:, ~explains], equations.design[:, -1]
    root = np.sqrt(weight)[:, None]
    targets = np.column_stack([s, y])
    partial, *_ = np.linalg.lstsq(x * root, targets * root, rcond=None)
    left = targets - x @ partial
    s, y = left[:, :-1], left[:, -1]
    information = s.T @ (s * weight[:, None])
    coefficients, *_ = np.linalg.lstsq(information, s.T @ (weight * y), rcond=None)
    return (
        np.asarray(coefficients, np.float64),
        information,
        s * (weight * (y - s @ coefficients))[:, None],
    )
