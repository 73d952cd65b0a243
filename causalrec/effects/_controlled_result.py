"""The controlled direct effect, as a result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from causalrec.effects import _controlled_paths as paths
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
from causalrec.errors import OverlapWarning
from causalrec.results import Assumption, rows_from_estimate

NOTABLE = 0.01


def controlled_result(question: PathQuestion, mediator_level: Any) -> PathResult:
    """Return the effect of exposure with the mediator set to one level in every row."""
    log = question.log
    columns = PathColumns.of(log, question.graph, question.identified)
    at, at_level = paths.find_level(Mediator.of(log, columns.mediator), mediator_level)
    found = paths.fit_controlled(
        log, question.graph, columns, at_level, question.outcome_model, question.n_folds,
        question.seed,
    )  # fmt: skip
    inside = supported(found.exposed, log.exposure, question.floor)
    rare = _warn_rare(found, inside, question.floor, columns.mediator, at)
    joint = paths.estimate_controlled(log, found, inside, question.sampled, question.level)
    rows = rows_from_estimate(
        joint,
        metric="effect",
        population="supported rows",
        estimator="dr",
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
        derived_from={paths.GAP: (paths.CONTROLLED, paths.NAIVE)},
    )
    ours, naive, gap = rows
    naive = naive.model_copy(
        update={"estimator": "naive", "population": f"rows with {columns.mediator} = {at}"}
    )
    gap = gap.model_copy(update={"metric": "difference", "estimator": gap.label})
    outcome = str(log.columns.outcome)
    aside = int((~inside).sum())
    return question.result(
        joint,
        (ours, naive, gap),
        title=f"The direct effect of being exposed, on {outcome}, with {columns.mediator} at {at}",
        asked=f"What would being exposed cause in {outcome}, were {columns.mediator} {at} for all?",
        answer=f"With {columns.mediator} set to {at} in every row, being exposed changes {outcome}"
        f" by {amount(ours)} a row. Among the rows where it was {at}, the observed means differ by"
        f" {amount(naive)}; the difference between the two is {amount(gap)}. At another level the"
        " direct effect may be another, and nothing here says what runs through the mediator.",
        tables=(bars("parts", "Naive and adjusted", (naive, ours), ""),),
        assumptions=ledger(
            question.identified,
            ours,
            overlap(aside, log.n_rows, f"{rare} {_weights(found, log.exposure, inside)}"),
            Assumption(
                name="right nuisances",
                statement="Either the models of the outcome at this level and of its mean given the"
                " exposure are right, or those of the exposure and of reaching the level. The"
                " interval takes them as known.",
                status="untestable",
            ),
        ),
        aside=aside,
    )


def _weights(found: paths.ControlledNuisances, exposure: Any, inside: Any) -> str:
    used = inside & found.at_level
    arm = np.asarray(exposure)[used].astype(np.int64)
    pi = np.stack([1.0 - found.exposed, found.exposed])[arm, np.flatnonzero(used)]
    return weight_words(1.0 / (pi * found.reached[arm, np.flatnonzero(used)]))


def _warn_rare(
    found: paths.ControlledNuisances, inside: Any, floor: float, mediator: str, at: Any
) -> str:
    """Count the rows that practically never reach the level; they stay, and are warned about.

    What decides the mediator may be an effect of the exposure: to set rows aside by it would
    select on what exposure changed.
    """
    n_rare = int((found.reached.min(axis=0) < floor)[inside].sum())
    if n_rare > NOTABLE * int(inside.sum()):
        warnings.warn(
            f"In {n_rare:,} of {int(inside.sum()):,} rows {mediator} would practically never be"
            f" {at} (probability below {floor:g}) in one of the arms. They stay, and rest on the"
            " outcome model; ask for a more frequent level.",
            OverlapWarning,
            stacklevel=4,
        )
    return f"In {n_rare:,} rows the level is reached with probability below {floor:g}."
