"""The compiled kernels: functions of arrays over a row range, without the interpreter's lock.

Threads stay outside, over fixed blocks of rows, so the bytes of a result do not
depend on how many there are. Nothing here is imported before the work is worth a compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Floats, Integers
from causalrec.factorization._kernels import Kernels
from causalrec.factorization._vectors import (
    TILE_ROWS,
    VECTOR_BYTES,
    dot,
    fold_rows,
    gram_tile,
    row_sum,
)
from causalrec.threads import compiled

# Rows of a thread's task. A multiple of every number of lanes.
_BLOCK = 2_048

# Bytes of a cache line.
_LINE = 64


def kernels(n_jobs: int = 1) -> Kernels:
    """Return the compiled twins of `_kernels.SCIPY`, for a number of threads."""
    return Kernels(
        partial(weighted_half_sweep, n_jobs=n_jobs),
        partial(sparse_times_dense, n_jobs=n_jobs),
        partial(residual_sums, n_jobs=n_jobs),
    )


# ------------------------------------------------------------------ weighted least squares


@compiled
def _solve_lanes(matrices: Floats, inverse_roots: Floats, ones: Floats, x: Floats) -> None:
    """Solve as many systems as there are lanes by Cholesky; row d of the matrices is b.

    A pivot that rounding made zero or negative says that the data do not show its direction: the
    solution is zero there.
    """
    d, lanes = x.shape
    for a in range(d):
        fold_rows(matrices, a, 1, a, a, ones, 0)
        for lane in range(lanes):
            pivot = matrices[a, a, lane]
            inverse_roots[a, lane] = 1.0 / np.sqrt(pivot) if pivot > 0.0 else 0.0
        row = a + 1
        while row + 4 <= d + 1:
            fold_rows(matrices, row, 4, a, a, inverse_roots, a)
            row += 4
        while row <= d:
            fold_rows(matrices, row, 1, a, a, inverse_roots, a)
            row += 1
    x[:] = matrices[d]
    for a in range(d - 1, -1, -1):
        for lane in range(lanes):
            x[a, lane] *= inverse_roots[a, lane]
        for b in range(a):
            for lane in range(lanes):
                x[b, lane] -= matrices[a, b, lane] * x[a, lane]


@compiled
def _weighted_gram(
    design: Floats, columns: Integers, weights: Floats, begin: int, end: int, gram: Floats
) -> None:
    """Write the upper triangle of sum_e w_e z_e z_e', a block of registers at a time."""
    width = design.shape[1]
    lanes = VECTOR_BYTES // design.itemsize
    for row in range(0, width, TILE_ROWS):
        at = row // lanes * lanes
        while at + 2 * lanes <= width:
            gram_tile(design, columns, weights, begin, end, row, TILE_ROWS, at, 2, gram)
            at += 2 * lanes
        if at < width:
            gram_tile(design, columns, weights, begin, end, row, TILE_ROWS, at, 1, gram)


@compiled
def _weighted_row(
    design: Floats,
    columns: Integers,
    values: Floats,
    begin: int,
    end: int,
    shift: int,
    out: Floats,
    to: int,
) -> None:
    """Write sum_e v_e z_e into the flat `out` from `to` on."""
    width = design.shape[1]
    lanes = VECTOR_BYTES // design.itemsize
    at = 0
    while at + 2 * lanes <= width:
        row_sum(design, columns, values, begin, end, shift, at, 2, out, to + at)
        at += 2 * lanes
    if at < width:
        row_sum(design, columns, values, begin, end, shift, at, 1, out, to + at)


@compiled
def _place(
    gram: Floats, sums: Floats, totals: Floats, ridge: float, matrices: Floats, lane: int
) -> None:
    """Copy a row's normal equations into its lane: the lower triangle, and b as a last row."""
    d = matrices.shape[1]
    k = d - 1 if len(totals) else d
    for a in range(k):
        for b in range(a + 1):
            matrices[a, b, lane] = gram[b, a]
        matrices[a, a, lane] += ridge
        matrices[d, a, lane] = sums[1, a]
    if k < d:
        for a in range(k):
            matrices[k, a, lane] = sums[0, a]
        matrices[k, k, lane] = totals[0] + ridge
        matrices[d, k, lane] = totals[1]


