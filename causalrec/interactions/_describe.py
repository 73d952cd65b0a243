"""What a log says of itself: a summary, a table for notebooks, a fingerprint."""

from __future__ import annotations

import hashlib
import html
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalrec.interactions._content import ROW_ARRAYS

if TYPE_CHECKING:
    from causalrec.interactions._log import InteractionLog


def facts(log: InteractionLog) -> dict[str, str]:
    """Return what there is to know about a log, as label -> text."""
    grid = log.n_users * log.n_items
    found = {
        "kind": log.kind,
        "rows": f"{log.n_rows:,}",
        "users": f"{log.n_users:,}",
        "items": f"{log.n_items:,}",
        "cells with rows": f"{log.n_cells:,} of {grid:,} ({log.n_cells / grid:.2%})",
    }
    if log.n_cells < log.n_rows:
        found["repeated rows"] = f"{log.n_rows - log.n_cells:,} (averaged within their cell)"
    if log._eligible is not None and log.kind in {"ratings", "positives"}:
        found["eligible cells"] = f"{log.n_eligible:,}"
    if log.outcome is not None:
        low, high = log.outcome_range
        how = "declared" if log.outcome_range_declared else "observed"
        found["outcome"] = (
            f"{log.columns.outcome}: mean {log.outcome.mean():.4g},"
            f" range {low:g} to {high:g} ({how})"
        )
    if log.exposure is not None:
        found["exposed"] = f"{int(log.exposure.sum()):,} rows ({log.exposure.mean():.2%})"
    for role in ("slate", "arm", "provider"):
        ids = getattr(log, f"{role}_ids")
        if ids is not None:
            found[f"{role}s"] = f"{len(ids):,}"
    if log.logging_propensity is not None:
        p = log.logging_propensity
        found["logging propensity"] = f"{p.min():.3g} to {p.max():.3g}"
    if log.randomized is not None:
        found["randomised rows"] = f"{int(log.randomized.sum()):,}"
    if log.timestamp is not None:
        found["time"] = f"{_day(log.timestamp.min())} to {_day(log.timestamp.max())}"
    return found | _columns_and_notes(log)


def _columns_and_notes(log: InteractionLog) -> dict[str, str]:
    found = {}
    for what, table in (("user", log._users), ("item", log._items), ("event", log._events)):
        if len(table.columns):
            found[f"{what} columns"] = ", ".join(map(str, table.columns))
    if log.part is not None:
        part = log.part
        found["part"] = f"{part.name} part by {part.by} ({part.share:.0%}): {part.population}"
    for number, note in enumerate(log.notes, start=1):
        found["note" if number == 1 else f"note {number}"] = note
    return found


def _day(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[s]"))


def as_text(log: InteractionLog) -> str:
    """Return the facts as aligned lines of plain text."""
    found = facts(log)
    width = max(map(len, found))
    return "\n".join(f"{label:<{width}}  {text}" for label, text in found.items()) + "\n"


def as_html(log: InteractionLog) -> str:
    """Return the facts as a plain table; names are hostile input and are escaped."""
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(label)}</th><td>{html.escape(text)}</td></tr>"
        for label, text in facts(log).items()
    )
    return f"<table><caption>InteractionLog</caption>{rows}</table>"


def fingerprint(log: InteractionLog) -> str:
    """Return the sha256 of the normalised content, in the order of the rows."""
    digest = hashlib.sha256()
    _add(
        digest,
        "head",
        [log.kind, log.columns.model_dump_json(), repr(log.outcome_range), str(log.part)],
    )
    for name in ("user_ids", "item_ids", "slate_ids", "arm_ids", "provider_ids"):
        _add(digest, name, getattr(log, name))
    for name in (*ROW_ARRAYS, "provider"):
        _add(digest, name, getattr(log, name))
    for name in ("_users", "_items", "_events"):
        table = getattr(log, name)
        for column in table.columns:
            _add(digest, f"{name}.{column}", table[column])
    cells = log._eligible
    if cells is not None:
        for values in (cells.dense, cells.keys, cells.users, [str(cells.listed_are_eligible)]):
            _add(digest, "eligible", values)
    return digest.hexdigest()


def _add(digest: Any, name: str, values: Any) -> None:
    """Add a named column to the hash, numbers by value and everything else by its text."""
    if values is None:
        digest.update(f"\x1e{name}\x1fnone".encode())
        return
    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[ns]").astype("<i8")
    if array.dtype.kind in "biuf":
        wide = array.astype("<f8" if array.dtype.kind == "f" else "<i8")
        wide = np.where(np.isnan(wide), np.nan, wide) if array.dtype.kind == "f" else wide
        digest.update(f"\x1e{name}\x1f{wide.dtype.kind}{len(array)}\x1f".encode())
        digest.update(np.ascontiguousarray(wide).tobytes())
        return
    digest.update(f"\x1e{name}\x1ftext{len(array)}\x1f".encode())
    words = ["\x00" if null else str(v) for v, null in zip(array, pd.isna(array), strict=True)]
    digest.update("\x1f".join(words).encode("utf-8", "surrogatepass"))
