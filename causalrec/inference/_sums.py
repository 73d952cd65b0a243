"""Sums of an influence over groups: what a variance needs, in three memory shapes.

Every term of a clustered variance is the Gram matrix of an influence summed over groups (users,
items, cells). The groups of one dimension fit in memory; the cells of a grid may not. The classes
below hold the sums densely, as low rank plus sparse, or only as their Gram matrix, and answer the
same two questions: the Gram matrix, and the cross-Gram with another computation on the same groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import ResultError
from causalrec.threads import one_thread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer]


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, with zero where the denominator is zero."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    quotient: FloatArray = np.divide(
        numerator, denominator, out=np.zeros(shape), where=denominator != 0.0
    )
    return quotient


class Sums(ABC):
    """Influence of K columns summed over the groups of one set of dimensions."""

    @cached_property
    @abstractmethod
    def gram(self) -> FloatArray:
        """Sum over groups of the outer product, (K, K)."""

    @abstractmethod
    def cross(self, other: Sums) -> FloatArray:
        """Sum over groups of the outer product with another computation, (K, K')."""

    def variance(self, matrix: FloatArray) -> FloatArray:
        """Gram matrix of the columns mapped by `matrix` (K, q), as (q, q)."""
        mapped: FloatArray = matrix.T @ self.gram @ matrix
        return mapped


class DenseSums(Sums):
    """Sums held as an array (groups, K)."""

    def __init__(self, values: FloatArray) -> None:
        self.values = values

    @cached_property
    @one_thread
    def gram(self) -> FloatArray:
        product: FloatArray = self.values.T @ self.values
        return product

    @one_thread
    def cross(self, other: Sums) -> FloatArray:
        if isinstance(other, GroupedSums):
            return other.cross(self).T
        if not isinstance(other, DenseSums):
            raise not_alike()
        product: FloatArray = self.values.T @ other.values
        return product


class SmallSums(DenseSums):
    """Dense sums over few groups: mapped before they are squared, so nothing cancels."""

    @one_thread
    def variance(self, matrix: FloatArray) -> FloatArray:
        mapped = self.values @ matrix
        product: FloatArray = mapped.T @ mapped
        return product


class GroupedSums(Sums):
    """Cells that each belong to one group: column (j, g) is `values[:, j]` where the group is g.

    Parameters
    ----------
    values : float array (cells, q)
    groups : int array (cells,)
        The code n_groups is in no column.
    n_groups : int
        K = q x n_groups; the groups of column 0 come first.
    squares : float array (n_groups + 1,), optional
        Sum of the squares of a single column by group, where a pass has it already.
    """

    def __init__(
        self,
        values: FloatArray,
        groups: IntArray,
        n_groups: int,
        squares: FloatArray | None = None,
    ) -> None:
        self.values, self.groups, self.n_groups = values, groups, n_groups
        self.squares = squares

    @cached_property
    def gram(self) -> FloatArray:
        if self.values.shape[1] > 1:
            return self.cross(self)
        if self.squares is not None:  # no cell is in two groups
            return np.diag(self.squares[:-1])
        product = np.square(self.values[:, 0])
        squares: FloatArray = np.bincount(self.groups, product, self.n_groups + 1).astype(float)
        return np.diag(squares[:-1])

    def cross(self, other: Sums) -> FloatArray:
        if isinstance(other, DenseSums):
            other = GroupedSums(other.values, np.zeros(len(other.values), np.int64), 1)
        if not isinstance(other, GroupedSums):
            raise not_alike()
        q, r, width = self.values.shape[1], other.values.shape[1], other.n_groups + 1
        if other is self:  # a row is in one group: only products within it are not zero
            blocks = np.zeros((q, self.n_groups, q, self.n_groups))
            own = np.arange(self.n_groups)
            for j in range(q):
                for k in range(j + 1):
                    product = self.values[:, j] * self.values[:, k]
                    summed = np.bincount(self.groups, product, minlength=width)[:-1]
                    blocks[j, own, k, own] = blocks[k, own, j, own] = summed
            return blocks.reshape(q * self.n_groups, -1)
        joint = self.groups * np.int64(width) + other.groups
        blocks = np.zeros((q, self.n_groups, r, other.n_groups))
        for j in range(q):
            for k in range(r):
                product = self.values[:, j] * other.values[:, k]
                summed = np.bincount(joint, product, minlength=(self.n_groups + 1) * width)
                blocks[j, :, k, :] = summed.reshape(-1, width)[:-1, :-1]
        return blocks.reshape(q * self.n_groups, r * other.n_groups)


class GramSums(Sums):
    """Cells that were streamed block by block: only the Gram matrix of their totals is left.

    Parameters
    ----------
    total_gram : float array (Q, Q)
        Gram matrix of the joint totals; shared by every estimate made of them.
    matrix : float array (Q, K)
        The columns as linear maps of the totals.
    """

    def __init__(self, total_gram: FloatArray, matrix: FloatArray) -> None:
        self.total_gram, self.matrix = total_gram, matrix

    @cached_property
    def gram(self) -> FloatArray:
        return self.cross(self)

    def cross(self, other: Sums) -> FloatArray:
        if not isinstance(other, GramSums) or other.total_gram is not self.total_gram:
            raise not_alike()
        product: FloatArray = self.matrix.T @ self.total_gram @ other.matrix
        return product


class JoinedSums(Sums):
    """Several computations on the same groups, side by side."""

    def __init__(self, parts: Sequence[Sums]) -> None:
        self.parts = parts

    @cached_property
    def gram(self) -> FloatArray:
        return self.cross(self)

    def cross(self, other: Sums) -> FloatArray:
        others = other.parts if isinstance(other, JoinedSums) else [other]
        return np.block([[a.gram if a is b else a.cross(b) for b in others] for a in self.parts])


def join_sums(parts: Sequence[Sums]) -> Sums:
    """Return the columns of several computations on the same groups as one."""
    small = [part for part in parts if isinstance(part, SmallSums)]
    if len(small) == len(parts):
        return SmallSums(np.hstack([part.values for part in small]))
    flat: list[Sums] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, JoinedSums) else [part])
    return JoinedSums(flat)


def not_alike() -> ResultError:
    """Build the error for sums whose cross-products are unknown."""
    return ResultError(
        "These estimates cannot be combined: their cells were summed in different ways, so the"
        " covariance between them is not known. Compute both in one call (one score with two"
        " columns, or one CellTotals), then take the contrast."
    )