@compiled
def _solve_rows(
    first: int,
    last: int,
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    offset: Floats,
    design: Floats,
    k: int,
    ridge: Floats,
    out: Floats,
) -> None:
    """Solve the weighted ridge regressions of rows first..last-1, as many at once as lanes.

    `design` is padded by zeros to whole vectors; its first k columns count. Where `out` is one
    wider, a column of ones follows them, whose sums need no products.
    """
    lanes, d = VECTOR_BYTES // design.itemsize, out.shape[1]
    gram = np.zeros((design.shape[1], design.shape[1]), design.dtype)
    sums = np.zeros((2, design.shape[1]), design.dtype)
    flat = sums.ravel()
    totals = np.zeros(2 if d > k else 0, design.dtype)
    matrices = np.zeros((d + 1, d, lanes), design.dtype)
    inverse_roots = np.zeros((d, lanes), design.dtype)
    x = np.zeros((d, lanes), design.dtype)
    ones = np.ones((1, lanes), design.dtype)
    longest = 0
    for row in range(first, last):
        longest = max(longest, pointer[row + 1] - pointer[row])
    pulls = np.empty(longest, design.dtype)
    for start in range(first, last, lanes):
        for lane in range(min(lanes, last - start)):
            row = start + lane
            begin, end = pointer[row], pointer[row + 1]
            mass, pull = weights.dtype.type(0.0), weights.dtype.type(0.0)
            for entry in range(begin, end):
                w = weights[entry]
                wt = w * (targets[entry] - offset[columns[entry]])
                pulls[entry - begin] = wt
                mass += w
                pull += wt
            if d > k:
                totals[0], totals[1] = mass, pull
                _weighted_row(design, columns, weights, begin, end, 0, flat, 0)
            _weighted_row(design, columns, pulls, begin, end, begin, flat, design.shape[1])
            _weighted_gram(design, columns, weights, begin, end, gram)
            _place(gram, sums, totals, ridge[row], matrices, lane)
        _solve_lanes(matrices, inverse_roots, ones, x)
        for lane in range(min(lanes, last - start)):
            for a in range(d):
                out[start + lane, a] = x[a, lane]


def weighted_half_sweep(
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    ridge: Floats,
    offset: Floats | None = None,
    n_jobs: int = 1,
) -> Floats:
    """Solve every row's weighted ridge regression: the twin of `_kernels.weighted_half_sweep`.

    A last column of ones, which every model with biases has, is not multiplied.
    """
    dtype, (n_columns, d) = design.dtype, design.shape
    k = d - 1 if d and bool((design[:, -1] == 1.0).all()) else d
    arrays = (
        *_entries(pointer, columns, weights, targets, dtype),
        _offset(offset, n_columns, dtype),
        padded(design[:, :k]),
        k,
        np.ascontiguousarray(ridge, dtype=dtype),
    )
    out = np.zeros((len(pointer) - 1, d), dtype=dtype)
    over_blocks(_solve_rows, len(pointer) - 1, (*arrays, out), n_jobs)
    return out


def _entries(pointer: Integers, columns: Integers, *values: Any) -> tuple[Any, ...]:
    """Return compressed rows in the types that the kernels are compiled for."""
    *floats, dtype = values
    return (
        np.ascontiguousarray(pointer, dtype=np.int64),
        np.ascontiguousarray(columns, dtype=np.int32),
        *(np.ascontiguousarray(one, dtype=dtype) for one in floats),
    )


def _offset(offset: Floats | None, size: int, dtype: Any) -> Floats:
    if offset is None:
        return np.zeros(size, dtype=dtype)
    return np.ascontiguousarray(offset, dtype=dtype)


