"""The closed form of the whole-grid loss without biases: a soft-thresholded decomposition.

The score's leading singular vectors come from block subspace iteration of sparse + low rank.

With one ridge l for every row, min over U, V of |M - U V'|^2 + l (|U|^2 + |V|^2) is reached by the
leading singular vectors of M with singular values (s - l)+, each shared between U and V as its
square root (Srebro, Rennie & Jaakkola 2004; Mazumder, Hastie & Tibshirani 2010, theorem 3). Here
M is the score less its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.factorization._common import Factors, Floats, Pattern, has_converged
from causalrec.factorization._doubly_robust import Score, loss_over_all_cells
from causalrec.factorization._kernels import SCIPY, Kernels
from causalrec.factorization._weighted import Fit

# Columns beside the rank: the iteration converges at the rate of the singular values beyond them.
SPARE_COLUMNS = 8


@dataclass(frozen=True)
class CentredScore:
    """The score less a constant, as a linear map: A B' + S - mean 1 1'."""

    score: Score
    mean: float
    kernels: Kernels = SCIPY

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return len(self.score.left), len(self.score.right)

    def times(self, right: Floats) -> Floats:
        """Return M right, for right of shape (n_items, r)."""
        rows, score = self.score.by_user, self.score
        product = self.kernels.sparse_times_dense(rows.pointer, rows.columns, rows.values, right)
        level = right.dtype.type(self.mean) * right.sum(0)
        return np.asarray(product + score.left @ (score.right.T @ right) - level)

    def transposed_times(self, left: Floats) -> Floats:
        """Return M' left, for left of shape (n_users, r)."""
        rows, score = self.score.by_item, self.score
        product = self.kernels.sparse_times_dense(rows.pointer, rows.columns, rows.values, left)
        level = left.dtype.type(self.mean) * left.sum(0)
        return np.asarray(product + score.right @ (score.left.T @ left) - level)


def leading_singular_triplets(matrix: CentredScore, right: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (left vectors, singular values, right vectors) after one pass from a subspace.

    Parameters
    ----------
    matrix : CentredScore
    right : float array, shape (n_items, r)
        Spans the subspace to start from.
    """
    basis = np.linalg.qr(matrix.times(right))[0]
    vectors, values, turned = np.linalg.svd(matrix.transposed_times(basis), full_matrices=False)
    return basis @ turned.T, values, vectors


def fit_by_svd(
    pattern: Pattern,
    score: Score,
    n_factors: int,
    ridge: float,
    rng: np.random.Generator,
    *,
    n_sweeps: int,
    tol: float = 0.0,
    kernels: Kernels = SCIPY,
) -> Fit:
    """Minimise sum_all (s - mean - U V')^2 + ridge (|U|^2 + |V|^2) in closed form.

    Parameters
    ----------
    pattern : Pattern
    score : Score
    n_factors : int
    ridge : float
        In units of the grid, as in `fit_doubly_robust`; singular values below it vanish.
    rng : numpy.random.Generator
        Draws the subspace to start from.
    n_sweeps : int
        At most so many passes over the score and its transpose.
    tol : float
    kernels : Kernels
    """
    dtype, mean = score.left.dtype, score.mean()
    matrix = CentredScore(score, mean, kernels)
    width = min(n_factors + SPARE_COLUMNS, *matrix.shape)
    right = rng.normal(size=(matrix.shape[1], width)).astype(dtype)
    rows = np.full(matrix.shape[0], ridge), np.full(matrix.shape[1], ridge)
    none = np.zeros(matrix.shape[0], dtype=dtype), np.zeros(matrix.shape[1], dtype=dtype)
    losses: list[float] = []
    for _ in range(n_sweeps):
        left, values, right = leading_singular_triplets(matrix, right)
        root = np.zeros(n_factors, dtype=dtype)
        kept = np.maximum(values[:n_factors] - ridge, 0.0)
        root[: len(kept)] = np.sqrt(kept)
        sides = _padded(left, n_factors) * root, _padded(right, n_factors) * root
        factors = Factors(mean, sides[0], sides[1], none[0], none[1], biased=False)
        losses.append(loss_over_all_cells(pattern, score, factors, rows))
        if has_converged(losses, tol):
            return Fit(factors, losses, True)
    return Fit(factors, losses, False)


def _padded(vectors: Floats, n_factors: int) -> Floats:
    """Return as many columns as there are factors; a small grid has fewer singular vectors."""
    missing = max(n_factors - vectors.shape[1], 0)
    return np.pad(vectors[:, :n_factors], ((0, 0), (0, missing)))
