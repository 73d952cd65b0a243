"""Examination by position: how much of a click is the place, from randomised or lucky swaps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec import errors
from causalrec.errors import DataError, PropensityWarning, StudyError
from causalrec.inference import Estimate
from causalrec.nuisances._examination_fits import (
    Curve,
    Impressions,
    by_features,
    by_repeats,
    by_swaps,
)
from causalrec.nuisances._examination_trust import (
    AffineCurve,
    features_with_trust,
    repeats_with_trust,
    swaps_with_trust,
)
from causalrec.nuisances._parameters import Parameters
from causalrec.scores import Score

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
ExaminationMethod = Literal["swaps", "harvesting", "regression-em"]

ASSUMED = {
    "swaps": "Who stands where was drawn by lot (of two places that a swap exchanges, by a fair"
    " coin).",
    "harvesting": "What one user would do with one item, once examined, does not change between the"
    " impressions that put it at different positions, and neither does it choose the position.",
    "regression-em": "The covariates say all that makes an item relevant to a user and stand high"
    " too, through a logit.",
}

TRUSTED = (
    "Trust and examination depend on the position alone: given it, the click probability of every"
    " user and item is the same affine function of that at the first position."
)

WEAK_ERROR = 1 / 3
"""A slope within three standard errors of zero has no usable interval of its logarithm."""


class ExaminationModel(Parameters):
    """P(a position is examined), relative to the first: P(click) = theta_position x relevance.

    With `trust=True`, examination and trust: P(click) = theta_r [e+_r relevance + e-_r (1 -
    relevance)] (Agarwal, Wang, Li, Bendersky & Najork 2019), which is affine in the relevance.

    Parameters
    ----------
    method : str, default "harvesting"
        =============== ===========================================================================
        "swaps"         the clicks of positions whose items were exchanged by lot (Joachims,
                        Swaminathan & Schnabel 2017, section 5.3). Which rows: those of `swap`, else
                        the log's randomised slice. Assumes least.
        "harvesting"    the same item before the same user at different positions, as several
                        rankers, or one that varies, leave it in any log (Agarwal, Zaitsev, Wang,
                        Li, Najork & Joachims 2019, all pairs).
        "regression-em" theta and a logit of the relevance on covariates, together, by the
                        likelihood that regression-EM climbs (Wang, Golbandi, Bendersky, Metzler &
                        Najork 2018). Assumes most.
        =============== ===========================================================================
    swap : str, optional
        With "swaps": a column of the events with the position that the first one was exchanged
        with by a fair coin in this slate; 0 or missing where nothing was.
    same : {"user_item", "item"}, default "user_item"
        With "harvesting": whose relevance is the same at different positions. "item" has more
        repeats, and is wrong where items stand high before those who like them.
    trust : bool, default False
        Whether high places are clicked for being high, relevant or not. All three methods then need
        something that tells who clicks what: see Notes.
    covariates : sequence of str, optional
        With "regression-em" or trust: columns of users and items; default all usable ones.
    regularization : float, default 1
        With "regression-em": ridge of the relevance, in rows.

    Attributes
    ----------
    positions_ : int array (k,)
    theta_ : float64 array (k,)
        theta of each position over that of the first of them. With trust: the slope of clicks there
        in clicks at the first.
    offset_ : float64 array (k,)
        Zeros; with trust: the clicks there of what is never clicked at the first position.
    estimate_ : Estimate
        log(theta) of the other positions, clustered by user and item; with trust, their offsets
        after them.
    trust_p_value_ : float or None
        Of all offsets being zero, as the model without trust has it (Wald, chi-squared).
    curve_ : pandas.DataFrame
        position, value, standard_error (of the log), lower, upper, n; with trust also offset,
        offset_standard_error, offset_lower, offset_upper.
    assumptions_, notes_ : tuple of str

    Notes
    -----
    Only ratios are identified: a constant goes from theta to the relevance. Intervals are those of
    log(theta), exponentiated. All three take the position-based model for granted: what stands
    around an item does not matter.

    With trust, clicks have beta_r + alpha_r relevance, alpha_r = theta_r (e+_r - e-_r) and
    beta_r = theta_r e-_r (Vardasbi, Oosterhuis & de Rijke 2020). Clicks identify these only up to
    an affine transformation of the relevance, so relevance is measured here by the clicks that the
    item would have from the user at the *first position*: theta_ = alpha_r / alpha_1 and offset_ =
    beta_r - theta_ beta_1, mostly below zero where trust favours the top. That is all that ranking
    needs; theta, e+ and e- cannot be told apart without another source, such as known relevance.
    What tells slope from offset is how clicks rise with a *proxy* of relevance: features, their
    crosses and the item's clicks from other users ("swaps": on the exchanged items; "harvesting":
    on pairs of user and item that stood at several positions), never the pair's own noise; with
    "regression-em" the covariates. A proxy that says nothing identifies nothing (`DataError`, or a
    warning where it says little), and one that moves trust itself misleads.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("social", n_users=400, n_items=40, n_slates=20, random_state=0)
    >>> model = ExaminationModel("harvesting").fit(world.log)
    >>> truth = [world.truth[f"examination:{r}"] for r in range(1, 6)]
    >>> bool((abs(model.theta_ - truth) < 0.15).all())
    True
    """

    def __init__(
        self,
        method: ExaminationMethod = "harvesting",
        *,
        swap: str | None = None,
        same: Literal["user_item", "item"] = "user_item",
        trust: bool = False,
        covariates: Sequence[str] | None = None,
        regularization: float = 1.0,
    ) -> None:
        self.method = method
        self.swap = swap
        self.same = same
        self.trust = trust
        self.covariates = covariates
        self.regularization = regularization

    def fit(
        self, log: InteractionLog, *, sampled: Sequence[str] = ("user", "item"), level: float = 0.95
    ) -> ExaminationModel:
        """Estimate the curve.

        Parameters
        ----------
        log : InteractionLog
            Kind "impressions" with positions and outcomes 0/1.
        sampled : sequence of str
            What the intervals treat as drawn.
        level : float

        Returns
        -------
        ExaminationModel

        Raises
        ------
        DataError
            If a position has no clicks to compare, or the log no positions or clicks; with trust,
            if clicks at a position do not rise with the proxy of relevance.
        StudyError
            If options do not go with the method, or no row was randomised.

        Warns
        -----
        PropensityWarning
            With trust, where the proxy says too little for the interval of a slope.
        """
        log.require("impressions", purpose="estimating examination by position")
        self._check()
        shown = Impressions.of(log)
        found = self._affine(log, shown) if self.trust else self._curve(log, shown)
        log_theta, influence, labels = _numbers(found)
        n = log.n_rows
        self.positions_ = found.positions
        self.theta_ = np.exp(log_theta)
        self.offset_ = found.offset if isinstance(found, AffineCurve) else np.zeros(len(log_theta))
        values = np.concatenate([log_theta[1:], self.offset_[1:]])[: len(labels)]
        clusters = {"user": log.user_codes, "item": log.item_codes}
        self.estimate_ = Estimate.from_score(
            Score(values + n * influence),
            {name: clusters[name] for name in sampled},
            labels,
            level=level,
            population="impressions",
            estimator=self.method,
        )
        self.curve_ = self._frame(found, level)
        self.assumptions_ = (ASSUMED[self.method], *((TRUSTED,) if self.trust else ()))
        self.trust_p_value_ = _no_offsets(self.estimate_) if self.trust else None
        self.notes_ = found.notes
        if self.trust:
            _warn_of_weak(self.positions_[1:], self.estimate_)
        return self

    def _check(self) -> None:
        if self.method not in ASSUMED:
            raise StudyError(
                f"There is no examination method {self.method!r}; choose one of"
                f" {', '.join(map(repr, ASSUMED))}."
            )
        owners = (
            ("swap", self.swap is not None, "swaps"),
            ("same", self.same != "user_item", "harvesting"),
            ("covariates", self.covariates is not None and not self.trust, "regression-em"),
        )
        for name, given, owner in owners:
            if given and self.method != owner:
                raise StudyError(f"{name}= is for method={owner!r}: leave it out.")
        if self.same not in {"user_item", "item"}:
            raise StudyError(f"same={self.same!r} is not known: 'user_item' or 'item'.")
        if self.trust and self.same == "item":
            raise StudyError(
                "trust=True compares the same item before the same user: leave same= out."
            )

    def _curve(self, log: InteractionLog, shown: Impressions) -> Curve:
        if self.method == "swaps":
            return by_swaps(log, shown, self.swap)
        if self.method == "harvesting":
            return by_repeats(log, shown, of_user=self.same == "user_item")
        return by_features(log, shown, self.covariates, self.regularization)

    def _affine(self, log: InteractionLog, shown: Impressions) -> AffineCurve:
        if self.method == "swaps":
            return swaps_with_trust(log, shown, self.swap, self.covariates)
        if self.method == "harvesting":
            return repeats_with_trust(log, shown, self.covariates)
        return features_with_trust(log, shown, self.covariates, self.regularization)

    def _frame(self, found: Curve | AffineCurve, level: float) -> pd.DataFrame:
        import pandas as pd

        others = len(found.positions) - 1
        error, ends = self.estimate_.standard_error, self.estimate_.interval(level)
        first = np.zeros((1, 2))
        of_log = np.vstack([first, ends[:others]])
        columns = {
            "position": found.positions, "value": self.theta_,
            "standard_error": np.concatenate([[0.0], error[:others]]),
            "lower": np.exp(of_log[:, 0]), "upper": np.exp(of_log[:, 1]), "n": found.n,
        }  # fmt: skip
        if isinstance(found, AffineCurve):
            of_offset = np.vstack([first, ends[others:]])
            columns |= {
                "offset": self.offset_,
                "offset_standard_error": np.concatenate([[0.0], error[others:]]),
                "offset_lower": of_offset[:, 0], "offset_upper": of_offset[:, 1],
            }  # fmt: skip
        return pd.DataFrame(columns)

    def predict(self, position: ArrayLike) -> Floats:
        """Return theta of positions relative to the first, float64.

        Raises
        ------
        DataError
            If a position was not seen in the fit.
        """
        at = self._places(position)
        return np.asarray(self.theta_[at], dtype=np.float64)

    def correct(self, click: ArrayLike, position: ArrayLike) -> Floats:
        """Return (click - offset) / theta: unbiased for the click at the first position.

        Without trust this is inverse propensity weighting by position; with it, the affine
        correction of Vardasbi, Oosterhuis & de Rijke (2020, equation 9).

        Parameters
        ----------
        click : array (n,)
        position : int array (n,)

        Returns
        -------
        float64 array (n,)
            Single values may lie outside [0, 1].

        Raises
        ------
        DataError
            If a position was not seen in the fit, or the arrays do not match.
        """
        at = self._places(position)
        clicks = np.asarray(click, dtype=np.float64)
        if clicks.shape != at.shape:
            raise DataError(
                f"click has shape {clicks.shape} and position {at.shape}: one of each a row."
            )
        return np.asarray((clicks - self.offset_[at]) / self.theta_[at], dtype=np.float64)

    def _places(self, position: ArrayLike) -> NDArray[np.intp]:
        if not hasattr(self, "theta_"):
            raise errors.NotFittedError.of(self)
        asked = np.asarray(position)
        at = np.searchsorted(self.positions_, asked).clip(max=len(self.positions_) - 1)
        unknown = self.positions_[at] != asked
        if unknown.any():
            strange: Any = np.unique(asked[unknown]).tolist()[:5]
            raise DataError(
                f"No examination was estimated for positions {strange}: the fit has seen"
                f" {self.positions_.tolist()}. Fit on a log that holds them."
            )
        return np.asarray(at, dtype=np.intp)


def _numbers(found: Curve | AffineCurve) -> tuple[Floats, Floats, list[str]]:
    """Return log(theta), the influence of all that is estimated, and its labels."""
    positions = found.positions[1:].tolist()
    labels = [f"log theta {r}" for r in positions]
    if isinstance(found, AffineCurve):
        labels += [f"offset {r}" for r in positions]
        both = np.hstack([found.slope_influence[:, 1:], found.offset_influence[:, 1:]])
        return found.log_slope, both, labels
    return found.log_theta, found.influence[:, 1:], labels


def _no_offsets(estimate: Estimate) -> float:
    """Return the Wald p-value of all offsets being zero."""
    from scipy.stats import chi2

    others = len(estimate) // 2
    offset, covariance = estimate.value[others:], estimate.covariance[others:, others:]
    return float(chi2.sf(offset @ np.linalg.pinv(covariance) @ offset, others))


def _warn_of_weak(positions: NDArray[np.int64], estimate: Estimate) -> None:
    error = estimate.standard_error[: len(positions)]
    weak = error > WEAK_ERROR
    if weak.any():
        warnings.warn(
            f"At positions {positions[weak].tolist()[:5]} the clicks rise with features and items"
            f" by less than three standard errors (log theta has {error.max():.2f}): trust is"
            " hardly told from examination there. Name columns that tell who clicks what"
            " (covariates=), gather more impressions, or leave trust out.",
            PropensityWarning,
            stacklevel=3,
        )