def padded(matrix: Floats) -> Floats:
    """Return a copy whose rows are whole vectors, zeros behind, that starts with a cache line.

    A vector across two lines is two loads, and half of numpy's arrays begin in the middle of one.
    """
    lanes = max(VECTOR_BYTES // matrix.dtype.itemsize, TILE_ROWS)
    rows, width = matrix.shape
    out = aligned(rows, width + -width % lanes, matrix.dtype)
    out[:, :width] = matrix
    out[:, width:] = 0
    return out


def aligned(rows: int, width: int, dtype: Any) -> Floats:
    """Return an array, not set to anything, that starts with a cache line."""
    size = rows * width * np.dtype(dtype).itemsize
    memory = np.empty(size + _LINE, dtype=np.uint8)
    first = -memory.ctypes.data % _LINE
    out: Floats = memory[first : first + size].view(dtype).reshape(rows, width)
    return out


# ------------------------------------------------------------------ products and residuals


@compiled
def _multiply_rows(
    first: int,
    last: int,
    pointer: Integers,
    columns: Integers,
    values: Floats,
    dense: Floats,
    out: Floats,
) -> None:
    width = dense.shape[1]
    for row in range(first, last):
        _weighted_row(dense, columns, values, pointer[row], pointer[row + 1], 0, out, row * width)


def sparse_times_dense(
    pointer: Integers, columns: Integers, values: Floats, dense: Floats, n_jobs: int = 1
) -> Floats:
    """Multiply compressed rows by a dense matrix: the twin of `_kernels.sparse_times_dense`."""
    dtype, n_rows = dense.dtype, len(pointer) - 1
    whole = padded(dense)
    out = aligned(n_rows, whole.shape[1], dtype)
    arrays = (*_entries(pointer, columns, values, dtype), whole, out.reshape(-1))
    over_blocks(_multiply_rows, n_rows, arrays, n_jobs)
    return out if out.shape[1] == dense.shape[1] else out[:, : dense.shape[1]]


@compiled
def _residual_rows(
    first: int,
    last: int,
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    offset: Floats,
    level: Floats,
    design: Floats,
    solved: Floats,
    out: NDArray[np.float64],
) -> None:
    """Write sum w r and sum w r^2 of each row."""
    for row in range(first, last):
        total, square = 0.0, 0.0
        for entry in range(pointer[row], pointer[row + 1]):
            column = columns[entry]
            residual = targets[entry] - offset[column] - level[row]
            residual -= dot(solved, row, design, column)
            total += weights[entry] * residual
            square += weights[entry] * residual * residual
        out[row, 0], out[row, 1] = total, square


def residual_sums(
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    solved: Floats,
    offset: Floats,
    level: Floats,
    n_jobs: int = 1,
) -> tuple[float, float]:
    """Return sum w r and sum w r^2 over all entries: the twin of `_kernels.residual_sums`."""
    dtype, n_rows = design.dtype, len(pointer) - 1
    out = np.empty((n_rows, 2))
    arrays = (
        *_entries(pointer, columns, weights, targets, dtype),
        np.ascontiguousarray(offset, dtype=dtype),
        np.ascontiguousarray(level, dtype=dtype),
        padded(design),
        padded(solved),
        out,
    )
    over_blocks(_residual_rows, n_rows, arrays, n_jobs)
    total, square = out.sum(0)
    return float(total), float(square)


def over_blocks(
    kernel: Callable[..., None], n_rows: int, arrays: tuple[Any, ...], n_jobs: int
) -> None:
    """Run a kernel over fixed blocks of rows, in threads where there is more than one."""
    starts = range(0, n_rows, _BLOCK)
    if n_jobs == 1 or len(starts) < 2:
        kernel(0, n_rows, *arrays)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=n_jobs) as pool:
        jobs = [pool.submit(kernel, s, min(s + _BLOCK, n_rows), *arrays) for s in starts]
        for job in jobs:
            job.result()
