"""Permutation p-values where there are too few clusters for a t interval."""

from __future__ import annotations

from itertools import combinations, product
from math import comb

import numpy as np

from causalrec.inference._sums import FloatArray

MOST_ENUMERATED = 20_000
PERMUTATION_SEED = 20_260_102


def permutation_p(
    sums: FloatArray, share: FloatArray, values: FloatArray, row: FloatArray, distance: float
) -> float:
    """Two-sided permutation p of one linear combination of ratio estimates.

    A difference of two groups that share no cluster is tested by exchanging the clusters' labels
    (exact where clusters are exchangeable under the null). Anything else is tested by flipping
    the signs of the clusters' contributions (exact where they are symmetric about the null), as
    in Canay, Romano & Shaikh (2017). With four clusters no p of the latter is below 2 / 16.

    Parameters
    ----------
    sums : float array (groups, K)
        Influence summed by the clusters of the dimension that has few.
    share : float array (groups, K)
        Share of each atom's denominator held by each cluster.
    values : float array (K,)
    row : float array (K,)
        Coefficients of the combination.
    distance : float
        Its value, minus the value under the null.
    """
    involved = np.flatnonzero(row)
    held = share[:, involved] > 0.0
    gap = row[involved] @ values[involved]
    is_difference = len(involved) == 2 and row[involved].sum() == 0.0 and distance == gap
    if is_difference and not held.all(axis=1).any():
        # A cluster's total of numerators, per unit of its group's denominator.
        total = sums[:, involved] + share[:, involved] * values[involved]
        return _exchange_labels(total, share[:, involved], held[:, 0], held[:, 1])
    contribution = sums @ row + distance * share[:, involved].mean(axis=1)
    return _flip_signs(contribution[held.any(axis=1)])


def _flip_signs(contribution: FloatArray) -> float:
    observed = abs(contribution.sum())
    if len(contribution) <= 14:
        signs = np.array(list(product((1.0, -1.0), repeat=len(contribution))))
    else:
        rng = np.random.default_rng(PERMUTATION_SEED)
        signs = rng.choice((1.0, -1.0), size=(MOST_ENUMERATED, len(contribution)))
        signs[0] = 1.0
    reached = np.abs(signs @ contribution) >= observed * (1.0 - 1e-9)
    return float(reached.mean())


def _exchange_labels(
    total: FloatArray, share: FloatArray, first: np.ndarray, second: np.ndarray
) -> float:
    used = first | second
    means = (total.sum(axis=1) / share.sum(axis=1, where=share > 0.0, initial=1e-300))[used]
    n, k = int(used.sum()), int(first.sum())
    if min(k, n - k) == 0:
        return float("nan")
    if comb(n, k) <= MOST_ENUMERATED:
        chosen = np.zeros((comb(n, k), n), dtype=bool)
        for line, members in enumerate(combinations(range(n), k)):
            chosen[line, list(members)] = True
    else:
        rng = np.random.default_rng(PERMUTATION_SEED)
        chosen = rng.permuted(np.tile(first[used], (MOST_ENUMERATED, 1)), axis=1)
        chosen[0] = first[used]
    gaps = (chosen @ means) / k - (~chosen @ means) / (n - k)
    observed = means[first[used]].mean() - means[second[used]].mean()
    return float((np.abs(gaps) >= abs(observed) * (1.0 - 1e-9)).mean())
