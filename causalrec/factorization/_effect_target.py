"""What `objective="effect"` learns from: the two-arm score of every candidate, as a log of its own.

Exposure is decided by the propensity, and the outcome is measured in both arms, so every candidate
has a score tau = g1 - g0 + (A / p)(y - g1) - ((1 - A) / (1 - p))(y - g0) whose mean given user and
item is the effect of exposing it. A factorisation of tau predicts what a recommendation adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.scores import effect_score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity

Floats = NDArray[np.float64]
ESTIMATORS = ("dr", "mrdr", "ips")
"""The estimators that have a two-arm score."""


@dataclass(frozen=True, eq=False)
class EffectTarget:
    """The scores of the candidates, in the shape of a log whose outcome they are.

    Attributes
    ----------
    log : InteractionLog
        Of kind "ratings": one row a candidate, its outcome the score.
    features : bool or sequence of str
        Columns that the graph named on the log of candidates.
    noise : float
        Variance of the score around its mean over that of the outcome around its own: how many
        candidates of tau say as much as one outcome does.
    share_clipped : float
    notes : tuple of str
    """

    log: InteractionLog
    features: bool | Sequence[str]
    noise: float
    share_clipped: float
    notes: tuple[str, ...]


def effect_target(
    log: InteractionLog,
    propensity: Propensity | ArrayLike | str | None,
    graph: CausalGraph | None,
    estimator: str,
    features: bool | Sequence[str],
) -> EffectTarget:
    """Score every candidate in both arms.

    The nuisances are fitted on the log that is trained on: cross-fitting serves inference, and
    costs training accuracy. Pass an out-of-fold propensity
    (`cross_fit(...).as_propensity(predictions="out_of_fold")`) to have it otherwise.

    Parameters
    ----------
    log : InteractionLog
        Candidates.
    propensity : Propensity, array, str, float or None
        P(exposed) of the rows.
    graph : CausalGraph, optional
        Decides the covariates of the nuisances, and of `features=True`.
    estimator : {"dr", "mrdr", "ips"}
        dr: outcome models of each arm; mrdr: the same, weighted to minimise the score's variance;
        ips: none.
    features : bool or sequence of str

    Raises
    ------
    DataError
        If the log is not one of candidates.
    OverlapError
        If a candidate could only be in one arm.
    """
    from causalrec.nuisances import resolve_propensity, row_propensity

    log.require("candidates", purpose="what a recommendation adds (objective='effect')")
    assert log.outcome is not None  # a log of candidates has both
    assert log.exposure is not None
    outcome, exposure = log.outcome, log.exposure.astype(np.float64)
    resolved = resolve_propensity(propensity, log, graph)
    p = row_propensity(resolved, log)
    unexposed, exposed = _imputations(log, graph, p, estimator)
    recipe: Literal["ips", "dr"] = "ips" if estimator == "ips" else "dr"
    score = effect_score(outcome, exposure, p, unexposed, exposed, estimator=recipe)
    tau = np.ascontiguousarray(score.numerator[:, 0])
    low, high = log.outcome_range
    scored = log._derive(
        kind="ratings",
        outcome=tau,
        exposure=None,
        position=None,
        logging_propensity=None,
        outcome_range=(float(low - high), float(high - low)),
    )
    noise = _noise(tau, outcome, exposure, unexposed, exposed, estimator)
    notes = (
        f"The target is the two-arm score of {log.n_rows:,} candidates by {estimator}; nuisances"
        " are fitted on the training log itself, as training asks (not inference).",
        f"A score is {noise:.3g} times as noisy as an outcome; the ridge is multiplied by that.",
        *resolved.notes_,
    )
    return EffectTarget(
        scored, _named(log, graph, features), noise, float(resolved.share_clipped_), notes
    )


def _imputations(
    log: InteractionLog, graph: CausalGraph | None, p: Floats, estimator: str
) -> tuple[Floats | None, Floats | None]:
    """Return the outcome models of both arms at every row; None for ips."""
    if estimator == "ips":
        return None, None
    from causalrec.nuisances import ArmOutcomeModel

    assert log.exposure is not None
    weights = None
    if estimator == "mrdr":  # the variance of the score that a better g of the arm would remove
        weights = np.where(log.exposure == 1, (1.0 - p) / p**2, p / (1.0 - p) ** 2)
        weights /= weights.mean()
    fitted = ArmOutcomeModel().fit(log, graph, weights=weights).in_sample_
    return fitted[0], fitted[1]


def _noise(
    tau: Floats,
    outcome: Floats,
    exposure: Floats,
    unexposed: Floats | None,
    exposed: Floats | None,
    estimator: str,
) -> float:
    if estimator == "ips" or unexposed is None or exposed is None:
        means = [float(outcome[exposure == arm].mean()) for arm in (0, 1)]
        unexposed, exposed = (np.full(len(tau), mean) for mean in means)
    of_score = float(np.mean(np.square(tau - (exposed - unexposed))))
    of_outcome = float(np.mean(np.square(outcome - np.where(exposure == 1, exposed, unexposed))))
    return of_score / of_outcome if of_outcome > 0.0 and of_score > 0.0 else 1.0


def _named(
    log: InteractionLog, graph: CausalGraph | None, features: bool | Sequence[str]
) -> bool | Sequence[str]:
    """Return the columns by name: the log of scores no longer says what a graph is asked about."""
    if not isinstance(features, bool) or not features or graph is None:
        return features
    from causalrec.nuisances import choose_covariates

    chosen: Any = choose_covariates(log, graph, None)
    return (*chosen.user, *chosen.item) or True
