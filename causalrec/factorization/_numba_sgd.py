"""The compiled sweep of stochastic gradient descent; see `_numba_kernels` for how it is built."""

from __future__ import annotations

import numpy as np

from causalrec.factorization._common import Floats, Integers
from causalrec.factorization._vectors import dot_and_lengths, move_rows
from causalrec.threads import compiled


@compiled
def sgd_sweep(
    blocks: Integers,
    size: int,
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
    """Visit every entry once, block after block of `size`, and move its user and item in place.

    An entry's loss is w (t - f)^2 - 2 pull f. The step is divided by 1 + step x curvature, as in
    implicit SGD (Toulis & Airoldi 2017), so a large weight or pull cannot make it diverge. The
    factors' rows are whole vectors (`_numba_kernels.padded`); arrays share one float type.
    """
    number = user_factors.dtype.type
    one, two, level, pace = number(1.0), number(2.0), number(intercept), number(rate)
    for block in blocks:
        for entry in range(block * size, min((block + 1) * size, len(users))):
            u, i = users[entry], items[entry]
            both, lengths = dot_and_lengths(user_factors, u, item_factors, i)
            prediction = level + user_biases[u] + item_biases[i] + both
            w, pull = weights[entry], pulls[entry]
            step = pace / (one + pace * (w * (two + lengths) + np.abs(pull)))
            push = step * (w * (targets[entry] - prediction) + pull)
            keep, keep_item = one - step * user_ridge[u], one - step * item_ridge[i]
            user_biases[u] = keep * user_biases[u] + push
            item_biases[i] = keep_item * item_biases[i] + push
            move_rows(user_factors, u, item_factors, i, push, keep, keep_item)
