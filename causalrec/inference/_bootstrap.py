"""The pigeonhole bootstrap, for statistics that have no influence function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from causalrec.errors import DataError
from causalrec.inference._intervals import check_level
from causalrec.inference._sums import FloatArray, IntArray

Statistic = Callable[[FloatArray], ArrayLike]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Replicates of a statistic, and the statistic itself.

    Parameters
    ----------
    value : float array (q,)
    replicates : float array (r, q)
    """

    value: FloatArray
    replicates: FloatArray

    @property
    def standard_error(self) -> FloatArray:
        """Standard deviation of the replicates, (q,); replicates without a value are left out."""
        return np.asarray(np.nanstd(self.replicates, axis=0, ddof=1))

    @property
    def share_undefined(self) -> FloatArray:
        """Share of replicates in which the statistic had no value, (q,)."""
        return np.asarray(np.isnan(self.replicates).mean(axis=0))

    def interval(self, level: float = 0.95) -> FloatArray:
        """Percentile intervals (q, 2)."""
        tail = (1.0 - check_level(level)) / 2.0
        return np.asarray(np.nanquantile(self.replicates, [tail, 1.0 - tail], axis=0).T)


def pigeonhole_bootstrap(
    statistic: Statistic,
    user_codes: IntArray,
    item_codes: IntArray,
    *,
    n_replicates: int = 500,
    random_state: int | None = None,
) -> Bootstrap:
    """Bootstrap users and items at once (Owen 2007): a row weighs w_user x w_item.

    Slightly conservative. Where the statistic is a function of weighted sums over rows,
    `pigeonhole_sums` gives all replicates of the sums at once, and is much faster.

    Parameters
    ----------
    statistic : callable
        Takes row weights (n,) and returns a number or an array (q,).
    user_codes, item_codes : int arrays (n,)
    n_replicates : int
    random_state : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> users, items = np.divmod(np.arange(600), 20)
    >>> y = np.random.default_rng(0).normal(size=30)[users]
    >>> found = pigeonhole_bootstrap(lambda w: np.average(y, weights=w), users, items,
    ...                              n_replicates=200, random_state=0)
    >>> bool(0.1 < found.standard_error[0] < 0.3)
    True
    """
    users, items = np.asarray(user_codes), np.asarray(item_codes)
    user_weights, item_weights = _draw(users, items, n_replicates, random_state)
    value = np.atleast_1d(np.asarray(statistic(np.ones(len(users))), dtype=np.float64))
    replicates = np.empty((n_replicates, len(value)))
    for r in range(n_replicates):
        weights = user_weights[users, r] * item_weights[items, r]
        replicates[r] = statistic(weights)
    return Bootstrap(value, replicates)


def pigeonhole_sums(
    values: FloatArray,
    user_codes: IntArray,
    item_codes: IntArray,
    *,
    n_replicates: int = 500,
    random_state: int | None = None,
) -> Bootstrap:
    """Bootstrap weighted sums over rows: all replicates as w_user' (X w_item), X sparse.

    Parameters
    ----------
    values : float array (n,) or (n, q)
    user_codes, item_codes : int arrays (n,)
    n_replicates : int
    random_state : int, optional

    Returns
    -------
    Bootstrap
        Of q sums; the same draws as `pigeonhole_bootstrap` with the same seed. A ratio's
        replicates are the ratios of its sums' replicates.

    Examples
    --------
    >>> import numpy as np
    >>> users, items = np.divmod(np.arange(600), 20)
    >>> sums = pigeonhole_sums(np.ones(600), users, items, n_replicates=100, random_state=0)
    >>> sums.value.tolist(), sums.replicates.shape
    ([600.0], (100, 1))
    """
    from scipy import sparse

    columns = np.asarray(values, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    users, items = np.asarray(user_codes), np.asarray(item_codes)
    user_weights, item_weights = _draw(users, items, n_replicates, random_state)
    shape = (len(user_weights), len(item_weights))
    replicates = np.empty((n_replicates, columns.shape[1]))
    for j in range(columns.shape[1]):
        cells = sparse.csr_matrix((columns[:, j], (users, items)), shape=shape)
        summed = cast("FloatArray", cells @ item_weights)
        replicates[:, j] = np.einsum("ur,ur->r", user_weights, summed)
    return Bootstrap(columns.sum(axis=0), replicates)


def _draw(
    users: IntArray, items: IntArray, n_replicates: int, random_state: int | None
) -> tuple[FloatArray, FloatArray]:
    """Multinomial counts of users and of items, (groups, replicates) each."""
    if users.shape != items.shape or users.ndim != 1 or len(users) == 0:
        raise DataError(
            f"user_codes {users.shape} and item_codes {items.shape} must be vectors of one length,"
            " not empty."
        )
    rng = np.random.default_rng(random_state)
    drawn = []
    for codes in (users, items):
        # Only clusters that occur are drawn: a code without rows is not a cluster.
        used = np.bincount(codes) > 0
        n = int(used.sum())
        counts = np.zeros((len(used), n_replicates))
        counts[used] = rng.multinomial(n, np.full(n, 1.0 / n), size=n_replicates).T
        drawn.append(counts)
    return drawn[0], drawn[1]
