"""Target policies and reward models, in the shapes that off-policy estimators need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._recommenders import FloatArray, Recommender
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class RewardMeans:
    """A reward model, as doubly robust estimators need it.

    Attributes
    ----------
    policy, logged : float64 array (n_rows,)
        Its mean outcome under the target policy, and of the item that was logged.
    """

    policy: FloatArray
    logged: FloatArray


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
    assumption : str
        What it takes to be that policy; "" where it was given.
    """

    of_logged: FloatArray
    of_all: FloatArray | None
    words: str
    assumption: str = ""


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
    words = str(getattr(policy, "words", "")) or (
        "the policy given as a function" if callable(policy) else "the policy given"
    )
    given = _probabilities(policy, log, "policy")
    if given.ndim == 1:
        return TargetPolicy(given, None, words)
    said = str(getattr(policy, "assumption", ""))
    return TargetPolicy(of_items(given, log), given, words, said)


def of_items(table: FloatArray, log: InteractionLog) -> FloatArray:
    """Return the entry of the logged item of every row of a table (n_rows, n_items)."""
    return np.asarray(np.take_along_axis(table, log.item_codes[:, None], axis=1)[:, 0])


def _probabilities(policy: Any, log: InteractionLog, name: str) -> FloatArray:
    """Return the array behind a policy, (n_rows,) or (n_rows, n_items), checked."""
    given = np.asarray(policy(log) if callable(policy) else policy, dtype=np.float64)
    if given.shape not in {(log.n_rows,), (log.n_rows, log.n_items)}:
        raise DataError(
            f"The {name} has shape {given.shape}; it must be ({log.n_rows},), a probability of the"
            f" logged item for each row, or ({log.n_rows}, {log.n_items}), one for every item."
        )
    # NaN fails the comparisons, so a pass finds that nothing is wrong; where nothing is below zero
    # and rows sum to one, as is seen next, nothing is above one either.
    above = given.ndim == 1 and not given.max() <= 1.0 + SUM_TOLERANCE
    if not given.min() >= 0.0 or above:
        wrong = ~((given >= 0.0) & (given <= 1.0 + SUM_TOLERANCE))
        raise DataError.bad_rows(
            name,
            "is not a probability in [0, 1]",
            count=int(wrong.sum()),
            total=given.size,
            rows=[f"place {tuple(at)}: {given[tuple(at)]!r}" for at in np.argwhere(wrong)[:5]],
            way_out="A policy gives each item the probability that it is shown.",
        )
    if given.ndim == 1:
        return given
    sums = _row_sums(given)
    off = np.abs(sums - 1.0) > SUM_TOLERANCE
    if off.any():
        raise DataError.bad_rows(
            name,
            "does not sum to one over the items",
            count=int(off.sum()),
            total=log.n_rows,
            rows=[f"row {at}: {sums[at]:.6g}" for at in np.flatnonzero(off)[:5]],
            way_out="Divide each row by its sum, over the items that can be shown.",
        )
    return given


def logging_probabilities(policy: Any, log: InteractionLog) -> FloatArray:
    """Read the logging policy's probabilities of all items, and hold them to the logged ones.

    Parameters
    ----------
    policy : array (n_rows, n_items) or callable(log)
    """
    assert log.logging_propensity is not None
    given = _probabilities(policy, log, "logging_policy")
    if given.ndim == 1:
        raise DataError(
            f"The logging_policy has shape {given.shape}; it must be ({log.n_rows},"
            f" {log.n_items}): the probability of every item in every row."
        )
    logged = of_items(given, log)
    apart = np.abs(logged - log.logging_propensity) > 1e-4 * log.logging_propensity
    if apart.any():
        raise DataError.bad_rows(
            "logging_policy",
            f"differs from column {log.columns.logging_propensity!r} for the item that was shown",
            count=int(apart.sum()),
            total=log.n_rows,
            rows=[
                f"row {at}: {logged[at]:.6g} against {log.logging_propensity[at]:.6g}"
                for at in np.flatnonzero(apart)[:5]
            ],
            way_out="Its columns are in the order of log.item_ids, its rows in that of the log.",
        )
    return given


@one_thread
def _row_sums(given: FloatArray) -> FloatArray:
    """Sum over items; a product with ones is several times faster than a sum along short rows."""
    return np.asarray(given @ np.ones(given.shape[1]))


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


def given_rewards(model: Any, log: InteractionLog, target: TargetPolicy) -> RewardMeans:
    """Return a reward model's means under the policy and of the logged items.

    Parameters
    ----------
    model : array (n_rows, n_items), Recommender, or callable(log)
        The mean outcome of every item in every row. A callable returns the array; a recommender
        predicts (user, item) pairs.
    """
    if isinstance(model, Recommender):
        users, at = np.unique(log.user_codes, return_inverse=True)
        asked = np.repeat(users, log.n_items), np.tile(np.arange(log.n_items), len(users))
        ids: tuple[Any, Any] = (log.user_ids.take(asked[0]), log.item_ids.take(asked[1]))
        flat = model.predict(*ids)
        table = np.asarray(flat, dtype=np.float64).reshape(len(users), log.n_items)[at]
    else:
        table = np.asarray(model(log) if callable(model) else model, dtype=np.float64)
    assert target.of_all is not None
    found = None
    if table.shape == (log.n_rows, log.n_items):
        # What is not finite stays so in its row's sum, even times zero.
        found = RewardMeans(np.einsum("ij,ij->i", target.of_all, table), of_items(table, log))
    if found is None or not np.isfinite(found.policy.sum()):
        raise DataError(
            f"The reward model gave an array of shape {table.shape}; it must be finite and of"
            f" shape ({log.n_rows}, {log.n_items}): the mean outcome of every item in every row."
        )
    return found


def cross_fitted_rewards(
    log: InteractionLog,
    target: TargetPolicy,
    clusters: npt.NDArray[np.integer],
    n_folds: int,
    seed: int | None,
) -> RewardMeans:
    """Return out-of-fold item means, shrunk to the overall mean.

    A row's prediction comes from the clusters of the other folds, so no outcome helps to predict
    itself. Shrinkage by the method of moments (Morris 1983): the less the items differ beyond
    chance, the closer to the overall mean. With logged propensities DR is unbiased whatever the
    reward model; it decides the variance only.
    """
    assert log.outcome is not None
    assert target.of_all is not None
    policy, logged = np.zeros(log.n_rows), np.zeros(log.n_rows)
    codes = np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(codes.max()) + 1
    folds = min(n_folds, n_clusters)
    if folds < 2:
        return RewardMeans(policy, logged)
    fold_of = np.random.default_rng(seed).permutation(n_clusters) % folds
    for fold in range(folds):
        held = fold_of[codes] == fold
        means = shrunk_means(log.item_codes[~held], log.outcome[~held], log.n_items)
        policy[held] = np.einsum("ij,j->i", target.of_all[held], means)
        logged[held] = means[log.item_codes[held]]
    return RewardMeans(policy, logged)


def shrunk_means(items: npt.NDArray[np.integer], outcome: FloatArray, n_items: int) -> FloatArray:
    """Return the mean outcome of each item, shrunk to the overall mean, (n_items,)."""
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
