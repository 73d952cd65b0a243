"""Outcome models of rows, one per arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.nuisances._backends import at_rows
from causalrec.nuisances._features import (
    Encoders,
    RowDesign,
    choose_covariates,
)
from causalrec.nuisances._linear import LinearFit, fit_linear
from causalrec.nuisances._linear_folds import fit_linear_folds
from causalrec.nuisances._options import Within
from causalrec.nuisances._parameters import Parameters
from causalrec.nuisances._shared import shared_design

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._cross_fit import Folds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class ArmOutcomeModel(Parameters):
    """E[outcome | covariates, arm] of each row, one model per arm.

    On candidates the arms are 0 (not exposed) and 1 (exposed); on ratings and impressions there
    is arm 1 alone. Each arm has coefficients of its own: one model with the exposure as a feature
    would force the effect to be the same for everybody.

    Parameters
    ----------
    regularization, cross_regularization : float, default 1, 30
        Ridge of features and of user x item crosses, in units of rows.
    crosses : bool, default True
    covariates : sequence of str, optional
        Column names; they win over the graph's.
    classifier, regressor : object, optional
        scikit-learn estimators for binary and for other outcomes, instead of the logistic and
        the ridge regression. They get the design without its column of ones.
    random_state : int, optional
        Given to an estimator that takes one.

    Attributes
    ----------
    arms_ : tuple of int
    binary_ : bool
    covariates_, notes_ : tuple of str
    design_ : RowDesign
        Of the log it was fitted on: all rows, whatever the arm.
    coefficients_ : dict of int -> float64 (k,)
        Empty where an estimator was passed.
    linear_fits_ : dict of int -> LinearFit
        With `.scores` and `.hessian`, for stacked influence.
    in_sample_ : dict of int -> float64 (n_rows,)
        Predictions for the rows it was fitted on, under each arm.
    residual_variance_ : dict of int -> float
        Of the rows of each arm, corrected for the number of coefficients.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("shop", n_users=200, n_items=50, random_state=0)
    >>> model = ArmOutcomeModel().fit(world.log, world.graph)
    >>> model.binary_, bool((model.in_sample_[1] > model.in_sample_[0]).mean() > 0.5)
    (True, True)
    """

    def __init__(
        self,
        *,
        regularization: float = 1.0,
        cross_regularization: float = 30.0,
        crosses: bool = True,
        covariates: Sequence[str] | None = None,
        classifier: Any = None,
        regressor: Any = None,
        random_state: int | None = 0,
    ) -> None:
        self.regularization = regularization
        self.cross_regularization = cross_regularization
        self.crosses = crosses
        self.covariates = covariates
        self.classifier = classifier
        self.regressor = regressor
        self.random_state = random_state

    def fit(
        self,
        log: InteractionLog,
        graph: CausalGraph | None = None,
        *,
        weights: Floats | None = None,
        users: Bools | None = None,
        items: Bools | None = None,
    ) -> ArmOutcomeModel:
        """Fit one model per arm.

        Parameters
        ----------
        log : InteractionLog
            Candidates, ratings or impressions.
        graph : CausalGraph, optional
            Decides the covariates.
        weights : float64 (n_rows,), optional
        users, items : bool (n_users,), (n_items,), optional
            Fit on the rows of these only (cross-fitting).

        Raises
        ------
        DataError
            If an arm has no row to fit on.
        """
        self._prepare(log, graph, Within.of(log, users, items))
        models = {}
        for arm in self.arms_:
            rows = self._rows_of(arm)
            if not rows.any():
                raise self._no_rows(log, arm)
            some = None if weights is None else weights[rows]
            models[arm] = self._fit_arm(self._outcome[rows], rows, some)
        return self._take(models)

    def fit_folds(
        self,
        log: InteractionLog,
        folds: Folds,
        graph: CausalGraph | None = None,
        *,
        weights: Floats | None = None,
    ) -> list[ArmOutcomeModel] | None:
        """Fit one model a fold, all at once; None where each has to be fitted by itself.

        Parameters
        ----------
        log : InteractionLog
        folds : Folds
        graph : CausalGraph, optional
        weights : float64 (n_rows,), optional

        Returns
        -------
        list of ArmOutcomeModel or None
            The same as of `fit` with each fold's users and items, to the last few digits.
        """
        models = [self.clone() for _ in folds]
        for model, (users, items) in zip(models, folds, strict=True):
            model._prepare(log, graph, Within.of(log, users, items))
        if (self.classifier if models[0].binary_ else self.regressor) is not None:
            return None
        held = folds.of_cells(log.user_codes, log.item_codes).astype(np.int16)
        found: list[dict[int, Any]] = [{} for _ in models]
        design = models[0].design_
        for arm in models[0].arms_:
            here = np.ones(log.n_rows, bool) if log.exposure is None else log.exposure == arm
            if not all((model._inside & here).any() for model in models):
                raise self._no_rows(log, arm)
            fits = fit_linear_folds(
                design.matrix,
                models[0]._outcome,
                np.where(here, held, np.int16(-1)),
                folds.members,
                penalty=self._penalty(design),
                binary=models[0].binary_,
                weights=weights,
            )
            for mine, fit in zip(found, fits, strict=True):
                mine[arm] = fit
        return [model._take(mine) for model, mine in zip(models, found, strict=True)]

    def _prepare(self, log: InteractionLog, graph: CausalGraph | None, within: Within) -> None:
        log.require("candidates", "ratings", "impressions", purpose="an outcome model")
        assert log.outcome is not None  # only positives have none, and they were just refused
        chosen = choose_covariates(log, graph, self.covariates)
        self.covariates_, self.notes_ = chosen.columns, chosen.notes
        self._encoders = Encoders.of(log, chosen)
        self.design_ = shared_design(log, self._encoders, crosses=self.crosses)
        self.binary_ = bool(np.isin(log.outcome, (0.0, 1.0)).all())
        self._inside = within.cells(log.user_codes, log.item_codes)
        self._outcome, self._exposure = log.outcome, log.exposure
        self.arms_ = (1,) if log.exposure is None else (0, 1)

    def _take(self, models: dict[int, Any]) -> ArmOutcomeModel:
        self._models = models
        self.linear_fits_ = {a: m for a, m in models.items() if isinstance(m, LinearFit)}
        self.coefficients_ = {a: fit.coefficients for a, fit in self.linear_fits_.items()}
        return self

    def _rows_of(self, arm: int) -> Bools:
        if self._exposure is None:
            return self._inside
        return np.asarray(self._inside & (self._exposure == arm))

    def _penalty(self, design: RowDesign) -> Floats:
        return np.where(design.cross, self.cross_regularization, self.regularization)

    @staticmethod
    def _no_rows(log: InteractionLog, arm: int) -> DataError:
        return DataError(
            f"No row with {'exposure ' + str(arm) if log.exposure is not None else 'data'}"
            " to fit the outcome model on: every arm needs rows in every fold."
        )

    @property
    def in_sample_(self) -> dict[int, Floats]:
        """Predictions for the rows it was fitted on, under each arm."""
        return {arm: self._predict(self.design_.matrix, arm) for arm in self.arms_}

    @property
    def residual_variance_(self) -> dict[int, float]:
        """Of the rows of each arm, corrected for the number of coefficients."""
        found = {}
        for arm in self.arms_:
            rows = self._rows_of(arm)
            residual = self._outcome[rows] - self._at(rows, arm)
            freedom = max(1.0, len(residual) - self.design_.matrix.shape[1])
            found[arm] = float((residual**2).sum() / freedom)
        return found

    def _fit_arm(self, outcome: Floats, rows: Bools, weights: Floats | None) -> Any:
        matrix = self.design_.matrix[rows]
        given = self.classifier if self.binary_ else self.regressor
        if given is not None:
            return _fit_given(given, matrix, outcome, weights, self.binary_, self.random_state)
        return fit_linear(
            matrix,
            outcome,
            penalty=self._penalty(self.design_),
            binary=self.binary_,
            weights=weights,
        )

    def for_fitted_rows(self, log: InteractionLog, rows: Bools, arm: int = 1) -> Floats:
        """Return E[outcome | covariates, arm] of some rows of the log it was fitted on.

        Parameters
        ----------
        log : InteractionLog
            The one it was fitted on.
        rows : bool (n_rows,)
        arm : int
        """
        self._check_arm(arm)
        return self._at(rows, arm)

    def _at(self, rows: Bools, arm: int) -> Floats:
        model, predict = self._models[arm], lambda matrix: self._predict(matrix, arm)
        return at_rows(model, self.design_.matrix, rows, predict)

    def for_rows(self, log: InteractionLog, arm: int = 1) -> Floats:
        """Return E[outcome | covariates, arm] of each row of a log, float64 (n_rows,).

        Parameters
        ----------
        log : InteractionLog
        arm : int
            The arm that the rows are put into, whatever theirs was.
        """
        self._check_arm(arm)
        design = shared_design(log, self._encoders, crosses=self.crosses)
        return self._predict(design.matrix, arm)

    def _check_arm(self, arm: int) -> None:
        if not hasattr(self, "_models"):
            from causalrec import errors

            raise errors.NotFittedError.of(self)
        if arm not in self.arms_:
            raise StudyError(f"There is no arm {arm!r}; the log has {self.arms_}.")

    def _predict(self, matrix: Floats, arm: int) -> Floats:
        return _mean(self._models[arm], matrix, self.binary_)


def _fit_given(
    given: Any,
    matrix: Floats,
    outcome: Floats,
    weights: Floats | None,
    binary: bool,
    random_state: int | None,
) -> Any:
    from sklearn.base import clone

    model = clone(given)
    if random_state is not None and "random_state" in model.get_params():
        model.set_params(random_state=random_state)
    target = outcome.astype(np.int64) if binary else outcome
    if weights is None:
        return model.fit(matrix[:, 1:], target)
    return model.fit(matrix[:, 1:], target, sample_weight=weights)


def _mean(model: Any, matrix: Floats, binary: bool) -> Floats:
    if isinstance(model, LinearFit):
        return model.predict(matrix)
    if not binary:
        return np.asarray(model.predict(matrix[:, 1:]), dtype=np.float64).ravel()
    if len(model.classes_) == 1:  # the arm had one outcome only
        return np.full(len(matrix), float(model.classes_[0]))
    return np.asarray(model.predict_proba(matrix[:, 1:])[:, 1], dtype=np.float64)
