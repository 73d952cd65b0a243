"""Features of users or items as numbers: table columns, frames, arrays and callables.

What is learned here (levels, means, components) is what a new user or item is encoded by later.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.errors import DataError
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.nuisances import Encoder

MAX_COMPONENTS = 64
"""An array with more columns (a text embedding) is projected onto so many principal components."""

Floats = NDArray[np.float64]
Side = Literal["user", "item"]
Given = Any
"""An array (n, d), a frame with the ids, or a callable from the table to an array (n, d)."""


@dataclass(frozen=True)
class ArrayCode:
    """How the columns of an array become features.

    Centred, projected where they are many, and divided by the standard deviation along their
    main direction, so that it counts like one standardised column of a table. The spectrum is
    kept: whitening would weigh noise like signal.

    Attributes
    ----------
    centre : float64 array, shape (d,)
    components : float64 array, shape (d, r)
    """

    centre: Floats
    components: Floats

    @classmethod
    def of(cls, values: Floats) -> ArrayCode:
        """Learn the centre, the main directions and the scale of an array's columns."""
        centre = values.mean(0)
        with one_blas_thread():
            off = values - centre
            variances, vectors = np.linalg.eigh(off.T @ off / len(values))
        spread = float(np.sqrt(max(variances[-1], 0.0))) or 1.0
        if values.shape[1] <= MAX_COMPONENTS:
            return cls(centre, np.eye(values.shape[1]) / spread)
        kept = vectors[:, ::-1][:, :MAX_COMPONENTS]
        largest = np.abs(kept).argmax(0)
        signs = np.sign(kept[largest, np.arange(kept.shape[1])])
        return cls(centre, np.ascontiguousarray(kept * signs / spread))

    def apply(self, values: Floats) -> Floats:
        """Return the features of an array's rows, shape (n, r)."""
        with one_blas_thread():
            return np.asarray((values - self.centre) @ self.components)


@dataclass(frozen=True)
class SideFeatures:
    """How the features of one side become numbers.

    Attributes
    ----------
    side : {"user", "item"}
    id_column : str
    encoder : Encoder
        Of the table's columns that were chosen, and of a given frame's.
    array : ArrayCode or None
        Of a given array, or of what a given callable returns.
    source : callable or None
        The callable; it is not saved with a model.
    from_frame : tuple of str
        Columns of a given frame.
    """

    side: Side
    id_column: str
    encoder: Encoder
    array: ArrayCode | None = None
    source: Callable[[pd.DataFrame], Any] | None = field(default=None, compare=False)
    from_frame: tuple[str, ...] = ()

    @property
    def n_columns(self) -> int:
        """Number of features."""
        named = sum(len(code.names) for code in self.encoder.codes)
        return named + (0 if self.array is None else self.array.components.shape[1])

    def matrix(self, table: pd.DataFrame, given: Given = None) -> Floats:
        """Return the features of a table's rows, shape (n, n_columns).

        Raises
        ------
        DataError
            If a column, a level or the array is missing or does not fit.
        """
        if self.from_frame and given is not None:
            table = joined(table, given, self.side, self.id_column)
        for code in self.encoder.codes:
            if code.column not in table.columns:
                raise DataError.missing_column(
                    code.column, list(table.columns), role="a feature", table=f"{self.side}s"
                )
        parts = [self.encoder.apply(table).matrix]
        if self.array is not None:
            parts.append(self.array.apply(self._array_of(table, given, self.array)))
        elif given is not None and not self.from_frame:
            raise DataError(
                f"{self.side}_features was given, but the model was fitted without it: fit with"
                f" {self.side}_features=..., or leave it out here."
            )
        return np.ascontiguousarray(np.hstack(parts))

    def _array_of(self, table: pd.DataFrame, given: Given, code: ArrayCode) -> Floats:
        if given is None or (callable(given) and self.source is not None):
            given = self.source  # as it was fitted, not as it was handed in
        width = len(code.centre)
        if given is None:
            raise DataError(
                f"The model was fitted with an array of {width:,} {self.side} features: pass"
                f" {self.side}_features=... with one row for each of the {len(table):,}"
                f" {self.side}s (an encoder that was a function is not saved with a model)."
            )
        values = as_array(given(table) if callable(given) else given, table, self.side)
        if values.shape[1] != width:
            raise DataError(
                f"{self.side}_features has {values.shape[1]:,} columns; the model was fitted with"
                f" {width:,}. Encode these {self.side}s as those of the fit were."
            )
        return values


