"""How the outcome of a place depends on the rest of its list, and what that does to weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from causalrec.errors import DataError, StudyError, near_miss
from causalrec.evaluation._policies import RewardMeans, TargetPolicy, shrunk_means
from causalrec.evaluation._policy_estimators import IntArray
from causalrec.evaluation._recommenders import FloatArray

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

SlateModel = Literal["independent", "cascade", "standard"]

ABLE: dict[str, tuple[str, ...]] = {
    "cascade": ("ips", "snips", "dr"),
    "standard": ("ips", "snips"),
}
"""Estimators of the slate models that do not take all of them."""

STATEMENTS = {
    "independent": "the outcome of a place depends on its own item only (item-position model, Li et"
    " al. 2018); the logged propensity and the policy are of the item in this place, whatever"
    " stands in the others",
    "cascade": "the outcome of a place depends on its own item and on those above it (McInerney et"
    " al. 2020); the logged propensity and the policy are of the item given those above it",
    "standard": "nothing: the outcome of a place may depend on the whole slate. The logged"
    " propensity and the policy are of the item given those above it",
}


@dataclass(frozen=True, eq=False)
class SlateView:
    """What a slate model makes of the ratios of single places.

    Attributes
    ----------
    ratio : float64 (n,)
    above : float64 (n,) or None
    unit : float64 (n,)
    place : int (n,) or None
        See `Replay`.
    """

    ratio: FloatArray
    above: FloatArray | None
    unit: FloatArray
    place: IntArray | None


def check_slate_model(log: InteractionLog, model: str | None, names: tuple[str, ...]) -> None:
    """Raise for an unknown model, a log without its columns, or estimators it does not take."""
    if model is None:
        return
    known = get_args(SlateModel)
    if model not in known:
        raise StudyError(
            f"slate_model={model!r} is unknown.{near_miss(model, known)}"
            f" It is one of {', '.join(known)}, or None: places one by one."
        )
    log.require_fields("slate", purpose=f"slate_model={model!r}")
    if model == "cascade":
        log.require_fields("position", purpose=f"slate_model={model!r}")
    wrong = [name for name in names if name not in ABLE.get(model, names)]
    if wrong:
        because = (
            "the reward model would be of whole slates"
            if model == "standard"
            else "its weights are products, which only these carry"
        )
        raise StudyError(
            f"estimator={wrong[0]!r} is not defined under slate_model={model!r}: {because}."
            f" It takes: {', '.join(ABLE[model])}."
        )
    _check_places(log, model)


def _check_places(log: InteractionLog, model: str) -> None:
    """Raise where a place occurs twice in a slate, or (cascade, standard) one is missing."""
    assert log.slate is not None
    if log.position is None:
        return
    order = np.lexsort((log.position, log.slate))
    slate, position = log.slate[order], log.position[order]
    follows = np.append(False, slate[1:] == slate[:-1])
    step = np.append(0, np.diff(position))
    wrong = follows & (step == 0)
    problem = "the same position twice in a slate"
    if not wrong.any() and model != "independent":
        wrong = np.where(follows, step != 1, position != 1)
        problem = "a position missing above"
    if wrong.any():
        raise DataError.bad_rows(
            str(log.columns.position),
            f"has {problem}",
            count=int(wrong.sum()),
            total=log.n_rows,
            rows=np.sort(order[wrong])[:5].tolist(),
            way_out=f"slate_model={model!r} needs each place of a slate once"
            + (", from the first down." if model != "independent" else "."),
        )


def slate_view(log: InteractionLog, model: str | None, ratio: FloatArray) -> SlateView:
    """Return the weights and units of a slate model.

    Parameters
    ----------
    log : InteractionLog
    model : {"independent", "cascade", "standard"} or None
        None: every row is a unit of its own.
    ratio : float64 (n,)
        Target over logging probability of each row.
    """
    if model is None:
        return SlateView(ratio, None, np.ones(log.n_rows), None)
    assert log.slate is not None
    unit = np.zeros(log.n_rows)
    unit[np.unique(log.slate, return_index=True)[1]] = 1.0
    if log.position is None:
        if model == "standard":
            return SlateView(_product(log.slate, ratio), None, unit, None)
        return SlateView(ratio, None, unit, None)
    place = log.position - 1
    if model == "independent":
        return SlateView(ratio, None, unit, place)
    down = np.ones(int(log.slate.max()) + 1)
    above, through = np.empty(log.n_rows), np.empty(log.n_rows)
    for number in np.unique(place).tolist():
        rows = np.flatnonzero(place == number)
        slates = log.slate[rows]
        above[rows] = down[slates]
        down[slates] *= ratio[rows]
        through[rows] = down[slates]
    if model == "cascade":
        return SlateView(through, above, unit, place)
    return SlateView(down[log.slate], None, unit, place)


def _product(slate: IntArray, ratio: FloatArray) -> FloatArray:
    product = np.ones(int(slate.max()) + 1)
    np.multiply.at(product, slate, ratio)
    return product[slate]


def place_rewards(
    log: InteractionLog,
    target: TargetPolicy,
    clusters: IntArray,
    n_folds: int,
    seed: int | None,
    *,
    cascade: bool,
) -> RewardMeans:
    """Return out-of-fold item means, place by place, shrunk to the place's mean.

    Parameters
    ----------
    cascade : bool
        Then the mean is of the outcomes from the place down to the end of the slate, those below
        it under the target policy: fitted from the last place up (Kiyohara et al. 2022, section
        4.2, without their weights: with logged propensities these decide the variance only).
    """
    assert log.outcome is not None
    assert log.slate is not None
    assert target.of_all is not None
    n = log.n_rows
    place = np.zeros(n, dtype=np.int64) if log.position is None else log.position - 1
    policy, logged = np.zeros(n), np.zeros(n)
    codes = np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(codes.max()) + 1
    folds = min(n_folds, n_clusters)
    if folds < 2:
        return RewardMeans(policy, logged)
    fold_of = np.random.default_rng(seed).permutation(n_clusters) % folds
    at_place = [np.flatnonzero(place == k) for k in np.unique(place)[::-1].tolist()]
    for fold in range(folds):
        held = fold_of[codes] == fold
        below = np.zeros(int(log.slate.max()) + 1)
        for rows in at_place:
            outcome = log.outcome[rows] + below[log.slate[rows]]
            train = ~held[rows]
            if not train.any():
                continue
            means = shrunk_means(log.item_codes[rows[train]], outcome[train], log.n_items)
            expected = np.einsum("ij,j->i", target.of_all[rows], means)
            if cascade:
                below[log.slate[rows]] = expected
            here = rows[~train]
            policy[here] = expected[~train]
            logged[here] = means[log.item_codes[here]]
    return RewardMeans(policy, logged)
