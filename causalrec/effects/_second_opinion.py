"""DoWhy's refuters as a second opinion, on a sample of users, kept away from their traps.

DoWhy 0.14: an integer seed repeats one simulation in the subset and bootstrap refuters, so does
n_jobs > 1; a column called "propensity_score" in the frame is reused; the default placebo draws
from the global generator; a random common cause is never added under "general_adjustment". So: a
fresh frame of the needed columns under names of our own, PERMUTE, a RandomState, one job, the
back-door strategy.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._scores import population_words
from causalrec.results import Row, Table

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.effects._adjustment import Adjustment
    from causalrec.effects._refute import Controls
    from causalrec.effects._scores import Computation

MOST_ROWS = 20_000
SIMULATIONS = 100
"""From a hundred on DoWhy's p is a two-sided percentile; below, one-sided and normal."""
EXPOSURE, OUTCOME = "exposure", "outcome"


@dataclass(frozen=True)
class Opinion:
    """Rows, notes and a table to add to a refutation."""

    rows: list[Row]
    notes: list[str]
    table: Table


def ask_dowhy(computation: Computation, adjustment: Adjustment, asked: Controls) -> Opinion:
    """Return DoWhy's placebo (permuted) and random common cause, by linear regression."""
    inside = sample_users(computation, asked.random_state)
    frame, covariates = _frame(computation, adjustment, inside)
    with warnings.catch_warnings():
        # DoWhy 0.14 speaks to an older pandas; a division by zero is a symptom and is let through
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        estimate, placebo, cause = _run(frame, covariates, asked.random_state)
    sign, n_users = computation.question.sign, len(np.unique(_users(computation)[inside]))
    rows = [
        _row(computation, len(frame), f"DoWhy: {name}", sign * value, p, note)
        for name, value, p, note in (
            ("linear regression", estimate, None, "what DoWhy's refuters start from"),
            ("placebo exposure", placebo[0], placebo[1], "mean of simulations; should be zero"),
            ("random common cause", cause[0], cause[1], "mean of simulations; should not move"),
        )
    ]
    note = (
        "DoWhy's second opinion: the coefficient of a linear regression, whatever the estimand, and"
        f" its refuters, on {len(frame):,} rows of {n_users:,} users, {SIMULATIONS} simulations. It"
        " permutes rows, not within users, and its p takes rows as independent: a small one says"
        " that it found a problem."
    )
    table = Table(
        name="second opinion",
        title="DoWhy's refuters",
        columns=("refuter", "new effect", "p"),
        rows=tuple((row.label, row.value, row.p_value) for row in rows),
        caption=note,
    )
    return Opinion(rows, [note], table)


def _users(computation: Computation) -> NDArray[Any]:
    return np.asarray(computation.population.rows.user_codes)


def sample_users(computation: Computation, seed: int | None) -> NDArray[np.bool_]:
    """Return the rows of as many whole users, in random order, as fit into `MOST_ROWS`."""
    users = _users(computation)
    if len(users) <= MOST_ROWS:
        return np.ones(len(users), dtype=bool)
    counts = np.bincount(users)
    order = np.random.default_rng(seed).permutation(len(counts))
    taken = order[np.cumsum(counts[order]) <= MOST_ROWS]
    chosen = np.zeros(len(counts), dtype=bool)
    chosen[taken] = True
    return np.asarray(chosen[users])


def _frame(
    computation: Computation, adjustment: Adjustment, inside: NDArray[np.bool_]
) -> tuple[pd.DataFrame, list[str]]:
    """Return a frame of its own: only what is needed, under names that collide with nothing."""
    import pandas as pd

    names = [f"w{place}" for place in range(1, adjustment.matrix.shape[1])]
    frame = pd.DataFrame(adjustment.matrix[inside, 1:], columns=names)
    frame[EXPOSURE] = computation.population.exposure[inside].astype(np.int64)
    frame[OUTCOME] = computation.population.outcome[inside]
    return frame, names


def identify_and_estimate(frame: pd.DataFrame, covariates: list[str]) -> tuple[Any, Any]:
    """Return DoWhy's back-door estimand and its estimate by linear regression."""
    from dowhy.causal_estimators.linear_regression_estimator import LinearRegressionEstimator
    from dowhy.causal_identifier import (
        EstimandType,
        IdentifiedEstimand,
        construct_adjustment_estimand,
    )

    estimand = IdentifiedEstimand(
        None,
        treatment_variable=[EXPOSURE],
        outcome_variable=[OUTCOME],
        estimand_type=EstimandType.NONPARAMETRIC_ATE,
        estimands={"backdoor": construct_adjustment_estimand([EXPOSURE], [OUTCOME], covariates)},
        backdoor_variables={"backdoor": covariates},
        instrumental_variables=[],
        frontdoor_variables=[],
        default_backdoor_id="backdoor",
        identifier_method="backdoor",
    )
    estimator = LinearRegressionEstimator(estimand)
    estimator.fit(frame.copy())
    estimate = estimator.estimate_effect(
        frame.copy(), treatment_value=1, control_value=0, target_units="ate"
    )
    return estimand, estimate


def _run(frame: pd.DataFrame, covariates: list[str], seed: int | None) -> tuple[float, Any, Any]:
    """Return the estimate, and (new effect, p) of both refuters."""
    from dowhy.causal_refuters import refute_placebo_treatment, refute_random_common_cause
    from dowhy.causal_refuters.placebo_treatment_refuter import PlaceboType

    estimand, estimate = identify_and_estimate(frame, covariates)
    options: Any = {"num_simulations": SIMULATIONS, "n_jobs": 1, "show_progress_bar": False}
    permuted: Any = {"treatment_names": [EXPOSURE], "placebo_type": PlaceboType.PERMUTE}
    found = []
    for refuter, more in ((refute_placebo_treatment, permuted), (refute_random_common_cause, {})):
        state = np.random.RandomState(seed)
        told = refuter(frame.copy(), estimand, estimate, random_state=state, **more, **options)
        result = told.refutation_result or {}
        found.append((float(told.new_effect), float(result.get("p_value", np.nan))))
    return float(estimate.value), found[0], found[1]


def _row(
    computation: Computation, n: int, label: str, value: float, p: float | None, note: str
) -> Row:
    known = p is not None and bool(np.isfinite(p))
    return Row(
        label=label,
        value=value,
        p_value=p if known else None,
        level=computation.question.level,
        n=n,
        population=f"a sample of {population_words(computation.question)}",
        estimator="DoWhy, linear regression",
        unit="rows",
        metric="second opinion",
        interval_method="none: DoWhy returns no simulations",
        note=note,
    )
