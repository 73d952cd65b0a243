"""Natural direct and indirect effects: what runs through the mediator, and what beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._front_door import FrontDoorNuisances, fit_front_door
from causalrec.effects._path_columns import only_mediator
from causalrec.effects._path_result import PathQuestion, PathResult, bars, ledger
from causalrec.effects._scores import cluster_codes
from causalrec.effects._words import amount, interval_method
from causalrec.errors import OverlapError
from causalrec.inference import Estimate
from causalrec.results import Assumption, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
TOTAL, INDIRECT, DIRECT, SHARE = "total", "natural indirect", "natural direct", "share mediated"


def natural_result(question: PathQuestion) -> PathResult:
    """Return total, natural indirect and natural direct effect, and the share mediated."""
    log, identified = question.log, question.identified
    mediator = only_mediator(question.graph, identified)
    covariates = [str(covariate.column) for covariate in identified.covariates]
    found = fit_front_door(
        log, question.graph, covariates, mediator, question.outcome_model, question.n_folds,
        question.seed,
    )  # fmt: skip
    joint, aside = split_effect(log, found, question.sampled, question.floor, question.level)
    return _write(joint, question, aside)


def natural_rows(
    outcome: Floats, exposure: Floats, found: FrontDoorNuisances, arm: int, mediated: int
) -> Floats:
    """Return the score of E[Y(arm, M(mediated))] of each row (n,)."""
    pi = np.stack([1.0 - found.exposed, found.exposed])
    given = np.stack([1.0 - found.exposed_given_mediator, found.exposed_given_mediator])
    mean, inner = found.outcome[arm], found.mediated[mediated, arm]
    # 1(A = a) / pi_a times p(M | a*, W) / p(M | a, W), by Bayes' rule
    weight = (exposure == arm) * given[mediated] / (given[arm] * pi[mediated])
    if arm == mediated:
        weight = (exposure == arm) / pi[arm]
    moved = (exposure == mediated) / pi[mediated]
    return np.asarray(weight * (outcome - mean) + moved * (mean - inner) + inner)


def split_effect(
    log: InteractionLog,
    found: FrontDoorNuisances,
    sampled: tuple[str, ...],
    floor: float,
    level: float,
) -> tuple[Estimate, int]:
    """Return total, indirect and direct effect and the share mediated, and the rows set aside."""
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    inside = np.ones(log.n_rows, dtype=bool)
    for p in (found.exposed, found.exposed_given_mediator):
        inside &= (p >= floor) & (p <= 1.0 - floor)
    if len(np.unique(log.exposure[inside])) < 2:
        raise OverlapError(
            f"Of {log.n_rows:,} rows {int(inside.sum()):,} could be in either arm given covariates"
            " and mediator, none in one of the arms: the mediator gives the exposure away."
        )
    y, a = log.outcome, log.exposure.astype(np.float64)
    both, mixed, neither = (
        natural_rows(y, a, found, *arms)[inside] for arms in ((1, 1), (1, 0), (0, 0))
    )
    rows = log if inside.all() else log.select(inside)
    parts = Estimate.from_score(
        Score(np.column_stack([both - mixed, mixed - neither])),
        cluster_codes(rows, sampled),
        (INDIRECT, DIRECT),
        sampled=sampled,
        level=level,
    )
    joint = parts.contrast(
        np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), [TOTAL, INDIRECT, DIRECT]
    )
    total, through = joint.value[:2].tolist()
    share = through / total
    ratio = joint.contrast({SHARE: {INDIRECT: 1.0 / total, TOTAL: -share / total}}).shift(share)
    return Estimate.stack([joint, ratio]), int((~inside).sum())


def _write(joint: Estimate, question: PathQuestion, aside: int) -> PathResult:
    rows = rows_from_estimate(
        joint,
        metric="effect",
        population="supported rows",
        estimator="dr",
        unit="rows",
        level=joint.level,
        interval_method=interval_method(joint.sampled),
        derived_from={TOTAL: (INDIRECT, DIRECT)},
    )
    rows = (*rows[:3], rows[3].model_copy(update={"metric": "share of the total effect"}))
    total, through, beside, share = rows
    log, identified = question.log, question.identified
    outcome, mediator = str(log.columns.outcome), identified.mediators[0]
    return question.result(
        joint,
        rows,
        title=f"The paths of the effect of being exposed, on {outcome}",
        asked=f"How much of the effect on {outcome} runs through {mediator}?",
        answer=f"Being exposed changes {outcome} by {amount(total)} a row: {amount(through)}"
        f" through {mediator}, {amount(beside)} beside it (share mediated {amount(share)}).",
        tables=(
            bars(
                "parts", "The parts of the effect", (through, beside), "They add up to the total."
            ),
        ),
        assumptions=ledger(identified, beside, *_assumptions(aside, log.n_rows)),
        aside=aside,
    )


def _assumptions(aside: int, n_rows: int) -> tuple[Assumption, ...]:
    return (
        Assumption(
            name="overlap",
            statement="Every row could have been in either arm given its covariates, and given"
            " its mediator as well.",
            status="tested",
            evidence=f"{aside:,} of {n_rows:,} rows could not and are set aside.",
        ),
        Assumption(
            name="right nuisances",
            statement="The models of exposure with and without the mediator, or those of the"
            " outcome and its mean given the exposure, are right. The interval takes them as"
            " known.",
            status="untestable",
        ),
    )
