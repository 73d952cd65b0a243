"""Declared effect modifiers as a design: standardised numbers, and levels against the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
MOST_LEVELS = 20
REFERENCE = "reference"
SINGULAR = 1e-9
"""A column whose residual on the others has a smaller share of its variance repeats them."""


@dataclass(frozen=True, eq=False)
class ModifierDesign:
    """The design of a regression on modifiers.

    Attributes
    ----------
    matrix : float64 (n, q)
        The first column is one: the effect at the reference.
    labels : tuple of str
    codings : tuple of (column, coefficient, meaning)
    """

    matrix: Floats
    labels: tuple[str, ...]
    codings: tuple[tuple[str, str, str], ...]

    @property
    def slopes(self) -> tuple[str, ...]:
        """The coefficients but for the reference."""
        return self.labels[1:]


def modifier_design(rows: InteractionLog, columns: Sequence[str]) -> ModifierDesign:
    """Return the design of the declared modifiers.

    Raises
    ------
    DataError
        If a column is unknown, has missing values, one value, more than `MOST_LEVELS` levels, or
        repeats the others; or is the exposure or the outcome.
    StudyError
        If no column, or one column twice, is named.
    """
    if isinstance(columns, str) or not columns or len(set(columns)) < len(columns):
        raise StudyError(f"modifiers takes a list of distinct column names, not {columns!r}.")
    parts, labels = [np.ones((rows.n_rows, 1))], [REFERENCE]
    codings: list[tuple[str, str, str]] = []
    meaning: list[str] = []
    for column in columns:
        found = _code(rows, column)
        parts.append(found.matrix)
        labels += found.labels
        codings += found.codings
        meaning.append(found.codings[0][2].split("; ")[-1])
    matrix = np.hstack(parts)
    _check_rank(matrix, labels)
    first = ("", REFERENCE, "the effect where " + ", ".join(meaning))
    return ModifierDesign(matrix, tuple(labels), (first, *codings))


def raw_design(rows: InteractionLog, columns: Sequence[str]) -> tuple[Floats, tuple[str, ...]]:
    """Return the modifiers as a tree takes them: numbers as they are, one column a level.

    The names are the columns', or "column = level". Refusals as in `modifier_design`.
    """
    modifier_design(rows, columns)
    parts, names = [], []
    for column in columns:
        values: pd.Series = rows.column(column)
        if _is_number(values):
            parts.append(values.to_numpy(dtype=np.float64))
            names.append(column)
            continue
        text = values.astype("string").to_numpy(dtype=object)
        for level in sorted(set(text.tolist())):
            parts.append((text == level).astype(np.float64))
            names.append(f"{column} = {level}")
    return np.column_stack(parts), tuple(names)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _code(rows: InteractionLog, column: str) -> ModifierDesign:
    if column in {rows.columns.exposure, rows.columns.outcome}:
        raise DataError(
            f"Column {column!r} is the exposure or the outcome itself. A modifier precedes the"
            " exposure: a column of users or items, or of the event before it."
        )
    if column in {rows.columns.user_id, rows.columns.item_id}:
        raise DataError(f"Column {column!r} names rather than describes: it cannot be a modifier.")
    values: pd.Series = rows.column(column, missing="keep")
    missing = np.flatnonzero(values.isna().to_numpy(dtype=bool))
    if missing.size:
        raise DataError(
            f"Modifier {column!r} is missing in {missing.size:,} of {len(values):,} supported rows"
            f" (first {missing[:5].tolist()}): fill it, or leave these rows out of the log."
        )
    if _is_number(values):
        return _number(column, values.to_numpy(dtype=np.float64))
    return _levels(column, values.astype("string"))


def _number(column: str, values: Floats) -> ModifierDesign:
    mean, deviation = float(values.mean()), float(values.std())
    if not np.isfinite(deviation) or deviation <= 1e-12 * max(1.0, abs(mean)):
        raise DataError(f"Modifier {column!r} has one value only: nothing can vary with it.")
    label = f"{column} (+1 sd)"
    meaning = (
        f"change of the effect for {deviation:.4g} more {column}; {column} is {mean:.4g} (its mean)"
    )
    scaled = ((values - mean) / deviation)[:, None]
    return ModifierDesign(scaled, (label,), ((column, label, meaning),))


def _levels(column: str, names: pd.Series) -> ModifierDesign:
    levels = sorted(map(str, names.unique()))
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise DataError(
            f"Modifier {column!r} has {len(levels):,} levels; it needs 2 to {MOST_LEVELS}. Cut it"
            " into a few named groups first."
        )
    text = names.to_numpy(dtype=object)
    first = levels[0]
    labels = tuple(f"{column}: {level} - {first}" for level in levels[1:])
    dummies = np.column_stack([text == level for level in levels[1:]]).astype(np.float64)
    codings = tuple(
        (column, label, f"effect for {level} minus effect for {first}; {column} is {first}")
        for label, level in zip(labels, levels[1:], strict=True)
    )
    return ModifierDesign(dummies, labels, codings)


def _check_rank(matrix: Floats, labels: Sequence[str]) -> None:
    for place in range(1, matrix.shape[1]):
        before, own = matrix[:, :place], matrix[:, place]
        left = own - before @ np.linalg.lstsq(before, own, rcond=None)[0]
        if float(left @ left) <= SINGULAR * float(own @ own):
            raise DataError(
                f"Modifier {labels[place]!r} is a combination of those before it"
                f" ({', '.join(labels[1:place]) or 'a constant'}): leave one of them out."
            )
