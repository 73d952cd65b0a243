"""Columns to numbers: which covariates, and how each is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.graph import checked_graph

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
MAX_LEVELS = 200
"""A column of words with more levels than this is a name, not a group."""


@dataclass(frozen=True)
class Features:
    """Encoded covariates of one entity.

    Attributes
    ----------
    matrix : float64 (rows, k)
        Numbers standardised, words as one column a level; no intercept.
    names : tuple of str
        One name a column of the matrix: "age", "genre=rock".
    """

    matrix: Floats
    names: tuple[str, ...]


@dataclass(frozen=True)
class Covariates:
    """The columns that a nuisance uses, by the table they live in, and why these.

    Attributes
    ----------
    user, item, event : tuple of str
        Column names, sorted.
    notes : tuple of str
        How they were chosen and what was left out, in words.
    strategy : str
        The identification strategy of the graph, or "" where none was given.
    """

    user: tuple[str, ...]
    item: tuple[str, ...]
    event: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    strategy: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({*self.user, *self.item, *self.event}))


@dataclass(frozen=True)
class ColumnCode:
    """How one column becomes numbers, as learned from the table it was fitted on."""

    column: str
    mean: float = 0.0
    spread: float = 1.0
    levels: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """One name a number: the column itself, or "column=level"."""
        return tuple(f"{self.column}={x}" for x in self.levels) or (self.column,)

    def apply(self, values: pd.Series, table: str) -> Floats:
        """Return the numbers of a column, (rows, 1) or (rows, levels)."""
        _refuse_missing(values, self.column, table)
        if not self.levels:
            return ((values.to_numpy(dtype=np.float64) - self.mean) / self.spread)[:, None]
        words = values.astype(str).to_numpy(dtype=object)
        codes = np.searchsorted(np.array(self.levels, dtype=object), words)
        codes = np.minimum(codes, len(self.levels) - 1)
        unknown = np.array(self.levels, dtype=object)[codes] != words
        if unknown.any():
            _refuse_rows(values, unknown, self.column, table, "has a level unseen in the fit")
        return np.eye(len(self.levels))[codes]


@dataclass(frozen=True)
class Encoder:
    """Columns to numbers: numbers standardised, booleans 0/1, words one column a level."""

    codes: tuple[ColumnCode, ...]
    table: str

    def apply(self, frame: pd.DataFrame) -> Features:
        """Encode a table that has the columns the encoder was fitted on."""
        parts = [code.apply(frame[code.column], self.table) for code in self.codes]
        matrix = np.hstack(parts) if parts else np.zeros((len(frame), 0))
        names = tuple(name for code in self.codes for name in code.names)
        return Features(np.ascontiguousarray(matrix, dtype=np.float64), names)


def encode(frame: pd.DataFrame, columns: Sequence[str], *, table: str) -> Encoder:
    """Learn how to encode columns of a table.

    Parameters
    ----------
    frame : pandas.DataFrame (rows)
    columns : sequence of str
    table : str
        What to call the table in an error: "users", "items", "events".

    Returns
    -------
    Encoder

    Raises
    ------
    DataError
        If a value is missing, a column is absent, or a column of words has more than
        `MAX_LEVELS` levels.

    Examples
    --------
    >>> import pandas as pd
    >>> users = pd.DataFrame({"age": [20, 40], "sex": ["f", "m"]})
    >>> found = encode(users, ["age", "sex"], table="users").apply(users)
    >>> found.names, found.matrix.tolist()
    (('age', 'sex=f', 'sex=m'), [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    """
    codes = []
    for column in columns:
        if column not in frame.columns:
            raise DataError.missing_column(
                column, list(frame.columns), role="a covariate", table=table
            )
        codes.append(_learn(frame[column], column, table))
    return Encoder(tuple(codes), table)


def _learn(values: pd.Series, column: str, table: str) -> ColumnCode:
    _refuse_missing(values, column, table)
    if str(values.dtype) in {"bool", "boolean"}:
        return ColumnCode(column)
    if is_number(values):
        numbers = values.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            _refuse_rows(values, ~np.isfinite(numbers), column, table, "is infinite")
        spread = float(numbers.std())
        return ColumnCode(column, float(numbers.mean()), spread if spread > 0 else 1.0)
    levels = np.unique(values.astype(str).to_numpy(dtype=object))
    if len(levels) > MAX_LEVELS:
        raise DataError(
            f"Column {column!r} of the {table} table has {len(levels):,} levels, more than"
            f" {MAX_LEVELS}: it names rather than groups. Leave it out of the covariates, or group"
            " its levels first."
        )
    return ColumnCode(column, levels=tuple(map(str, levels)))


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers (booleans and dates do not count)."""
    return values.dtype.kind in "iuf" or str(values.dtype) in {"Float64", "Int64", "Int32"}


def _refuse_missing(values: pd.Series, column: str, table: str) -> None:
    missing = values.isna().to_numpy(dtype=bool)
    if missing.any():
        _refuse_rows(values, missing, column, table, "has no value")


def _refuse_rows(
    values: pd.Series, wrong: NDArray[np.bool_], column: str, table: str, problem: str
) -> None:
    raise DataError.bad_rows(
        column,
        f"of the {table} table {problem}",
        count=int(wrong.sum()),
        total=len(values),
        rows=values[wrong],
        way_out="Fill the value in, add a level such as 'unknown' for it, or leave the column out"
        " of the covariates.",
    )


def choose_covariates(
    log: InteractionLog, graph: CausalGraph | None, named: Sequence[str] | None
) -> Covariates:
    """Decide the covariates: those named, else the graph's adjustment set, else every column.

    Parameters
    ----------
    log : InteractionLog
    graph : CausalGraph or None
        Asked for "mean" on rating logs and for "effect" on candidate logs.
    named : sequence of str or None
        Column names; they win over the graph, and the note says so.

    Raises
    ------
    IdentificationError
        If the graph does not identify the question.
    DataError
        If a covariate has no column in the log.
    """
    if named is not None:
        found = _by_entity(log, named)
        note = f"The covariates were named: {_listed(named)}."
        if graph is not None:
            note += " They were not taken from the graph."
        return Covariates(*found, notes=(note,))
    if graph is not None:
        estimand = checked_graph(graph).identify(
            query="mean" if log.kind == "ratings" else "effect",
            strategies=("randomised", "back-door"),
        )
        columns = [covariate.column for covariate in estimand.covariates]
        _check_entities(log, estimand)
        note = f"The graph asks to adjust for {_listed(columns)} ({estimand.strategy})."
        return Covariates(*_by_entity(log, columns), notes=(note,), strategy=estimand.strategy)
    user, left_user = _usable(log.users, {log.columns.user_id})
    item, left_item = _usable(log.items, {log.columns.item_id})
    note = (
        "No graph was given: every usable user and item column is adjusted for"
        f" ({_listed([*user, *item])}). Whether that is enough is not known."
    )
    left = [*left_user, *left_item]
    dropped = (f"Left out (dates, names or free text): {_listed(left)}.",) if left else ()
    return Covariates(user, item, notes=(note, *dropped))


def _check_entities(log: InteractionLog, estimand: Estimand) -> None:
    """Refuse a covariate that the graph declares of another entity than the log's table says."""
    for covariate in estimand.covariates:
        found = log.entity_of(covariate.column)
        if covariate.entity not in {None, found}:
            raise DataError(
                f"The graph says that {covariate.node!r} belongs to the {covariate.entity}"
                f" (entity={covariate.entity}), but column {covariate.column!r} stands in the"
                f" {found}s table. Say entity={found} in the graph, or name the column that was"
                " meant (column=...)."
            )


def _by_entity(
    log: InteractionLog, columns: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    found: dict[str, list[str]] = {"user": [], "item": [], "event": []}
    for column in sorted(set(columns)):
        found[log.entity_of(column)].append(column)
    return tuple(found["user"]), tuple(found["item"]), tuple(found["event"])


def _usable(frame: pd.DataFrame, ids: set[str | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    kept: list[str] = []
    left: list[str] = []
    for column in map(str, frame.columns):
        if column in ids:
            continue
        values = frame[column]
        dates = values.dtype.kind in "mM"
        words = not dates and not is_number(values) and values.dtype.kind != "b"
        names = words and values.astype(str).nunique() > min(MAX_LEVELS, max(len(values) // 2, 2))
        (left if dates or names else kept).append(column)
    return tuple(sorted(kept)), tuple(sorted(left))


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns)) if columns else "nothing"


@dataclass(frozen=True)
class Encoders:
    """The encoders of a log's three tables."""

    user: Encoder
    item: Encoder
    event: Encoder

    @classmethod
    def of(cls, log: InteractionLog, covariates: Covariates) -> Encoders:
        """Learn them from the tables of a log."""
        return cls(
            encode(log.users, covariates.user, table="users"),
            encode(log.items, covariates.item, table="items"),
            encode(log.events, covariates.event, table="events"),
        )


@dataclass(frozen=True)
class RowDesign:
    """The design of row-level models: what stacked influence needs beside the residuals.

    Attributes
    ----------
    matrix : float64 (n_rows, k)
        The first column is 1.
    names : tuple of str (k,)
    cross : bool (k,)
        Which columns are user x item crosses.
    """

    matrix: Floats
    names: tuple[str, ...]
    cross: NDArray[np.bool_]


def row_design(log: InteractionLog, encoders: Encoders, *, crosses: bool) -> RowDesign:
    """Build the design of row-level models: intercept, features, user x item crosses.

    Parameters
    ----------
    log : InteractionLog
    encoders : Encoders
        Learned over whole tables, not over folds: features carry no outcome.
    crosses : bool
        Whether to add the product of each user feature with each item feature.
    """
    user, item = encoders.user.apply(log.users), encoders.item.apply(log.items)
    event = encoders.event.apply(log.events)
    x, z = user.matrix[log.user_codes], item.matrix[log.item_codes]
    matrix, cross = join_features(x, z, event.matrix, crosses=crosses), 0
    names = ["intercept", *user.names, *item.names, *event.names]
    if crosses:
        pairs = [f"{a} x {b}" for a in user.names for b in item.names]
        names, cross = names + pairs, len(pairs)
    is_cross = np.arange(len(names)) >= len(names) - cross
    return RowDesign(matrix, tuple(names), is_cross)


def join_features(x: Floats, z: Floats, event: Floats, *, crosses: bool) -> Floats:
    """Return [1, x, z, event, x_j z_k for all j, k if `crosses`], (rows, k)."""
    parts = [np.ones((len(x), 1)), x, z, event]
    if crosses:
        parts.append((x[:, :, None] * z[:, None, :]).reshape(len(x), -1))
    return np.hstack(parts)
