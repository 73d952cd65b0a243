"""`Score`: the rows of a ratio estimate, and its columns by group."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.errors import DataError

FloatArray = NDArray[np.float64]


def _one() -> FloatArray:
    return np.ones(())


@dataclass(frozen=True, eq=False)
class Score:
    """Rows of a ratio estimate: the estimate is sum(numerator) / sum(denominator), by column.

    Parameters
    ----------
    numerator : array-like (n,) or (n, q)
    denominator : array-like, optional
        Scalar, (n,), (n, 1) or (n, q); default 1, a plain mean. Held without copies.
    weight : array-like, optional
        Weights whose Kish effective sample size the estimate reports, shaped like the
        denominator; default the denominator.
    design_residual : array-like (n,) or (n, q), optional
        What was random if these very rows are the population: see `design_residual`.

    Examples
    --------
    >>> score = Score([1.0, 0.0, 1.0, 1.0])
    >>> score.value.tolist(), score.numerator.shape
    ([0.75], (4, 1))
    """

    numerator: FloatArray
    denominator: FloatArray = field(default_factory=_one)
    weight: FloatArray | None = None
    design_residual: FloatArray | None = None

    def __post_init__(self) -> None:
        numerator = as_columns(self.numerator, "numerator")
        shape = numerator.shape
        object.__setattr__(self, "numerator", numerator)
        object.__setattr__(self, "denominator", _broadcast(self.denominator, shape, "denominator"))
        for name in ("weight", "design_residual"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _broadcast(getattr(self, name), shape, name))

    @property
    def value(self) -> FloatArray:
        """Sum of the numerator over sum of the denominator, (q,)."""
        ratio: FloatArray = self.numerator.sum(axis=0) / self.denominator.sum(axis=0)
        return ratio

    @property
    def influence(self) -> FloatArray:
        """Influence of every row on the value, (n, q): it sums to zero."""
        centred = self.numerator - self.denominator * self.value
        scaled: FloatArray = centred / self.denominator.sum(axis=0)
        return scaled

    def with_design_residual(self, residual: ArrayLike) -> Score:
        """Return the same score with what was random in these rows, for `sampled=()`."""
        return replace(self, design_residual=np.asarray(residual, dtype=np.float64))


def as_columns(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise DataError(f"The {name} has shape {array.shape}; pass (rows,) or (rows, columns).")
    _require_finite(array, name)
    return array


def _broadcast(values: ArrayLike, shape: tuple[int, int], name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    try:
        full = np.broadcast_to(array, shape)
    except ValueError:
        raise DataError(
            f"The {name} has shape {np.shape(values)}; the numerator has {shape[0]:,} rows and"
            f" {shape[1]} columns."
        ) from None
    _require_finite(array, name)
    return full


def _require_finite(array: FloatArray, name: str) -> None:
    if np.isfinite(array.sum()):  # one pass; a sum hides no NaN and no infinity
        return
    bad = np.unique(np.nonzero(~np.isfinite(array))[0])
    if bad.size:
        raise DataError.bad_rows(
            name,
            "is not a finite number",
            count=bad.size,
            total=len(array),
            rows=bad.tolist(),
            way_out="Rows that are not observed need O = 0; imputations must exist in every row.",
        )


def group_scores(score: Score, groups: ArrayLike, n_groups: int | None = None) -> Score:
    """One column a group: the score's rows where they are in the group, zero elsewhere.

    Parameters
    ----------
    score : Score
        Of q columns.
    groups : int array (n,)
        Group of each row; -1 is in none.
    n_groups : int, optional
        Default: the largest code plus one.

    Returns
    -------
    Score
        Of q x groups columns, column by column: (column 0, group 0), (column 0, group 1)...

    Examples
    --------
    >>> group_scores(Score([1.0, 2.0, 6.0]), [0, 1, 1]).value.tolist()
    [1.0, 4.0]
    """
    codes = np.asarray(groups)
    if codes.shape != (len(score.numerator),):
        raise DataError(
            f"groups has shape {codes.shape}; the score has {len(score.numerator):,} rows."
        )
    count = int(codes.max(initial=-1)) + 1 if n_groups is None else n_groups
    if count == 1 and not codes.any():  # one group that holds every row
        return score

    def spread(values: FloatArray) -> FloatArray:
        n, q = values.shape
        full = np.zeros((n, q, count))
        inside = np.flatnonzero(codes >= 0)
        full[inside, :, codes[inside]] = values[inside]
        return full.reshape(n, q * count)

    return Score(
        spread(score.numerator),
        spread(score.denominator),
        None if score.weight is None else spread(score.weight),
        None if score.design_residual is None else spread(score.design_residual),
    )
