"""Who was assessed and who was selected: the rows behind a table of impact ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalrec.audits._lists import Codes, Lists, cells_of, lists_of_model, lists_of_table
from causalrec.errors import DataError, StudyError
from causalrec.evaluation import contenders

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
USUAL_K = 10
BAND = (0.4, 0.6)
"""Ranks between which a group's share estimates its density at the median."""
ATOM = 0.01
"""Where more of the scores than this equal the median, it does not move with the sample."""


@dataclass(frozen=True, eq=False)
class Assessments:
    """One entry an assessment: a user and an item that could have been brought together.

    Attributes
    ----------
    users, items : int64 arrays (n,)
        Codes of the log.
    selected : float64 array (n,)
        1 where it was selected, or scored above the median.
    near_median : float64 array (n,) or None
        Of a scoring tool: 1 / 0.2 where the score lies among the middle fifth, so that its mean
        in a group is the group's density at the median over that of everybody. Zero where many
        scores are tied at the median, which then has no error.
    words : str
        What was assessed, and what selected means.
    notes : tuple of str
    """

    users: Codes
    items: Codes
    selected: FloatArray
    near_median: FloatArray | None
    words: str
    notes: tuple[str, ...] = ()

    def keep(self, mask: BoolArray) -> Assessments:
        """Return the assessments where `mask` is True."""
        near = None if self.near_median is None else self.near_median[mask]
        return Assessments(
            self.users[mask], self.items[mask], self.selected[mask], near, self.words, self.notes
        )


def assessments_of(
    log: InteractionLog,
    lists: Any,
    scores: Any,
    *,
    k: int | None,
    among: Mapping[str, str],
    train: InteractionLog | None,
    exclude_seen: bool,
) -> Assessments:
    """Return who was assessed: by lists, by scores, or as the log recorded it."""
    if scores is not None and lists is not None:
        raise StudyError(
            "A tool selects or scores: pass lists (a model or a table) or scores, not both."
        )
    if scores is not None:
        return _scored(log, scores, _among(log, among))
    if lists is not None:
        found = _listed(log, lists, USUAL_K if k is None else k, train, exclude_seen)
    else:
        found = _logged(log, k)
    return found.keep(_rows_among(log, found, _among(log, among)))


def _among(log: InteractionLog, among: Mapping[str, str]) -> list[tuple[str, BoolArray, str]]:
    """Return (side, mask by code, words) of each condition."""
    conditions: list[tuple[str, BoolArray, str]] = []
    for column, level in among.items():
        entity = log.entity_of(column)
        if entity == "event":
            raise DataError(
                f"among={dict(among)!r} names {column!r}, a column of events: it must be one of the"
                " user or of the item table."
            )
        table = log.users if entity == "user" else log.items
        mask = (table[column].astype("string") == str(level)).fillna(False).to_numpy(dtype=bool)
        if not mask.any():
            levels = ", ".join(sorted(map(str, table[column].dropna().unique()))[:10])
            raise DataError(f"No {entity} has {column}={level!r}; the levels are {levels}.")
        conditions.append((entity, mask, f"{column}={level}"))
    return conditions


def _rows_among(
    log: InteractionLog, found: Assessments, conditions: list[tuple[str, BoolArray, str]]
) -> BoolArray:
    kept = np.ones(len(found.users), dtype=bool)
    for entity, mask, _ in conditions:
        kept &= mask[found.users if entity == "user" else found.items]
    if not kept.any():
        raise DataError("No assessment is left: look at among=... and at the log.")
    return kept


def _logged(log: InteractionLog, k: int | None) -> Assessments:
    users, items = log.user_codes.astype(np.int64), log.item_codes.astype(np.int64)
    if log.kind == "candidates":
        assert log.exposure is not None
        chosen = log.exposure == 1
        words = "candidate rows of the log; selected: shown"
        if k is not None:
            log.require_fields("position", purpose=f"what was shown among the first {k} places")
            assert log.position is not None
            chosen = chosen & (log.position <= k)
            words += f" among the first {k} places"
    elif log.kind == "impressions" and k is not None and log.position is not None:
        chosen = log.position <= k
        words = f"rows that the log showed; selected: among the first {k} places"
    else:
        raise StudyError(
            f"A log of {log.kind} does not say who was assessed and not selected. Pass a log of"
            " candidates (shown or not), a model or a table of lists, scores=..., or, for"
            " impressions with positions, k=...: selected is then whoever stood among the first k."
        )
    return Assessments(users, items, chosen.astype(np.float64), None, words)


