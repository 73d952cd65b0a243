"""Target policies and reward models, in the shapes that off-policy estimators need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._recommenders import FloatArray, Recommender

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class TargetPolicy:
    """The probabilities that a policy gives to items, seen from the rows of a log.

    Attributes
    ----------
    of_logged : float64 array (n_rows,)
        Probability of the item that was logged.
    of_all : float64 array (n_rows, n_items) or None
        Probabilities of all items; None where only those of the logged items were given.
    words : str
        What it is, for results.
    """

    of_logged: FloatArray
    of_all: FloatArray | None
    words: str


def target_policy(policy: Any, log: InteractionLog) -> TargetPolicy:
    """Read a policy: "uniform", an array, or a function of the log that returns one.

    Parameters
    ----------
    policy : "uniform", array (n_rows,) or (n_rows, n_items), or callable(log)
        (n_rows,): the probability of the logged item; (n_rows, n_items): of every item, in the
        order of `log.item_ids`, rows summing to one.
    log : InteractionLog

    Raises
    ------
    DataError
        For another shape, a number outside [0, 1] or rows that do not sum to one.
    """
    if isinstance(policy, str):
        if policy != "uniform":
            raise StudyError(
                f"policy={policy!r} is not known: pass 'uniform', an array of probabilities or a"
                " function of the log that returns one."
            )
        return _uniform(log)
    words = "the policy given as a function" if callable(policy) else "the policy given"
    given = np.asarray(policy(log) if callable(policy) else policy, dtype=np.float64)
    if given.shape not in {(log.n_rows,), (log.n_rows, log.n_items)}:
        raise DataError(
            f"The policy has shape {given.shape}; it must be ({log.n_rows},), a probability of the"
            f" logged item for each row, or ({log.n_rows}, {log.n_items}), one for every item."
        )
    wrong = ~((given >= 0.0) & (given <= 1.0 + SUM_TOLERANCE))
    if wrong.any():
        raise DataError.bad_rows(
            "policy",
            "is not a probability in [0, 1]",
            count=int(wrong.sum()),
            total=given.size,
            rows=[f"place {tuple(at)}: {given[tuple(at)]!r}" for at in np.argwhere(wrong)[:5]],
            way_out="A policy gives each item the probability that it is shown.",
        )
    if given.ndim == 1:
        return TargetPolicy(given, None, words)
    sums = given.sum(axis=1)
    off = np.abs(sums - 1.0) > SUM_TOLERANCE
    if off.any():
        raise DataError.bad_rows(
            "policy",
            "does not sum to one over the items",
            count=int(off.sum()),
            total=log.n_rows,
            rows=[f"row {at}: {sums[at]:.6g}" for at in np.flatnonzero(off)[:5]],
            way_out="Divide each row by its sum, over the items that can be shown.",
        )
    return TargetPolicy(given[np.arange(log.n_rows), log.item_codes], given, words)


def _uniform(log: InteractionLog) -> TargetPolicy:
    """Every eligible item of the row's user alike."""
    eligible = log.eligible_block(slice(0, log.n_users))
    if eligible is None:
        every = np.broadcast_to(1.0 / log.n_items, (log.n_rows, log.n_items))
    else:
        count = eligible.sum(axis=1, keepdims=True)
        shares = np.divide(eligible, count, out=np.zeros(eligible.shape), where=count > 0)
        every = shares[log.user_codes]
    return TargetPolicy(
        every[np.arange(log.n_rows), log.item_codes],
        every,
        f"the uniform policy over {log.n_items:,} items",
    )


def reward_table(model: Any, log: InteractionLog) -> FloatArray:
    """Return a reward model's mean outcome of every item in every row, (n_rows, n_items).

    Parameters
    ----------
    model : array (n_rows, n_items), Recommender, or callable(log)
        A callable returns the array; a recommender predicts (user, item) pairs.
    """
    if isinstance(model, Recommender):
        users, at = np.unique(log.user_codes, return_inverse=True)
        asked = np.repeat(users, log.n_items), np.tile(np.arange(log.n_items), len(users))
        ids: tuple[Any, Any] = (log.user_ids.take(asked[0]), log.item_ids.take(asked[1]))
        flat = model.predict(*ids)
        table = np.asarray(flat, dtype=np.float64).reshape(len(users), log.n_items)[at]
    else:
        table = np.asarray(model(log) if callable(model) else model, dtype=np.float64)
    if table.shape != (log.n_rows, log.n_items) or not np.isfinite(table).all():
        raise DataError(
            f"The reward model gave an array of shape {table.shape}; it must be finite and of"
            f" shape ({log.n_rows}, {log.n_items}): the mean outcome of every item in every row."
        )
    return table


def cross_fitted_rewards(
    log: InteractionLog, clusters: npt.NDArray[np.integer], n_folds: int, seed: int | None
) -> FloatArray:
    """Return out-of-fold item means, shrunk to the overall mean, as (n_rows, n_items).

    A row's prediction comes from the clusters of the other folds, so no outcome helps to predict
    itself. Shrinkage by the method of moments (Morris 1983): the less the items differ beyond
    chance, the closer to the overall mean. With logged propensities DR is unbiased whatever the
    reward model; it decides the variance only.
    """
    assert log.outcome is not None
    codes = np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(codes.max()) + 1
    folds = min(n_folds, n_clusters)
    if folds < 2:
        return np.zeros((log.n_rows, log.n_items))
    fold_of = np.random.default_rng(seed).permutation(n_clusters) % folds
    table = np.empty((log.n_rows, log.n_items))
    for fold in range(folds):
        held = fold_of[codes] == fold
        table[held] = _shrunk_means(log.item_codes[~held], log.outcome[~held], log.n_items)
    return table


def _shrunk_means(items: npt.NDArray[np.integer], outcome: FloatArray, n_items: int) -> FloatArray:
    count = np.bincount(items, minlength=n_items)
    total = np.bincount(items, weights=outcome, minlength=n_items)
    overall = float(outcome.mean())
    within = float(outcome.var())
    mean = np.divide(total, count, out=np.full(n_items, overall), where=count > 0)
    spread = float(count @ np.square(mean - overall)) / max(len(outcome), 1)
    between = max(spread - within * np.count_nonzero(count) / max(len(outcome), 1), 0.0)
    if within == 0.0:
        return np.asarray(mean)
    trust = count * between / (count * between + within)
    return np.asarray(overall + trust * (mean - overall))
