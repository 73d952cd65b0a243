"""A lottery over rankings as rankings: Birkhoff (1946) and von Neumann (1953)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
SMALL = 1e-9


def rankings_of(lottery: FloatArray) -> list[tuple[float, Codes]]:
    """Return rankings and their probabilities that make up a matrix of place probabilities.

    Parameters
    ----------
    lottery : float64 array (items, places)
        Columns sum to one, rows to at most one.

    Returns
    -------
    list of (probability, int64 array (places,))
        The item in each place; at most (items - 1)^2 + 1 of them, the likeliest found first.

    Examples
    --------
    >>> [(round(p, 2), list(map(int, r)))
    ...  for p, r in rankings_of(np.array([[0.75, 0.25], [0.25, 0.75]]))]
    [(0.75, [0, 1]), (0.25, [1, 0])]
    """
    from scipy.optimize import linear_sum_assignment

    n, places = lottery.shape
    left = completed(lottery)
    found, total = [], 1.0
    while total > SMALL:
        # The cost of a forbidden cell outweighs all others; of the allowed, large cells come first.
        cost = np.where(left > SMALL, -np.log(np.maximum(left, SMALL)), 1e6)
        items, columns = linear_sum_assignment(cost)
        share = min(float(left[items, columns].min()), total)
        if share <= SMALL:
            break
        ranking = np.empty(n, dtype=np.int64)
        ranking[columns] = items
        found.append((share, ranking[:places]))
        left[items, columns] -= share
        total -= share
    weight = sum(share for share, _ in found)
    return [(share / weight, ranking) for share, ranking in found]


def completed(lottery: FloatArray) -> FloatArray:
    """Return a doubly stochastic square matrix: what items lack goes to places nobody sees.

    Places beyond the list are filled one after another (the northwest corner), so that few cells
    are used and few rankings come out.
    """
    n, places = lottery.shape
    square = np.zeros((n, n))
    square[:, :places] = lottery
    lack = np.maximum(1.0 - lottery.sum(axis=1), 0.0)
    item = 0
    for place in range(places, n):
        room = 1.0
        while room > SMALL and item < n:
            moved = min(room, float(lack[item]))
            square[item, place] += moved
            lack[item] -= moved
            room -= moved
            item += lack[item] <= SMALL
    return square


def draw_ranking(lottery: FloatArray, rng: np.random.Generator) -> Codes:
    """Return one ranking, drawn with the probabilities of a lottery."""
    if ((lottery < SMALL) | (lottery > 1.0 - SMALL)).all():
        return np.asarray(lottery.argmax(axis=0), dtype=np.int64)
    rankings = rankings_of(lottery)
    chosen = rng.choice(len(rankings), p=[share for share, _ in rankings])
    return rankings[chosen][1]
