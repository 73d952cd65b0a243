"""`PropensityModel`: propensities estimated from a log and the covariates of its graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import ConvergenceWarning, check_log, check_number, check_seed
from causalrec.nuisances._base import Floats, Propensity, sampling_rate, subject_of
from causalrec.nuisances._clipping import Clipping, count_clipped
from causalrec.nuisances._features import Covariates, choose_covariates
from causalrec.nuisances._fit import Fitted, fit_rows_by_fold
from causalrec.nuisances._methods import (
    WITH_COVARIATES,
    Method,
    check_pairs,
    settle,
    without_covariates,
)
from causalrec.nuisances._options import FitOptions
from causalrec.nuisances._parameters import Parameters
from causalrec.nuisances._refine import Refinement, fit_refined

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._backends import Backend
    from causalrec.nuisances._calibrate import Calibration
    from causalrec.nuisances._cross_fit import Folds
    from causalrec.nuisances._entropy import Moment
    from causalrec.nuisances._features import RowDesign
    from causalrec.nuisances._linear import LinearFit

Bools = NDArray[np.bool_]


class PropensityModel(Parameters, Propensity):
    """P(observed | covariates) of every cell of the grid, or P(exposed | covariates) of rows.

    On a *ratings* log the default maximises the Bernoulli likelihood over all eligible cells,
    with the features of users and items, their crosses x_u' B z_i and ridge effects of users and
    items, without building the design. On a *candidates* log it is a logistic regression of the
    exposure on the adjustment set, row by row.

    Parameters
    ----------
    method : str or classifier, default "auto"
        ================= =====================================================================
        "auto"            by size: up to 5e7 cells "logistic"; above, "cloglog" where users and
                          items fall into at most 1e7 pairs of profiles and all cells are
                          eligible; else "case-control". `method_` and `notes_` say which and why.
        "logistic"        logit of the whole grid, a block of users at a time: the reference. On
                          candidates, with "boosting", "popularity" and "independence".
        "cloglog"         p = 1 - exp(-exp(.)): the exact likelihood in O(observed + pairs of
                          profiles), by EM. For large grids of words or few numbers.
        "case-control"    logit on all observed cells and `controls` times as many others, its
                          intercept corrected. For large grids with many numbers.
        "low-rank"        `rank` factors on top of the logit (1-bit matrix completion), each cell
                          predicted by a model that has not seen it. For tastes that no feature
                          describes; look at balance, not log-loss. covariates=[]: effects alone.
        "naive-bayes"     P(observed | rating) from a randomised slice: repairs selection on the
                          rating itself. Of recorded cells only: for "snips" and "ips", not "dr".
        "boosting"        gradient-boosted trees (scikit-learn's histograms) on the features, each
                          user predicted by the trees of the other folds of users.
        "popularity"      n_u n_i / N, at most 1, or a power law of n_i (`popularity_exponent`).
        "independence"    one constant.
        a classifier      any scikit-learn one, on features and crosses (as `classifier=`).
        ================= =====================================================================

        Popularity repairs no selection but by activity and popularity: see `diagnostics`.
    regularization : float, default 1
        Ridge of the features' own coefficients, in units of cells (scikit-learn's 1 / C);
        numeric features are standardised.
    cross_regularization : float, default 30
        Ridge of the crosses: there are many, each small. On Coat 30 has the best held-out
        likelihood of 1, 3, 10, 30, 100, and sum(1/p)/cells nearest to 1.
    effect_regularization : float, optional
        Ridge of the user and item effects. Default: one over their variance on the logit, which is
        estimated from how much the counts vary beyond a fit without effects; where they do not,
        there are none (`notes_` says which).
    user_effects, item_effects : bool, optional
        One effect for each user and item. Default: on rating logs yes; on candidates no, where
        the graph's covariates decide and folds hold out users (asking for them is refused).
    crosses : bool, default True
        User feature x item feature products.
    covariates : sequence of str, optional
        Column names; they win over the graph's.
    clip : float, optional
        Smallest propensity; what lies below is raised to it and counted (for exposures, what
        lies above 1 - clip is lowered too). Default: no clipping.
    classifier : object, optional
        A scikit-learn classifier instead of the logistic model: of the rows of candidates, or of
        the cells of ratings (all of them up to 500,000, else a corrected case-control sample).
    rank : int, default 4
        Largest number of factors of "low-rank".
    factor_regularization : float, default 15
        Their ridge, in units of cells.
    cell_folds : int, optional
        Folds over cells of "low-rank" (default 5) and, where given, of "logistic": each cell is
        predicted by a model whose likelihood did not see it.
    controls : int, default 3
        Unobserved cells drawn for each observed one, by "case-control" and by a classifier.
    popularity_exponent : float, optional
        With method="popularity": p is proportional to n_i ** exponent, with the observed share as
        its mean, at most 1.
    randomized : InteractionLog, optional
        Ratings of cells drawn at random, for "naive-bayes"; default: the log's randomised slice.
    calibration : "platt" or "isotonic", optional
        Move out-of-fold predictions by a line on the logit, or by any rising map, that the other
        folds teach: folds of cells (ratings), of users (candidates, boosting, a classifier).
    balance : sequence of str or (str, str), optional
        Columns whose means, and pairs (a column of users, one of items) whose products' means, what
        happened is to match exactly when weighted by 1/p: entropy balancing, which moves the
        odds as little as that takes.
    random_state : int, optional
        Of the controls, the folds of cells, the start of the factors, and of a `classifier` that
        takes one; the other methods draw nothing.
    tolerance : float, default 1e-5
        Largest gradient at convergence, in units of standard errors.
    max_iterations : int, default 1000

    Attributes
    ----------
    of_ : "observed" or "exposure"
    method_ : str
        The method that was used: what "auto" chose, or "classifier".
    depends_on_outcome : bool
        Whether P is of recorded cells only ("naive-bayes").
    sampling_rate_ : float
        The rate of the part of the split it was fitted on; 1.0 for a whole log.
    covariates_ : tuple of str
    group_columns_ : tuple of str
        The covariates that define groups (words, not numbers).
    assumptions_, notes_ : tuple of str
        How the covariates were chosen, in words.
    converged_ : bool
    n_iterations_ : int
    share_clipped_ : float
        Share of the eligible cells (rows) whose propensity was clipped; `n_clipped_` counts them.

    References
    ----------
    Schnabel, Swaminathan, Singh, Chandak & Joachims (2016), "Recommendations as Treatments",
    section 5.1 (naive Bayes, logistic regression); Rosenbaum & Rubin (1983), "The central role of
    the propensity score", Biometrika 70; King & Zeng (2001), "Logistic Regression in Rare Events
    Data", Political Analysis 9 (case-control); Ma & Chen (2019), "Missing Not at Random in Matrix
    Completion" (low rank); Hainmueller (2012), "Entropy Balancing for Causal Effects", Political
    Analysis 20; Platt (1999), Zadrozny & Elkan (2002) (calibration).

    Examples
    --------
    >>> import pandas as pd
    >>> from causalrec import InteractionLog
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 3], "item_id": ["a", "b", "a", "a"],
    ...                         "rating": [5, 3, 4, 2]})
    >>> log = InteractionLog(ratings)
    >>> model = PropensityModel(method="popularity").fit(log)
    >>> model.predict_propensity([1, 2], ["a", "b"]).round(3).tolist()
    [1.0, 0.25]
    """

    user_ids_ = None
    item_ids_ = None

    def __init__(
        self,
        method: Method | Any = "auto",
        *,
        regularization: float = 1.0,
        cross_regularization: float = 30.0,
        effect_regularization: float | None = None,
        user_effects: bool | None = None,
        item_effects: bool | None = None,
        crosses: bool = True,
        covariates: Sequence[str] | None = None,
        clip: float | None = None,
        classifier: Any = None,
        rank: int = 4,
        factor_regularization: float = 15.0,
        cell_folds: int | None = None,
        controls: int = 3,
        popularity_exponent: float | None = None,
        randomized: InteractionLog | None = None,
        calibration: Calibration | None = None,
        balance: Sequence[Moment] | None = None,
        random_state: int | None = 0,
        tolerance: float = 1e-5,
        max_iterations: int = 1000,
    ) -> None:
        self.method = method
        self.regularization = regularization
        self.cross_regularization = cross_regularization
        self.effect_regularization = effect_regularization
        self.user_effects = user_effects
        self.item_effects = item_effects
        self.crosses = crosses
        self.covariates = covariates
        self.clip = clip
        self.classifier = classifier
        self.rank = rank
        self.factor_regularization = factor_regularization
        self.cell_folds = cell_folds
        self.controls = controls
        self.popularity_exponent = popularity_exponent
        self.randomized = randomized
        self.calibration = calibration
        self.balance = balance
        self.random_state = random_state
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def fit(
        self,
        log: InteractionLog,
        graph: CausalGraph | None = None,
        *,
        weights: Floats | None = None,
        users: Bools | None = None,
        items: Bools | None = None,
    ) -> PropensityModel:
        """Estimate the propensities.

        Parameters
        ----------
        log : InteractionLog
            Kind "ratings" or "candidates".
        graph : CausalGraph, optional
            Decides the covariates; without one every usable user and item column is taken, which
            `assumptions_` says.
        weights : float64 (n_rows,), optional
            Of the rows of a logistic model on candidates: a row of weight 2 counts as two.
        users, items : bool (n_users,), (n_items,), optional
            Fit on these users and items only (cross-fitting); predictions cover all.

        Returns
        -------
        PropensityModel

        Raises
        ------
        DataError
            If a covariate has missing values, or the log is of another kind.
        IdentificationError
            If the graph does not identify the question.
        StudyError
            If rows are weighted where there is no fit to rows.
        """
        check_log(log)
        log.require("ratings", "candidates", purpose="estimating propensities")
        self._check(log, weights)
        chosen = self._choose(log, graph)
        options, refinement = self._options(log), self._refinement(log)
        fitted = fit_refined(log, chosen, options, refinement, users, items, weights)
        return self._take(log, chosen, fitted)

    def fit_folds(
        self,
        log: InteractionLog,
        folds: Folds,
        graph: CausalGraph | None = None,
        *,
        weights: Floats | None = None,
    ) -> list[PropensityModel] | None:
        """Fit one model a fold, all at once; None where each has to be fitted by itself.

        Parameters
        ----------
        log : InteractionLog
        folds : Folds
        graph : CausalGraph, optional
        weights : float64 (n_rows,), optional

        Returns
        -------
        list of PropensityModel or None
            The same as of `fit` with each fold's users and items, to the last few digits. If this
            model is fitted already, the search starts from its coefficients.
        """
        log.require("ratings", "candidates", purpose="estimating propensities")
        self._check(log, weights)
        method, classifier = settle(self.method, self.classifier, log)
        if log.kind != "candidates" or method != "logistic" or classifier is not None:
            return None
        if self._refinement(log):
            return None
        chosen, options = self._choose(log, graph), self._options(log)
        parts = folds.of_cells(log.user_codes, log.item_codes).astype(np.int16)
        near = getattr(self, "linear_fit_", None)
        fits = fit_rows_by_fold(log, chosen, options, parts, folds.members, near, weights)
        models = [self.clone() for _ in fits]
        for model in models:
            model._check(log, weights)
        return [
            model._take(log, chosen, fitted) for model, fitted in zip(models, fits, strict=True)
        ]

    def _take(self, log: InteractionLog, chosen: Covariates, fitted: Fitted) -> PropensityModel:
        self.of_ = subject_of(log)
        self.method_ = fitted.method
        self.depends_on_outcome = fitted.method == "naive-bayes"
        self.rating_slice = getattr(fitted.backend, "drawn", None)
        self.sampling_rate_ = sampling_rate(log)
        self.user_ids_, self.item_ids_ = log.user_ids, log.item_ids
        self._backend: Backend = fitted.backend
        self.covariates_ = chosen.columns
        self.group_columns_ = fitted.group_columns
        self.assumptions_ = self.notes_ = (*chosen.notes, *fitted.notes)
        self.converged_, self.n_iterations_ = fitted.converged, fitted.iterations
        self.never_observed_ = fitted.never
        self.row_design_: RowDesign | None = fitted.row_design
        self.linear_fit_: LinearFit | None = fitted.linear_fit
        if not self.converged_:
            warnings.warn(
                f"The propensities stopped after {self.n_iterations_} iterations before they"
                " converged. Raise max_iterations, or the regularisation.",
                ConvergenceWarning,
                stacklevel=3,
            )
        by_cell = self.of_ == "observed" and not self.depends_on_outcome
        self.n_clipped_, self.share_clipped_ = count_clipped(
            self._clipping, self._backend, log, self.of_, by_cell=by_cell
        )
        return self

    def _check(self, log: InteractionLog, weights: Floats | None) -> None:
        check_seed(self.random_state)
        for name in ("regularization", "cross_regularization", "factor_regularization"):
            check_number(name, getattr(self, name), least=0.0)
        method, classifier = settle(self.method, self.classifier, log)
        check_pairs(method, classifier, self, log, weighted=weights is not None)
        self._refinement(log)
        self._clipping = Clipping.of(self.clip)

    def _choose(self, log: InteractionLog, graph: CausalGraph | None) -> Covariates:
        method, _ = settle(self.method, self.classifier, log)
        if method in WITH_COVARIATES:
            return choose_covariates(log, graph, self.covariates)
        return without_covariates(method, self.popularity_exponent)

    def _options(self, log: InteractionLog) -> FitOptions:
        method, classifier = settle(self.method, self.classifier, log)
        return FitOptions.of(self, method, classifier, effects=log.kind == "ratings")

    def _refinement(self, log: InteractionLog) -> Refinement:
        method, classifier = settle(self.method, self.classifier, log)
        return Refinement.of(self, method, classifier, log)

    @property
    def _fitted(self) -> Backend:
        from causalrec import errors

        if not hasattr(self, "_backend"):
            raise errors.NotFittedError.of(self)
        return self._backend

    def predict_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        """Return P of aligned cells by integer codes, clipped as asked; float64."""
        p = self._fitted.codes(np.asarray(user_codes), np.asarray(item_codes))
        return self._clipping.apply(p, self.of_)

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items, clipped as asked; (b, n_items)."""
        p = self._fitted.block(users)
        return self._clipping.apply(p, self.of_)

    def of_cells(
        self, log: InteractionLog, user_codes: NDArray[Any], item_codes: NDArray[Any]
    ) -> Floats:
        """Return P of aligned cells by the codes of a log, at its outcomes where P depends on them.

        By naive Bayes a cell that the log has no outcome of gets P(observed): no weight reads it; a
        decision on support does.
        """
        if not self.depends_on_outcome:
            return super().of_cells(log, user_codes, item_codes)
        by_rating: Any = self._fitted
        p = by_rating.of_cells(log, np.asarray(user_codes), np.asarray(item_codes))
        return self._clipping.apply(p, self.of_)

    def for_fitted_rows(self, log: InteractionLog, rows: Bools) -> Floats | None:
        """Return P of some rows of the log it was fitted on, or None where it has no design.

        Parameters
        ----------
        log : InteractionLog
            The one it was fitted on.
        rows : bool (n_rows,)
        """
        if self.row_design_ is None:
            return None
        of_rows: Any = self._fitted  # with a design it is one of rows
        p = of_rows.design_rows(self.row_design_, log, rows)
        return self._clipping.apply(p, self.of_)

    def for_rows(self, log: InteractionLog) -> Floats:
        """Return P of each row of a log, clipped as asked; float64 (n_rows,)."""
        by_row = self._fitted.rows(log)
        if by_row is not None:
            return self._clipping.apply(by_row, self.of_)
        users, items = self.aligned(log)
        return self.predict_codes(
            log.user_codes if users is None else users[log.user_codes],
            log.item_codes if items is None else items[log.item_codes],
        )
