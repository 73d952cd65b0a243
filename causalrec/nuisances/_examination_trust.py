"""Examination with trust: clicks are affine in the relevance, and a proxy of it tells how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._examination_fits import (
    Impressions,
    exchanged,
    pair_information,
    paired,
    repeats,
)
from causalrec.nuisances._features import Covariates, Encoders, choose_covariates, row_design
from causalrec.nuisances._user_folds import USER_FOLDS, deal_users

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]

ITEM_PRIOR = 20.0
"""Clicks of an item's own count half of its average at this many impressions."""


@dataclass(frozen=True)
class AffineCurve:
    """P(click at r) = offset_r + slope_r P(click at the first position), of the same item and user.

    Attributes
    ----------
    positions : int64 (k,)
    log_slope, offset : float64 (k,)
        Zero at the first position.
    slope_influence, offset_influence : float64 (n_rows, k)
        Each sums to zero; the first column is zero.
    n : int64 (k,)
        Impressions that were used.
    """

    positions: NDArray[np.int64]
    log_slope: Floats
    offset: Floats
    slope_influence: Floats
    offset_influence: Floats
    n: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def relevance_proxy(
    log: InteractionLog, shown: Impressions, covariates: Sequence[str] | None
) -> tuple[Floats, tuple[str, ...]]:
    """Predict each row's click from what other users did: features, crosses and the item's average.

    Notes
    -----
    Positions are taken out by their averages. Any function of user and item serves that does not
    hold the row's own noise, so each fold of users is predicted by the others.
    """
    chosen = choose_covariates(log, None, covariates)
    chosen = Covariates(chosen.user, chosen.item, notes=chosen.notes)
    x = row_design(log, Encoders.of(log, chosen), crosses=True).matrix
    fold = deal_users(np.ones(log.n_users, dtype=bool), 0)[log.user_codes]
    items, k = log.item_codes, len(shown.positions)
    proxy = np.zeros(len(x))
    for mine in range(USER_FOLDS):
        inside = fold == mine
        others = ~inside
        at, click = shown.at[others], shown.click[others]
        seen = np.bincount(at, minlength=k)
        centred = click - (np.bincount(at, click, k) / np.maximum(seen, 1))[at]
        gram = x[others].T @ x[others] + np.eye(x.shape[1])
        by_features = np.linalg.solve(gram, x[others].T @ centred)
        left = centred - x[others] @ by_features
        size = np.bincount(items[others], minlength=log.n_items)
        of_item = np.bincount(items[others], left, log.n_items) / (size + ITEM_PRIOR)
        proxy[inside] = x[inside] @ by_features + of_item[items[inside]]
    return proxy, chosen.notes


def swaps_with_trust(
    log: InteractionLog, shown: Impressions, column: str | None, covariates: Sequence[str] | None
) -> AffineCurve:
    """Compare how clicks rise with the proxy at positions whose items were exchanged by lot.

    Notes
    -----
    The lot makes the items of both positions alike, so Cov(proxy, click at r) is slope_r times
    Cov(proxy, click at the first), and the means give the offset.
    """
    proxy, notes = relevance_proxy(log, shown, covariates)
    k, n = len(shown.positions), len(shown.at)
    log_slope, offset = np.zeros(k), np.zeros(k)
    of_slope, of_offset = np.zeros((n, k)), np.zeros((n, k))
    used = np.zeros(k, dtype=np.int64)
    for r in range(1, k):
        rows = exchanged(log, shown, column, r)
        mean, signs = np.zeros(2), (-1.0, 1.0)
        noise = np.zeros((n, 2))
        for side, mine in enumerate((rows & (shown.at == 0), rows & (shown.at == r))):
            count = max(int(mine.sum()), 1)
            mean[side] = shown.click[mine].sum() / count
            z = proxy[mine] - proxy[mine].sum() / count
            along = z * (shown.click[mine] - mean[side])
            slope = _positive(along.sum() / count, shown.positions[r if side else 0])
            log_slope[r] += signs[side] * np.log(slope)
            of_slope[mine, r] = signs[side] * (along / slope - 1.0) / count
            noise[mine, side] = (shown.click[mine] - mean[side]) / count
            used[r * side] = max(used[r * side], count)
        a = np.exp(log_slope[r])
        offset[r] = mean[1] - a * mean[0]
        of_offset[:, r] = noise[:, 1] - a * noise[:, 0] - a * mean[0] * of_slope[:, r]
    return AffineCurve(shown.positions, log_slope, offset, of_slope, of_offset, used, notes)


