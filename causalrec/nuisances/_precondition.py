"""A change of variables after which the whole-grid problems are nearly round.

With weights that factor, w_ui = r_u c_i / N (for the logit at p_ui = n_u n_i / N, for a ridge
regression exactly so in expectation), the Hessian of

    x_u' B z_i + a_u + b_i      +  ridge

has a closed form: a Kronecker product for B, diagonals for a and b, and couplings of rank one or
of the rank of the features. Its block Cholesky factor L (a, then b, then B) is kept in that form.
The variables t with theta = L^-T t see the identity: L-BFGS and conjugate gradients then need a few
dozen evaluations, however alike the effects and the features' own coefficients are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_FACTOR = 2_500
"""Coefficients in B up to which its Schur complement is factored; beyond, diagonals serve."""


@dataclass(frozen=True)
class Preconditioner:
    """L^-T and L^-1 of the approximate Hessian.

    Attributes
    ----------
    X, Z : float64 (m, p), (n, q)
    r, c : float64 (m,), (n,)
        Weights by user and item; zero where a side has no effects.
    total : float
        N.
    A, D : float64 (m,), (n,)
        Diagonals of the effects: weights plus ridge (1 where a side has none).
    rho : float64 (m,)
        r^2 / A.
    z_mean, x_mean : float64 (q,), (p,)
        Weighted means of the features.
    v, kappa : float64 (n,), float
        Schur complement of b: D^(1/2) (I - v v') D^(1/2), whose root is I - kappa v v'.
    factor : float64 (p q, p q) or None
        Cholesky factor of B's Schur complement.
    root : float64 (p q,)
        Square root of B's diagonal, used where there is no factor.
    """

    X: Floats
    Z: Floats
    r: Floats
    c: Floats
    total: float
    A: Floats
    D: Floats
    rho: Floats
    z_mean: Floats
    x_mean: Floats
    v: Floats
    kappa: float
    factor: Floats | None
    root: Floats

    @classmethod
    def build(
        cls,
        X: Floats,
        Z: Floats,
        by_user: Floats,
        by_item: Floats,
        penalty: Floats,
        user_ridge: Floats | None,
        item_ridge: Floats | None,
    ) -> Preconditioner:
        """Build it from the weights by user and by item, and the ridges (None: no effects)."""
        total = float(by_user.sum())
        Hx, Hz = X.T @ (by_user[:, None] * X), Z.T @ (by_item[:, None] * Z) / total
        factored = penalty.size <= LARGEST_FACTOR
        r = by_user if user_ridge is not None and factored else np.zeros(len(by_user))
        c = by_item if item_ridge is not None and factored else np.zeros(len(by_item))
        A = np.ones(len(r)) if user_ridge is None else by_user + user_ridge
        D = np.ones(len(c)) if item_ridge is None else by_item + item_ridge
        rho = r * r / A
        v = c / np.sqrt(D) * (np.sqrt(rho.sum()) / total)
        length = float(v @ v)
        kappa = (1.0 - np.sqrt(max(1.0 - length, 1e-12))) / length if length > 0 else 0.0
        x_mean, z_mean = by_user @ X / total, by_item @ Z / total
        ridge = np.minimum(penalty.ravel(), 1e6 * float(np.diag(Hx).max() * np.diag(Hz).max()))
        diagonal = np.outer(np.diag(Hx), np.diag(Hz)).ravel() + ridge
        found = cls(
            X, Z, r, c, total, A, D, rho, z_mean, x_mean, v, float(kappa),
            None, np.sqrt(np.maximum(diagonal, 1e-8)),
        )  # fmt: skip
        return found._factored(Hx, Hz, ridge) if factored else found

    def _factored(self, Hx: Floats, Hz: Floats, ridge: Floats) -> Preconditioner:
        """Return it with the Schur complement of B factored."""
        from dataclasses import replace

        schur = np.kron(Hx, Hz)
        top = float(schur.diagonal().max())
        schur[np.diag_indices(len(schur))] += ridge + 1e-10 * top
        schur -= np.kron(
            self.X.T @ (self.rho[:, None] * self.X), np.outer(self.z_mean, self.z_mean)
        )
        schur -= self._taken_by_items()
        try:
            factor = np.linalg.cholesky(schur)
        except np.linalg.LinAlgError:  # a feature that its side's effects reproduce exactly
            schur[np.diag_indices(len(schur))] += 1e-6 * top
            factor = np.linalg.cholesky(schur)
        return replace(self, factor=factor)

    def _taken_by_items(self) -> Floats:
        """Return what b takes from B: F' (D^(1/2) (I - v v') D^(1/2))^-1 F, (p q, p q).

        The rows of F = H_bB - H_ba A^-1 H_aB are c_i (x_mean (x) z_i - g (x) z_mean), so that their
        products are sums of Kronecker products and the n rows need not be laid out.
        """
        x, z, g = self.x_mean, self.z_mean, self.rho @ self.X / self.total
        weight = self.c**2 / self.D
        spread, mean = self.Z.T @ (weight[:, None] * self.Z), weight @ self.Z
        crossed = np.kron(np.outer(x, g), np.outer(mean, z))
        taken = np.kron(np.outer(x, x), spread) - crossed - crossed.T
        taken += weight.sum() * np.kron(np.outer(g, g), np.outer(z, z))
        share = self.c * self.v / np.sqrt(self.D)
        pull = np.kron(x, share @ self.Z) - share.sum() * np.kron(g, z)
        length = min(float(self.v @ self.v), 1.0 - 1e-12)
        return np.asarray(taken + np.outer(pull, pull / (1.0 - length)))

    def _solve_items(self, values: Floats) -> Floats:
        """Return (D^(1/2) (I - v v') D^(1/2))^-1 values, by columns."""
        root = np.sqrt(self.D)[:, None]
        scaled = values / root
        length = min(float(self.v @ self.v), 1.0 - 1e-12)
        scaled = scaled + np.outer(self.v, self.v @ scaled) / (1.0 - length)
        return np.asarray(scaled / root)

    def _root_items(self, values: Floats) -> Floats:
        """Return (I - kappa v v')^-1 values."""
        length = float(self.v @ self.v)
        factor = self.kappa / (1.0 - self.kappa * length)
        return values + factor * float(self.v @ values) * self.v

    def unscale(self, scaled: Floats) -> Floats:
        """Return theta = L^-T t."""
        from scipy.linalg import solve_triangular

        size, m = len(self.root), len(self.r)
        t_B, t_a, t_b = scaled[:size], scaled[size : size + m], scaled[size + m :]
        if self.factor is None:
            return np.concatenate([t_B / self.root, t_a / np.sqrt(self.A), t_b / np.sqrt(self.D)])
        flat = solve_triangular(self.factor, t_B, lower=True, trans="T", check_finite=False)
        B = flat.reshape(len(self.x_mean), len(self.z_mean))
        by_user = self.X @ (B @ self.z_mean)
        pull = self.c * (self.Z @ (B.T @ self.x_mean) - float(self.rho @ by_user) / self.total)
        root = np.sqrt(self.D)
        b = self._root_items(t_b - self._root_items(pull / root)) / root
        coupled = self.r * (by_user + float(self.c @ b) / self.total)
        a = (t_a - coupled / np.sqrt(self.A)) / np.sqrt(self.A)
        return np.concatenate([flat, a, b])

    def scale_gradient(self, gradient: Floats) -> Floats:
        """Return L^-1 g, the gradient with respect to t."""
        from scipy.linalg import solve_triangular

        size, m = len(self.root), len(self.r)
        g_B, g_a, g_b = gradient[:size], gradient[size : size + m], gradient[size + m :]
        if self.factor is None:
            return np.concatenate([g_B / self.root, g_a / np.sqrt(self.A), g_b / np.sqrt(self.D)])
        ratio = self.r * g_a / self.A
        rest = g_b - self.c * float(ratio.sum()) / self.total
        w = self._solve_items(rest[:, None])[:, 0]
        cw = self.c * w
        left = g_B.reshape(len(self.x_mean), len(self.z_mean))
        left = left - np.outer(self.X.T @ ratio, self.z_mean)
        left = left - np.outer(self.x_mean, self.Z.T @ cw)
        left = left + np.outer(self.X.T @ self.rho, self.z_mean) * (float(cw.sum()) / self.total)
        t_B = solve_triangular(self.factor, left.ravel(), lower=True, check_finite=False)
        t_b = self._root_items(rest / np.sqrt(self.D))
        return np.concatenate([t_B, g_a / np.sqrt(self.A), t_b])

    def solve(self, gradient: Floats) -> Floats:
        """Return H^-1 g = L^-T L^-1 g."""
        return self.unscale(self.scale_gradient(gradient))
