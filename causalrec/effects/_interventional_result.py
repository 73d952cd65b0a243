"""Interventional effects, as a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects import _interventional_paths as paths
from causalrec.effects._path_columns import Mediator, PathColumns
from causalrec.effects._path_result import (
    PathQuestion,
    PathResult,
    bars,
    ledger,
    overlap,
    supported,
    weight_words,
)
from causalrec.effects._words import amount, interval_method
from causalrec.results import Assumption, Row, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.inference import Estimate


def interventional_result(question: PathQuestion) -> PathResult:
    """Return the interventional parts, the total effect, and what they leave of it."""
    log = question.log
    columns = PathColumns.of(log, question.graph, question.identified)
    found = paths.fit_interventional(
        log, question.graph, columns, question.outcome_model, question.n_folds, question.seed
    )
    inside = supported(found.exposed, log.exposure, question.floor)
    joint = paths.split_interventional(log, found, inside, question.sampled, question.level)
    rows = _rows(joint, question)
    exposed = (log.exposure == 1) & inside
    weights = exposed / found.exposed * found.ratio[1, 0]
    both, through, beside, total, remainder = rows
    outcome, mediator = str(log.columns.outcome), question.identified.mediators[0]
    return question.result(
        joint,
        rows,
        title=f"The interventional paths of the effect of being exposed, on {outcome}",
        asked=f"How much would {outcome} change were the distribution of {mediator} moved, and how"
        " much by exposure beside it?",
        answer=f"Being exposed moves the distribution of {mediator}, which changes {outcome} by"
        f" {amount(through)} a row; with that distribution as it is without exposure, being exposed"
        f" changes it by {amount(beside)}. Together {amount(both)}, of a total effect of"
        f" {amount(total)}: {amount(remainder)} of it is neither.",
        tables=(
            bars(
                "parts", "The parts of the effect", (through, beside, remainder),
                "They add up to the total effect.",
            ),
        ),
        assumptions=ledger(
            question.identified,
            beside,
            overlap(int((~inside).sum()), log.n_rows, weight_words(weights)),
            _right(log.n_rows, Mediator.of(log, columns.mediator), columns),
        ),
        aside=int((~inside).sum()),
    )  # fmt: skip


def _rows(joint: Estimate, question: PathQuestion) -> Sequence[Row]:
    rows = rows_from_estimate(
        joint,
        metric="effect",
        population="supported rows",
        estimator="dr",
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
        derived_from={
            paths.BOTH: (paths.INDIRECT, paths.DIRECT),
            paths.REMAINDER: (paths.TOTAL, paths.INDIRECT, paths.DIRECT),
        },
    )
    return (*rows[:4], rows[4].model_copy(update={"metric": "difference"}))


def _right(n_rows: int, mediator: Mediator, columns: PathColumns) -> Assumption:
    law = (
        f"multinomial logistic over {len(mediator.nodes)} levels"
        if mediator.levels is not None
        else "normal about a ridge regression, of one variance in each arm: a working model"
    )
    between = ", ".join(columns.after) or "nothing"
    errors = mediator.values - mediator.values.mean()
    skew = float((errors**3).mean() / np.mean(errors**2) ** 1.5)
    shape = f" Its skewness is {skew:.2f}." if mediator.levels is None else ""
    return Assumption(
        name="right nuisances",
        statement="Either the models of the outcome and of its means given the exposure are right,"
        f" or those of the exposure and of the mediator ({law}). Between exposure and mediator:"
        f" {between}. The interval takes all of them as known.",
        status="untestable",
        evidence=f"Fitted to {n_rows:,} rows.{shape}",
    )