def _positive(slope: float, position: int) -> float:
    if slope > 0:
        return slope
    raise DataError(
        f"Clicks at position {position} do not rise with what features and items predict, so trust"
        " cannot be told from examination there. Name columns of users and items that tell who"
        " clicks what (covariates=), gather more impressions, or leave trust out."
    )


def repeats_with_trust(
    log: InteractionLog, shown: Impressions, covariates: Sequence[str] | None
) -> AffineCurve:
    """Compare, over all pairs of positions, how clicks rise with the proxy on what stood at both.

    Notes
    -----
    Of the pairs of user and item that stood at r and s, sum z click_r = slope_r C and
    sum z click_s = slope_s C with one C, where z is the proxy less its mean over them: offsets
    drop out, and the equations are those of harvesting with z as weight. Offsets then solve the
    same equations without it.
    """
    proxy, notes = relevance_proxy(log, shown, covariates)
    kept = repeats(log, shown, of_user=True)
    k, both, rate = len(shown.positions), kept.both, kept.rate
    z = np.zeros(len(both))
    z[kept.key] = proxy  # one value a pair of user and item
    shared = both.T @ both
    centre = (both * z[:, None]).T @ both / np.maximum(shared, 1.0)
    clicks = rate.T @ both
    won = (rate * z[:, None]).T @ both - centre * clicks
    for table in (won, clicks, shared):
        np.fill_diagonal(table, 0.0)
    for r, signal in enumerate(won.sum(axis=1)):
        _positive(float(signal), shown.positions[r])
    log_slope = paired(won)
    slope = np.exp(log_slope)
    q = slope[:, None] / (slope[:, None] + slope[None, :])
    level = _levels(clicks, shared, slope)
    relevance = (kept.clicks - kept.count * (level * slope)).sum(axis=1) / (kept.count @ slope)
    expected = slope[shown.at] * (level[shown.at] + relevance[kept.key])
    residual = (shown.click - expected) / kept.count[kept.key, shown.at]
    of_slope = np.zeros((len(proxy), k))
    score = residual[:, None] * _weights(kept.both[kept.key], shown.at, z[kept.key], centre, q)
    of_slope[:, 1:] = np.linalg.solve(pair_information(won, q)[1:, 1:], score[:, 1:].T).T
    of_slope -= of_slope.mean(axis=0)
    of_level = _level_influence(kept.both[kept.key], shown.at, residual, clicks, shared, slope,
                                of_slope)  # fmt: skip
    of_offset = slope * (of_level + level * of_slope)
    used = kept.count[both.sum(axis=1) > 1].sum(axis=0).astype(np.int64)
    return AffineCurve(
        shown.positions, log_slope, slope * level, of_slope, of_offset, used, (*notes, kept.said)
    )


def _levels(clicks: Floats, shared: Floats, slope: Floats) -> Floats:
    """Return offset over slope of each position, the first zero, from the means of all pairs."""
    pull = clicks / slope[:, None]
    right = (pull - pull.T).sum(axis=1)
    level = np.zeros(len(slope))
    level[1:] = np.linalg.solve(_laplacian(shared)[1:, 1:], right[1:])
    return level


def _laplacian(shared: Floats) -> Floats:
    return np.diag(shared.sum(axis=1)) - shared


def _weights(both: Floats, at: NDArray[np.int64], z: Floats, centre: Floats, q: Floats) -> Floats:
    """Return the weight of each row's click rate in the slope equations, (n_rows, k)."""
    rows = np.arange(len(at))
    moved = both * (z[:, None] - centre[at])
    weight = -moved * q[:, at].T
    weight[rows, at] = 0.0
    lost = 1.0 - q
    np.fill_diagonal(lost, 0.0)
    weight[rows, at] = (moved * lost[at]).sum(axis=1)
    return np.asarray(weight)


