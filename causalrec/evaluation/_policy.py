"""The value of a policy that was not run, from impressions with logging propensities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from causalrec.errors import StudyError, near_miss
from causalrec.evaluation._policies import (
    TargetPolicy,
    cross_fitted_rewards,
    reward_table,
    target_policy,
)
from causalrec.evaluation._policy_words import answer_of, assumptions_of, weights_table
from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import Estimate
from causalrec.results import Result, Row, provenance, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

PolicyEstimator = Literal["ips", "snips", "dr"]
LOGGED = "logging policy"


@dataclass(frozen=True, eq=False)
class Replay:
    """The rows of a log as a target policy sees them.

    Attributes
    ----------
    outcome, weight : float64 (n_rows,)
        The outcome, and target over logging probability (at most `clip`).
    unclipped : float64 (n_rows,)
    logged_mean, policy_mean : float64 (n_rows,) or None
        The reward model's mean of the logged item, and under the target policy.
    """

    outcome: FloatArray
    weight: FloatArray
    unclipped: FloatArray
    logged_mean: FloatArray | None
    policy_mean: FloatArray | None

    def columns(self, estimator: str) -> tuple[FloatArray, FloatArray]:
        """Return numerator and denominator of one estimator, row by row."""
        ones = np.ones(len(self.outcome))
        if estimator == LOGGED:
            return self.outcome, ones
        if estimator == "snips":
            return self.weight * self.outcome, self.weight
        if estimator == "ips":
            return self.weight * self.outcome, ones
        assert self.logged_mean is not None
        assert self.policy_mean is not None
        return self.policy_mean + self.weight * (self.outcome - self.logged_mean), ones


def policy_value(
    log: InteractionLog,
    policy: Any = "uniform",
    *,
    estimator: PolicyEstimator | Sequence[PolicyEstimator] = "dr",
    q_model: Any = None,
    sampled: Sequence[str] | None = None,
    clip: float | None = None,
    level: float = 0.95,
    n_folds: int = 5,
    random_state: int | None = 0,
) -> Result:
    """Estimate the mean outcome an impression had the items been chosen by another policy.

    Parameters
    ----------
    log : InteractionLog
        Impressions with `logging_propensity`: the probability with which the logging policy
        showed this item in this place.
    policy : "uniform", array or callable(log)
        The target policy: an array (n_rows,) with the probability of the logged item, or
        (n_rows, n_items) with those of all items in the order of `log.item_ids` (which "dr"
        needs); a callable returns one of the two. "uniform" shows every eligible item alike.
    estimator : {"dr", "snips", "ips"} or several of them
        The first is the headline. IPS: mean of w y; SNIPS: sum w y / sum w; DR: the reward
        model's mean under the policy, plus the mean of w (y - its mean of the logged item).
    q_model : array (n_rows, n_items), Recommender, or callable(log), optional
        The reward model of "dr". Default: item means of the other folds, shrunk to the overall
        mean.
    sampled : tuple of "user", "item", "slate", "row", optional
        What the interval treats as drawn. Default: ("user",) where users have several rows, else
        ("slate",) or ("row",): a list that was drawn jointly is one draw.
    clip : float, optional
        Weights above it are set to it (biased, and counted). Default: none.
    level : float
        Level of the intervals.
    n_folds, random_state
        Folds of the default reward model, and their seed.

    Returns
    -------
    Result
        Of kind "policy_value": the value by each estimator, the logging policy's own mean and the
        difference between the two; weights, effective sample size and support as a table.

    Raises
    ------
    DataError
        If the log is not one of impressions, or its propensities were not logged.
    StudyError
        For an unknown estimator, or "dr" with the logged items' probabilities alone.

    Notes
    -----
    IPS: Horvitz & Thompson (1952); SNIPS: Swaminathan & Joachims (2015); DR: Dudik, Langford & Li
    (2011). Places of a slate are taken one by one (the item-position model, Li et al. 2018).

    Examples
    --------
    >>> import pandas as pd
    >>> from causalrec import InteractionLog
    >>> shown = pd.DataFrame({"user_id": range(8), "item_id": [0, 0, 0, 0, 0, 0, 1, 1],
    ...                       "click": [1, 0, 0, 1, 0, 0, 1, 1], "p": [.75] * 6 + [.25] * 2})
    >>> log = InteractionLog(shown, outcome="click", logging_propensity="p")
    >>> round(policy_value(log, "uniform", estimator="ips").rows[0].value, 4)
    0.6667
    """
    log.require("impressions", purpose="the value of a policy")
    log.require_fields("logging_propensity", purpose="the value of a policy")
    names = _estimators(estimator)
    target = target_policy(policy, log)
    clusters, chosen = _clusters(log, sampled)
    replay = _replay(log, target, names, q_model, clip, clusters[chosen[0]], n_folds, random_state)
    columns = [replay.columns(name) for name in (*names, LOGGED)]
    score = Score(
        numerator=np.column_stack([upper for upper, _ in columns]),
        denominator=np.column_stack([lower for _, lower in columns]),
    )
    labels = [*names, LOGGED]
    estimate = Estimate.from_score(
        score, clusters=clusters, labels=labels, sampled=chosen, level=level
    )
    rows = _rows(estimate, names, replay, level)
    config: dict[str, Any] = {
        "estimator": list(names),
        "sampled": list(chosen),
        "clip": clip,
        "n_folds": n_folds,
    }
    result = Result(
        kind="policy_value",
        title=f"Value of {target.words}",
        question="What would the mean outcome of an impression be under this policy?",
        answer=answer_of(rows, target.words, names[0]),
        rows=rows,
        tables=(weights_table(log, replay.unclipped, replay.weight, target),),
        assumptions=assumptions_of(log, replay.unclipped, target, clusters[chosen[0]], level),
        notes=_notes(replay, clip, q_model, names),
        provenance=provenance(log, random_state, config),
    )
    return result.with_internals(estimate=estimate, score=score, weight=replay.weight)


def _estimators(asked: str | Sequence[str]) -> tuple[str, ...]:
    names = (asked,) if isinstance(asked, str) else tuple(dict.fromkeys(asked))
    known = get_args(PolicyEstimator)
    for name in names:
        if name not in known:
            raise StudyError(
                f"{name!r} does not estimate the value of a policy.{near_miss(name, known)}"
                f" The estimators are: {', '.join(known)}."
            )
    if not names:
        raise StudyError(f"No estimator was asked for; they are: {', '.join(known)}.")
    return names


def _clusters(
    log: InteractionLog, sampled: Sequence[str] | None
) -> tuple[dict[str, npt.NDArray[np.integer]], tuple[str, ...]]:
    """Return the codes of the chosen dimensions."""
    known: dict[str, npt.NDArray[np.integer]] = {
        "user": log.user_codes,
        "item": log.item_codes,
        "row": np.arange(log.n_rows),
    }
    if log.slate is not None:
        known["slate"] = log.slate
    if sampled is None:
        repeated = len(np.unique(log.user_codes)) < log.n_rows
        chosen: tuple[str, ...] = ("user",) if repeated else ("row",)
        if len(np.unique(log.user_codes)) == 1:
            chosen = ("slate",) if log.slate is not None else ("row",)
    else:
        chosen = tuple(sampled)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise StudyError(
            f"sampled={chosen!r} is not possible here: choose from {', '.join(sorted(known))}."
        )
    return {name: known[name] for name in chosen}, chosen


def _replay(
    log: InteractionLog,
    target: TargetPolicy,
    names: Sequence[str],
    q_model: Any,
    clip: float | None,
    clusters: npt.NDArray[np.integer],
    n_folds: int,
    seed: int | None,
) -> Replay:
    assert log.outcome is not None
    assert log.logging_propensity is not None
    ratio = target.of_logged / log.logging_propensity
    weight = ratio if clip is None else np.minimum(ratio, clip)
    logged_mean = policy_mean = None
    if "dr" in names:
        if target.of_all is None:
            raise StudyError(
                "estimator='dr' needs the policy's probability of every item, not of the logged"
                f" one alone: pass an array ({log.n_rows}, {log.n_items}), or choose 'snips'."
            )
        if q_model is None:
            table = cross_fitted_rewards(log, clusters, n_folds, seed)
        else:
            table = reward_table(q_model, log)
        policy_mean = np.einsum("ij,ij->i", target.of_all, table)
        logged_mean = table[np.arange(log.n_rows), log.item_codes]
    return Replay(log.outcome, weight, ratio, logged_mean, policy_mean)


def _rows(
    estimate: Estimate, names: Sequence[str], replay: Replay, level: float
) -> tuple[Row, ...]:
    """Return the value by each estimator, the logging policy's mean, and the difference."""
    used = replay.weight[replay.weight > 0]
    effective = float(used.sum() ** 2 / np.square(used).sum()) if len(used) else 0.0
    rows: list[Row] = []
    for name in names:
        label = "policy value" if name == names[0] else f"policy value ({name})"
        found = estimate[name].relabel([label])
        rows += _described(found, name, level, effective)
    rows += _described(estimate[LOGGED], "naive", level, float(len(replay.outcome)))
    gap = estimate.difference(names[0], LOGGED, f"policy value - {LOGGED}")
    rows += _described(gap, f"{names[0]} - naive", level, effective, contrast=True)
    return tuple(rows)


