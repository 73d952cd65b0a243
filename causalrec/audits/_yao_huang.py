"""Value, absolute, under-, over-estimation and non-parity unfairness, beside exchanged labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from causalrec.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FAMILY = ("value", "absolute", "under-estimation", "over-estimation", "non-parity")
MIN_SUPPORT = 5
PERMUTATIONS = 199
FOLDS = 50
PERMUTATIONS_A_BLOCK = 25


class NoCommonItemError(DataError):
    """No item has enough rows of a group and of all others."""


@dataclass(frozen=True)
class Unfairness:
    """One group against all others.

    Attributes
    ----------
    values : float64 array (5,)
        Value, absolute, under-estimation, over-estimation and non-parity unfairness.
    reference, reference_spread : float64 arrays (5,)
        Their mean and standard deviation when users exchange their labels.
    p_value : float64 array (5,)
        Share of exchanges that reach the value.
    squared : float
        The debiased square of value unfairness: below zero is noise.
    squared_error : float
    degrees_of_freedom : float
    n_items : int
        Items with at least `MIN_SUPPORT` rows on both sides.
    """

    values: FloatArray
    reference: FloatArray
    reference_spread: FloatArray
    p_value: FloatArray
    squared: float
    squared_error: float
    degrees_of_freedom: float
    n_items: int

    @property
    def debiased(self) -> float:
        """The square's root, with its sign."""
        return signed_root(self.squared)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of `debiased`: the square's, and the signed roots of its ends."""
        half = float(stats.t.ppf((1.0 + level) / 2.0, self.degrees_of_freedom)) * self.squared_error
        return signed_root(self.squared - half), signed_root(self.squared + half)


def signed_root(square: float) -> float:
    """Return sign(x) sqrt(|x|)."""
    return float(np.sign(square) * np.sqrt(abs(square)))


def yao_huang(
    prediction: npt.ArrayLike,
    outcome: npt.ArrayLike,
    users: npt.ArrayLike,
    items: npt.ArrayLike,
    member: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    min_support: int = MIN_SUPPORT,
    permutations: int = PERMUTATIONS,
    random_state: int | None = 0,
) -> Unfairness:
    """Return how differently a model errs on the same items for a group and for all others.

    Parameters
    ----------
    prediction, outcome : float array (n,)
        Of the recorded cells.
    users, items : int array (n,)
        Codes from 0.
    member : bool array (n_users,)
        Who is in the group.
    weight : float array (n,), optional
        1/p, for means over all cells of an item and a group instead of the recorded ones.
    min_support : int
        Items with fewer rows on a side are left out: their mean says nothing.
    permutations : int
    random_state : int or None

    Returns
    -------
    Unfairness

    Raises
    ------
    NoCommonItemError
        If no item has enough rows on both sides.

    Notes
    -----
    Yao & Huang (2017), equations 5-9, with d_g,j the weighted mean of prediction minus outcome of
    item j in group g: value mean_j |d_g,j - d_o,j|; absolute mean_j ||d_g,j| - |d_o,j||; under and
    over of the negative and positive parts; non-parity |mean prediction in g - in o|. An average
    of absolute values is far above zero for a perfectly fair model too, where an item has few
    ratings, so users exchange their labels as a reference. The debiased square is mean_j [(d_g,j -
    d_o,j)^2 - s_j^2] with s_j^2 the sampling variance of the difference: zero in expectation for a
    fair model. Its error is that of a jackknife over folds of users and of new items together.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> users, items = np.divmod(np.arange(200 * 20), 20)
    >>> truth = rng.normal(size=len(users))
    >>> fair = yao_huang(np.zeros(len(users)), truth, users, items, np.arange(200) % 2 == 0)
    >>> bool(fair.values[0] > 0.05), bool(fair.p_value[0] > 0.05)
    (True, True)
    """
    y, r = np.asarray(prediction, np.float64), np.asarray(outcome, np.float64)
    u, j, g = np.asarray(users), np.asarray(items), np.asarray(member, dtype=bool)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    cells = _Cells.of(y, r, u, j, w, len(g))
    kept = cells.supported(g[:, None], min_support)[:, 0]
    if not kept.any():
        raise NoCommonItemError(
            f"No item has {min_support} rows both of the group and of all others: there is nothing"
            " to compare. Look at a larger group, or lower min_support."
        )
    values = cells.family(g[:, None], min_support)[:, 0]
    rng = np.random.default_rng(random_state)
    seen = np.flatnonzero(np.bincount(u, minlength=len(g)) > 0)
    exchanged = []
    for start in range(0, permutations, PERMUTATIONS_A_BLOCK):
        labels = np.zeros((len(g), min(PERMUTATIONS_A_BLOCK, permutations - start)), dtype=bool)
        for column in range(labels.shape[1]):
            labels[seen, column] = rng.permutation(g[seen])
        exchanged.append(cells.family(labels, min_support))
    reference = np.concatenate(exchanged, axis=1)
    reached = (reference >= values[:, None] * (1 - 1e-12)).sum(axis=1)
    squared, error, freedom = _debiased(cells, g, kept, rng)
    return Unfairness(
        values=values,
        reference=reference.mean(axis=1),
        reference_spread=reference.std(axis=1, ddof=1),
        p_value=(1.0 + reached) / (1.0 + permutations),
        squared=squared,
        squared_error=error,
        degrees_of_freedom=freedom,
        n_items=int(kept.sum()),
    )