def learn(
    table: pd.DataFrame, columns: tuple[str, ...], given: Given, side: Side, id_column: str
) -> SideFeatures:
    """Learn how one side's features become numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        The log's table of that side.
    columns : tuple of str
        Columns of it to use.
    given : array, frame, callable or None
    side : {"user", "item"}
    id_column : str

    Raises
    ------
    DataError
        If a value is missing or infinite, rows do not match the ids, or names collide.
    """
    from causalrec.nuisances import encode

    empty = SideFeatures(side, id_column, encode(table, columns, table=f"{side}s"))
    if given is None:
        return empty
    if is_frame(given):
        wide = joined(table, given, side, id_column)
        from_frame = tuple(str(c) for c in wide.columns if c not in set(table.columns))
        encoder = encode(wide, (*columns, *from_frame), table=f"{side}s")
        return replace(empty, encoder=encoder, from_frame=from_frame)
    source = given if callable(given) else None
    if source is not None and hasattr(source, "fit"):
        source = copy.copy(source).fit(table)
    values = as_array(source(table) if source is not None else given, table, side)
    return replace(empty, array=ArrayCode.of(values), source=source)


def is_frame(given: Given) -> bool:
    """Say whether features were given as a data frame of any library."""
    return hasattr(given, "columns") and not callable(given)


def as_array(given: ArrayLike, table: pd.DataFrame, side: Side) -> Floats:
    """Return given features as floats aligned with the table, or say what is wrong with them."""
    n = len(table)
    if isinstance(given, str):
        raise DataError(
            f"{side}_features={given!r} is a name. Columns of the {side}s table are named by"
            f" features=[...]; text becomes numbers by {side}_features=TextFeatures([{given!r}])."
        )
    dense = given.toarray() if hasattr(given, "toarray") else given
    try:
        values = np.asarray(dense, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{side}_features must be numbers, one row for each of the {n:,} {side}s: {error}"
        ) from None
    if values.ndim != 2 or len(values) != n or values.shape[1] == 0:
        raise DataError(
            f"{side}_features has shape {values.shape}; the log has {n:,} {side}s. Pass one row"
            f" for each, in the order of log.{side}_ids, or a frame with the ids, which is"
            " aligned for you."
        )
    wrong: NDArray[np.bool_] = np.asarray(~np.isfinite(values).all(1))
    if wrong.any():
        raise DataError.bad_rows(
            f"{side}_features",
            "is missing or infinite",
            count=int(wrong.sum()),
            total=n,
            rows=[f"{side} {one!r}" for one in table.index[wrong][:5].tolist()],
            way_out="Give a row without features zeros (some encoders return NaN for an empty"
            " text), or leave it out of the log.",
        )
    return values


def ids_of(table: pd.DataFrame, id_column: str) -> pd.Index:
    """Return the ids of a table: a column of that name, else its index."""
    import pandas as pd

    ids: pd.Index = table.index
    if id_column in table.columns:
        ids = pd.Index(table[id_column], tupleize_cols=False)
    return ids


def joined(table: pd.DataFrame, given: Given, side: Side, id_column: str) -> pd.DataFrame:
    """Return the table with the columns of a frame that has the ids as a column or as its index.

    Ids that only the frame has are left out: they name nothing in the log.
    """
    import pandas as pd

    frame = given if isinstance(given, pd.DataFrame) else given.to_pandas()
    frame = frame.rename(columns=str)
    if id_column in frame.columns:
        frame = frame.set_index(id_column)
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()].unique()
        raise DataError(
            f"{side}_features names {len(twice):,} {side}s more than once:"
            f" {', '.join(map(repr, twice[:5].tolist()))}. Keep one row each."
        )
    ids = ids_of(table, id_column)
    missing = ids[~ids.isin(frame.index)]
    if len(missing):
        raise DataError(
            f"{side}_features has no row for {len(missing):,} of {len(ids):,} {side}s:"
            f" {', '.join(map(repr, missing[:5].tolist()))}. It needs a column {id_column!r} or an"
            f" index with the ids, and a row for every {side} of the log."
        )
    clash = [str(c) for c in frame.columns if c in set(table.columns)]
    if clash:
        raise DataError(
            f"{side}_features and the {side}s table both have {', '.join(map(repr, clash))}."
            " Rename or drop one of them."
        )
    wide = frame.loc[ids].reset_index(drop=True)
    wide.index = table.index
    both: pd.DataFrame = pd.concat([table, wide], axis=1)
    return both


@dataclass(frozen=True)
class PriorScale:
    """What the prior sees of one side's features: [1, (x - centre) / scale].

    The mean square of a row is one beside the constant, so that the ridge of the coefficients
    means the same for a table of three columns and of three hundred.

    Attributes
    ----------
    centre : float64 array, shape (d,)
    scale : float
    """

    centre: Floats
    scale: float

    @classmethod
    def of(cls, matrix: Floats) -> PriorScale:
        """Learn it from the features of the fit.

        Examples
        --------
        >>> PriorScale.of(np.array([[1.0], [3.0]])).apply(np.array([[4.0]])).tolist()
        [[1.0, 2.0]]
        """
        centre = matrix.mean(0)
        size = float(np.square(matrix - centre).sum(1).mean()) if matrix.size else 0.0
        return cls(centre, float(np.sqrt(size)) or 1.0)

    def apply(self, matrix: Floats) -> Floats:
        """Return the scaled features; without columns where there are none."""
        if matrix.shape[1] == 0:
            return matrix
        return np.column_stack([np.ones(len(matrix)), (matrix - self.centre) / self.scale])
