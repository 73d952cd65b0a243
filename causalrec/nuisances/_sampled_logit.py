"""The logit on a case-control sample of cells: numeric kernels, functions of arrays.

Every observed cell (case) and a sample of the others (controls), drawn at a known rate. The logit
of being a case given that a cell was drawn is that of the grid plus -log(rate), so an offset
corrects the intercept and leaves the other coefficients alone (King & Zeng 2001, "Logistic
Regression in Rare Events Data", Political Analysis 9, section 4.1). The design of crosses and
effects is not laid out: x' B z comes from the pairs of profiles where these are few, else cell by
cell, so that memory is a few numbers a cell, whatever the number of crosses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._grid_logit import GridSolution
from causalrec.nuisances._precondition import Preconditioner
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.intp]

MOST_PAIRS = 10_000_000
"""Pairs of profiles up to which x' B z is looked up rather than computed cell by cell."""
CHUNK = 65_536
LARGEST_LOGIT = 500.0


@dataclass(frozen=True)
class SampledProblem:
    """A logit on some cells.

    Attributes
    ----------
    X, Z : float64 (m, p), (n, q)
        Features of users and items; the first column is 1.
    users, items : int (k,)
        The sampled cells, sorted by user.
    observed : bool (k,)
    rate : float
        The share of the unobserved cells that was drawn.
    penalty : float64 (p, q)
    user_penalty, item_penalty : float or None
        None leaves the effects out.
    """

    X: Floats
    Z: Floats
    users: Codes
    items: Codes
    observed: Bools
    rate: float
    penalty: Floats
    user_penalty: float | None
    item_penalty: float | None

    @cached_property
    def crosses(self) -> _Pairs | _Cells:
        """How x' B z is computed at the cells."""
        profiles, user = np.unique(self.X, axis=0, return_inverse=True)
        kinds, item = np.unique(self.Z, axis=0, return_inverse=True)
        if len(profiles) * len(kinds) <= MOST_PAIRS:
            pair = user.ravel()[self.users] * len(kinds) + item.ravel()[self.items]
            return _Pairs(profiles, kinds, pair)
        return _Cells(self.X, self.Z, self.users, self.items)


@dataclass(frozen=True)
class _Pairs:
    """x' B z of cells looked up among the pairs of profiles."""

    X: Floats
    Z: Floats
    pair: Codes

    def at(self, B: Floats) -> Floats:
        return np.asarray((self.X @ B @ self.Z.T).ravel()[self.pair])

    def against(self, values: Floats) -> Floats:
        shape = len(self.X), len(self.Z)
        total = np.bincount(self.pair, values, shape[0] * shape[1]).reshape(shape)
        return np.asarray(self.X.T @ total @ self.Z)


@dataclass(frozen=True)
class _Cells:
    """x' B z cell by cell, in chunks."""

    X: Floats
    Z: Floats
    users: Codes
    items: Codes

    def at(self, B: Floats) -> Floats:
        left, out = self.X @ B, np.empty(len(self.users))
        for at in range(0, len(out), CHUNK):
            part = slice(at, at + CHUNK)
            out[part] = np.einsum("ij,ij->i", left[self.users[part]], self.Z[self.items[part]])
        return out

    def against(self, values: Floats) -> Floats:
        import scipy.sparse as sp

        shape = len(self.X), len(self.Z)
        matrix = sp.csr_array((values, (self.users, self.items)), shape=shape)
        return np.asarray(self.X.T @ (matrix @ self.Z))


def sampled_derivatives(problem: SampledProblem, theta: Floats) -> tuple[float, Floats]:
    """Return the penalised negative log-likelihood of the sampled cells, and its gradient.

    Parameters
    ----------
    problem : SampledProblem
    theta : float64 (p q + m + n,)
        B row by row, user effects, item effects, on the scale of the whole grid.
    """
    B, a, b = split_sampled(problem, theta)
    lu, li, m, n = problem.user_penalty, problem.item_penalty, len(a), len(b)
    logit = sampled_logits(problem, B, a, b) - np.log(problem.rate)
    np.minimum(logit, LARGEST_LOGIT, out=logit)
    value = -float(logit[problem.observed].sum())
    odds = np.exp(logit, out=logit)
    one_plus = odds + 1.0
    residual = np.divide(odds, one_plus, out=odds)
    value += float(np.log(one_plus, out=one_plus).sum())
    residual[problem.observed] -= 1.0
    value += 0.5 * float((problem.penalty * B * B).sum())
    gradient_B = problem.crosses.against(residual) + problem.penalty * B
    gradient_a, gradient_b = np.zeros(m), np.zeros(n)
    if lu is not None:
        value += 0.5 * lu * float(a @ a)
        gradient_a = np.bincount(problem.users, residual, m) + lu * a
    if li is not None:
        value += 0.5 * li * float(b @ b)
        gradient_b = np.bincount(problem.items, residual, n) + li * b
    return value, np.concatenate([gradient_B.ravel(), gradient_a, gradient_b])