@dataclass(frozen=True, eq=False)
class _Cells:
    """Sums that become sums by item and group when they meet the users' labels."""

    parts: tuple[sparse.csr_array, ...]
    """Items by users: rows, w, w y, w e, w^2, w^2 e, w^2 e^2, with e = prediction - outcome."""

    @classmethod
    def of(
        cls, y: FloatArray, r: FloatArray, u: IntArray, j: IntArray, w: FloatArray, n_users: int
    ) -> _Cells:
        e, shape = y - r, (int(j.max()) + 1, n_users)
        parts = (np.ones(len(y)), w, w * y, w * e, w**2, w**2 * e, w**2 * e**2)
        return cls(tuple(sparse.csr_array((part, (j, u)), shape=shape) for part in parts))

    def _by_side(self, part: int, labels: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return sums by item of the labelled users and of the others, (items, columns) each."""
        matrix = self.parts[part]
        inside = np.asarray(matrix @ labels.astype(np.float64))
        return inside, np.asarray(matrix.sum(axis=1))[:, None] - inside

    def supported(self, labels: BoolArray, least: int) -> BoolArray:
        """Return which items have enough rows on both sides."""
        inside, outside = self._by_side(0, labels)
        return (inside >= least) & (outside >= least)

    def errors(self, labels: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean errors of both sides by item."""
        rows, weights, errors = (self._by_side(part, labels) for part in (0, 1, 3))
        inside, outside = (
            np.divide(e, w, out=np.zeros_like(e), where=n > 0.5)
            for n, w, e in zip(rows, weights, errors, strict=True)
        )
        return inside, outside

    def family(self, labels: BoolArray, least: int) -> FloatArray:
        """Return the five measures of each column of labels, (5, columns)."""
        kept = self.supported(labels, least)
        count = np.maximum(kept.sum(axis=0), 1)
        one, other = self.errors(labels)

        def mean(a: FloatArray, b: FloatArray) -> FloatArray:
            return np.asarray((np.abs(a - b) * kept).sum(axis=0) / count)

        sides = [
            prediction.sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-300)
            for prediction, weight in zip(
                self._by_side(2, labels), self._by_side(1, labels), strict=True
            )
        ]
        return np.stack([
            mean(one, other),
            mean(np.abs(one), np.abs(other)),
            mean(np.maximum(0.0, -one), np.maximum(0.0, -other)),
            mean(np.maximum(0.0, one), np.maximum(0.0, other)),
            np.abs(sides[0] - sides[1]),
        ])  # fmt: skip

    def squares(self, labels: BoolArray) -> FloatArray:
        """Return the debiased squared difference of errors by item, (items, columns).

        NaN for an item with fewer than two rows on a side: its noise is not known.
        """
        one, other = self.errors(labels)
        noise = np.zeros_like(one)
        sides = zip(
            (one, other), *(self._by_side(part, labels) for part in (0, 1, 4, 5, 6)), strict=True
        )
        for mean, n, w, w2, w2e, w2e2 in sides:
            spread = w2e2 - 2.0 * mean * w2e + mean**2 * w2
            known = n > 1.5
            scale = np.divide(n, np.square(w) * (n - 1.0), out=np.full_like(n, np.nan), where=known)
            noise += spread * scale
        return np.asarray(np.square(one - other) - noise)


def _debiased(
    cells: _Cells, member: BoolArray, kept: BoolArray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return the debiased square, its standard error and degrees of freedom."""
    labels = member[:, None]
    by_item = cells.squares(labels)[kept, 0]
    value = float(by_item.mean())
    fold = rng.permutation(np.arange(len(member)) % FOLDS)
    left_out = [
        float(np.nanmean(_Cells(tuple(part[:, fold != k] for part in cells.parts))
                         .squares(labels[fold != k])[kept, 0]))
        for k in range(FOLDS)
    ]  # fmt: skip
    of_users = (FOLDS - 1) / FOLDS * float(np.square(np.array(left_out) - value).sum())
    n = len(by_item)
    of_items = float(by_item.var(ddof=1)) / n if n > 1 else float("nan")
    # The noise of single cells is in both, so that their sum would count it twice.
    return value, float(np.sqrt(max(of_users, of_items))), float(min(FOLDS, max(n, 2)) - 1)
