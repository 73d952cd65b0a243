"""`EffectResult.interference`: does what happens to the neighbours in a slate matter?

The effect of an item takes its neighbours as they were. Three things can be looked at: whether the
share of exposed neighbours moves the outcome, whether the effect differs where many or few of them
were exposed, and whether one more exposure does the same to the slate's total as to its item: the
difference is what the neighbours lose or gain. Carry-over to other sessions, or between users,
leaves no trace in one log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._adjustment import Adjustment, Floats
from causalrec.effects._linear_confounding import LinearConfounding
from causalrec.effects._quick import Quick
from causalrec.effects._scores import Computation, population_words
from causalrec.effects._unit_covariates import as_numbers, mean_of_neighbours
from causalrec.effects._units import decided_as_a_whole, unit_codes
from causalrec.effects._words import amount
from causalrec.errors import DataError, OverlapError
from causalrec.results import Assumption, Result, Row, format_cell, rows_from_estimate
from causalrec.scores import Score, group_scores

if TYPE_CHECKING:
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

NAME = "no interference between items of a slate"
PARTS: tuple[str, ...] = (
    "few neighbours exposed",
    "some neighbours exposed",
    "many neighbours exposed",
)
CHANGE = "change of the effect, all neighbours exposed against none"
SPILLOVER, WITHOUT, WITHIN = (
    "all neighbours exposed against none",
    "effect, neighbours left out",
    "effect, neighbours' share adjusted for",
)
MOVED = "adjusted - left out"
ON_ITEM, ON_SLATE, ON_OTHERS = (
    "one exposure, on its item",
    "one exposure, on the slate's total",
    "slate's total - item",
)
RARE = 0.05


def check_interference(
    computation: Computation, whole: Result, columns: tuple[str, ...], log: InteractionLog
) -> Result:
    """Return the result of `EffectResult.interference`."""
    shared: dict[str, Any] = {
        "kind": "interference",
        "title": f"{whole.title}: interference between items of a slate",
        "question": "Does an item's outcome depend on whether its neighbours were exposed?",
        "graph_dot": whole.graph_dot,
        "adjustment": whole.adjustment,
        "provenance": whole.provenance,
    }
    if log.slate is None:
        return Result(**shared, answer=CANNOT, assumptions=(_assumption("untestable", CANNOT),))
    neighbours = Neighbours.of(log, columns, computation.population.supported)
    if isinstance(neighbours, str):
        return Result(
            **shared, answer=neighbours, assumptions=(_assumption("untestable", neighbours),)
        )
    some = neighbours.some
    rows = _rows(computation, columns, neighbours)
    words = _answer(rows)
    compared = any(row.label in PARTS for row in rows)
    return Result(
        **shared,
        answer=words,
        rows=rows,
        assumptions=(_assumption("violated" if _found(rows) else "tested", words),),
        notes=(
            f"{int((~some).sum()):,} rows have no neighbour in their slate and are left out.",
            "The slate's total is compared with the item's own outcome with the neighbours' share"
            " and their averaged covariates adjusted for; a total is of many items, so these"
            " intervals speak of new users of this catalogue.",
            "The effects where few and many neighbours were exposed are a description: their"
            " covariates differ too. Each group's row names the shares in it."
            if compared
            else "Rows that the effect speaks of all have the same share of exposed neighbours, so"
            " that the effects where few and many were exposed cannot be told.",
            "The share of exposed neighbours is itself no experiment: what moves it and the"
            " outcome, beyond the covariates, looks like interference. Carry-over to later"
            " sessions, and between users, cannot be seen here.",
        ),
    )


CANNOT = (
    "Interference cannot be checked: the log does not say which items stood together. Name the"
    " column with slate=... when the log is made. Until then it stands as an assumption that the"
    " neighbours do not matter."
)
ALIKE = (
    "Interference cannot be checked: every row has the same share of exposed neighbours in its"
    " slate, or none has neighbours."
)
WHOLE = (
    "Interference cannot be checked: all rows of a slate are exposed or none, so an item's exposure"
    " and its neighbours' are one. Ask for the effect on the total instead: unit='slate'."
)
TOGETHER = (
    "Interference cannot be checked: within slates, exposure is tied. {reason} What an item's"
    " exposure does and what its neighbours' does cannot be told apart here."
)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The rest of each supported row's slate.

    Attributes
    ----------
    share : float64 (n,)
        Of the neighbours, those exposed.
    some : bool (n,)
        Whether there are any.
    outcome : float64 (n,)
        Their total.
    covariates : float64 (n, k)
        Averages over them: `share` first, then the number of rows, then declared covariates.
    """

    share: Floats
    some: NDArray[np.bool_]
    outcome: Floats
    covariates: Floats

    @classmethod
    def of(
        cls, log: InteractionLog, columns: tuple[str, ...], supported: NDArray[np.bool_]
    ) -> Neighbours | str:
        """Look around each row of a log, or say why nothing can be told apart."""
        assert log.exposure is not None and log.outcome is not None  # noqa: PT018 - candidates
        codes, exposure = unit_codes(log, "slate"), log.exposure.astype(np.float64)
        size = np.bincount(codes)[codes]
        some = (size > 1) & supported
        share = mean_of_neighbours(exposure, codes)
        if not some.any() or np.ptp(share[some]) == 0.0:
            return ALIKE
        try:
            if decided_as_a_whole(exposure, codes, "slate"):
                return WHOLE
        except (DataError, OverlapError) as refused:
            return TOGETHER.format(reason=str(refused).partition(":")[0] + ".")
        around = [share, size.astype(np.float64)]
        for column in columns:
            if log.entity_of(column) != "user":
                numbers = as_numbers(log.column(column)).values()
                around += [mean_of_neighbours(one, codes) for one in numbers]
        total = np.bincount(codes, log.outcome)[codes] - log.outcome
        # What does not vary is in the models' constant already.
        kept = np.column_stack([one for one in around if np.ptp(one) > 0.0])
        return cls(share[supported], some[supported], total[supported], kept[supported])


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows by how many of their neighbours were exposed, each group with rows in it.

    Attributes
    ----------
    codes : int64 (n,)
        -1 is in no group.
    labels : tuple of str
        From `PARTS`: three, two where the share has two values, none where it has one.
    shares : tuple of str
        The least and the largest share in each group.
    """

    codes: NDArray[np.int64]
    labels: tuple[str, ...]
    shares: tuple[str, ...]

    @classmethod
    def of(cls, share: Floats, counted: NDArray[np.bool_]) -> Parts:
        """Cut the share between its values, as near to its thirds as leaves no group empty.

        In small slates of one size the share has few values, and both thirds fall on one.
        """
        values, counts = np.unique(share[counted], return_counts=True)
        if len(values) < 2:
            return cls(np.full(len(share), -1), (), ())
        if len(values) == 2:
            last, labels = np.array([0]), PARTS[::2]
        else:
            below = np.cumsum(counts) / counts.sum()
            first = int(np.abs(below[:-2] - 1 / 3).argmin())
            second = first + 1 + int(np.abs(below[first + 1 : -1] - 2 / 3).argmin())
            last, labels = np.array([first, second]), PARTS
        codes = np.where(counted, np.searchsorted(values[last], share, side="left"), -1)
        starts, ends = values[[0, *(last + 1)]], values[[*last, -1]]
        shares = tuple(
            f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
            for low, high in zip(starts, ends, strict=True)
        )
        return cls(codes, labels, shares)

    def named(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Return rows with a note of the shares in those of a group."""
        words = dict(zip(self.labels, self.shares, strict=True))
        return tuple(
            row.model_copy(update={"note": f"share of exposed neighbours: {words[row.label]}"})
            if row.label in words
            else row
            for row in rows
        )


