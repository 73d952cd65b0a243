"""A ridge regression on user features, item features and their crosses, as a low-rank prior.

f0 = mu + x_u . a + z_i . b + x_u' C z_i is A B' with a few columns, whatever the size of the
grid. Matrix factorisation then works on what the features leave: users and items without events
are predicted from their features alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import SMALLEST_RIDGE, Floats, Integers, Pattern, dot_rows

# Up to here the normal equations are built and solved at once; beyond, conjugate gradients.
MAX_DENSE_COLUMNS = 1_024
_CHUNK = 32_768


@dataclass(frozen=True)
class FeaturePrior:
    """The coefficients of the feature regression.

    Attributes
    ----------
    intercept : float
    user, item : float64 array, shapes (p,), (q,)
        Main effects a and b.
    crosses : float64 array, shape (p, q)
        C, the coefficients of the products.
    """

    intercept: float
    user: NDArray[np.float64]
    item: NDArray[np.float64]
    crosses: NDArray[np.float64]

    def user_side(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return A, shape (m, q + 2): [x C, x a + mu, 1]."""
        level = x @ self.user + self.intercept
        return np.column_stack([x @ self.crosses, level, np.ones(len(x))])

    def item_side(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return B, shape (n, q + 2): [z, 1, z b]."""
        return np.column_stack([z, np.ones(len(z)), z @ self.item])


def fit_feature_prior(
    pattern: Pattern,
    outcome: Floats,
    weights: Floats,
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    ridge: float,
    *,
    max_dense_columns: int = MAX_DENSE_COLUMNS,
) -> FeaturePrior:
    """Minimise sum_obs w (y - f0)^2 + ridge (|a|^2 + |b|^2 + |C|^2); mu is not penalised.

    Parameters
    ----------
    pattern : Pattern
    outcome, weights : float array, shape (n,)
        Weights of mean 1.
    x, z : float64 array, shapes (n_users, p), (n_items, q)
        Encoded features, without an intercept.
    ridge : float
        In units of mean-1 weights.
    max_dense_columns : int
        Above this many coefficients the normal equations are solved without building them.
    """
    w = np.asarray(weights, dtype=np.float64)
    y = np.asarray(outcome, dtype=np.float64)
    p, q = x.shape[1], z.shape[1]
    size = 1 + p + q + p * q
    solve = _solve_dense if size <= max_dense_columns else _solve_iteratively
    solution = solve(pattern, y, w, x, z, block_ridge(x, z, ridge))
    user, item, crosses = np.split(solution[1:], [p, p + q])
    return FeaturePrior(float(solution[0]), user, item, crosses.reshape(p, q))


def block_ridge(
    x: NDArray[np.float64], z: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Return the ridge of each coefficient: the same prior for the block whatever its width.

    A block of features moves a cell by x . a, whose prior variance is |x|^2 / ridge. The ridge is
    scaled by the mean |x|^2 and by the number of blocks, so that user features, item features and
    crosses share the prior variance of one bias, and a wide table of crosses cannot drown the
    rest.

    Examples
    --------
    >>> import numpy as np
    >>> block_ridge(np.ones((5, 2)), np.ones((4, 1)), 3.0).tolist()
    [0.0, 18.0, 18.0, 9.0, 18.0, 18.0]
    """
    p, q = x.shape[1], z.shape[1]
    user, item = float(np.square(x).sum(1).mean()), float(np.square(z).sum(1).mean())
    scale = np.repeat([user, item, user * item], [p, q, p * q])
    n_blocks = sum(size > 0 for size in (p, q, p * q))
    # A block of rare levels has |x|^2 below 1; its prior is then no wider than a bias's.
    return np.concatenate([[0.0], n_blocks * max(ridge, SMALLEST_RIDGE) * np.maximum(scale, 1.0)])


def _solve_dense(
    pattern: Pattern, y: Floats, w: Floats, x: Floats, z: Floats, ridge: Floats
) -> NDArray[np.float64]:
    from scipy.linalg import solve

    size = (1 + x.shape[1]) * (1 + z.shape[1])
    gram, right_side = np.zeros((size, size)), np.zeros(size)
    for start in range(0, pattern.n, _CHUNK):
        part = slice(start, start + _CHUNK)
        design = _rows(x[pattern.users[part]], z[pattern.items[part]])
        weighted = design * w[part, None]
        gram += design.T @ weighted
        right_side += weighted.T @ y[part]
    gram[np.arange(size), np.arange(size)] += ridge
    return np.asarray(solve(gram, right_side, assume_a="pos"))


def _rows(x: Floats, z: Floats) -> NDArray[np.float64]:
    """Return [1, x, z, x_j z_k], one row a cell."""
    crosses = (x[:, :, None] * z[:, None, :]).reshape(len(x), -1)
    return np.hstack([np.ones((len(x), 1)), x, z, crosses])


def _solve_iteratively(
    pattern: Pattern, y: Floats, w: Floats, x: Floats, z: Floats, ridge: Floats
) -> NDArray[np.float64]:
    from scipy.sparse.linalg import LinearOperator, cg

    forward = partial(_forward, pattern, x, z)
    adjoint = partial(_adjoint, pattern, x, z)
    diagonal = adjoint(w, squared=True) + ridge
    normal = LinearOperator(
        (len(ridge), len(ridge)), matvec=lambda v: adjoint(w * forward(v)) + ridge * v
    )
    scale = LinearOperator(normal.shape, matvec=lambda v: v / diagonal)
    solution, _ = cg(normal, adjoint(w * y), rtol=1e-10, maxiter=500, M=scale)
    return np.asarray(solution)


def _forward(pattern: Pattern, x: Floats, z: Floats, v: Floats) -> Floats:
    """Return the fitted values of the observed cells."""
    p, q = x.shape[1], z.shape[1]
    users: Integers = pattern.users
    crosses = dot_rows(x @ v[1 + p + q :].reshape(p, q), z, users, pattern.items)
    main = (x @ v[1 : 1 + p])[users] + (z @ v[1 + p : 1 + p + q])[pattern.items]
    return np.asarray(v[0] + main + crosses)


def _adjoint(
    pattern: Pattern, x: Floats, z: Floats, r: Floats, *, squared: bool = False
) -> NDArray[np.float64]:
    """Return design' r; with `squared`, the design's squares (the diagonal of the Gram)."""
    from scipy import sparse

    x, z = (x**2, z**2) if squared else (x, z)
    shape = (pattern.n_users, pattern.n_items)
    by_user: sparse.csr_array = sparse.csr_array(
        (r, pattern.items, pattern.user_pointer), shape=shape
    )
    gathered = by_user @ z
    user = x.T @ (by_user @ np.ones(len(z)))
    return np.concatenate([[r.sum()], user, gathered.sum(0), (x.T @ gathered).ravel()])
