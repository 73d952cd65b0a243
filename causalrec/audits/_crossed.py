"""Attributes that are crossed with each other, and subjects whose attribute is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

from causalrec.errors import DataError, StudyError

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Unknown = Literal["exclude", "category", "bounds"]
UNKNOWN = "unknown"
CROSS = " x "
Entity = Literal["user", "item"]


@dataclass(frozen=True, eq=False)
class Crossed:
    """A log whose tables hold the crossed attributes, and what they are made of.

    Attributes
    ----------
    log : InteractionLog
    columns : mapping of entity to tuple of str
        The attributes to audit, crossed ones by their joint name ("gender x age").
    levels : mapping of joint name to mapping of joint level to group
        {"gender x age": {"F x young": {"gender": "F", "age": "young"}}}.
    """

    log: InteractionLog
    columns: Mapping[Entity, tuple[str, ...]]
    levels: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)


def crossed(
    log: InteractionLog,
    user_groups: Sequence[str | Sequence[str]],
    item_groups: Sequence[str | Sequence[str]],
    unknown: Unknown,
) -> Crossed:
    """Add crossed attributes to the tables of a log, as columns like any other.

    The nuisances then know them too: selection may depend on the crossing and not on its margins.

    Parameters
    ----------
    log : InteractionLog
    user_groups, item_groups : sequence of str or of sequence of str
        Columns; ("gender", "age") or "gender x age" is their crossing.
    unknown : {"exclude", "category", "bounds"}
        "category" makes a level "unknown" of the subjects without one.

    Raises
    ------
    StudyError
        For another `unknown`.
    DataError
        For a column that the table does not have, or levels that would be confused when joined.
    """
    if unknown not in {"exclude", "category", "bounds"}:
        raise StudyError(
            f"unknown={unknown!r} is not known: 'exclude' (they belong to no group), 'category'"
            " (a group of their own) or 'bounds' (they could belong to any group)."
        )
    columns: dict[Entity, tuple[str, ...]] = {}
    levels: dict[str, Mapping[str, Mapping[str, str]]] = {}
    added: dict[str, dict[str, pd.Series]] = {}
    asked: tuple[tuple[Entity, Sequence[str | Sequence[str]]], ...] = (
        ("user", user_groups),
        ("item", item_groups),
    )
    for entity, groups in asked:
        table = log.users if entity == "user" else log.items
        new: dict[str, pd.Series] = {}
        names = []
        for group in groups:
            parts = parts_of(group, table)
            known = _known(log, entity, parts, table, unknown, new)
            names.append(CROSS.join(parts))
            if len(parts) > 1:
                new[names[-1]], levels[names[-1]] = _joined(known, parts)
        columns[entity] = tuple(dict.fromkeys(names))
        added[entity] = new
    if added["user"] or added["item"]:
        log = log.with_attributes(added["user"], added["item"])
    return Crossed(log, columns, levels)


def parts_of(group: str | Sequence[str], table: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that an attribute is made of.

    Examples
    --------
    >>> parts_of("gender x age", pd.DataFrame(columns=["gender", "age"])), parts_of(
    ...     "gender x age", pd.DataFrame(columns=["gender x age"]))
    (('gender', 'age'), ('gender x age',))
    """
    if not isinstance(group, str):
        return tuple(dict.fromkeys(str(name) for name in group))
    if group in table.columns or CROSS not in group:
        return (group,)
    return tuple(dict.fromkeys(name.strip() for name in group.split(CROSS)))


def _known(
    log: InteractionLog,
    entity: Entity,
    parts: tuple[str, ...],
    table: pd.DataFrame,
    unknown: Unknown,
    new: dict[str, pd.Series],
) -> pd.DataFrame:
    """Return the columns as text, the unknown as a level of its own where that was asked for."""
    found = {}
    for name in parts:
        if name not in table.columns:
            if len(parts) == 1:
                return pd.DataFrame()  # read_attribute says which table has it
            raise DataError(
                f"{CROSS.join(parts)!r} crosses {name!r}, a column of the {log.entity_of(name)}s,"
                f" with columns of the {entity}s: cross columns of one table."
            )
        text = table[name].astype("string")
        if unknown == "category" and text.isna().any():
            text = text.fillna(UNKNOWN)
            new[name] = text.astype(object)
        found[name] = text
    return pd.DataFrame(found)


def _joined(
    known: pd.DataFrame, parts: tuple[str, ...]
) -> tuple[pd.Series, dict[str, dict[str, str]]]:
    """Return the joint level of each subject (none where a part has none), and what it means."""
    complete = known.notna().all(axis=1)
    joint = known[parts[0]]
    for name in parts[1:]:
        joint = joint + CROSS + known[name]
    pairs = known[complete].assign(joint=joint[complete]).drop_duplicates()
    if pairs["joint"].duplicated().any():
        raise DataError(
            f"Levels of {CROSS.join(parts)!r} cannot be told apart when they are joined by"
            f" {CROSS!r}: rename the levels that hold it."
        )
    meaning = {
        str(row["joint"]): {name: str(row[name]) for name in parts} for _, row in pairs.iterrows()
    }
    return joint.astype(object).where(complete, None), meaning
