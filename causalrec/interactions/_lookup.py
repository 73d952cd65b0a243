"""Columns by their original names, whichever table holds them, aligned with the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from causalrec.errors import DataError, near_miss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causalrec.interactions._log import InteractionLog

Entity = Literal["user", "item", "event"]

APART = {"user_id", "item_id", "provider", "eligible"}
"""Roles whose columns are not looked up among the events' measurements."""


def entity_of(log: InteractionLog, name: str) -> Entity:
    """Return whether a column belongs to users, items or events."""
    if name in {log.columns.user_id, log.columns.item_id}:
        return "user" if name == log.columns.user_id else "item"
    tables: dict[Entity, list[str]] = {
        "user": list(log._users.columns),
        "item": list(log._items.columns),
        "event": [*log._events.columns, *_measurements(log)],
    }
    homes = [entity for entity, names in tables.items() if name in names]
    if len(homes) == 1:
        return homes[0]
    if not homes:
        raise _unknown(name, tables)
    raise DataError(
        f"Column {name!r} is in the tables of {' and '.join(f'{home}s' for home in homes)}."
        " Rename or drop it in all but one, so that it means one thing."
    )


def column_of(log: InteractionLog, name: str, missing: Literal["error", "keep"]) -> pd.Series:
    """Return a column aligned with the rows, numbered from 0."""
    values = _values(log, name).reset_index(drop=True).rename(name)
    null = values.isna().to_numpy()
    if missing == "error" and null.any():
        raise _missing_values(log, name, null)
    return values


def _measurements(log: InteractionLog) -> dict[str, str]:
    """Return column name -> role, for the event columns that play a role."""
    return {name: role for role, name in log.columns.named().items() if role not in APART}


def _values(log: InteractionLog, name: str) -> pd.Series:
    entity = entity_of(log, name)
    role = _measurements(log).get(name)
    if name == log.columns.user_id:
        return pd.Series(log.user_ids.take(log.user_codes))
    if name == log.columns.item_id:
        return pd.Series(log.item_ids.take(log.item_codes))
    if entity != "event":
        table, codes = (
            (log._users, log.user_codes) if entity == "user" else (log._items, log.item_codes)
        )
        return table[name].take(codes)
    if role is None:
        return log._events[name]
    if role in {"slate", "arm"}:
        return pd.Series(getattr(log, f"{role}_ids").take(getattr(log, role)))
    return pd.Series(getattr(log, role))


def _unknown(name: str, tables: dict[Entity, list[str]]) -> DataError:
    """Build the error for a column that no table of the log has."""
    everything = [column for names in tables.values() for column in names]
    listed = "; ".join(
        f"{table}s: {', '.join(names) if names else 'none'}" for table, names in tables.items()
    )
    return DataError(
        f"The log has no column {name!r}.{near_miss(name, everything)} Its columns are: {listed}."
        " Pass a users or items table that has it, or add it to the events."
    )


def _missing_values(log: InteractionLog, name: str, null: NDArray[np.bool_]) -> DataError:
    rows = np.flatnonzero(null)[:5]
    shown = pd.DataFrame(
        {
            log.columns.user_id: log.user_ids.take(log.user_codes[rows]),
            log.columns.item_id: log.item_ids.take(log.item_codes[rows]),
        },
        index=rows,
    )
    return DataError.bad_rows(
        name,
        "has no value (NaN)",
        count=int(null.sum()),
        total=log.n_rows,
        rows=shown,
        way_out="Fill it before the log is made (a level such as 'unknown' is one way), or"
        " choose a column without gaps.",
    )
