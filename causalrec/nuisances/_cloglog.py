"""The complementary log-log model of all cells: numeric kernels, functions of arrays.

    p_ui = 1 - exp(-lam_ui),    log lam_ui = x_u' B z_i + a_u + b_i

The log-likelihood of the whole grid is -sum_all lam + sum_observed log(e^lam - 1), and the sum over
all cells factors: sum over pairs of profiles (P, Q) of (sum_{u in P} e^a) (sum_{i in Q} e^b)
e^(x_P' B z_Q). So the exact Bernoulli likelihood costs O(observed cells + pairs of profiles); the
grid is never enumerated. The optimum is found by EM (Dempster, Laird & Rubin 1977): behind an
observed cell stands a Poisson count that is not zero, in expectation lam / (1 - e^-lam). Given
these, the fit is a Poisson regression whose sufficient statistics are sums by user, by item and by
pair of profiles: a maximisation step does not look at cells at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._precondition import Preconditioner
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.intp]

LARGEST_LOG_RATE = 30.0  # e^30 expected counts: no propensity is told apart from 1 beyond it
STEP_GAIN = 0.05
"""A maximisation step ends when its gradient has fallen to this share: the next expectations move
the optimum by more than what is left."""
STEP_EVALUATIONS = 30
SLOW_STEPS = 3
"""Steps in a row that do not halve the gradient, after which the exact likelihood is searched: the
rate of EM is the share of information that is missing (Dempster et al. 1977), which is small where
propensities are small and near 1 where cells are almost surely observed."""
NEAR = 1e-4
"""Gradient, in standard errors, at which an ended search counts as converged."""


@dataclass(frozen=True)
class CloglogProblem:
    """A grid whose users and items fall into profiles.

    Attributes
    ----------
    X, Z : float64 (P, p), (Q, q)
        Profiles of users and items; the first column is 1.
    user_profile, item_profile : int (m,), (n,)
    users, items : int (nnz,)
        The observed cells, sorted by user.
    penalty : float64 (p, q)
        Ridge of each coefficient, in units of cells; 0 for the intercept.
    user_penalty, item_penalty : float or None
        Ridge of the effects; None leaves them out.
    allowed : bool (P, Q) or None
        Pairs of profiles that are part of the likelihood; None: all.
    """

    X: Floats
    Z: Floats
    user_profile: Codes
    item_profile: Codes
    users: Codes
    items: Codes
    penalty: Floats
    user_penalty: float | None
    item_penalty: float | None
    allowed: Bools | None = None

    @property
    def size(self) -> int:
        """Number of parameters: B, user effects, item effects."""
        return self.penalty.size + len(self.user_profile) + len(self.item_profile)

    def split(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return views of theta as B (p, q), user effects (m,) and item effects (n,)."""
        at = self.penalty.size
        end = at + len(self.user_profile)
        return theta[:at].reshape(self.penalty.shape), theta[at:end], theta[end:]


@dataclass(frozen=True)
class Counts:
    """What the maximisation step needs of the observed cells.

    Attributes
    ----------
    by_user, by_item : float64 (m,), (n,)
    cross : float64 (p, q)
        X'WZ of the expected counts of the observed cells.
    """

    by_user: Floats
    by_item: Floats
    cross: Floats


@dataclass(frozen=True)
class CloglogSolution:
    """Coefficients of a fitted cloglog model, in the features' own coordinates."""

    B: Floats
    user_effect: Floats
    item_effect: Floats
    iterations: int
    converged: bool


class _Cells:
    """The observed cells, laid out for the expectation step."""

    def __init__(self, problem: CloglogProblem) -> None:
        self.problem = problem
        self.pair = problem.user_profile[problem.users] * len(problem.Z)
        self.pair += problem.item_profile[problem.items]

    def rates(self, theta: Floats) -> Floats:
        """Return lam of the observed cells."""
        problem = self.problem
        B, a, b = problem.split(theta)
        logs = (problem.X @ B @ problem.Z.T).ravel()[self.pair]
        logs += a[problem.users]
        logs += b[problem.items]
        np.minimum(logs, LARGEST_LOG_RATE, out=logs)
        return np.asarray(np.exp(logs, out=logs))

    def expect(self, theta: Floats) -> Counts:
        """Return the expected counts behind the observed cells."""
        lam = self.rates(theta)
        return self._counts(lam, _seen(lam))

    def _counts(self, lam: Floats, seen: Floats) -> Counts:
        problem = self.problem
        # lam / (1 - e^-lam) -> 1 where both underflow
        count = np.divide(lam, seen, out=np.ones_like(lam), where=seen > 0)
        P, Q = len(problem.X), len(problem.Z)
        pairs = np.bincount(self.pair, count, P * Q).reshape(P, Q)
        return Counts(
            np.bincount(problem.users, count, len(problem.user_profile)).astype(np.float64),
            np.bincount(problem.items, count, len(problem.item_profile)).astype(np.float64),
            problem.X.T @ pairs @ problem.Z,
        )

    def derivatives(self, theta: Floats) -> tuple[float, Floats]:
        """Return the penalised negative log-likelihood of all cells, and its gradient."""
        B, a, b = self.problem.split(theta)
        lam = self.rates(theta)
        seen = _seen(lam)
        counts = self._counts(lam, seen)
        value, gradient = poisson_derivatives(self.problem, counts, theta)
        value += float((B * counts.cross).sum() + a @ counts.by_user + b @ counts.by_item)
        value -= float(lam.sum()) + float(np.log(np.maximum(seen, 1e-300)).sum())
        return value, gradient


