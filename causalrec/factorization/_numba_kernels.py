"""The compiled kernels: functions of arrays over a row range, without the interpreter's lock.

Threads stay outside, over fixed blocks of rows, so the bytes of a result do not
depend on how many there are. Nothing here is imported before the work is worth a compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from causalrec.factorization._common import Floats, Integers

Function = TypeVar("Function", bound=Callable[..., Any])

# Rows of the design gathered before one matrix product: 512 x 33 numbers stay in cache.
_GATHER = 512
_BLOCK = 2_048


def _compiled(function: Function) -> Function:
    """Compile on first use, and keep the machine code on disk where a folder can be written."""
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no writable cache folder: compile in each process
        return cast(Function, numba.njit(nogil=True)(function))


@_compiled
def _solve_in_place(gram: Floats, x: Floats) -> None:
    """Replace x by gram^-1 x; the lower triangle of gram becomes its Cholesky factor."""
    d = len(x)
    for a in range(d):
        pivot = gram[a, a]
        for b in range(a):
            pivot -= gram[a, b] * gram[a, b]
        root = np.sqrt(pivot)
        gram[a, a] = root
        for c in range(a + 1, d):
            value = gram[c, a]
            for b in range(a):
                value -= gram[c, b] * gram[a, b]
            gram[c, a] = value / root
    for a in range(d):
        value = x[a]
        for b in range(a):
            value -= gram[a, b] * x[b]
        x[a] = value / gram[a, a]
    for a in range(d - 1, -1, -1):
        value = x[a]
        for b in range(a + 1, d):
            value -= gram[b, a] * x[b]
        x[a] = value / gram[a, a]


@_compiled
def _solve_rows(
    first: int,
    last: int,
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    ridge: Floats,
    out: Floats,
) -> None:
    """Solve the weighted ridge regressions of rows first..last-1 by Cholesky."""
    d = design.shape[1]
    left = np.empty((_GATHER, d), design.dtype)
    right = np.empty((_GATHER, d), design.dtype)
    gram = np.empty((d, d), design.dtype)
    part = np.empty((d, d), design.dtype)
    x = np.empty(d, design.dtype)
    for row in range(first, last):
        gram[:] = 0
        x[:] = 0
        begin, end = pointer[row], pointer[row + 1]
        if begin == end:
            out[row] = 0
            continue
        for chunk in range(begin, end, _GATHER):
            size = min(_GATHER, end - chunk)
            for j in range(size):
                z = design[columns[chunk + j]]
                w = weights[chunk + j]
                wt = w * targets[chunk + j]
                for a in range(d):
                    left[j, a] = w * z[a]
                    right[j, a] = z[a]
                    x[a] += wt * z[a]
            np.dot(left[:size].T, right[:size], part)
            gram += part
        for a in range(d):
            gram[a, a] += ridge[row]
        _solve_in_place(gram, x)
        out[row] = x


def weighted_half_sweep(
    pointer: Integers,
    columns: Integers,
    weights: Floats,
    targets: Floats,
    design: Floats,
    ridge: Floats,
    n_jobs: int = 1,
) -> Floats:
    """Solve every row's weighted ridge regression: the twin of `_kernels.weighted_half_sweep`."""
    dtype = design.dtype
    arrays = (
        pointer,
        columns,
        np.ascontiguousarray(weights, dtype=dtype),
        np.ascontiguousarray(targets, dtype=dtype),
        np.ascontiguousarray(design),
        ridge.astype(dtype),
        np.empty((len(pointer) - 1, design.shape[1]), dtype=dtype),
    )
    _over_blocks(_solve_rows, len(pointer) - 1, arrays, n_jobs)
    return arrays[-1]


def _over_blocks(
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


@_compiled
def sgd_sweep(
    order: Integers,
    users: Integers,
    items: Integers,
    targets: Floats,
    weights: Floats,
    pulls: Floats,
    user_factors: Floats,
    item_factors: Floats,
    user_biases: Floats,
    item_biases: Floats,
    user_ridge: Floats,
    item_ridge: Floats,
    intercept: float,
    rate: float,
) -> None:
    """Visit every entry once, in the given order, and move its user and item in place.

    An entry's loss is w (t - f)^2 - 2 pull f. The step is divided by 1 + step x curvature, as in
    implicit SGD (Toulis & Airoldi 2017), so a large weight or pull cannot make it diverge.
    """
    k = user_factors.shape[1]
    for at in range(len(order)):
        entry = order[at]
        u, i = users[entry], items[entry]
        prediction = intercept + user_biases[u] + item_biases[i]
        size = 2.0
        for a in range(k):
            p, q = user_factors[u, a], item_factors[i, a]
            prediction += p * q
            size += p * p + q * q
        step = rate / (1.0 + rate * (weights[entry] * size + abs(pulls[entry])))
        drive = weights[entry] * (targets[entry] - prediction) + pulls[entry]
        shrink_user, shrink_item = user_ridge[u], item_ridge[i]
        user_biases[u] += step * (drive - shrink_user * user_biases[u])
        item_biases[i] += step * (drive - shrink_item * item_biases[i])
        for a in range(k):
            p, q = user_factors[u, a], item_factors[i, a]
            user_factors[u, a] += step * (drive * q - shrink_user * p)
            item_factors[i, a] += step * (drive * p - shrink_item * q)
