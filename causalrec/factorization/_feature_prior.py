"""Features as a prior on the factors: z_i = W x_i + delta_i, with delta integrated out.

A row's solution z = (V_i, b_i) is drawn around what its features say. Given the other side, with
G_i and h_i the row's normal equations, l its ridge and K_i = (G_i + l I)^-1, minimising over
delta_i leaves a quadratic in W alone,

    sum_i l G_i K_i W x_i x_i' + l_w W = sum_i l K_i h_i x_i',      z_i = K_i (h_i + l W x_i),

which conjugate gradients solve from the W of the sweep before. A row without cells has z = W x:
users and items that nobody has met are predicted from their features. Solving for W and z in
turn has the same fixed point and crawls towards it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Floats, Integers

MAX_STEPS = 30
"""Steps of conjugate gradients in each half-sweep; each starts where the last one stopped."""

_BLOCK = 4_096
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class SidePrior:
    """What the features of one side say of its factors.

    Attributes
    ----------
    weights : float64 array, shape (k + 1, d)
        W; the last row is the bias's.
    shift : float
        Added to the bias of rows without cells: items that get rated are better than the average
        item, and this centres the prior on the cells that the loss speaks of.
    """

    weights: _Array
    shift: float = 0.0

    def means(self, x: _Array) -> _Array:
        """Return W x of each row, shape (n, k + 1)."""
        return np.asarray(x @ self.weights.T)

    def cold(self, x: _Array) -> _Array:
        """Return the solution of rows without cells, shape (n, k + 1)."""
        found = self.means(x)
        found[:, -1] += self.shift
        return found


class Rows(Protocol):
    """The normal equations of every row, given the other side."""

    @property
    def right_side(self) -> _Array:
        """h_i of each row, shape (n, k + 1)."""
        ...

    def solve(self, values: _Array) -> _Array:
        """Return K_i v_i for each row."""
        ...

    def mean_inverse(self) -> _Array:
        """Return the mean of K_i over the rows."""
        ...


@dataclass(frozen=True)
class OwnGrams:
    """Rows that each see their own cells: the weighted estimators."""

    inverses: Floats
    right_side: _Array

    def solve(self, values: _Array) -> _Array:
        """Return K_i v_i for each row."""
        return np.asarray(np.matmul(self.inverses, values[:, :, None])[:, :, 0], dtype=np.float64)

    def mean_inverse(self) -> _Array:
        """Return the mean of K_i over the rows."""
        return np.asarray(self.inverses.mean(0, dtype=np.float64))

    @classmethod
    def of(
        cls,
        pointer: Integers,
        columns: Integers,
        weights: Floats,
        targets: Floats,
        design: Floats,
        ridge: _Array,
    ) -> OwnGrams:
        """Build and invert them, a block of rows at a time."""
        from scipy import sparse

        n_rows, d = len(pointer) - 1, design.shape[1]
        upper, lower = np.triu_indices(d)
        packed = design[:, upper] * design[:, lower]
        inverses = np.empty((n_rows, d, d), dtype=design.dtype)
        right_side = np.empty((n_rows, d))
        for start in range(0, n_rows, _BLOCK):
            stop = min(start + _BLOCK, n_rows)
            part = slice(pointer[start], pointer[stop])
            index = (columns[part], pointer[start : stop + 1] - pointer[start])
            shape = (stop - start, len(design))
            w = sparse.csr_array((weights[part], *index), shape=shape)
            wt = sparse.csr_array((weights[part] * targets[part], *index), shape=shape)
            gram = np.empty((stop - start, d, d))
            gram[:, upper, lower] = gram[:, lower, upper] = w @ packed
            gram[:, np.arange(d), np.arange(d)] += ridge[start:stop, None]
            inverses[start:stop] = np.linalg.inv(gram)
            right_side[start:stop] = wt @ design
        return cls(inverses, right_side)


@dataclass(frozen=True)
class SharedGram:
    """Rows that all see every cell: the estimators over the whole grid."""

    vectors: _Array
    values: _Array
    ridge: _Array
    right_side: _Array

    def solve(self, values: _Array) -> _Array:
        """Return K_i v_i for each row."""
        scaled = (values @ self.vectors) / (self.values + self.ridge[:, None])
        return np.asarray(scaled @ self.vectors.T)

    def mean_inverse(self) -> _Array:
        """Return the mean of K_i over the rows."""
        diagonal = (1.0 / (self.values + self.ridge[:, None])).mean(0)
        return np.asarray((self.vectors * diagonal) @ self.vectors.T)

    @classmethod
    def of(cls, design: Floats, ridge: _Array, right_side: Floats) -> SharedGram:
        """Decompose the Gram matrix of the design."""
        values, vectors = np.linalg.eigh(np.asarray(design.T @ design, dtype=np.float64))
        return cls(vectors, np.maximum(values, 0.0), ridge, np.asarray(right_side, np.float64))


def solve_with_prior(
    rows: Rows, ridge: _Array, x: _Array, prior: SidePrior, prior_ridge: float
) -> tuple[SidePrior, _Array]:
    """Return W and every row's solution z, both exact given the other side.

    Parameters
    ----------
    rows : Rows
    ridge : float64 array, shape (n,)
        l of each row.
    x : float64 array, shape (n, d)
        Without columns, W is empty and z is the plain ridge solution.
    prior : SidePrior
        Where conjugate gradients start.
    prior_ridge : float
        l_w.
    """
    weights = prior.weights
    if x.shape[1]:
        scale = ridge[:, None]

        def operator(w: _Array) -> _Array:
            means = x @ w.T
            moved = scale * (means - scale * rows.solve(means))
            return np.asarray(moved.T @ x + prior_ridge * w)

        aim = (scale * rows.solve(rows.right_side)).T @ x
        precondition = _preconditioner(rows, ridge, x, prior_ridge)
        weights = _conjugate_gradients(operator, aim, weights, precondition)
    found = SidePrior(weights, prior.shift)
    return found, rows.solve(rows.right_side + ridge[:, None] * found.means(x))


def _preconditioner(
    rows: Rows, ridge: _Array, x: _Array, prior_ridge: float
) -> Callable[[_Array], _Array]:
    """Return the inverse of mean(l G_i K_i) (x) X'X + l_w I, by two small decompositions."""
    mean = float(ridge.mean())
    inverse = rows.mean_inverse()
    curvature = mean * (np.eye(len(inverse)) - mean * inverse)
    outer, left = np.linalg.eigh((curvature + curvature.T) / 2.0)
    inner, right = np.linalg.eigh(x.T @ x)
    spectrum = np.maximum(outer, 0.0)[:, None] * np.maximum(inner, 0.0) + prior_ridge

    def apply(w: _Array) -> _Array:
        return np.asarray(left @ ((left.T @ w @ right) / spectrum) @ right.T)

    return apply


def _conjugate_gradients(
    operator: Callable[[_Array], _Array],
    aim: _Array,
    start: _Array,
    precondition: Callable[[_Array], _Array],
) -> _Array:
    solution, residual = start.copy(), aim - operator(start)
    enough = 1e-16 * float(np.sum(aim * aim))
    step = precondition(residual)
    direction, size = step, float(np.sum(residual * step))
    for _ in range(MAX_STEPS):
        if float(np.sum(residual * residual)) <= enough or size <= 0.0:
            break
        image = operator(direction)
        rate = size / float(np.sum(direction * image))
        solution += rate * direction
        residual -= rate * image
        step = precondition(residual)
        before, size = size, float(np.sum(residual * step))
        direction = step + (size / before) * direction
    return solution
