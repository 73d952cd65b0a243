"""The three ways to an examination curve, each with the influence of every impression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.nuisances._features import Covariates, Encoders, choose_covariates, row_design

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]

STEPS = 60


@dataclass(frozen=True)
class Curve:
    """log(theta) of each position over the first, and what each impression adds to its error.

    Attributes
    ----------
    positions : int64 (k,)
    log_theta : float64 (k,)
    influence : float64 (n_rows, k)
        Sums to zero; the first column is zero.
    n : int64 (k,)
        Impressions that were used.
    """

    positions: NDArray[np.int64]
    log_theta: Floats
    influence: Floats
    n: NDArray[np.int64]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Impressions:
    """Where each row stood, and whether it was clicked.

    Attributes
    ----------
    positions : int64 (k,)
        Sorted.
    at : int64 (n_rows,)
        Number of each row's position among them.
    click : float64 (n_rows,)
    """

    positions: NDArray[np.int64]
    at: NDArray[np.int64]
    click: Floats

    @classmethod
    def of(cls, log: InteractionLog) -> Impressions:
        """Read a log, which has to have positions and outcomes 0/1."""
        if log.position is None:
            raise DataError(
                "This log has no positions: name the column, InteractionLog(..., position=...)."
            )
        click = np.asarray(log.outcome, dtype=np.float64)
        if not np.isin(click, (0.0, 1.0)).all():
            raise DataError(
                "Examination is learned from clicks, outcomes of 0 and 1; this log has others."
            )
        positions, at = np.unique(np.asarray(log.position), return_inverse=True)
        if len(positions) < 2:
            raise DataError("All rows stand at one position: there is nothing to compare.")
        return cls(positions.astype(np.int64), at.ravel().astype(np.int64), click)

    def require_clicks(self, clicks: Floats, which: str) -> None:
        """Refuse positions without any click among what is compared."""
        empty = self.positions[np.asarray(clicks) <= 0].tolist()
        if empty:
            raise DataError(
                f"Positions {empty[:5]} have no clicks among {which}: their examination is not"
                " estimable. Leave those rows out, or gather more."
            )


def by_swaps(log: InteractionLog, shown: Impressions, column: str | None) -> Curve:
    """Compare the click rates of positions whose items were exchanged by lot."""
    k, n = len(shown.positions), len(shown.at)
    log_theta, influence = np.zeros(k), np.zeros((n, k))
    used = np.zeros(k, dtype=np.int64)
    for r in range(1, k):
        rows = exchanged(log, shown, column, r)
        first, other = rows & (shown.at == 0), rows & (shown.at == r)
        clicks = np.ones(k)
        clicks[[0, r]] = shown.click[first].sum(), shown.click[other].sum()
        shown.require_clicks(clicks, "the randomised impressions")
        for mine, sign in ((other, 1.0), (first, -1.0)):
            rate = shown.click[mine].mean()
            log_theta[r] += sign * np.log(rate)
            influence[mine, r] = sign * (shown.click[mine] / rate - 1.0) / mine.sum()
        used[r] = other.sum()
        used[0] = max(used[0], first.sum())
    return Curve(shown.positions, log_theta, influence, used)


def exchanged(
    log: InteractionLog, shown: Impressions, column: str | None, r: int
) -> NDArray[np.bool_]:
    """Return the rows of slates whose first place and place number r were decided by lot."""
    if column is not None:
        partner = log.column(column, missing="keep").to_numpy(dtype=np.float64, na_value=0.0)
        return np.asarray(partner == float(shown.positions[r]))
    if log.randomized is None:
        raise StudyError(
            "method='swaps' compares positions that were drawn by lot: mark the slates"
            " (randomized=COLUMN), or name the column of the swaps (swap=COLUMN). Without any, use"
            " 'harvesting'."
        )
    return np.asarray(log.randomized, dtype=bool)


def by_repeats(log: InteractionLog, shown: Impressions, *, of_user: bool) -> Curve:
    """Compare, over all pairs of positions, the clicks on what stood at both.

    Notes
    -----
    Of a pair (r, s) and the keys that stood at both, the click rates of each key have the
    expectations theta_r g and theta_s g, with one g. So sum (rate_r (1 - q) - rate_s q) with
    q = theta_r / (theta_r + theta_s) has expectation zero whatever the g are: the all-pairs
    estimator with the relevance of each pair profiled out, which is convex in log(theta).
    """
    k = len(shown.positions)
    kept = repeats(log, shown, of_user=of_user)
    key, count, both = kept.key, kept.count, kept.both
    # won[r, s]: clicks at r on what stood at s too, each key's as a rate
    won = kept.rate.T @ both
    np.fill_diagonal(won, 0.0)
    shown.require_clicks(won.sum(axis=1), "items that stood at several positions")
    log_theta = paired(won)
    q = 1.0 / (1.0 + np.exp(log_theta[None, :] - log_theta[:, None]))  # theta_r / (theta_r+theta_s)
    # given its relevance a key's score has expectation zero: residuals leave the sums as they are
    theta = np.exp(log_theta)
    relevance = kept.clicks.sum(axis=1) / (count @ theta)
    residual = (shown.click - theta[shown.at] * relevance[key]) / count[key, shown.at]
    score = residual[:, None] * _pair_weights(both[key], shown.at, q)
    influence = np.zeros((len(key), k))
    influence[:, 1:] = np.linalg.solve(pair_information(won, q)[1:, 1:], score[:, 1:].T).T
    used = count[both.sum(axis=1) > 1].sum(axis=0).astype(np.int64)
    return Curve(shown.positions, log_theta, influence, used, (kept.said,))


@dataclass(frozen=True)
class Repeats:
    """What stood at which positions, by key: a pair of user and item, or an item.

    Attributes
    ----------
    key : int64 (n_rows,)
        Number of each row's key.
    count, clicks, rate, both : float64 (n_keys, k)
        Impressions and clicks at each position, clicks over impressions, and 1 where it stood.
    said : str
        How many keys tell anything.
    """

    key: NDArray[np.int64]
    count: Floats
    clicks: Floats
    rate: Floats
    both: Floats
    said: str


def repeats(log: InteractionLog, shown: Impressions, *, of_user: bool) -> Repeats:
    """Count impressions and clicks of each key at each position."""
    k = len(shown.positions)
    key: NDArray[Any] = log.item_codes.astype(np.int64)
    if of_user:
        key = log.user_codes.astype(np.int64) * log.n_items + key
    _, key = np.unique(key, return_inverse=True)
    n_keys = int(key.max()) + 1
    place = key * k + shown.at
    count = np.bincount(place, minlength=n_keys * k).reshape(n_keys, k).astype(np.float64)
    clicks = np.bincount(place, shown.click, n_keys * k).reshape(n_keys, k)
    rate = np.divide(clicks, count, out=np.zeros_like(clicks), where=count > 0)
    both = (count > 0).astype(np.float64)
    several = both.sum(axis=1) > 1
    said = (
        f"{int(several.sum()):,} of {n_keys:,} {'pairs of user and item' if of_user else 'items'}"
        " stood at more than one position; the others say nothing."
    )
    return Repeats(key, count, clicks.astype(np.float64), rate, both, said)


def pair_information(won: Floats, q: Floats) -> Floats:
    """Return minus the derivative of the pairwise equations in log(theta), (k, k)."""
    information = -(won + won.T) * q * (1.0 - q)
    np.fill_diagonal(information, 0.0)
    np.fill_diagonal(information, -information.sum(axis=1))
    return np.asarray(information)


def paired(won: Floats) -> Floats:
    """Solve the pairwise equations by Newton's method, the first log(theta) being zero."""
    at = np.zeros(len(won))
    for _ in range(STEPS):
        q = 1.0 / (1.0 + np.exp(at[None, :] - at[:, None]))
        gradient = (won * (1.0 - q) - won.T * q).sum(axis=1)
        information = pair_information(won, q)
        step = np.linalg.lstsq(information[1:, 1:], gradient[1:], rcond=None)[0]
        at[1:] += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-12:
            break
    return at


