"""Attention and merit of item groups over the same cells: what exposure audits compare.

Exposure is fully seen, merit (the mean gain had every cell been recorded) is not: it is estimated
as any mean of the outcome. Both are summed over one set of cells, so a ratio of the two carries
the error of both, and their covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._cell_evaluator import evaluator_of_cells
from causalrec.evaluation._cells import CellBlock, Coverage
from causalrec.evaluation._common_support import common_support, shared_words
from causalrec.evaluation._groups import Group
from causalrec.evaluation._law import Gain
from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import CellTotals, Estimate
from causalrec.scores import dr_score

if TYPE_CHECKING:
    from causalrec.evaluation._evaluation_options import EvaluationQuestion
    from causalrec.evaluation._evaluator import Evaluator
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Support

Codes = npt.NDArray[np.int64]
NEEDS_WEIGHT = frozenset({"ips", "snips", "dr"})
OVER_CELLS = frozenset({"ips", "dr"})
Name = tuple[str, str, str]
"""A sum: quantity, estimator, group label ("" for all groups together)."""


@dataclass(frozen=True, eq=False)
class Attention:
    """What lists give to cells.

    Attributes
    ----------
    users, items : int64 arrays (n,)
        Codes of the log, one entry a cell.
    weight : float64 array (n,)
        Expected attention of the cell.
    listed : float64 array (n,)
        Share of the user's lists that hold the item.
    logged : bool
        The log itself showed them: what they earned is seen, and not corrected.
    """

    users: Codes
    items: Codes
    weight: FloatArray
    listed: FloatArray
    logged: bool = False


@dataclass(frozen=True, eq=False)
class MeritEstimates:
    """One attribute of items: attention and merit in each of its groups.

    Attributes
    ----------
    column : str
    groups : tuple of Group
        One a level, sorted.
    estimate : Estimate
        Labelled by `label`: "exposure" (attention a cell gets), "exposure share", "cells share",
        and by estimator "merit" (mean gain of a cell), "merit share", "impact" (mean of attention x
        gain), and "listed" (share of the group's gain that is in the lists).
    estimators : tuple of str
    populations : mapping of estimator to str
    recorded : mapping of group label to int
        Recorded cells of the population.
    listed : int
        Recorded cells of the population that are in the lists.
    """

    column: str
    groups: tuple[Group, ...]
    estimate: Estimate
    estimators: tuple[str, ...]
    populations: Mapping[str, str]
    recorded: Mapping[str, int]
    listed: int

    @staticmethod
    def label(quantity: str, group: Group, estimator: str = "") -> str:
        """Return the label of one number in `estimate`."""
        return "|".join((quantity, estimator, group.label))


@dataclass(frozen=True, eq=False)
class MeritAnswers:
    """All attributes, and what merit is.

    Attributes
    ----------
    found : tuple of MeritEstimates
        In the order of the columns.
    gain : str
        What an outcome is worth, in words.
    """

    found: tuple[MeritEstimates, ...]
    gain: str


def merit_estimates(
    log: InteractionLog,
    by: Mapping[str, Sequence[Group]],
    attention: Attention,
    *,
    estimators: Sequence[str] = ("naive", "snips", "dr"),
    provider_columns: Sequence[str] = (),
    propensity: Any = None,
    outcome_model: Any = None,
    graph: CausalGraph | None = None,
    sampled: Sequence[str] = ("user", "item"),
    relevance_threshold: float | None = None,
    train: InteractionLog | None = None,
    clip: float | None = None,
    floor: float = 1e-3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> MeritAnswers:
    """Estimate attention and merit by groups of items, with the covariances that ratios need.

    Parameters
    ----------
    log : InteractionLog
        Ratings or candidates.
    by : mapping of str to sequence of Group
        Attributes of items, and their groups, an item in one of them at most; a name that is a
        column of the item table has its groups compared where all of them have support.
    attention : Attention
        Only users with some of it count.
    estimators : sequence of str
        "naive", "snips", "ips", "dr"; on a log whose rows are all randomised, "plain" alone.
    provider_columns : sequence of str
        Names in `by` that are attributes of providers: clustered by user and provider.
    propensity, outcome_model, graph, sampled, relevance_threshold, train, clip, floor, level, \
    random_state
        As in `evaluate`.
    """
    evaluator = evaluator_of_cells(
        log,
        purpose="merit of items, shown or not",
        estimators=estimators,
        propensity=propensity,
        outcome_model=outcome_model,
        graph=graph,
        sampled=sampled,
        relevance_threshold=relevance_threshold,
        train=train,
        clip=clip,
        floor=floor,
        level=level,
        random_state=random_state,
    )
    found = tuple(
        _of_column(evaluator, column, tuple(groups), attention, column in provider_columns)
        for column, groups in by.items()
    )
    return MeritAnswers(found, Gain(relevance_threshold).words)


@dataclass(eq=False)
class _Columns:
    """Places of sums over cells, by what they are sums of."""

    places: dict[Name, int] = field(default_factory=dict)

    def add(self, quantity: str, estimator: str, group: str) -> int:
        return self.places.setdefault((quantity, estimator, group), len(self.places))

    def __getitem__(self, name: Name) -> int:
        return self.places[name]


def _of_column(
    evaluator: Evaluator,
    column: str,
    groups: tuple[Group, ...],
    attention: Attention,
    by_provider: bool,
) -> MeritEstimates:
    question = evaluator.question
    log = question.log
    common = None if evaluator.weights is None else evaluator.weights.support
    left_out = 0
    if _is_of_table(log, column, groups):
        common, left_out = common_support(common, groups)
    columns = _Columns()
    names = [group.label for group in groups]
    for name in ["", *names]:
        for quantity in ("cells", "exposure"):
            columns.add(quantity, "", name)
        for estimator in question.estimators:
            for quantity in ("weight", "merit", "impact", "listed"):
                columns.add(quantity, estimator, name)
    totals = CellTotals(
        log.n_users,
        log.n_items,
        len(columns.places),
        item_clusters=log.provider if by_provider else None,
        item_dimension="provider" if by_provider else "item",
    )
    summing = _Summing(evaluator, attention, groups, columns)
    coverage = summing.add_cells(totals, common)
    words = "eligible cells of users with a list"
    share = coverage.share_unsupported
    if left_out:
        words = f"{shared_words(groups, left_out)}, users with a list"
    elif share > 0:
        words = f"supported cells of users with a list ({1 - share:.1%} of the eligible)"
    return MeritEstimates(
        column=column,
        groups=groups,
        estimate=_ratios(totals, columns, names, question, by_provider, attention.logged),
        estimators=question.estimators,
        populations={
            e: f"recorded {words}" if e == "naive" else words for e in question.estimators
        },
        recorded=dict(zip(names, summing.recorded.tolist(), strict=True)),
        listed=summing.n_listed,
    )


def _is_of_table(log: InteractionLog, column: str, groups: Sequence[Group]) -> bool:
    """Return whether the groups are levels of a column, not parts of the catalogue of that name."""
    if column not in log.items.columns:
        return False
    return {group.levels[column] for group in groups} <= set(log.items[column].astype("string"))


def _ratios(
    totals: CellTotals,
    columns: _Columns,
    names: Sequence[str],
    question: EvaluationQuestion,
    by_provider: bool,
    logged: bool,
) -> Estimate:
    """Return every ratio of two sums, jointly."""
    wanted: list[tuple[str, Name, Name, Name]] = []  # label, above and below the line, weight
    for name in names:
        cells = ("cells", "", name)
        wanted.append((f"exposure||{name}", ("exposure", "", name), cells, cells))
        everything = ("exposure", "", "")
        wanted.append((f"exposure share||{name}", ("exposure", "", name), everything, cells))
        wanted.append((f"cells share||{name}", cells, ("cells", "", ""), cells))
        for estimator in question.estimators:
            weight = ("weight", estimator, name)
            below = cells if estimator in OVER_CELLS else weight
            merit, total = ("merit", estimator, name), ("merit", estimator, "")
            tail = f"|{estimator}|{name}"
            wanted.append((f"merit{tail}", merit, below, weight))
            wanted.append((f"merit share{tail}", merit, total, weight))
            wanted.append((f"listed{tail}", ("listed", estimator, name), merit, weight))
            shared = cells if logged else below
            wanted.append((f"impact{tail}", ("impact", estimator, name), shared, weight))
    sampled = tuple("provider" if by_provider and s == "item" else s for s in question.sampled)
    return totals.to_estimate(
        [columns[one[1]] for one in wanted],
        [columns[one[2]] for one in wanted],
        labels=[one[0] for one in wanted],
        weights=[columns[one[3]] for one in wanted],
        sampled=sampled,
        level=question.level,
    )


@dataclass(eq=False)
class _Summing:
    """Adds cells, block by block, to the sums of every group."""

    evaluator: Evaluator
    attention: Attention
    groups: tuple[Group, ...]
    columns: _Columns

    def __post_init__(self) -> None:
        log, given = self.evaluator.question.log, self.attention
        keys = given.users * np.int64(log.n_items) + given.items
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._weight, self._listed = given.weight[order], given.listed[order]
        self._has_list = np.bincount(given.users, minlength=log.n_users) > 0
        self._group_of_item = np.full(log.n_items, -1, dtype=np.int64)
        for at, group in enumerate(self.groups):
            self._group_of_item[group.items] = at
        self.recorded = np.zeros(len(self.groups), dtype=np.int64)
        self.n_listed = 0

    def add_cells(self, totals: CellTotals, support: Support | None) -> Coverage:
        """Walk every cell of the population."""
        coverage = Coverage()
        source = replace(self.evaluator.source, support=support, every_cell=True)
        for block in source.blocks(coverage):
            values = self._values(block)
            if block.span is None:
                totals.add_rows(block.users, block.items, values)
                continue
            height = block.span.stop - block.span.start
            dense = np.zeros((height, totals.n_items, values.shape[1]))
            dense[block.users - block.span.start, block.items] = values
            totals.add(block.span, dense)
        return coverage

    def _values(self, block: CellBlock) -> FloatArray:
        """Return what each cell adds to each sum, (cells, sums); most of it is nothing."""
        weight, listed = self._attention_of(block)
        code = self._group_of_item[block.items]
        inside = block.member & self._has_list[block.users] & (code >= 0)
        seen = inside & block.observed
        self.recorded += np.bincount(code[seen], minlength=len(self.groups))
        self.n_listed += int(np.count_nonzero(listed[seen]))
        values = np.zeros((len(block), len(self.columns.places)))
        per_cell = {
            ("cells", ""): inside.astype(np.float64),
            ("exposure", ""): weight,
            **self._of_gain(block, weight, listed),
        }
        for (quantity, estimator), amount in per_cell.items():
            own = np.array([self.columns[quantity, estimator, g.label] for g in self.groups])
            rows = np.flatnonzero(inside & (amount != 0.0))
            values[rows, own[code[rows]]] = amount[rows]
            values[rows, self.columns[quantity, estimator, ""]] = amount[rows]
        return values

    def _attention_of(self, block: CellBlock) -> tuple[FloatArray, FloatArray]:
        """Return the attention of each cell, and the share of the user's lists that hold it."""
        if not len(self._keys):
            return np.zeros(len(block)), np.zeros(len(block))
        n_items = np.int64(self.evaluator.question.log.n_items)
        keys = block.users.astype(np.int64) * n_items + block.items
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        listed = self._keys[at] == keys
        return np.where(listed, self._weight[at], 0.0), np.where(listed, self._listed[at], 0.0)

    def _of_gain(
        self, block: CellBlock, weight: FloatArray, listed: FloatArray
    ) -> dict[tuple[str, str], FloatArray]:
        """Return weight, gain, attention x gain and listed gain of each cell, by estimator."""
        gain = Gain(self.evaluator.question.threshold)
        value = np.where(block.observed, gain.of(block.outcome), 0.0)
        found: dict[tuple[str, str], FloatArray] = {}
        for estimator in self.evaluator.question.estimators:
            inverse = block.observed.astype(np.float64)
            if estimator in NEEDS_WEIGHT:
                inverse = block.observed / block.propensity
            score = inverse * value
            if estimator == "dr":
                assert block.mean is not None
                assert self.evaluator.imputation is not None
                expected = self.evaluator.imputation.law.gain(block.mean, gain)
                score = dr_score(value, block.observed, block.propensity, expected)
            found["weight", estimator] = inverse
            found["merit", estimator] = score
            # What the log itself showed has earned what it has earned: nothing is missing there.
            earned = value * block.observed if self.attention.logged else score
            found["impact", estimator] = weight * earned
            found["listed", estimator] = listed * score
        return found
