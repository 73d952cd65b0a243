"""Examination by position: how much of a click is the place, from randomised or lucky swaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec import errors
from causalrec.errors import DataError, StudyError
from causalrec.inference import Estimate
from causalrec.nuisances._examination_fits import (
    Curve,
    Impressions,
    by_features,
    by_repeats,
    by_swaps,
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


class ExaminationModel(Parameters):
    """P(a position is examined), relative to the first: P(click) = theta_position x relevance.

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
    covariates : sequence of str, optional
        With "regression-em": columns of users and items; default all usable ones.
    regularization : float, default 1
        With "regression-em": ridge of the relevance, in rows.

    Attributes
    ----------
    positions_ : int array (k,)
    theta_ : float64 array (k,)
        theta of each position over that of the first of them.
    estimate_ : Estimate
        log(theta) of the other positions, clustered by user and item.
    curve_ : pandas.DataFrame
        position, value, standard_error (of the log), lower, upper, n.
    assumptions_, notes_ : tuple of str

    Notes
    -----
    Only ratios are identified: a constant goes from theta to the relevance. Intervals are those of
    log(theta), exponentiated. All three take the position-based model for granted: what stands
    around an item does not matter.

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
        covariates: Sequence[str] | None = None,
        regularization: float = 1.0,
    ) -> None:
        self.method = method
        self.swap = swap
        self.same = same
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
            If a position has no clicks to compare, or the log no positions or clicks.
        StudyError
            If options do not go with the method, or no row was randomised.
        """
        log.require("impressions", purpose="estimating examination by position")
        self._check()
        shown = Impressions.of(log)
        found = self._curve(log, shown)
        n = log.n_rows
        self.positions_, self.theta_ = found.positions, np.exp(found.log_theta)
        clusters = {"user": log.user_codes, "item": log.item_codes}
        self.estimate_ = Estimate.from_score(
            Score(found.log_theta[1:] + n * found.influence[:, 1:]),
            {name: clusters[name] for name in sampled},
            [f"log theta {r}" for r in found.positions[1:].tolist()],
            level=level,
            population="impressions",
            estimator=self.method,
        )
        self.curve_ = self._frame(found, level)
        self.assumptions_ = (ASSUMED[self.method],)
        self.notes_ = found.notes
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
            ("covariates", self.covariates is not None, "regression-em"),
        )
        for name, given, owner in owners:
            if given and self.method != owner:
                raise StudyError(f"{name}= is for method={owner!r}: leave it out.")
        if self.same not in {"user_item", "item"}:
            raise StudyError(f"same={self.same!r} is not known: 'user_item' or 'item'.")

    def _curve(self, log: InteractionLog, shown: Impressions) -> Curve:
        if self.method == "swaps":
            return by_swaps(log, shown, self.swap)
        if self.method == "harvesting":
            return by_repeats(log, shown, of_user=self.same == "user_item")
        return by_features(log, shown, self.covariates, self.regularization)

    def _frame(self, found: Curve, level: float) -> pd.DataFrame:
        import pandas as pd

        error = np.concatenate([[0.0], self.estimate_.standard_error])
        ends = np.vstack([[0.0, 0.0], self.estimate_.interval(level)])
        return pd.DataFrame({
            "position": found.positions, "value": self.theta_, "standard_error": error,
            "lower": np.exp(ends[:, 0]), "upper": np.exp(ends[:, 1]), "n": found.n,
        })  # fmt: skip

    def predict(self, position: ArrayLike) -> Floats:
        """Return theta of positions relative to the first, float64.

        Raises
        ------
        DataError
            If a position was not seen in the fit.
        """
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
        return np.asarray(self.theta_[at], dtype=np.float64)
