"""Factors of users and items on top of a logit, over the whole grid: numeric kernels.

    logit p_ui = l_u' r_i + a_u + b_i + U_u' V_i

1-bit matrix completion of the observation indicator (Davenport, Plan, van den Berg & Wootters 2014;
for propensities Ma & Chen 2019, "Missing Not at Random in Matrix Completion", with the nuclear
norm). A ridge on both factors is the nuclear norm of their product (Srebro, Rennie & Jaakkola
2004), here with a given rank. The likelihood runs over all eligible cells, a block of users at a
time. It is not convex; the search starts from the leading singular vectors of what the logit
leaves over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._grid_logit import LARGEST_LOGIT, blocks
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPARE_COLUMNS = 4
PASSES = 3
GOOD_ENOUGH = 0.01
"""Gradient, in standard errors, at which the search may end: the optimum is a local one anyway."""


@dataclass(frozen=True)
class LowRankProblem:
    """A logit with fixed left and right sides, to which factors are added.

    Attributes
    ----------
    left, right : float64 (m, q), (n, q)
        The logit without factors is left @ right.T.
    observed : scipy.sparse.csr_array (m, n)
        Ones where a cell was observed.
    ridge : float
    eligible : callable or None
        Block of users -> cells of the likelihood; None: all.
    """

    left: Floats
    right: Floats
    observed: Any
    ridge: float
    eligible: Callable[[slice], Bools | None] | None = None


@dataclass(frozen=True)
class LowRankSolution:
    """Factors of users (m, rank) and items (n, rank)."""

    U: Floats
    V: Floats
    iterations: int
    converged: bool


def low_rank_derivatives(
    problem: LowRankProblem, U: Floats, V: Floats
) -> tuple[float, Floats, Floats]:
    """Return the penalised negative log-likelihood of the factors and its gradients.

    The part of the likelihood that does not depend on the factors is left out.
    """
    OV = problem.observed @ V
    value = 0.5 * problem.ridge * float((U * U).sum() + (V * V).sum()) - float((U * OV).sum())
    by_user, by_item = np.empty_like(U), np.zeros_like(V)
    right = np.ascontiguousarray(np.hstack([problem.right, V]).T)
    for users in blocks(len(U), len(V)):
        odds = _odds(problem, np.hstack([problem.left[users], U[users]]), right, users)
        one_plus = odds + 1.0
        p = np.divide(odds, one_plus, out=odds)
        value += float(np.log(one_plus, out=one_plus).sum())
        by_user[users] = p @ V
        by_item += p.T @ U[users]
    gradient_U = by_user - OV + problem.ridge * U
    gradient_V = by_item - problem.observed.T @ U + problem.ridge * V
    return value, gradient_U, gradient_V


def _odds(problem: LowRankProblem, left: Floats, right: Floats, users: slice) -> Floats:
    odds = left @ right
    np.minimum(odds, LARGEST_LOGIT, out=odds)
    np.exp(odds, out=odds)
    allowed = None if problem.eligible is None else problem.eligible(users)
    if allowed is not None:
        odds *= allowed
    return np.asarray(odds)


def _leftover(problem: LowRankProblem, V: Floats) -> Floats:
    """Return (O - P) V without factors, (m, k)."""
    right, out = np.ascontiguousarray(problem.right.T), np.empty((len(problem.left), V.shape[1]))
    for users in blocks(*problem.observed.shape):
        odds = _odds(problem, problem.left[users], right, users)
        out[users] = (odds / (1.0 + odds)) @ V
    return np.asarray(problem.observed @ V - out)


def _leftover_of_items(problem: LowRankProblem, U: Floats) -> tuple[Floats, float]:
    """Return (O - P)' U without factors, (n, k), and the sum of p (1 - p)."""
    right, out = np.ascontiguousarray(problem.right.T), np.zeros((len(problem.right), U.shape[1]))
    information = 0.0
    for users in blocks(*problem.observed.shape):
        odds = _odds(problem, problem.left[users], right, users)
        p = odds / (1.0 + odds)
        information += float((p * (1.0 - p)).sum())
        out += p.T @ U[users]
    return np.asarray(problem.observed.T @ U - out), information


def _start(problem: LowRankProblem, rank: int, seed: int | None) -> tuple[Floats, Floats]:
    """Return the factors of one proximal step from zero: soft-thresholded singular vectors."""
    m, n = problem.observed.shape
    V = np.random.default_rng(seed).normal(size=(n, min(rank + SPARE_COLUMNS, m, n)))
    information = 0.0
    U = np.empty((m, 0))
    for _ in range(PASSES):
        U = np.linalg.qr(_leftover(problem, np.linalg.qr(V)[0]))[0]
        V, information = _leftover_of_items(problem, U)
    left, size, right = np.linalg.svd(V.T, full_matrices=False)
    per_cell = information / (m * n)
    # half the step: information is not even, and more of it lies where the leftovers are large
    root = np.sqrt(0.5 * np.maximum(size[:rank] - problem.ridge, 0.0) / max(per_cell, 1e-300))
    return (U @ left[:, :rank]) * root, right[:rank].T * root


@one_thread
def fit_low_rank(
    problem: LowRankProblem, rank: int, *, tolerance: float, max_iterations: int, seed: int | None
) -> LowRankSolution:
    """Find factors that maximise the penalised likelihood over all eligible cells.

    Parameters
    ----------
    problem : LowRankProblem
    rank : int
        At most this many factors; the ridge may leave fewer, or none.
    tolerance : float
        Largest gradient, in units of (approximate) standard errors, but not below `GOOD_ENOUGH`.
    max_iterations : int
    seed : int or None

    Returns
    -------
    LowRankSolution
    """
    from scipy.optimize import minimize

    U, V = _start(problem, rank, seed)
    m, k = U.shape
    user_scale, item_scale = _scales(problem, U, V)
    scale = np.concatenate([np.repeat(user_scale, k), np.repeat(item_scale, k)])
    if not U.any():
        return LowRankSolution(U, V, 0, True)

    def scaled(t: Floats) -> tuple[float, Floats]:
        theta = t / scale
        left, right = theta[: m * k].reshape(m, k), theta[m * k :].reshape(-1, k)
        value, of_U, of_V = low_rank_derivatives(problem, left, right)
        return value, np.concatenate([of_U.ravel(), of_V.ravel()]) / scale

    target = max(tolerance, GOOD_ENOUGH)
    found: Any = minimize(
        scaled,
        np.concatenate([U.ravel(), V.ravel()]) * scale,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": 10, "gtol": target, "ftol": 0.0,
            "maxiter": max_iterations, "maxfun": 3 * max_iterations,
        },
    )  # fmt: skip
    theta = found.x / scale
    converged = bool(np.abs(found.jac).max() <= target)
    return LowRankSolution(
        theta[: m * k].reshape(m, k), theta[m * k :].reshape(-1, k), int(found.nit), converged
    )


def _scales(problem: LowRankProblem, U: Floats, V: Floats) -> tuple[Floats, Floats]:
    """Return roots of approximate curvatures: counts times the mean square of the other side."""
    by_user = np.asarray(problem.observed.sum(axis=1), dtype=np.float64).ravel()
    by_item = np.asarray(problem.observed.sum(axis=0), dtype=np.float64).ravel()
    total = max(float(by_user.sum()), 1.0)
    of_V = float(by_item @ (V * V).mean(axis=1)) / total
    of_U = float(by_user @ (U * U).mean(axis=1)) / total
    return np.sqrt(problem.ridge + by_user * of_V), np.sqrt(problem.ridge + by_item * of_U)
