"""Covariates of rows as covariates of their unit, or of a row's neighbours in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError

Floats = NDArray[np.float64]
MOST_LEVELS = 50
"""A column of words with more levels than this has no shares worth adjusting for."""


def as_numbers(values: pd.Series) -> dict[str, Floats]:
    """Return a column as numbers that can be averaged: itself, or one a level but the first.

    Raises
    ------
    DataError
        If a column of words has more than `MOST_LEVELS` levels.

    Examples
    --------
    >>> as_numbers(pd.Series(["a", "b", "a"], name="kind"))
    {'kind=b': array([0., 1., 0.])}
    """
    name = str(values.name)
    if pd.api.types.is_numeric_dtype(values):
        return {name: values.to_numpy(dtype=np.float64)}
    words = values.astype(str).to_numpy(dtype=object)
    levels = np.unique(words)
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"Column {name!r} has {len(levels):,} levels, more than {MOST_LEVELS}: it cannot be"
            " averaged over the rows of a unit. Group its levels first."
        )
    return {f"{name}={level}": (words == level).astype(np.float64) for level in levels[1:]}


def mean_of_unit(values: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return the mean of a column in each unit, float64 (n_units,)."""
    return np.asarray(np.bincount(codes, values) / np.bincount(codes))


def mean_of_neighbours(values: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return the mean of a column over the other rows of each row's unit; 0 where it is alone.

    Examples
    --------
    >>> mean_of_neighbours(np.array([1.0, 2.0, 6.0, 5.0]), np.array([0, 0, 0, 1])).tolist()
    [4.0, 3.5, 1.5, 0.0]
    """
    others = np.bincount(codes)[codes] - 1
    total = np.bincount(codes, values)[codes] - values
    return np.asarray(np.where(others > 0, total / np.maximum(others, 1), 0.0))


def constant_columns(frame: pd.DataFrame, codes: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the columns that have one value in each unit."""
    first = np.unique(codes, return_index=True)[1]
    found = []
    for name in frame.columns:
        levels = pd.factorize(frame[name])[0]
        if (levels == levels[first][codes]).all():
            found.append(str(name))
    return tuple(found)