def _level_influence(
    both: Floats,
    at: NDArray[np.int64],
    residual: Floats,
    clicks: Floats,
    shared: Floats,
    slope: Floats,
    of_slope: Floats,
) -> Floats:
    """Return what each row adds to offset over slope, through its clicks and through the slopes."""
    rows = np.arange(len(at))
    along = residual / slope[at]
    score = -both * along[:, None]
    score[rows, at] = (both.sum(axis=1) - 1.0) * along
    pull = clicks / slope[:, None]
    through = np.diag(pull.sum(axis=1)) - pull.T
    score = score - of_slope @ through.T
    found = np.zeros_like(score)
    found[:, 1:] = np.linalg.solve(_laplacian(shared)[1:, 1:], score[:, 1:].T).T
    return np.asarray(found - found.mean(axis=0))


def features_with_trust(
    log: InteractionLog,
    shown: Impressions,
    covariates: Sequence[str] | None,
    regularization: float,
) -> AffineCurve:
    """Maximise the likelihood of offset_r + slope_r expit(x'b): expit(x'b) at the first place."""
    from scipy.optimize import minimize

    chosen = choose_covariates(log, None, covariates)
    chosen = Covariates(chosen.user, chosen.item, notes=chosen.notes)
    x = row_design(log, Encoders.of(log, chosen), crosses=True).matrix
    k = len(shown.positions)
    seen = np.bincount(shown.at, minlength=k)
    clicks = np.bincount(shown.at, shown.click, k)
    shown.require_clicks(clicks.astype(np.float64), "all impressions")
    fixed = 2 * (k - 1)
    ridge = np.concatenate([np.zeros(fixed + 1), np.full(x.shape[1] - 1, regularization)])

    def loss(at: Floats) -> tuple[float, Floats]:
        value, mean, moved = _affine(at, x, shown, k)
        mine = (shown.click - mean) / (mean * (1.0 - mean))
        gradient = np.concatenate([
            np.bincount(shown.at, mine * moved[0], k)[1:], np.bincount(shown.at, mine, k)[1:],
            x.T @ (mine * moved[1]),
        ])  # fmt: skip
        return -value + 0.5 * float(ridge @ at**2), ridge * at - gradient

    start = np.zeros(fixed + x.shape[1])
    rate = clicks / seen
    start[: k - 1] = np.log(rate[1:] / rate[0])
    start[fixed] = np.log(rate[0] / (1.0 - min(float(rate[0]), 0.99)))
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 4000, "maxfun": 8000,
                                                          "ftol": 1e-14, "gtol": 1e-6},
    )  # fmt: skip
    at = np.asarray(found.x, dtype=np.float64)
    _, mean, moved = _affine(at, x, shown, k)
    place = np.eye(k)[shown.at][:, 1:]
    moves = np.hstack([place * moved[0][:, None], place, x * moved[1][:, None]])
    variance = mean * (1.0 - mean)
    information = (moves / variance[:, None]).T @ moves + np.diag(ridge)
    scores = moves * ((shown.click - mean) / variance)[:, None]
    scores -= scores.mean(axis=0)  # the ridge's share, which no impression brings
    influence = np.linalg.solve(information, scores.T).T
    of_slope, of_offset = np.zeros((len(x), k)), np.zeros((len(x), k))
    of_slope[:, 1:], of_offset[:, 1:] = influence[:, : k - 1], influence[:, k - 1 : fixed]
    return AffineCurve(
        shown.positions, np.concatenate([[0.0], at[: k - 1]]),
        np.concatenate([[0.0], at[k - 1 : fixed]]), of_slope, of_offset, seen, chosen.notes,
    )  # fmt: skip


def _affine(
    at: Floats, x: Floats, shown: Impressions, k: int
) -> tuple[float, Floats, tuple[Floats, Floats]]:
    """Return the log-likelihood, each row's mean, and its slopes in log(slope) and in x'b."""
    from scipy.special import expit

    slope = np.exp(np.concatenate([[0.0], at[: k - 1]]))
    offset = np.concatenate([[0.0], at[k - 1 : 2 * (k - 1)]])
    relevance = expit(x @ at[2 * (k - 1) :])
    gain = slope[shown.at] * relevance
    mean = np.clip(offset[shown.at] + gain, 1e-6, 1.0 - 1e-6)
    value = np.where(shown.click > 0, np.log(mean), np.log1p(-mean)).sum()
    return float(value), mean, (gain, gain * (1.0 - relevance))