def _described(
    estimate: Estimate, name: str, level: float, effective: float, *, contrast: bool = False
) -> list[Row]:
    found = rows_from_estimate(
        estimate,
        metric="difference of values" if contrast else "policy value",
        population="contexts of the log",
        estimator=name,
        unit="rows",
        level=level,
        null=0.0 if contrast else None,
        derived_from={estimate.labels[0]: ("policy value", LOGGED)} if contrast else None,
        interval_method=f"t, clustered by {' and '.join(estimate.sampled)}",
    )
    low = effective < 30 and name != "naive"
    status = "low_support" if low else found[0].status
    changes = {"effective_sample_size": effective, "status": status}
    return [row.model_copy(update=changes) for row in found]


def _notes(
    replay: Replay, clip: float | None, q_model: Any, names: Sequence[str]
) -> tuple[str, ...]:
    notes = [
        "The value is a mean outcome an impression; what the policy does to later visits, and to"
        " the items beside it, is not in it."
    ]
    if clip is not None:
        share = float((replay.unclipped > clip).mean())
        notes.append(
            f"Weights above {clip:g} were set to it in {share:.2%} of the rows: the value is biased"
            " towards what the logging policy shows."
        )
    if "dr" in names and q_model is None:
        notes.append(
            "The reward model of DR is the item means of the other folds, shrunk to the overall"
            " mean; with logged propensities it decides the variance only."
        )
    elif "dr" in names:
        notes.append("The reward model of DR was given; keep the rows it was fitted on apart.")
    return tuple(notes)
