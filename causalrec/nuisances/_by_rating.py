"""Naive Bayes by rating: how much more often a rating is recorded than it occurs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.nuisances._base import code_map
from causalrec.nuisances._fit_cells import CellFit

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._options import FitOptions, Within

Floats = NDArray[np.float64]

WITHOUT_ERROR = (
    "the slice has users or items that the log does not have, so its error is in no interval."
)
MOST_LEVELS = 20
"""More distinct outcomes than this are not levels of a rating."""


@dataclass(frozen=True, eq=False)
class RatingSlice:
    """The randomised ratings that P(rating) was learned from.

    Attributes
    ----------
    users, items : int (n,)
        In the codes of the log.
    level : int (n,)
        Place of each rating in `levels`; -1 for one that the log never records.
    levels, frequency : float64 (L,)
        The ratings, sorted, and their share of the slice.
    free : bool (L,)
        Whether the propensity follows the share: it does not where it was set to 1.
    user_ids, item_ids : pandas.Index
        What the codes stand for.
    """

    users: NDArray[np.integer]
    items: NDArray[np.integer]
    level: NDArray[np.integer]
    levels: Floats
    frequency: Floats
    free: NDArray[np.bool_]
    user_ids: pd.Index
    item_ids: pd.Index

    def for_log(self, log: InteractionLog) -> RatingSlice:
        """Return the slice in the codes of another log, which must know its users and items."""
        users = code_map(self.user_ids, log.user_ids, "user")
        items = code_map(self.item_ids, log.item_ids, "item")
        return replace(
            self,
            users=self.users if users is None else users[self.users],
            items=self.items if items is None else items[self.items],
        )


@dataclass(frozen=True)
class ByRating:
    """P(observed | rating) of cells whose rating is recorded.

    Attributes
    ----------
    levels, values : float64 (L,)
        The ratings, sorted, and the propensity of each.
    overall : float
        P(observed): what stands for a cell without a rating where support is decided.
    log : InteractionLog
        The log that it was fitted on.
    drawn : RatingSlice or None
        None where the slice is of users or items that the log does not have.
    """

    levels: Floats
    values: Floats
    overall: float
    log: InteractionLog
    drawn: RatingSlice | None = None

    def given_outcome(self, outcome: Floats) -> Floats:
        """Return P of cells by their ratings; `overall` where the rating is NaN."""
        known = ~np.isnan(outcome)
        at = np.minimum(np.searchsorted(self.levels, outcome), len(self.levels) - 1)
        strange = known & (self.levels[at] != outcome)
        if strange.any():
            raise DataError.bad_rows(
                "outcome",
                "is not a rating that the propensity was fitted on",
                count=int(strange.sum()),
                total=len(outcome),
                rows=[f"{value:g}" for value in np.unique(outcome[strange])[:5]],
                way_out="Cells with several rows have the mean of their ratings: keep one a cell.",
            )
        return np.where(known, self.values[at], self.overall)

    def of_cells(self, log: InteractionLog, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells at the ratings that a log records."""
        return self.given_outcome(recorded_outcomes(log, users, items))

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells of the log it was fitted on; refuse those without a rating."""
        users, items = np.asarray(users), np.asarray(items)
        outcome = recorded_outcomes(self.log, users, items)
        unknown = np.flatnonzero(np.isnan(outcome))
        if len(unknown):
            raise DataError.bad_rows(
                "propensity",
                "depends on the rating, and is asked of cells without one",
                count=len(unknown),
                total=len(outcome),
                rows=[
                    f"user {self.log.user_ids[users[at]]!r}, item {self.log.item_ids[items[at]]!r}"
                    for at in unknown[:5]
                ],
                way_out="By naive Bayes only recorded cells have a propensity. Ask for those, or"
                " use a method that depends on covariates ('logistic').",
            )
        return self.given_outcome(outcome)

    def block(self, users: slice) -> Floats:
        """Refuse, unless every cell of the block has a rating."""
        mine, n_items = np.arange(self.log.n_users)[users], self.log.n_items
        cells = np.repeat(mine, n_items), np.tile(np.arange(n_items), len(mine))
        return self.codes(*cells).reshape(len(mine), n_items)

    def rows(self, log: InteractionLog) -> Floats:
        """Return P of the rows of a log."""
        log.require("ratings", purpose="a propensity that depends on the rating")
        return self.of_cells(log, log.user_codes, log.item_codes)


def recorded_outcomes(log: InteractionLog, users: NDArray[Any], items: NDArray[Any]) -> Floats:
    """Return the outcome that a log records of aligned cells; NaN where it records none."""
    cells = log.observed_cells()
    known = cells.users.astype(np.int64) * log.n_items + cells.items
    asked = np.asarray(users).astype(np.int64) * log.n_items + np.asarray(items)
    if not len(known):
        return np.full(len(asked), np.nan)
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[at] == asked, cells.outcome[at], np.nan)


def fit_by_rating(
    log: InteractionLog, options: FitOptions, within: Within, eligible: float
) -> CellFit:
    """Estimate P(O=1 | Y=r) = P(Y=r | O=1) P(O=1) / P(Y=r) (Schnabel et al. 2016, section 5.1).

    P(Y=r) comes from the randomised slice of the log, or from another log of uniform cells.
    """
    biased, uniform = _parts(log, options)
    cells = biased.observed_cells()
    kept = within.cells(cells.users, cells.items)
    levels, count = np.unique(cells.outcome[kept], return_counts=True)
    slice_cells = uniform.observed_cells()
    drawn = slice_cells.outcome
    _refuse_levels(levels, drawn)
    frequency = np.array([(drawn == level).sum() for level in levels], dtype=np.float64)
    if (frequency == 0).any():
        raise DataError.bad_rows(
            biased.columns.outcome or "outcome",
            "is a rating that never occurs in the randomised slice",
            count=int(count[frequency == 0].sum()),
            total=int(count.sum()),
            rows=[f"{level:g}" for level in levels[frequency == 0][:5]],
            way_out="Its propensity would be infinite: take a larger slice, or join levels.",
        )
    overall = float(count.sum()) / eligible
    raw = (count / count.sum()) * overall / (frequency / len(drawn))
    values = np.minimum(raw, 1.0)
    users = biased.user_ids.get_indexer(uniform.user_ids)[slice_cells.users]
    items = biased.item_ids.get_indexer(uniform.item_ids)[slice_cells.items]
    at = np.minimum(np.searchsorted(levels, drawn), len(levels) - 1)
    known = RatingSlice(
        users, items, np.where(levels[at] == drawn, at, -1), levels, frequency / len(drawn),
        raw <= 1.0, biased.user_ids, biased.item_ids,
    ) if (users >= 0).all() and (items >= 0).all() else None  # fmt: skip
    words = ", ".join(f"{level:g}: {p:.3g}" for level, p in zip(levels, values, strict=True))
    note = (
        f"P(observed | rating), by naive Bayes from {len(drawn):,} randomised ratings: {words}."
        " It depends on the rating alone and belongs to recorded cells only;"
        f" {'the error of the slice is in the intervals.' if known else WITHOUT_ERROR}"
    )
    above = () if (raw <= 1.0).all() else (
        "Some of these were above 1 by chance and set to 1: the slice is small for their rating.",
    )  # fmt: skip
    return CellFit(ByRating(levels, values, overall, biased, known), (note, *above))


def _parts(log: InteractionLog, options: FitOptions) -> tuple[InteractionLog, InteractionLog]:
    """Return the selected rows of the log, and the randomised ones."""
    given = options.randomized
    has_slice = log.randomized is not None and bool(log.randomized.any())
    if has_slice and log.randomized is not None and log.randomized.all():
        raise StudyError(
            "All rows of this log are randomised: P(observed) is the known rate of the slice."
            " Fit the propensity on the log with its selected rows."
        )
    biased = log.selected_part() if has_slice else log
    if given is not None:
        given.require("ratings", purpose="the ratings of uniform cells")
        marked = given.randomized
        mixed = marked is not None and marked.any() and not marked.all()
        return biased, given.randomized_part() if mixed else given
    if not has_slice:
        raise StudyError(
            "method='naive-bayes' needs ratings of cells drawn at random: a log with a randomised"
            " slice (InteractionLog(..., randomized=COLUMN)), or"
            " PropensityModel('naive-bayes', randomized=OTHER_LOG)."
        )
    return biased, log.randomized_part()


def _refuse_levels(levels: Floats, drawn: Floats) -> None:
    if not len(drawn):
        raise DataError("The randomised slice holds no rating.")
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"The outcome has {len(levels):,} distinct values, more than {MOST_LEVELS}: naive Bayes"
            " needs a few ratings. Bin the outcome, or use a ShadowPropensity."
        )