def _seen(lam: Floats) -> Floats:
    """Return 1 - e^-lam."""
    seen = np.negative(lam)
    np.expm1(seen, out=seen)
    return np.negative(seen, out=seen)


def poisson_derivatives(
    problem: CloglogProblem, counts: Counts, theta: Floats
) -> tuple[float, Floats]:
    """Return the penalised sum_all lam - sum counts log(lam), and its gradient.

    At the expected counts under theta itself, the gradient is that of the exact negative
    log-likelihood.

    Returns
    -------
    (float, float64 (p q + m + n,))
    """
    B, a, b = problem.split(theta)
    lu, li = problem.user_penalty, problem.item_penalty
    total, by_user, by_item, cross = _expected(problem, B, a, b)
    value = total - float((B * counts.cross).sum()) + 0.5 * float((problem.penalty * B * B).sum())
    gradient_a, gradient_b = np.zeros(len(a)), np.zeros(len(b))
    if lu is not None:
        value += 0.5 * lu * float(a @ a) - float(a @ counts.by_user)
        gradient_a = by_user - counts.by_user + lu * a
    if li is not None:
        value += 0.5 * li * float(b @ b) - float(b @ counts.by_item)
        gradient_b = by_item - counts.by_item + li * b
    gradient_B = cross - counts.cross + problem.penalty * B
    return value, np.concatenate([gradient_B.ravel(), gradient_a, gradient_b])


def _expected(
    problem: CloglogProblem, B: Floats, a: Floats, b: Floats
) -> tuple[float, Floats, Floats, Floats]:
    """Return the sums of lam over all cells: in total, by user, by item, and against x z'."""
    user, item = problem.user_profile, problem.item_profile
    rate_a, rate_b = _bounded_exp(a), _bounded_exp(b)
    of_P = np.bincount(user, rate_a, len(problem.X))
    of_Q = np.bincount(item, rate_b, len(problem.Z))
    pairs = pair_rates(problem, B)
    by_P, by_Q = pairs @ of_Q, of_P @ pairs
    cross = (of_P[:, None] * problem.X).T @ (pairs @ (of_Q[:, None] * problem.Z))
    return float(of_P @ by_P), rate_a * by_P[user], rate_b * by_Q[item], cross


def pair_rates(problem: CloglogProblem, B: Floats) -> Floats:
    """Return e^(x_P' B z_Q) of every pair of profiles, (P, Q); 0 where it is not allowed."""
    pairs = _bounded_exp(problem.X @ B @ problem.Z.T)
    if problem.allowed is not None:
        pairs *= problem.allowed
    return pairs


def _bounded_exp(logs: Floats) -> Floats:
    return np.asarray(np.exp(np.minimum(logs, LARGEST_LOG_RATE)))


def cloglog_likelihood(problem: CloglogProblem, theta: Floats) -> float:
    """Return the log-likelihood of all cells (without the ridge), not enumerating them."""
    B, a, b = problem.split(theta)
    total = _expected(problem, B, a, b)[0]
    lam = _Cells(problem).rates(theta)
    return float((lam + np.log(-np.expm1(-lam))).sum()) - total