def split_sampled(problem: SampledProblem, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Return views of theta as B (p, q), user effects (m,) and item effects (n,)."""
    size, m = problem.penalty.size, len(problem.X)
    return theta[:size].reshape(problem.penalty.shape), theta[size : size + m], theta[size + m :]


def sampled_logits(problem: SampledProblem, B: Floats, a: Floats, b: Floats) -> Floats:
    """Return x' B z + a_u + b_i at the sampled cells, on the scale of the whole grid."""
    logit = problem.crosses.at(B)
    logit += a[problem.users]
    logit += b[problem.items]
    return logit


@one_thread
def fit_sampled(
    problem: SampledProblem, *, tolerance: float, max_iterations: int, start: Floats | None = None
) -> GridSolution:
    """Maximise the penalised likelihood of the sampled cells.

    Parameters
    ----------
    problem : SampledProblem
    tolerance : float
        Largest gradient, in units of (approximate) standard errors of each coefficient.
    max_iterations : int
    start : float64 (p, q), optional

    Returns
    -------
    GridSolution
        On the scale of the whole grid: the intercept is corrected, and recalibrated so that the
        sample, its controls counted 1/rate times, has as many cases as the model expects.
    """
    from scipy.optimize import minimize

    size, m, n = problem.penalty.size, len(problem.X), len(problem.Z)
    origin = np.zeros(size + m + n)
    cases = float(problem.observed.sum())
    if start is None:
        origin[0] = np.log(cases * problem.rate / max(len(problem.users) - cases, 1.0))
    else:
        origin[:size] = start.ravel()
    preconditioner = _preconditioner(problem)

    def scaled(step: Floats) -> tuple[float, Floats]:
        value, gradient = sampled_derivatives(problem, origin + preconditioner.unscale(step))
        return value, preconditioner.scale_gradient(gradient)

    found: Any = minimize(
        scaled,
        np.zeros(len(origin)),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": 20, "gtol": tolerance, "ftol": 0.0,
            "maxiter": max_iterations, "maxfun": 3 * max_iterations,
        },
    )  # fmt: skip
    B, a, b = split_sampled(problem, origin + preconditioner.unscale(found.x))
    B = B.copy()
    B[0, 0] += _recalibration(problem, sampled_logits(problem, B, a, b))
    converged = bool(np.abs(found.jac).max() <= max(tolerance, 1e-4))
    return GridSolution(B, a, b, int(found.nit), converged)


def _recalibration(problem: SampledProblem, logit: Floats) -> float:
    """Return the shift of the intercept after which the weighted sample expects its cases."""
    from scipy.special import expit

    weight = np.where(problem.observed, 1.0, 1.0 / problem.rate)
    cases, shift = float(problem.observed.sum()), 0.0
    for _ in range(20):  # Newton's method in one dimension: three or four steps
        p = expit(logit + shift)
        step = (cases - float(weight @ p)) / max(float(weight @ (p * (1.0 - p))), 1e-300)
        shift += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-12:
            break
    return shift


def _preconditioner(problem: SampledProblem) -> Preconditioner:
    m, n = len(problem.X), len(problem.Z)
    user, item = problem.user_penalty, problem.item_penalty
    # information of a logit among cases and controls: a case counts for less than one
    share = 1.0 - float(problem.observed.mean())
    by_user = np.bincount(problem.users[problem.observed], minlength=m)
    by_item = np.bincount(problem.items[problem.observed], minlength=n)
    return Preconditioner.build(
        problem.X, problem.Z, np.asarray(share * by_user, dtype=np.float64),
        np.asarray(share * by_item, dtype=np.float64), problem.penalty,
        None if user is None else np.full(m, user),
        None if item is None else np.full(n, item),
    )  # fmt: skip
