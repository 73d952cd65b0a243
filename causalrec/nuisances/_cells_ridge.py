"""Kernels of cell outcome models: ridge on features and crosses with effects, and low rank.

The model of a cell is x_u' B z_i + a_u + b_i. The design of the observed cells has (p q + m + n)
columns and is never built: the normal equations are applied through gathers and one sparse
product, and solved by conjugate gradients with the whole-grid logit's preconditioner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._precondition import Preconditioner
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
CHUNK = 8_192


@dataclass(frozen=True)
class CellProblem:
    """Weighted ridge regression over observed cells.

    Attributes
    ----------
    X, Z : float64 (m, p), (n, q)
        Features with a leading 1.
    users, items : int (nnz,)
        Sorted by user.
    outcome, weight : float64 (nnz,)
    penalty : float64 (p, q)
        Ridge of each coefficient, in units of mean-1 weights; 0 for the intercept.
    user_penalty, item_penalty : float or None
        Ridge of the effects; None leaves them out.
    """

    X: Floats
    Z: Floats
    users: NDArray[Any]
    items: NDArray[Any]
    outcome: Floats
    weight: Floats
    penalty: Floats
    user_penalty: float | None
    item_penalty: float | None

    @cached_property
    def starts(self) -> NDArray[Any]:
        """Where each user's cells begin, (m + 1,)."""
        return np.searchsorted(self.users, np.arange(len(self.X) + 1))

    def mean(self, theta: Floats) -> Floats:
        """Return the fitted value of each observed cell, (nnz,)."""
        B, a, b = self.split(theta)
        mean = gather(self.X @ B, self.Z, self.users, self.items)
        mean += a[self.users]
        mean += b[self.items]
        return mean

    def adjoint(self, values: Floats) -> Floats:
        """Return design' @ values, the left-out effects set to zero."""
        import scipy.sparse as sp

        shape = (len(self.X), len(self.Z))
        matrix = sp.csr_array((values, self.items, self.starts), shape=shape)
        cross = np.asarray(self.X.T @ (matrix @ self.Z)).ravel()
        user, item = np.zeros(shape[0]), np.zeros(shape[1])
        if self.user_penalty is not None:
            user += np.bincount(self.users, weights=values, minlength=shape[0])
        if self.item_penalty is not None:
            item += np.bincount(self.items, weights=values, minlength=shape[1])
        return np.concatenate([cross, user, item])

    def split(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return theta as B, user effects, item effects."""
        size, m = self.penalty.size, len(self.X)
        return theta[:size].reshape(self.penalty.shape), theta[size : size + m], theta[size + m :]

    @property
    def ridge(self) -> Floats:
        """The penalty of every coefficient, 1 for effects that are left out (they are zero)."""
        user, item = self.user_penalty or 1.0, self.item_penalty or 1.0
        return np.concatenate([
            self.penalty.ravel(),
            np.full(len(self.X), user),
            np.full(len(self.Z), item),
        ])  # fmt: skip


def gather(A: Floats, B: Floats, users: NDArray[Any], items: NDArray[Any]) -> Floats:
    """Return A_u . B_i of aligned cells, (nnz,), a cache-sized chunk at a time."""
    out = np.empty(len(users))
    for at in range(0, len(users), CHUNK):
        part = slice(at, at + CHUNK)
        left, right = np.take(A, users[part], axis=0), np.take(B, items[part], axis=0)
        np.einsum("ij,ij->i", left, right, out=out[part])
    return out


@dataclass(frozen=True)
class CellSolution:
    """Coefficients, their effective number, and what is left to the residuals.

    `residual_freedom` is E sum w r^2 / variance: what the weighted squares of the residuals are to
    be divided by (the number of cells, less what the fit has taken).
    """

    theta: Floats
    effective_parameters: float
    residual_freedom: float
    converged: bool


@one_thread
def solve_cells(problem: CellProblem, *, probes: int = 4, seed: int = 0) -> CellSolution:
    """Solve the ridge regression; estimate its effective number of parameters.

    The trace of the smoother is estimated with Rademacher probes (Hutchinson 1990).
    """
    from scipy.sparse.linalg import LinearOperator, cg

    w, ridge = problem.weight, problem.ridge
    by_user = np.bincount(problem.users, w, len(problem.X)).astype(np.float64)
    by_item = np.bincount(problem.items, w, len(problem.Z)).astype(np.float64)
    size, m = problem.penalty.size, len(problem.X)
    scaling = Preconditioner.build(
        problem.X, problem.Z, by_user, by_item, problem.penalty,
        None if problem.user_penalty is None else ridge[size : size + m],
        None if problem.item_penalty is None else ridge[size + m :],
    )  # fmt: skip
    shape = (len(ridge), len(ridge))
    normal = LinearOperator(
        shape, matvec=lambda t: problem.adjoint(w * problem.mean(t)) + ridge * t, dtype=np.float64
    )
    inverse = LinearOperator(shape, matvec=scaling.solve, dtype=np.float64)
    rng = np.random.default_rng(seed)
    trace, left = 0.0, 0.0
    theta, info = cg(
        normal, problem.adjoint(w * problem.outcome), rtol=1e-9, maxiter=1000, M=inverse
    )
    for _ in range(probes):
        sign = rng.choice([-1.0, 1.0], size=len(w))
        fitted, _ = cg(normal, problem.adjoint(w * sign), rtol=1e-3, maxiter=300, M=inverse)
        smoothed = problem.mean(fitted)
        trace += float(sign @ smoothed) / probes
        left += float(w @ (sign - smoothed) ** 2) / probes
    return CellSolution(np.asarray(theta), trace, left, info == 0)


@one_thread
def fit_low_rank(
    residual: Floats,
    weight: Floats,
    users: NDArray[Any],
    items: NDArray[Any],
    shape: tuple[int, int],
    *,
    n_factors: int,
    ridge: float,
    seed: int | None,
    start: Floats | None = None,
    max_sweeps: int = 60,
    tolerance: float = 1e-5,
) -> tuple[Floats, Floats, float]:
    """Fit residual ~ U_u . V_i by weighted alternating least squares.

    Returns
    -------
    (U float64 (m, k), V float64 (n, k), effective number of parameters)
    """
    import scipy.sparse as sp

    W = sp.csr_array((weight, (users, items)), shape=shape)
    R = sp.csr_array((weight * residual, (users, items)), shape=shape)
    Wt, Rt = W.T.tocsr(), R.T.tocsr()
    V = start
    if V is None:
        V = np.random.default_rng(seed).standard_normal((shape[1], n_factors)) * 0.1
    U, freedom = _half(W, R, V, ridge)
    before = np.inf
    for _ in range(max_sweeps):
        V, item_freedom = _half(Wt, Rt, U, ridge)
        U, freedom = _half(W, R, V, ridge)
        error = residual - gather(U, V, users, items)
        loss = float(weight @ error**2) + ridge * float((U**2).sum() + (V**2).sum())
        if before - loss <= tolerance * loss:
            break
        before = loss
    return U, V, max(0.0, freedom + item_freedom - n_factors**2)


def _half(W: Any, R: Any, V: Floats, ridge: float) -> tuple[Floats, float]:
    """Return the ridge solution of every row given V, and the sum of its hat traces."""
    k = V.shape[1]
    gram = np.asarray(W @ (V[:, :, None] * V[:, None, :]).reshape(len(V), k * k))
    gram = gram.reshape(-1, k, k)
    shrunk = gram + ridge * np.eye(k)
    solution = np.linalg.solve(shrunk, np.asarray(R @ V)[:, :, None])[:, :, 0]
    freedom = float(np.trace(np.linalg.solve(shrunk, gram), axis1=1, axis2=2).sum())
    return solution, freedom
