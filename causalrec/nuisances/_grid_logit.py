"""The whole-grid logit: numeric kernels, functions of arrays.

    logit p_ui = x_u' B z_i + a_u + b_i,    x_u = [1, user features], z_i = [1, item features]

The likelihood runs over *every* eligible cell, and the design is never built: a block of users at
a time, one matrix product gives the logits. What was observed enters through X'OZ and the counts
of users and items, which are constants. Two users with the same features and the same count have
the same optimum, so the grid is first bucketed by (profile, count): exact, and on small
catalogues ten times fewer cells. An approximate Hessian in closed form scales the variables (see
`_precondition`), after which L-BFGS needs a few dozen evaluations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._precondition import Preconditioner
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
EligibleBlock = Callable[[slice], "Bools | None"]

BLOCK_CELLS = 32_768  # a quarter of a megabyte of logits: they stay in the second-level cache
LARGEST_LOGIT = 500.0  # exp stays finite; no propensity is told apart from 0 or 1 beyond it


@dataclass(frozen=True)
class GridProblem:
    """One bucketed whole-grid problem.

    Attributes
    ----------
    X, Z : float64 (P, p), (Q, q)
        Profiles of users and items; the first column is 1.
    user_count, item_count : float64 (P,), (Q,)
        Users and items in each bucket.
    observed_by_user, observed_by_item : float64 (P,), (Q,)
        Observed cells of the whole bucket.
    cross : float64 (p, q)
        X'OZ over the observed cells.
    penalty : float64 (p, q)
        Ridge of each coefficient, in units of cells; 0 for the intercept.
    user_penalty, item_penalty : float or None
        Ridge of the effects; None leaves them out.
    eligible : callable or None
        Block of users -> eligible cells; None where every cell is (then bucketing is exact).
    """

    X: Floats
    Z: Floats
    user_count: Floats
    item_count: Floats
    observed_by_user: Floats
    observed_by_item: Floats
    cross: Floats
    penalty: Floats
    user_penalty: float | None
    item_penalty: float | None
    eligible: EligibleBlock | None = None


@dataclass(frozen=True)
class GridSolution:
    """Coefficients of a fitted whole-grid logit, in the features' own coordinates."""

    B: Floats
    user_effect: Floats
    item_effect: Floats
    iterations: int
    converged: bool


def grid_derivatives(problem: GridProblem, theta: Floats) -> tuple[float, Floats]:
    """Return the penalised negative log-likelihood over all cells, and its gradient.

    Parameters
    ----------
    problem : GridProblem
    theta : float64 (p q + P + Q,)
        B row by row, user effects, item effects (zero and untouched where left out).

    Returns
    -------
    (float, float64 (p q + P + Q,))
    """
    B, a, b = split_parameters(problem, theta)
    cells, by_user, by_item, by_cross = _expected_counts(problem, B, a, b)
    lu, li = problem.user_penalty, problem.item_penalty
    cu, ci = problem.user_count, problem.item_count
    value = cells - float((B * problem.cross).sum())
    value += 0.5 * float((problem.penalty * B * B).sum())
    gradient_a, gradient_b = np.zeros(len(a)), np.zeros(len(b))
    if lu is not None:
        value += 0.5 * lu * float(cu @ (a * a)) - float(a @ problem.observed_by_user)
        gradient_a = by_user - problem.observed_by_user + lu * cu * a
    if li is not None:
        value += 0.5 * li * float(ci @ (b * b)) - float(b @ problem.observed_by_item)
        gradient_b = by_item - problem.observed_by_item + li * ci * b
    gradient_B = by_cross - problem.cross + problem.penalty * B
    return value, np.concatenate([gradient_B.ravel(), gradient_a, gradient_b])