def _pair_weights(both: Floats, at: NDArray[np.int64], q: Floats) -> Floats:
    """Return the weight of each row's click rate in the equations of all positions, (n_rows, k).

    A row at r adds 1 - q(r, s) to the equation of r for each other position s of its key, and takes
    q(s, r) from that of s.
    """
    rows = np.arange(len(at))
    weight = -both * q[:, at].T
    weight[rows, at] = 0.0
    lost = 1.0 - q
    np.fill_diagonal(lost, 0.0)
    weight[rows, at] = (both * lost[at]).sum(axis=1)
    return np.asarray(weight)


def by_features(
    log: InteractionLog,
    shown: Impressions,
    covariates: Sequence[str] | None,
    regularization: float,
) -> Curve:
    """Maximise the likelihood of theta_r expit(x'b), which regression-EM climbs."""
    from scipy.optimize import minimize

    chosen = choose_covariates(log, None, covariates)
    chosen = Covariates(chosen.user, chosen.item, notes=chosen.notes)
    x = row_design(log, Encoders.of(log, chosen), crosses=True).matrix
    k = len(shown.positions)
    shown.require_clicks(
        np.bincount(shown.at, shown.click, k).astype(np.float64), "all impressions"
    )
    ridge = np.concatenate([np.zeros(k), np.full(x.shape[1] - 1, regularization)])

    def loss(at: Floats) -> tuple[float, Floats]:
        value, mine, features = _click_scores(at, x, shown, k)
        gradient = np.concatenate([
            np.bincount(shown.at, mine, k)[1:], x.T @ features
        ])  # fmt: skip
        return -value + 0.5 * float(ridge @ at**2), ridge * at - gradient

    rates = np.bincount(shown.at, shown.click, k) / np.bincount(shown.at, minlength=k)
    start = np.zeros(k - 1 + x.shape[1])
    start[: k - 1] = np.log(rates[1:] / rates[0])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000,
                                                          "ftol": 1e-13, "gtol": 1e-6},
    )  # fmt: skip
    at = np.asarray(found.x, dtype=np.float64)
    _, mine, features = _click_scores(at, x, shown, k)
    scores = np.hstack([np.eye(k)[shown.at][:, 1:] * mine[:, None], x * features[:, None]])
    scores -= scores.mean(axis=0)  # the ridge's share, which no impression brings
    influence = np.zeros((len(shown.at), k))
    influence[:, 1:] = (scores @ np.linalg.inv(_information(at, x, shown, k, ridge)))[:, : k - 1]
    log_theta = np.concatenate([[0.0], at[: k - 1]])
    return Curve(
        shown.positions, log_theta, influence, np.bincount(shown.at, minlength=k), chosen.notes
    )


