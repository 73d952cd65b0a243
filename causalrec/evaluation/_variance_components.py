"""How much of a number's spread lies between users, between items, and in the cell itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
GROUPS = 20
"""Parts of the users, and of the items, that the jackknife leaves out in turn."""


@dataclass(frozen=True)
class Components:
    """Variances of the value of a cell drawn at random: a user's, an item's, and the rest.

    Attributes
    ----------
    user, item, cell : float
    """

    user: float
    item: float
    cell: float

    @property
    def total(self) -> float:
        """Variance of one cell drawn at random."""
        return self.user + self.item + self.cell


def variance_components(
    values: FloatArray, weight: FloatArray, users: npt.NDArray[Any], items: npt.NDArray[Any]
) -> Components:
    """Estimate them from the products of pairs of rows, weighted to a random design.

    Two rows share their user and not their item, their item and not their user, or neither: the
    mean products of deviations are then the user's variance, the item's, and none (Cornfield &
    Tukey 1956). With weights 1/p the sums over pairs are unbiased for those over all pairs, as two
    cells are recorded independently of each other.

    Parameters
    ----------
    values : float64 (n,)
    weight : float64 (n,)
        Of any scale.
    users, items : int arrays (n,)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> u, i = np.repeat(np.arange(300), 100), np.tile(np.arange(100), 300)
    >>> h = rng.normal(size=300)[u] + 0.5 * rng.normal(size=100)[i] + 2 * rng.normal(size=30_000)
    >>> found = variance_components(h, np.ones(30_000), u, i)
    >>> round(found.user, 1), round(found.item, 1), round(found.cell, 1)
    (1.1, 0.2, 4.0)
    """
    w = weight / weight.mean()
    x = values - float(w @ values) / float(w.sum())
    cells = np.unique(users.astype(np.int64) * (int(items.max()) + 1) + items, return_inverse=True)
    same_cell, base_cell = _squares(w, x, cells[1].ravel())
    same_user, base_user = _squares(w, x, users)
    same_item, base_item = _squares(w, x, items)
    total, base = float(w @ x) ** 2, float(w.sum()) ** 2
    neither = _over(
        total - same_user - same_item + same_cell, base - base_user - base_item + base_cell
    )
    user = _over(same_user - same_cell, base_user - base_cell) - neither
    item = _over(same_item - same_cell, base_item - base_cell) - neither
    spread = float(w @ x**2) / float(w.sum()) - neither
    user, item = max(user, 0.0), max(item, 0.0)
    return Components(user, item, max(spread - user - item, 0.0))


def _squares(w: FloatArray, x: FloatArray, codes: npt.NDArray[Any]) -> tuple[float, float]:
    sums, weights = np.bincount(codes, w * x), np.bincount(codes, w)
    return float(sums @ sums), float(weights @ weights)


def _over(top: float, bottom: float) -> float:
    """Return a mean over pairs; 0 where there are none (all rows of one user, say)."""
    return top / bottom if bottom > 1e-9 else 0.0


def without_parts(
    values: FloatArray, weight: FloatArray, users: npt.NDArray[Any], items: npt.NDArray[Any]
) -> tuple[list[Components], list[Components]]:
    """Return the components without each part of the users, and without each of the items."""
    found: list[list[Components]] = []
    for codes in (users, items):
        # a part is dealt by rank, so that ids in any order give parts of equal size
        part = np.unique(codes, return_inverse=True)[1].ravel() % GROUPS
        kept = [part != g for g in range(GROUPS) if 0 < int((part == g).sum()) < len(part)]
        found.append([variance_components(values[k], weight[k], users[k], items[k]) for k in kept])
    return found[0], found[1]
