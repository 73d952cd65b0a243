"""Tables and names -> the normalised content of a log, checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalrec.errors import DataError
from causalrec.interactions._cells import cell_keys
from causalrec.interactions._columns import Columns, Kind, resolve_kind
from causalrec.interactions._eligible import Eligibility, pairs_eligible, read_eligible
from causalrec.interactions._frames import EventTable, require_column, to_pandas
from causalrec.interactions._ids import code_against, code_alone, event_ids, plain_ids, table_ids
from causalrec.interactions._timestamps import event_times
from causalrec.interactions._validate import (
    check_range,
    exposures,
    flags,
    outcomes,
    positions,
    propensities,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def normalise(
    events: Any,
    users: Any,
    items: Any,
    columns: Columns,
    *,
    kind: str | None,
    randomized: bool | None,
    eligible: Any,
    outcome_range: tuple[float, float] | None,
) -> dict[str, Any]:
    """Return the fields of an `InteractionLog` from what its constructor was given."""
    frame = to_pandas(events, "events", (columns.user_id, columns.item_id))
    if not len(frame):
        raise DataError(
            f"The events table has 0 rows (its columns are: {', '.join(map(str, frame.columns))})."
            " Check the filter or the join that made it."
        )
    found_kind, columns = resolve_kind(kind, columns, list(frame.columns))
    table = EventTable(frame, columns)
    for role in columns.named():
        if role != "provider":
            table.column(role)
    codes, known = _entities(table, users, items)
    shape = (len(known["user_ids"]), len(known["item_ids"]))
    pairs = read_eligible(eligible, columns, known["user_ids"], known["item_ids"])
    kept, eligibility, note = _set_aside(table, found_kind, codes, shape, pairs)
    table = table.select(kept)
    fields: dict[str, Any] = {name: values[kept] for name, values in codes.items()}
    fields |= _measures(table, found_kind, randomized, check_range(outcome_range))
    fields |= _lists(table, fields["user_codes"]) | known
    used = {name for role, name in columns.named().items() if role != "provider"}
    others = [name for name in table.frame.columns if name not in used]
    fields["_events"] = table.frame[others].reset_index(drop=True)
    fields |= _providers(fields, columns)
    return fields | {
        "kind": found_kind,
        "columns": columns,
        "_eligible": eligibility,
        "notes": (note,) if note else (),
        "n_set_aside": int((~kept).sum()),
        "part": None,
    }


def _entities(
    table: EventTable, users: Any, items: Any
) -> tuple[dict[str, NDArray[np.int32]], dict[str, Any]]:
    """Return the codes of the rows, and the ids and tables that they point into."""
    codes: dict[str, NDArray[np.int32]] = {}
    known: dict[str, Any] = {}
    for what, given in (("user", users), ("item", items)):
        role = f"{what}_id"
        ids = event_ids(table, role)
        if given is None:
            codes[f"{what}_codes"], index = code_alone(ids)
            attributes = pd.DataFrame(index=index)
        else:
            key = getattr(table.columns, role)
            attributes = to_pandas(given, f"{what}s", (key,))
            require_column(attributes, key, role, f"{what}s")
            index = table_ids(attributes, key, f"{what}s")
            codes[f"{what}_codes"] = code_against(ids, index, table, role)
            attributes = attributes.drop(columns=key).set_axis(index, axis="index")
        known[f"{what}_ids"] = index
        known[f"_{what}s"] = attributes
    return codes, known


def _set_aside(
    table: EventTable,
    kind: Kind,
    codes: dict[str, NDArray[np.int32]],
    shape: tuple[int, int],
    pairs: Eligibility | None,
) -> tuple[NDArray[np.bool_], Eligibility | None, str]:
    """Return which rows are kept, the eligible cells, and a note that counts the others."""
    n_rows = len(table.frame)
    if table.columns.eligible is not None:
        eligible = flags(table, "eligible")
        keys = cell_keys(codes["user_codes"], codes["item_codes"], shape[1])
        never = np.setdiff1d(keys[~eligible], keys[eligible])
        pairs = pairs_eligible(*shape, never, listed_are_eligible=False)
    elif pairs is not None:
        eligible = pairs.contains(codes["user_codes"], codes["item_codes"])
    else:
        return np.ones(n_rows, dtype=np.bool_), None, ""
    happened = flags(table, "exposure") if kind == "candidates" else np.ones(n_rows, dtype=np.bool_)
    contradiction = happened & ~eligible
    if contradiction.any():
        role = "exposure" if kind == "candidates" else "item_id"
        way_out = "What was shown or rated was eligible: correct eligible, or drop these rows."
        raise table.bad(role, "is recorded for cells that are not eligible", contradiction, way_out)
    if not eligible.any():
        raise DataError(
            f"eligible leaves none of the {n_rows:,} rows: every one is marked ineligible."
        )
    count = int((~eligible).sum())
    note = f"{count:,} of {n_rows:,} rows were not eligible and were set aside" if count else ""
    return eligible, pairs, note


def _measures(
    table: EventTable,
    kind: Kind,
    randomized: bool | None,
    outcome_range: tuple[float, float] | None,
) -> dict[str, Any]:
    """Return what was measured in each row: outcome, exposure, position, probability, time."""
    columns, n_rows = table.columns, len(table.frame)
    outcome = None if columns.outcome is None else outcomes(table, kind, outcome_range)
    exposure = None if outcome is None or columns.exposure is None else exposures(table, outcome)
    uniform: NDArray[np.bool_] | None = None
    if columns.randomized is not None:
        uniform = flags(table, "randomized")
    elif randomized is not None:
        uniform = np.full(n_rows, bool(randomized))
    observed = (np.nan, np.nan) if outcome is None else (float(outcome.min()), float(outcome.max()))
    return {
        "outcome": outcome,
        "exposure": exposure,
        "position": positions(table, exposure),
        "logging_propensity": propensities(table),
        "randomized": uniform,
        "timestamp": event_times(table),
        "outcome_range": outcome_range or observed,
        "outcome_range_declared": outcome_range is not None,
    }


def _lists(table: EventTable, user_codes: NDArray[np.int32]) -> dict[str, Any]:
    """Return the codes of slates and arms, with the ids that they stand for."""
    found: dict[str, Any] = {"slate": None, "slate_ids": None, "arm": None, "arm_ids": None}
    for role in ("slate", "arm"):
        if getattr(table.columns, role) is not None:
            found[role], found[f"{role}_ids"] = code_alone(event_ids(table, role))
    if found["arm"] is not None and len(found["arm_ids"]) < 2:
        raise table.bad(
            "arm",
            f"has one arm only: it is {found['arm_ids'][0]!r}",
            np.ones(len(table.frame), dtype=np.bool_),
            "Add the rows of the other arms, or leave arm out.",
        )
    if found["slate"] is not None:
        owner = np.zeros(len(found["slate_ids"]), dtype=np.int32)
        owner[found["slate"]] = user_codes
        shared = np.bincount(
            found["slate"], weights=owner[found["slate"]] != user_codes, minlength=len(owner)
        )
        of_several = shared[found["slate"]] > 0
        if of_several.any():
            way_out = (
                "A slate is one list shown once to one user. Make its id unique, for example by"
                " joining it to the user's id or to the session's."
            )
            raise table.bad("slate", "is shared by several users", of_several, way_out)
    return found


def _providers(fields: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Return the provider of each item, from the items table or from events that agree."""
    name = columns.provider
    if name is None:
        return {"provider": None, "provider_ids": None}
    items, events = fields["_items"], fields["_events"]
    moved: dict[str, Any] = {}
    if name not in items.columns:
        if name not in events.columns:
            names = [*items.columns, *events.columns]
            raise DataError.missing_column(name, names, role="provider", table="items")
        items = items.assign(**{name: _provider_from_events(events[name], fields, columns)})
        moved = {"_items": items, "_events": events.drop(columns=name)}
    null = items[name].isna().to_numpy()
    if null.any():
        raise DataError.bad_rows(
            name,
            "of the items table has no value",
            count=int(null.sum()),
            total=len(items),
            rows=items.loc[null, [name]],
            way_out="Give these items a provider, for example 'unknown'.",
        )
    provider, provider_ids = code_alone(plain_ids(items[name]))
    return {"provider": provider, "provider_ids": provider_ids, **moved}


def _provider_from_events(
    values: pd.Series, fields: dict[str, Any], columns: Columns
) -> NDArray[Any]:
    by_item = values.groupby(fields["item_codes"])
    several = (by_item.transform("nunique", dropna=False) > 1).to_numpy()
    if several.any():
        shown = pd.DataFrame(
            {
                columns.item_id: fields["item_ids"].take(fields["item_codes"][several][:5]),
                columns.provider: values[several][:5].to_numpy(),
            }
        )
        raise DataError.bad_rows(
            str(columns.provider),
            "differs between events of one item",
            count=int(several.sum()),
            total=len(values),
            rows=shown,
            way_out="A provider belongs to an item: pass an items table with one for each.",
        )
    first = by_item.first().reindex(range(len(fields["item_ids"])))
    return first.to_numpy()