@one_thread
def fit_cloglog(
    problem: CloglogProblem, *, tolerance: float, max_iterations: int, start: Floats | None = None
) -> CloglogSolution:
    """Maximise the penalised Bernoulli likelihood over all cells by EM.

    Parameters
    ----------
    problem : CloglogProblem
    tolerance : float
        Largest gradient of the exact likelihood, in units of (approximate) standard errors.
    max_iterations : int
        Evaluations of the maximisation steps, in all.
    start : float64 (p, q), optional
        B to start from; default: the overall rate as intercept.

    Returns
    -------
    CloglogSolution
    """
    theta = np.zeros(problem.size)
    if start is None:
        cells = _allowed_cells(problem)
        theta[0] = np.log(-np.log1p(-min(len(problem.users) / cells, 1.0 - 1e-9)))
    else:
        theta[: start.size] = start.ravel()
    cells_of, preconditioner = _Cells(problem), _preconditioner(problem)
    iterations, slow, largest, before = 0, 0, np.inf, np.inf
    while iterations < max_iterations and slow < SLOW_STEPS:
        counts = cells_of.expect(theta)
        _, gradient = poisson_derivatives(problem, counts, theta)
        largest = float(np.abs(preconditioner.scale_gradient(gradient)).max())
        if largest <= tolerance:
            break
        slow, before = slow + 1 if largest > 0.5 * before else 0, largest
        target = max(STEP_GAIN * largest, 0.3 * tolerance)
        theta, used, _ = _search(
            partial(poisson_derivatives, problem, counts), theta, preconditioner,
            target=target, evaluations=STEP_EVALUATIONS,
        )  # fmt: skip
        iterations += used
    if largest > tolerance and iterations < max_iterations:
        theta, used, largest = _search(
            cells_of.derivatives, theta, preconditioner,
            target=tolerance, evaluations=max_iterations - iterations,
        )  # fmt: skip
        iterations += used
    B, a, b = problem.split(theta)
    # Near the optimum the objective cannot tell steps apart; the gradient says whether we are there
    return CloglogSolution(B, a, b, iterations, largest <= max(tolerance, NEAR))


def _search(
    derivatives: Callable[[Floats], tuple[float, Floats]],
    theta: Floats,
    preconditioner: Preconditioner,
    *,
    target: float,
    evaluations: int,
) -> tuple[Floats, int, float]:
    """Return theta after L-BFGS, the evaluations that it took, and the largest gradient left."""
    from scipy.optimize import minimize

    def scaled(step: Floats) -> tuple[float, Floats]:
        value, gradient = derivatives(theta + preconditioner.unscale(step))
        return value, preconditioner.scale_gradient(gradient)

    found: Any = minimize(
        scaled,
        np.zeros(len(theta)),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": 20, "gtol": target, "ftol": 0.0,
            "maxiter": evaluations, "maxfun": evaluations,
        },
    )  # fmt: skip
    left = float(np.abs(found.jac).max())
    return theta + preconditioner.unscale(found.x), int(found.nfev), left


def _allowed_cells(problem: CloglogProblem) -> float:
    of_P = np.bincount(problem.user_profile, minlength=len(problem.X)).astype(np.float64)
    of_Q = np.bincount(problem.item_profile, minlength=len(problem.Z)).astype(np.float64)
    if problem.allowed is None:
        return float(of_P.sum() * of_Q.sum())
    return float(of_P @ problem.allowed @ of_Q)


def _preconditioner(problem: CloglogProblem) -> Preconditioner:
    m, n = len(problem.user_profile), len(problem.item_profile)
    user, item = problem.user_penalty, problem.item_penalty
    return Preconditioner.build(
        problem.X[problem.user_profile], problem.Z[problem.item_profile],
        np.bincount(problem.users, minlength=m).astype(np.float64),
        np.bincount(problem.items, minlength=n).astype(np.float64),
        problem.penalty,
        None if user is None else np.full(m, user),
        None if item is None else np.full(n, item),
    )  # fmt: skip


Side = tuple[Floats, Floats, Floats]


def sides(problem: CloglogProblem, B: Floats) -> tuple[Side, Side]:
    """Return the mean, variance and slope of the count of each user and of each item.

    Without effects; the slope is that of the mean with respect to an effect, sum lam e^-lam.
    """
    user, item = problem.user_profile, problem.item_profile
    lam = pair_rates(problem, B)
    rest = np.exp(-lam)
    of_P = np.bincount(user, minlength=len(problem.X)).astype(np.float64)
    of_Q = np.bincount(item, minlength=len(problem.Z)).astype(np.float64)
    each = (1.0 - rest, rest * (1.0 - rest), lam * rest)
    by_user = tuple((pairs @ of_Q)[user] for pairs in each)
    by_item = tuple((of_P @ pairs)[item] for pairs in each)
    return (by_user[0], by_user[1], by_user[2]), (by_item[0], by_item[1], by_item[2])
