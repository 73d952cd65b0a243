"""Value, absolute, under-, over-estimation and non-parity unfairness, beside a fair model's."""

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
        Their mean and standard deviation for a fair model with these groups' sizes, activities and
        variances: with signs drawn for users.
    p_value : float64 array (5,)
        Share of draws that reach the value.
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

    @property
    def p_of_debiased(self) -> float:
        """The two-sided p-value of the debiased square: below 1 - level iff the interval misses 0.

        NaN where the error is not known.
        """
        if self.squared_error == 0.0:
            return 1.0 if self.squared == 0.0 else 0.0
        return float(
            2.0 * stats.t.sf(abs(self.squared) / self.squared_error, self.degrees_of_freedom)
        )


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
        How many times signs are drawn for users.
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
    ratings. So each is held against a fair model's with the same groups: the residuals of each side
    and item, with signs drawn by user, around an error that both sides share (a wild bootstrap by
    user, Liu 1988, under equal mean errors). Exchanged labels would test more than that: they
    reject a fair model where groups differ in activity or in noise. Residuals are enlarged by what
    a mean of few rows takes from them; for means of absolute values that is exact for normal
    errors. The debiased square is mean_j [(d_g,j - d_o,j)^2 - s_j^2] with s_j^2 the sampling
    variance of the difference: zero in expectation for a
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
    values = cells.family(g[:, None], kept)
    rng = np.random.default_rng(random_state)
    null = _Null.of(y, y - r, u, j, w, g, kept)
    reference = np.concatenate([
        null.family(rng.choice([-1.0, 1.0], size=(len(g), columns)))
        for columns in _blocks(permutations)
    ], axis=1)  # fmt: skip
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

    def family(self, labels: BoolArray, kept: BoolArray) -> FloatArray:
        """Return the five measures (5,) of labels (users, 1) over the items that are kept."""
        one, other = self.errors(labels)
        (y, y_other), (w, w_other) = (self._by_side(part, labels) for part in (2, 1))
        means = [
            float(total.sum() / max(weight.sum(), 1e-300))
            for total, weight in ((y, w), (y_other, w_other))
        ]
        errors = np.concatenate(_of_errors(one[kept], other[kept]))
        return np.append(errors, abs(means[0] - means[1]))

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


def _blocks(draws: int) -> list[int]:
    """Return how many draws to make at a time."""
    return [
        min(PERMUTATIONS_A_BLOCK, draws - start) for start in range(0, draws, PERMUTATIONS_A_BLOCK)
    ]


@dataclass(frozen=True, eq=False)
class _Null:
    """A fair model with these groups' sizes, activities and variances, for draws of signs.

    A side's error of an item is what both have in common plus the side's own residuals, each with
    the sign that is drawn for its user, so that what a user's errors share stays shared.
    """

    noise: tuple[sparse.csr_array, sparse.csr_array]
    """Items by users, of the group and of the others: weighted residuals."""
    predictions: FloatArray
    """By user: weighted residuals of the group's predictions, minus those of the others'."""
    common: FloatArray
    """By item: the mean error of all, shrunk to what is more than its noise."""

    @classmethod
    def of(
        cls,
        y: FloatArray,
        e: FloatArray,
        u: IntArray,
        j: IntArray,
        w: FloatArray,
        member: BoolArray,
        kept: BoolArray,
    ) -> _Null:
        side, n = 1 - member[u].astype(np.int64), len(kept)
        cell = side * n + j

        def by_cell(values: FloatArray) -> FloatArray:
            return np.asarray(np.bincount(cell, values, minlength=2 * n))

        weight = np.maximum(by_cell(w), 1e-300)
        mean, h = by_cell(w * e) / weight, w / weight[cell]
        squares = by_cell(h**2)
        # A residual from a mean that holds it has this share of the error's variance.
        left = np.maximum(1.0 - 2.0 * h + squares[cell], 1e-12)
        residual = h * (e - mean[cell]) / np.sqrt(left)
        variance = by_cell(residual**2).reshape(2, n)
        total = np.maximum(variance.sum(axis=0), 1e-300)
        rows = 1.0 / np.maximum(squares, 1e-300)
        short = (np.square(variance / total) * _shortfall(rows).reshape(2, n)).sum(axis=0)
        residual /= (1.0 - short)[j]
        shape = (n, len(member))
        noise = tuple(
            sparse.csr_array((residual[side == s], (j[side == s], u[side == s])), shape=shape)[kept]
            for s in (0, 1)
        )
        both = weight.reshape(2, n)[:, kept]
        share = both / both.sum(axis=0)
        common = (share * mean.reshape(2, n)[:, kept]).sum(axis=0)
        known = float(np.square(common).sum())
        chance = float((np.square(share) * variance[:, kept]).sum())
        common *= np.sqrt(max(0.0, known - chance) / known) if known > 0.0 else 0.0
        return cls((noise[0], noise[1]), _of_predictions(y, u, w, side, len(member)), common)

    def family(self, signs: FloatArray) -> FloatArray:
        """Return the five measures for each column of signs (users, columns): (5, columns)."""
        one, other = (self.common[:, None] + np.asarray(part @ signs) for part in self.noise)
        return np.stack([*_of_errors(one, other), np.abs(self.predictions @ signs)])


def _of_errors(one: FloatArray, other: FloatArray) -> list[FloatArray]:
    """Return value, absolute, under- and over-estimation of mean errors (items, columns)."""
    pairs = (
        (one, other),
        (np.abs(one), np.abs(other)),
        (np.maximum(0.0, -one), np.maximum(0.0, -other)),
        (np.maximum(0.0, one), np.maximum(0.0, other)),
    )
    return [np.asarray(np.abs(a - b).mean(axis=0)) for a, b in pairs]


def _of_predictions(
    y: FloatArray, u: IntArray, w: FloatArray, side: IntArray, n_users: int
) -> FloatArray:
    """Return each user's part in the difference of mean predictions, without the difference."""
    weight = np.maximum(np.bincount(side, w, minlength=2), 1e-300)
    centred = y - (np.bincount(side, w * y, minlength=2) / weight)[side]
    part = np.bincount(u, w * centred / weight[side], minlength=n_users)
    h = np.bincount(u, w / weight[side], minlength=n_users)
    of_user = np.zeros(n_users, dtype=np.int64)
    of_user[u] = side
    left = 1.0 - 2.0 * h + np.bincount(of_user, h**2, minlength=2)[of_user]
    return np.asarray(part / np.sqrt(np.maximum(left, 1e-12)))


def _shortfall(rows: FloatArray) -> FloatArray:
    """Return by how much a mean of absolute values falls short with signs drawn for so many rows.

    With S the sum of n signs, residuals of normal errors have the variance (1 - S^2 / n^2) of what
    it is to be, times n / (n - 1). Its root's mean is below one.
    """
    least, most = 2, 60
    n = np.clip(np.rint(rows), least, most).astype(np.int64)
    table = np.zeros(most + 1)
    for size in range(least, most + 1):
        total = 2 * np.arange(size + 1) - size
        chance = stats.binom(size, 0.5).pmf(np.arange(size + 1))
        root = float(chance @ np.sqrt(1.0 - np.square(total / size)))
        table[size] = 1.0 - root * np.sqrt(size / (size - 1))
    return np.asarray(table[n])


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