def split_parameters(problem: GridProblem, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Return views of theta as B (p, q), user effects (P,) and item effects (Q,)."""
    p, q = problem.penalty.shape
    at = p * q + len(problem.X)
    return theta[: p * q].reshape(p, q), theta[p * q : at], theta[at:]


def _expected_counts(
    problem: GridProblem, B: Floats, a: Floats, b: Floats
) -> tuple[float, Floats, Floats, Floats]:
    """Return sum log(1 + e^logit) and the sums of p by user, by item and against x z'."""
    X, Z, cu, ci = problem.X, problem.Z, problem.user_count, problem.item_count
    XB, ZT, weighted_Z = X @ B, np.ascontiguousarray(Z.T), ci[:, None] * Z
    cells, by_item = 0.0, np.zeros(len(Z))
    by_user, against_Z = np.empty(len(X)), np.empty((len(X), Z.shape[1]))
    for users in blocks(len(X), len(Z)):
        odds = _odds(problem, XB, ZT, a, b, users)
        one_plus = odds + 1.0
        p = np.divide(odds, one_plus, out=odds)
        np.log(one_plus, out=one_plus)
        cells += float(cu[users] @ (one_plus @ ci))
        by_user[users] = p @ ci
        by_item += cu[users] @ p
        against_Z[users] = p @ weighted_Z
    return cells, cu * by_user, ci * by_item, X.T @ (cu[:, None] * against_Z)


def _odds(
    problem: GridProblem, XB: Floats, ZT: Floats, a: Floats, b: Floats, users: slice
) -> Floats:
    """Return p / (1 - p) of a block of buckets; 0 where a cell is not eligible."""
    odds = XB[users] @ ZT
    odds += b
    odds += a[users, None]
    np.minimum(odds, LARGEST_LOGIT, out=odds)
    np.exp(odds, out=odds)
    allowed = problem.eligible(users) if problem.eligible is not None else None
    if allowed is not None:
        odds *= allowed
    return odds


def expected_by_side(
    problem: GridProblem, B: Floats, a: Floats, b: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return sum p and sum p (1 - p) of one user of each bucket, and of one item of each.

    Returns
    -------
    (float64 (P,), float64 (P,), float64 (Q,), float64 (Q,))
    """
    cu, ci = problem.user_count, problem.item_count
    XB, ZT = problem.X @ B, np.ascontiguousarray(problem.Z.T)
    mean_user, spread_user = np.empty(len(cu)), np.empty(len(cu))
    mean_item, spread_item = np.zeros(len(ci)), np.zeros(len(ci))
    for users in blocks(len(cu), len(ci)):
        odds = _odds(problem, XB, ZT, a, b, users)
        p = odds / (1.0 + odds)
        spread = p * (1.0 - p)
        mean_user[users], spread_user[users] = p @ ci, spread @ ci
        mean_item += cu[users] @ p
        spread_item += cu[users] @ spread
    return mean_user, spread_user, mean_item, spread_item


def excess_variance(
    observed: Floats, mean: Floats, spread: Floats, slope: Floats | None = None
) -> float:
    """Return the variance of effects on the logit, from the overdispersion of counts.

    Counts vary around their means by `spread` if nothing but the features acts, and by
    spread + variance x slope^2 if each has an effect of its own (the method of moments of
    DerSimonian & Laird 1986, equation 8, with first-order effects; the slope of the mean is the
    spread itself on the logit). An excess of less than two standard errors is taken for chance.

    Examples
    --------
    >>> count = np.array([8.0, 12.0, 9.0, 11.0])
    >>> excess_variance(count, np.full(4, 10.0), np.full(4, 9.0))
    0.0
    >>> round(excess_variance(4 * count - 30, np.full(4, 10.0), np.full(4, 9.0)), 3)
    0.383
    """
    excess = float(((observed - mean) ** 2).sum() - spread.sum())
    by_chance = (2.0 * float((spread**2).sum())) ** 0.5
    squares = float(((spread if slope is None else slope) ** 2).sum())
    return excess / squares if excess > 2.0 * by_chance else 0.0


def blocks(n_users: int, n_items: int) -> list[slice]:
    """Return the blocks of users whose cells fit in the cache, in order.

    Examples
    --------
    >>> blocks(5, 15_000)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, BLOCK_CELLS // max(n_items, 1))
    return [slice(at, min(at + step, n_users)) for at in range(0, n_users, step)]


@one_thread
def fit_grid(
    problem: GridProblem, *, tolerance: float, max_iterations: int, start: Floats | None = None
) -> GridSolution:
    """Maximise the penalised Bernoulli likelihood over all eligible cells.

    Parameters
    ----------
    problem : GridProblem
    tolerance : float
        Largest gradient, in units of (approximate) standard errors of each coefficient.
    max_iterations : int
    start : float64 (p, q), optional
        B to start from; default: the overall rate as intercept.

    Returns
    -------
    GridSolution
    """
    from scipy.optimize import minimize

    size, m, n = problem.penalty.size, len(problem.X), len(problem.Z)
    origin = np.zeros(size + m + n)
    if start is None:
        rate = problem.observed_by_user.sum() / _eligible_cells(problem)
        origin[0] = np.log(rate / max(1.0 - rate, 1e-12))
    else:
        origin[:size] = start.ravel()

    preconditioner = _preconditioner(problem)

    def scaled(step: Floats) -> tuple[float, Floats]:
        value, gradient = grid_derivatives(problem, origin + preconditioner.unscale(step))
        return value, preconditioner.scale_gradient(gradient)

    found = minimize(
        scaled,
        np.zeros(len(origin)),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": 20,
            "gtol": tolerance,
            "ftol": 0.0,
            "maxiter": max_iterations,
            "maxfun": 3 * max_iterations,
        },
    )
    B, a, b = split_parameters(problem, origin + preconditioner.unscale(found.x))
    # Near the optimum the objective cannot tell steps apart; the gradient says whether we are there
    converged = bool(np.abs(found.jac).max() <= max(tolerance, 1e-4))
    return GridSolution(B, a, b, int(found.nit), converged)


def _preconditioner(problem: GridProblem) -> Preconditioner:
    user, item = problem.user_penalty, problem.item_penalty
    return Preconditioner.build(
        problem.X, problem.Z, problem.observed_by_user, problem.observed_by_item, problem.penalty,
        None if user is None else user * problem.user_count,
        None if item is None else item * problem.item_count,
    )  # fmt: skip


def _eligible_cells(problem: GridProblem) -> float:
    if problem.eligible is None:
        return float(problem.user_count.sum() * problem.item_count.sum())
    total = 0.0
    for users in blocks(len(problem.X), len(problem.Z)):
        allowed = problem.eligible(users)
        total += (
            float(allowed.sum())
            if allowed is not None
            else ((users.stop - users.start) * float(len(problem.Z)))
        )
    return total


def bucket(features: Floats, observed: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.intp]]:
    """Group rows that share features and count: their optima coincide.

    Parameters
    ----------
    features : float64 (m, p)
    observed : float64 (m,)
        Observed cells of each row.

    Returns
    -------
    (profiles (P, p), rows in each (P,), observed cells of each (P,), profile of each row (m,))

    Examples
    --------
    >>> features, count = np.array([[1.0], [1.0], [2.0]]), np.array([3.0, 3.0, 1.0])
    >>> profiles, rows, observed, of = bucket(features, count)
    >>> profiles.tolist(), rows.tolist(), observed.tolist(), of.tolist()
    ([[1.0], [2.0]], [2.0, 1.0], [6.0, 1.0], [0, 0, 1])
    """
    keyed, of, rows = np.unique(
        np.column_stack([features, observed]), axis=0, return_inverse=True, return_counts=True
    )
    counts = rows.astype(np.float64)
    return np.ascontiguousarray(keyed[:, :-1]), counts, keyed[:, -1] * counts, of.ravel()
