"""Metrics of what is listed, into which no outcome enters: coverage, novelty, diversity and others.

Selection biases none of them, so there is nothing to weight. Each is a mean over users (coverage by
a jackknife), for new users of this catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._engine import key
from causalrec.evaluation._history import History
from causalrec.evaluation._recommenders import Contender, FloatArray
from causalrec.evaluation._terms import ModelMetric
from causalrec.evaluation.metrics import (
    Metric,
    catalogue_coverage,
    intra_list_diversity,
    mean_of_listed,
    miscalibration,
    self_information,
    shares_of_lists,
)
from causalrec.inference import Estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

IntArray = npt.NDArray[np.int64]
CELLS_A_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class DisplayValues:
    """One metric of all models.

    Attributes
    ----------
    terms : tuple of ModelMetric
    estimate : Estimate
        One label a model, clustered by user.
    n_users, n_without : int
        Users that count, and users with a list for whom it is not defined.
    """

    terms: tuple[ModelMetric, ...]
    estimate: Estimate
    n_users: int
    n_without: int


def display_values(
    log: InteractionLog,
    train: InteractionLog | None,
    contenders: Sequence[Contender],
    metrics: Sequence[Metric],
    item_columns: Sequence[str],
    level: float,
) -> tuple[DisplayValues, ...]:
    """Measure the lists of every model.

    Parameters
    ----------
    log : InteractionLog
    train : InteractionLog, optional
        Its cells are not listed, and are the history.
    contenders : sequence of Contender
    metrics : sequence of Metric
        Of form "lists".
    item_columns : sequence of str
        Columns of the items, for diversity and miscalibration.
    level : float

    Raises
    ------
    DataError
        If no user has a list, or a column of items is not there.
    """
    longest = max(metric.cutoff or 1 for metric in metrics)
    lists = {one.name: lists_of(log, train, one, longest) for one in contenders}
    some = np.any([(table >= 0).any(axis=1) for table in lists.values()], axis=0)
    if not some.any():
        raise DataError("No user has an eligible item to list.")
    measures = _Measures(log, History.of(log, train), tuple(item_columns))
    found = []
    for metric in metrics:
        values = np.column_stack(
            [measures.of(metric, table[:, : metric.cutoff], some) for table in lists.values()]
        )
        found.append(_estimated(metric, tuple(lists), values, some, level))
    return tuple(found)


def lists_of(
    log: InteractionLog, train: InteractionLog | None, contender: Contender, k: int
) -> IntArray:
    """Return the first k eligible items of each user outside `train`, (n_users, k), -1 for none."""
    seen = np.zeros(0, np.int64) if train is None else History.of(log, train).keys
    found = np.full((log.n_users, k), -1, dtype=np.int64)
    height = max(1, CELLS_A_BLOCK // max(log.n_items, 1))
    for start in range(0, log.n_users, height):
        block = slice(start, min(start + height, log.n_users))
        allowed = _allowed(log, block)
        first, last = np.searchsorted(seen, [block.start * log.n_items, block.stop * log.n_items])
        allowed.ravel()[seen[first:last] - block.start * log.n_items] = False
        users, items = np.nonzero(allowed)
        if not len(users):
            continue
        codes = (users + block.start).astype(np.int32), items.astype(np.int32)
        place = contender.places(*codes, contender.predict(log, *codes))
        listed = (place >= 1) & (place <= k)
        found[codes[0][listed], place[listed] - 1] = items[listed]
    return found


def _allowed(log: InteractionLog, users: slice) -> npt.NDArray[np.bool_]:
    """Return which cells of a block of users compete: of candidates, those that were candidates."""
    shape = (users.stop - users.start, log.n_items)
    if log.kind == "candidates":
        allowed = np.zeros(shape, dtype=bool)
        inside = (log.user_codes >= users.start) & (log.user_codes < users.stop)
        allowed[log.user_codes[inside] - users.start, log.item_codes[inside]] = True
        return allowed
    eligible = log.eligible_block(users)
    return np.ones(shape, dtype=bool) if eligible is None else eligible.copy()


@dataclass(frozen=True, eq=False)
class _Measures:
    """The metrics of lists, with what they need to know of items and of the past."""

    log: InteractionLog
    history: History
    item_columns: tuple[str, ...]

    def of(self, metric: Metric, lists: IntArray, some: npt.NDArray[np.bool_]) -> FloatArray:
        """Return a value for each user with a list, whose mean is the metric."""
        name = metric.definition.name
        if name == "coverage":
            share, alone = catalogue_coverage(lists[some], self.log.n_items)
            jackknifed: FloatArray = share + (len(alone) - 1) * (alone - alone.mean())
            return jackknifed
        if name == "novelty":
            known = self_information(self.history.known_by, max(self.history.n_with, 1))
            return mean_of_listed(lists[some], known)
        if name == "intra-list-diversity":
            return intra_list_diversity(lists[some], self._levels)
        return self._miscalibration(lists)[some]

    def _miscalibration(self, lists: IntArray) -> FloatArray:
        history = self.history
        found = []
        for level in self._levels.T:
            n_levels = int(level.max()) + 1
            flat = history.users * n_levels + level[history.items]
            counts = np.bincount(flat, minlength=history.n_users * n_levels)
            counts = counts.reshape(history.n_users, n_levels)
            total = counts.sum(axis=1, keepdims=True)
            wanted = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
            found.append(miscalibration(wanted, shares_of_lists(lists, level, n_levels)))
        mean: FloatArray = np.mean(found, axis=0)
        return mean

    @cached_property
    def _levels(self) -> IntArray:
        """Codes of the levels of every item, (n_items, n_columns)."""
        import pandas as pd

        if not self.item_columns:
            raise StudyError(
                "intra-list-diversity and miscalibration compare items: name the columns of the"
                " item table with item_columns=['genre'], for example."
            )
        table = self.log.items
        codes = []
        for column in self.item_columns:
            if table is None or column not in table.columns:
                names = [] if table is None else list(table.columns)
                raise DataError.missing_column(column, names, role="item_columns", table="items")
            level, known = pd.factorize(table[column], sort=False, use_na_sentinel=False)
            if len(known) > max(20, len(table) // 2):
                raise DataError(
                    f"Column {column!r} of the items has {len(known):,} values for"
                    f" {len(table):,} items: as good as every item differs. Cut it into classes"
                    " first, or name another column."
                )
            codes.append(level)
        return np.column_stack(codes).astype(np.int64)


def _estimated(
    metric: Metric,
    models: Sequence[str],
    values: FloatArray,
    some: npt.NDArray[np.bool_],
    level: float,
) -> DisplayValues:
    counted = np.isfinite(values).all(axis=1)
    if not counted.any():
        raise DataError(
            f"{metric.label} is defined for no user: lists or histories are too short for it."
        )
    terms = tuple(ModelMetric(metric, model) for model in models)
    estimate = Estimate.from_score(
        Score(values[counted]),
        clusters={"user": np.flatnonzero(some)[counted]},
        labels=[key(term, "lists") for term in terms],
        sampled=("user",),
        level=level,
    )
    return DisplayValues(terms, estimate, int(counted.sum()), int((~counted).sum()))
