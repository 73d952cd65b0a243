"""The compiled sweep of stochastic gradient descent; see `_numba_kernels` for how it is built."""

from __future__ import annotations

import numpy as np

from causalrec.factorization._common import Floats, Integers
from causalrec.factorization._vectors import dot, move_rows
from causalrec.threads import compiled


@compiled
def sgd_sweep(
    blocks: Integers,
    size: int,
    codes: Integers,
    values: Floats,
    user_factors: Floats,
    item_factors: Floats,
    user_side: Floats,
    item_side: Floats,
    intercept: float,
    rate: float,
) -> None:
    """Visit every entry once, block after block of `size`, and move its user and item in place.

    An entry's loss is w (t - f)^2 - 2 pull f. The step is divided by 1 + step x curvature, as in
    implicit SGD (Toulis & Airoldi 2017), so a large weight or pull cannot make it diverge.

    Parameters
    ----------
    blocks : int array
    size : int
    codes : uint32 array, shape (n, 2)
        User and item of each entry. Unsigned, so that no index is looked at for its sign.
    values : float array, shape (n, 3)
        Target t, weight w and pull.
    user_factors, item_factors : float array
        Rows of whole vectors (`_numba_kernels.padded`); all arrays share one float type.
    user_side, item_side : float array, shapes (n_users, 4), (n_items, 4)
        Bias, ridge of a visit, squared length of the factors and nothing. The length is kept up by
        arithmetic: a second sum across the vector would take half as long as all the rest.
    """
    number = user_factors.dtype.type
    zero, one, two = number(0.0), number(1.0), number(2.0)
    level, pace = number(intercept), number(rate)
    for block in blocks:
        for entry in range(block * size, min((block + 1) * size, len(codes))):
            row = np.uint64(entry)
            u, i = codes[row, 0], codes[row, 1]
            target, w, pull = values[row, 0], values[row, 1], values[row, 2]
            bias, ridge, length = user_side[u, 0], user_side[u, 1], user_side[u, 2]
            item_bias, item_ridge, item_length = item_side[i, 0], item_side[i, 1], item_side[i, 2]
            both = dot(user_factors, u, item_factors, i)
            step = pace / (one + pace * (w * (two + (length + item_length)) + np.abs(pull)))
            push = step * (w * (target - (level + bias + item_bias) - both) + pull)
            keep, keep_item = one - step * ridge, one - step * item_ridge
            move_rows(user_factors, u, item_factors, i, push, keep, keep_item)
            user_side[u, 0] = keep * bias + push
            item_side[i, 0] = keep_item * item_bias + push
            # |keep p + push q|^2, and the same of q.
            cross, square = two * push * both, push * push
            grown = keep * (keep * length + cross) + square * item_length
            item_grown = keep_item * (keep_item * item_length + cross) + square * length
            user_side[u, 2] = max(grown, zero)
            item_side[i, 2] = max(item_grown, zero)