def _listed(
    log: InteractionLog, given: Any, k: int, train: InteractionLog | None, exclude_seen: bool
) -> Assessments:
    if k < 1:
        raise StudyError(f"k={k!r} must be at least 1: the places that count as selected.")
    history = log if train is None else train
    is_model = callable(given) or hasattr(given, "predict")
    if is_model:
        lists: Lists = lists_of_model(
            given, log, history, k=k, exclude_seen=exclude_seen, browsing="equal"
        )
    else:
        lists = lists_of_table(given, log, history, k=k, browsing="equal")
    users, items = _eligible_cells(log, history, np.unique(lists.users), is_model and exclude_seen)
    chosen = np.isin(users * log.n_items + items, lists.users * log.n_items + lists.items)
    unseen = " unseen" if is_model and exclude_seen else ""
    words = f"eligible{unseen} pairs of a user and an item; selected: {lists.words}"
    return Assessments(users, items, chosen.astype(np.float64), None, words, lists.notes)


def _eligible_cells(
    log: InteractionLog, history: InteractionLog, listed: Codes, unseen: bool
) -> tuple[Codes, Codes]:
    """Return the cells that could have been listed, of the users who have a list."""
    users, items = np.repeat(listed, log.n_items), np.tile(np.arange(log.n_items), len(listed))
    kept = np.ones(len(users), dtype=bool)
    eligible = log.eligible_block(slice(0, log.n_users))
    if eligible is not None:
        kept &= eligible[users, items]
    if unseen:
        seen = cells_of(log, history)
        kept &= ~np.isin(users * log.n_items + items, seen[0] * log.n_items + seen[1])
    return users[kept].astype(np.int64), items[kept].astype(np.int64)


def _scored(
    log: InteractionLog, scores: Any, conditions: list[tuple[str, BoolArray, str]]
) -> Assessments:
    users, items = log.user_codes.astype(np.int64), log.item_codes.astype(np.int64)
    if isinstance(scores, str):
        value = pd.to_numeric(log.column(scores), errors="coerce").to_numpy(dtype=np.float64)
        words = f"rows of the log; selected: {scores} above the sample median"
    elif callable(scores) or hasattr(scores, "predict"):
        (model,) = contenders(scores)
        value = model.predict(log, log.user_codes, log.item_codes)
        words = "rows of the log; selected: a predicted score above the sample median"
    else:
        value = np.asarray(scores, dtype=np.float64)
        words = "rows of the log; selected: a score above the sample median"
    if value.shape != (log.n_rows,):
        raise DataError(
            f"scores has shape {value.shape}; pass one number for each of the {log.n_rows:,} rows."
        )
    bare = Assessments(users, items, value, None, words)
    kept = _rows_among(log, bare, conditions)
    known = kept & np.isfinite(value)
    notes: tuple[str, ...] = ()
    if (without := int(kept.sum() - known.sum())) > 0:
        notes = (f"{without:,} of {int(kept.sum()):,} rows have no score and are left out.",)
    value = value[known]
    if not len(value):
        raise DataError("No row has a score: there is no median to compare with.")
    median = np.median(value)
    tied = float((value == median).mean())
    if tied > ATOM:
        notes = (*notes, f"{tied:.1%} of the scores equal the median; they are not above it.")
    above = (value > median).astype(np.float64)
    near = np.zeros(len(value)) if tied > ATOM else _near_median(value)
    return Assessments(users[known], items[known], above, near, words, notes)


def _near_median(value: FloatArray) -> FloatArray:
    rank = pd.Series(value).rank(method="average").to_numpy() / len(value)
    inside = (rank > BAND[0]) & (rank <= BAND[1])
    return np.asarray(inside / max(float(inside.mean()), 1e-12))
