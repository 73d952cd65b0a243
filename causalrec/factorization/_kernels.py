"""Half-sweeps as functions of arrays, with scipy only: no compilation to wait for.

The numba twins are in `_numba_kernels`; both are held to the same tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from causalrec.factorization._common import Floats, Integers, dot_rows

HalfSweep = Callable[..., Floats]


@dataclass(frozen=True)
class Kernels:
    """The inner loops of the solvers, by scipy (`SCIPY`) or compiled (`_numba_kernels.kernels`)."""

    weighted_half_sweep: HalfSweep
    sparse_times_dense: Callable[..., Floats]
    residual_sums: Callable[..., tuple[float, float]]


# Rows whose packed Gram matrices are held at once.
_BLOCK = 4_096


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

    Row r minimises sum_j w_j (t_j - x . z_j)^2 + ridge_r |x|^2 over its entries j.

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
    n_rows, d = len(pointer) - 1, design.shape[1]
    upper, lower = np.triu_indices(d)
    packed = design.take(upper, axis=1) * design.take(lower, axis=1)
    place = np.zeros((d, d), dtype=np.intp)  # of each entry of the matrix in its triangle
    place[upper, lower] = place[lower, upper] = np.arange(len(upper))
    solution = np.zeros((n_rows, d), dtype=design.dtype)
    for start in range(0, n_rows, _BLOCK):
        stop = min(start + _BLOCK, n_rows)
        part = slice(pointer[start], pointer[stop])
        shape = (stop - start, len(design))
        index = (columns[part], pointer[start : stop + 1] - pointer[start])
        w = sparse.csr_array((weights[part], *index), shape=shape)
        wt = sparse.csr_array((weights[part] * targets[part], *index), shape=shape)
        gram = (w @ packed).take(place, axis=1, mode="clip")
        gram[:, np.arange(d), np.arange(d)] += ridge[start:stop, None].astype(design.dtype)
        solution[start:stop] = np.linalg.solve(gram, (wt @ design)[:, :, None])[:, :, 0]
    return solution


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
    shape = (len(pointer) - 1, len(dense))
    return np.asarray(sparse.csr_array((values, columns, pointer), shape=shape) @ dense)


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