def _assumption(status: Any, evidence: str) -> Assumption:
    return Assumption(
        name=NAME,
        statement="Showing an item changes its own outcome only, not that of its neighbours.",
        status=status,
        evidence=evidence,
    )


def _rows(
    computation: Computation, columns: tuple[str, ...], neighbours: Neighbours
) -> tuple[Row, ...]:
    share, some = neighbours.share, neighbours.some
    matrix = Adjustment.of(computation.population.rows, columns).matrix
    population = computation.population
    with_own = Adjustment(np.column_stack([matrix, population.exposure])[some], {})
    spill = LinearConfounding.fit(with_own, share[some], population.outcome[some]).score
    quick = Quick.of(computation, matrix)
    without, within = quick.score(), quick.score(extra=share)
    # Rows that an estimand gives no weight (the unexposed, for "att") do not fill a group.
    parts = Parts.of(share, some & (within.denominator[:, 0] != 0.0))
    by_part = [group_scores(within, parts.codes, len(parts.labels))] if parts.labels else []
    effects = _estimate(computation, [without, within, *by_part], (WITHOUT, WITHIN, *parts.labels))
    effects = effects * computation.question.sign
    moved = effects.contrast({MOVED: {WITHIN: 1.0, WITHOUT: -1.0}})
    # Effects differ between thirds by their covariates already: the test holds these.
    of_rows = (without.numerator / without.denominator.mean())[some, 0]
    changed = LinearConfounding.fit(Adjustment(matrix[some], {}), share[some], of_rows).score
    slopes = _estimate(computation, [_spread(spill, some)], (SPILLOVER,))
    changes = _estimate(computation, [_spread(changed, some)], (CHANGE,))
    changes = changes * computation.question.sign
    return (
        *_written(computation, slopes, "spillover", "partially linear regression"),
        *_written(computation, changes, "spillover", "regression of the quick score"),
        *parts.named(_written(computation, effects, "effect", "quick doubly robust")),
        *_written(computation, moved, "difference of effects", "quick doubly robust"),
        *_on_slate(computation, quick, neighbours),
    )


