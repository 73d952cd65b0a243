"""Half-sweeps as functions of arrays, with scipy only: no compilation to wait for.

The numba twins are in `_numba_kernels`; both are held to the same tests.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from causalrec.factorization._common import Floats, Integers

# Rows whose packed Gram matrices are held at once.
_BLOCK = 4_096


def weighted_half_sweep(
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    ridge: Floats,
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

    Returns
    -------
    float array, shape (m, d)
        Zero for a row without entries.
    """
    n_rows, d = len(pointer) - 1, design.shape[1]
    upper, lower = np.triu_indices(d)
    packed = design[:, upper] * design[:, lower]
    solution = np.zeros((n_rows, d), dtype=design.dtype)
    for start in range(0, n_rows, _BLOCK):
        stop = min(start + _BLOCK, n_rows)
        part = slice(pointer[start], pointer[stop])
        shape = (stop - start, len(design))
        index = (columns[part], pointer[start : stop + 1] - pointer[start])
        w = sparse.csr_array((weights[part], *index), shape=shape)
        wt = sparse.csr_array((weights[part] * targets[part], *index), shape=shape)
        gram = np.empty((stop - start, d, d), dtype=design.dtype)
        gram[:, upper, lower] = gram[:, lower, upper] = w @ packed
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
    values, vectors = np.linalg.eigh(design.T @ design)
    shrunk = (right_side @ vectors) / (np.maximum(values, 0.0) + ridge[:, None])
    return np.asarray(shrunk @ vectors.T, dtype=design.dtype)