def _click_scores(
    at: Floats, x: Floats, shown: Impressions, k: int
) -> tuple[float, Floats, Floats]:
    """Return the log-likelihood, and its gradient in log(theta) and in x'b of each row."""
    from scipy.special import expit

    log_theta = np.concatenate([[0.0], at[: k - 1]])
    relevance = expit(x @ at[k - 1 :])
    mean = np.clip(np.exp(log_theta[shown.at]) * relevance, 1e-12, 1.0 - 1e-9)
    value = np.where(shown.click > 0, np.log(mean), np.log1p(-mean)).sum()
    mine = (shown.click - mean) / (1.0 - mean)
    return float(value), mine, mine * (1.0 - relevance)


def _information(at: Floats, x: Floats, shown: Impressions, k: int, ridge: Floats) -> Floats:
    """Return the expected information of the likelihood, and the ridge."""
    from scipy.special import expit

    log_theta = np.concatenate([[0.0], at[: k - 1]])
    relevance = expit(x @ at[k - 1 :])
    mean = np.clip(np.exp(log_theta[shown.at]) * relevance, 1e-12, 1.0 - 1e-9)
    slope = np.hstack([np.eye(k)[shown.at][:, 1:], x * (1.0 - relevance)[:, None]])
    return np.asarray((slope * (mean / (1.0 - mean))[:, None]).T @ slope + np.diag(ridge))