def _on_slate(computation: Computation, quick: Quick, neighbours: Neighbours) -> tuple[Row, ...]:
    """Return what one exposure does to its item, to the slate's total, and their difference."""
    around = neighbours.covariates
    own = quick.score(extra=around)
    others = quick.score(outcome=neighbours.outcome, extra=around)
    drawn = tuple(name for name in computation.question.sampled if name == "user")
    parts = _estimate(computation, [own, others], (ON_ITEM, ON_OTHERS), drawn)
    matrix = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    found = parts.contrast(matrix, labels=[ON_ITEM, ON_SLATE, ON_OTHERS])
    return _written(
        computation, found * computation.question.sign, "one exposure", "quick doubly robust"
    )


def _spread(score: Score, some: NDArray[np.bool_]) -> Score:
    """Return the score of some rows as one of all rows."""
    numerator, denominator = np.zeros((len(some), 1)), np.zeros((len(some), 1))
    numerator[some], denominator[some] = score.numerator, score.denominator
    return Score(numerator, denominator)


def _estimate(
    computation: Computation,
    scores: list[Score],
    labels: tuple[str, ...],
    sampled: tuple[str, ...] | None = None,
) -> Estimate:
    numerator = np.hstack([score.numerator for score in scores])
    denominator = np.hstack([score.denominator for score in scores])
    joint = Score(numerator, denominator)
    residual = numerator - denominator * joint.value
    return computation.from_score(joint.with_design_residual(residual), labels, sampled)


def _written(
    computation: Computation, found: Estimate, metric: str, estimator: str
) -> tuple[Row, ...]:
    return rows_from_estimate(
        found,
        metric=metric,
        population=population_words(computation.question),
        estimator=estimator,
        unit="rows",
        level=computation.question.level,
        interval_method="t, clustered; nuisances as known",
    )


def _found(rows: tuple[Row, ...]) -> bool:
    named = {row.label: row for row in rows}
    values = [named[label].p_value for label in (SPILLOVER, CHANGE, ON_OTHERS)]
    known = [p for p in values if p is not None]
    return bool(known) and min(1.0, len(known) * min(known)) <= RARE


def _answer(rows: tuple[Row, ...]) -> str:
    named = {row.label: row for row in rows}
    spill, changed, moved = named[SPILLOVER], named[CHANGE], named[MOVED]
    item, slate, others = named[ON_ITEM], named[ON_SLATE], named[ON_OTHERS]
    verdict = (
        "The neighbours seem to matter"
        if _found(rows)
        else "No sign that the neighbours matter was found"
    )
    return (
        f"{verdict}: having all neighbours of the slate exposed rather than none goes with"
        f" {format_cell(spill.value)} in the outcome (p = {format_cell(spill.p_value)}) and with"
        f" {format_cell(changed.value)} in the effect, covariates held"
        f" (p = {format_cell(changed.p_value)}). Adjusting for the neighbours moves the effect by"
        f" {format_cell(moved.value)}. One exposure changes its item's own outcome by"
        f" {format_cell(item.value)} and the slate's total by {amount(slate)}: the neighbours'"
        f" part is {amount(others)} (p = {format_cell(others.p_value)}). The verdict takes three"
        " times the smallest of the three p."
    )
