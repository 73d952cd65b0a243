"""`EffectResult.interference`: does what happens to the neighbours in a slate matter?

The effect of an item takes its neighbours as they were. Two things can be looked at: whether the
share of exposed neighbours moves the outcome, and whether the effect differs where many or few of
them were exposed. Carry-over to other sessions, or between users, leaves no trace in one log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._adjustment import Adjustment, Floats
from causalrec.effects._linear_confounding import LinearConfounding
from causalrec.effects._quick import Quick
from causalrec.effects._scores import Computation, population_words
from causalrec.results import Assumption, Result, Row, format_cell, rows_from_estimate
from causalrec.scores import Score, group_scores

if TYPE_CHECKING:
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

NAME = "no interference between items of a slate"
PARTS = ("few neighbours exposed", "some neighbours exposed", "many neighbours exposed")
CHANGE = "change of the effect, all neighbours exposed against none"
SPILLOVER, WITHOUT, WITHIN = (
    "all neighbours exposed against none",
    "effect, neighbours left out",
    "effect, neighbours' share adjusted for",
)
MOVED = "adjusted - left out"
RARE = 0.05


def neighbours_share(slate: NDArray[Any], exposure: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the share of a row's neighbours in the slate that are exposed, and who has any.

    Examples
    --------
    >>> neighbours_share(np.array([0, 0, 0, 1]), np.array([1.0, 0.0, 0.0, 1.0]))[0].tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    size = np.bincount(slate)[slate] - 1
    others = np.bincount(slate, exposure)[slate] - exposure
    return others / np.maximum(size, 1), size > 0


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
    supported = computation.population.supported
    assert log.exposure is not None  # candidates have one
    share, some = neighbours_share(np.asarray(log.slate), log.exposure.astype(np.float64))
    share, some = share[supported], some[supported]
    if not some.any() or np.ptp(share[some]) == 0.0:
        return Result(**shared, answer=ALIKE, assumptions=(_assumption("untestable", ALIKE),))
    rows = _rows(computation, columns, share, some)
    words = _answer(rows)
    return Result(
        **shared,
        answer=words,
        rows=rows,
        assumptions=(_assumption("violated" if _found(rows) else "tested", words),),
        notes=(
            f"{int((~some).sum()):,} rows have no neighbour in their slate and are left out.",
            "The effects by thirds of the neighbours' share are a description: their covariates"
            " differ too.",
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


def _assumption(status: Any, evidence: str) -> Assumption:
    return Assumption(
        name=NAME,
        statement="Showing an item changes its own outcome only, not that of its neighbours.",
        status=status,
        evidence=evidence,
    )


def _rows(
    computation: Computation, columns: tuple[str, ...], share: Floats, some: NDArray[np.bool_]
) -> tuple[Row, ...]:
    matrix = Adjustment.of(computation.population.rows, columns).matrix
    population = computation.population
    with_own = Adjustment(np.column_stack([matrix, population.exposure])[some], {})
    spill = LinearConfounding.fit(with_own, share[some], population.outcome[some]).score
    quick = Quick.of(computation, matrix)
    without, within = quick.score(), quick.score(extra=share)
    thirds = np.quantile(share[some], [1 / 3, 2 / 3])
    parts = np.where(some, np.searchsorted(thirds, share, side="left"), -1)
    by_part = group_scores(within, parts, len(PARTS))
    effects = _estimate(
        computation,
        [without, within, by_part],
        (WITHOUT, WITHIN, *PARTS),
    )
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
        *_written(computation, effects, "effect", "quick doubly robust"),
        *_written(computation, moved, "difference of effects", "quick doubly robust"),
    )


def _spread(score: Score, some: NDArray[np.bool_]) -> Score:
    """Return the score of some rows as one of all rows."""
    numerator, denominator = np.zeros((len(some), 1)), np.zeros((len(some), 1))
    numerator[some], denominator[some] = score.numerator, score.denominator
    return Score(numerator, denominator)


def _estimate(computation: Computation, scores: list[Score], labels: tuple[str, ...]) -> Estimate:
    numerator = np.hstack([score.numerator for score in scores])
    denominator = np.hstack([score.denominator for score in scores])
    joint = Score(numerator, denominator)
    residual = numerator - denominator * joint.value
    return computation.from_score(joint.with_design_residual(residual), labels)


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
    values = [named[SPILLOVER].p_value, named[CHANGE].p_value]
    known = [p for p in values if p is not None]
    return bool(known) and min(1.0, len(known) * min(known)) <= RARE


def _answer(rows: tuple[Row, ...]) -> str:
    named = {row.label: row for row in rows}
    spill, changed, moved = named[SPILLOVER], named[CHANGE], named[MOVED]
    verdict = (
        "The neighbours seem to matter"
        if _found(rows)
        else "No sign that the neighbours matter was found"
    )
    return (
        f"{verdict}: having all neighbours of the slate exposed rather than none goes with"
        f" {format_cell(spill.value)} in the outcome (p = {format_cell(spill.p_value)}) and with"
        f" {format_cell(changed.value)} in the effect, covariates held"
        f" (p = {format_cell(changed.p_value)}; a verdict takes twice the smaller p). Adjusting for"
        f" the neighbours moves the effect by {format_cell(moved.value)}."
    )
