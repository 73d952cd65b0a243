"""Half-sweeps as functions of arrays, with numpy and scipy only: no compilation to wait for.

The numba twins are in `_numba_kernels`; both are held to the same tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Floats, Integers, dot_rows

HalfSweep = Callable[..., Floats]


@dataclass(frozen=True)
class Kernels:
    """The inner loops of the solvers, by scipy (`SCIPY`) or compiled (`_numba_kernels.kernels`)."""

    weighted_half_sweep: HalfSweep
    sparse_times_dense: Callable[..., Floats]
    residual_sums: Callable[..., tuple[float, float]]


# Rows and entries of a batch: its matrices stay in the second-level cache.
_BATCH_ROWS, _BATCH_ENTRIES = 128, 2_048

# Entries above which a sparse product is worth the import of scipy.
WORTH_SCIPY = 20_000


def weighted_half_sweep(
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    ridge: Floats,
    offset: Floats | None = None,
) -> Floats:
    """Solve every row's weighted ridge regression on the rows of `design`.

    Row r minimises sum_j w_j (t_j - x . z_j)^2 + ridge_r |x|^2 over its entries j, in as many
    unknowns as `design` has columns or as the row has entries, whichever is less.

    Parameters
    ----------
    pointer : int64 array, shape (m + 1,)
        Where each row's entries begin.
    columns : int array, shape (n,)
        Row of `design` of each entry.
    weights, targets : float array, shape (n,)
    design : float array, shape (n_columns, d)
    ridge : float array, shape (m,)
    offset : float array, shape (n_columns,), optional
        What to take from the targets of each column first.

    Returns
    -------
    float array, shape (m, d)
        Zero for a row without entries.
    """
    if offset is not None:
        targets = targets - offset[columns]
    d = design.shape[1]
    solution = np.zeros((len(pointer) - 1, d), dtype=design.dtype)
    for rows, entries, inside in _batches(pointer):
        w = np.where(inside, weights[entries], 0.0).astype(design.dtype)[:, :, None]
        z = design.take(columns[entries], axis=0)
        scaled, aimed = w * z, w * targets[entries].astype(design.dtype)[:, :, None]
        turned = z.transpose(0, 2, 1)
        if z.shape[1] < d:  # x = Z'a: as many unknowns as entries
            system = _with_ridge(np.matmul(scaled, turned), ridge[rows])
            solution[rows] = np.matmul(turned, np.linalg.solve(system, aimed))[:, :, 0]
        else:
            system = _with_ridge(np.matmul(scaled.transpose(0, 2, 1), z), ridge[rows])
            solution[rows] = np.linalg.solve(system, np.matmul(turned, aimed))[:, :, 0]
    return solution


def _with_ridge(matrices: Floats, ridge: Floats) -> Floats:
    """Add each row's ridge to the diagonal of its matrix, in place."""
    diagonal = np.arange(matrices.shape[1])
    matrices[:, diagonal, diagonal] += ridge[:, None].astype(matrices.dtype)
    return matrices


def _batches(pointer: Integers) -> Iterator[tuple[Integers, Integers, NDArray[np.bool_]]]:
    """Yield rows of much the same number of entries, their entries and which of these are real.

    Entries have shape (rows, the most that one has); shorter rows repeat their first. Rows
    without entries do not come.
    """
    counts = np.diff(pointer)
    order = np.argsort(counts, kind="stable")
    length = counts[order]
    start = int(np.searchsorted(length, 0, side="right"))
    while start < len(order):
        alike = int(np.searchsorted(length, length[start] * 5 // 4 + 2, side="right"))
        most = max(1, _BATCH_ENTRIES // int(length[min(alike, start + _BATCH_ROWS) - 1]))
        rows = order[start : min(alike, start + min(most, _BATCH_ROWS))]
        place = np.arange(counts[rows[-1]])
        inside = place < counts[rows, None]
        yield rows, pointer[rows, None] + np.where(inside, place, 0), inside
        start += len(rows)


def shared_gram_half_sweep(right_side: Floats, design: Floats, ridge: Floats) -> Floats:
    """Solve every row's ridge regression where all rows see all of `design`.

    One eigendecomposition of the d x d Gram matrix serves every row and every ridge.

    Parameters
    ----------
    right_side : float array, shape (m, d)
        Targets times design, summed over all columns.
    design : float array, shape (n_columns, d)
    ridge : float array, shape (m,)
    """
    dtype = design.dtype
    values, vectors = np.linalg.eigh(design.T @ design)
    values = np.maximum(values, 0.0).astype(np.float64)
    if (ridge == ridge[:1]).all():  # one inverse for all
        return np.asarray(right_side @ ((vectors / (values + ridge[:1])) @ vectors.T).astype(dtype))
    shrunk = (right_side @ vectors) / (values + ridge[:, None]).astype(dtype)
    return np.asarray(shrunk @ vectors.T)


def sparse_times_dense(
    pointer: Integers, columns: Integers, values: Floats, dense: Floats
) -> Floats:
    """Multiply compressed rows by a dense matrix.

    Parameters
    ----------
    pointer : int array, shape (m + 1,)
    columns : int array, shape (n,)
    values : float array, shape (n,)
    dense : float array, shape (n_columns, d)
    """
    if len(columns) > WORTH_SCIPY:
        from scipy import sparse

        shape = (len(pointer) - 1, len(dense))
        return np.asarray(sparse.csr_array((values, columns, pointer), shape=shape) @ dense)
    product = np.zeros((len(pointer) - 1, dense.shape[1]), dtype=dense.dtype)
    for rows, entries, inside in _batches(pointer):
        weights = np.where(inside, values[entries], 0.0).astype(dense.dtype)[:, None, :]
        product[rows] = np.matmul(weights, dense.take(columns[entries], axis=0))[:, 0]
    return product


def residual_sums(
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    solved: Floats,
    offset: Floats,
    level: Floats,
) -> tuple[float, float]:
    """Return sum w r and sum w r^2 over all entries, r = t - offset - level - x . z.

    Parameters
    ----------
    pointer, columns, weights, targets, design
        As in `weighted_half_sweep`.
    solved : float array, shape (m, d)
    offset, level : float array, shapes (n_columns,), (m,)
        Of the columns and of the rows.
    """
    rows = np.repeat(np.arange(len(pointer) - 1), np.diff(pointer))
    residual = targets - offset[columns] - level[rows] - dot_rows(solved, design, rows, columns)
    weighted = weights * residual
    return (
        float(np.sum(weighted, dtype=np.float64)),
        float(np.sum(weighted * residual, dtype=np.float64)),
    )


SCIPY = Kernels(weighted_half_sweep, sparse_times_dense, residual_sums)
