"""Cross-fitted models on arrays, for decompositions: there the arms may be the groups themselves.

The models of `causalrec.nuisances` take the log's exposure for the arm. Here the arm is a group as
often, and refuters replace it; so what is needed is told by arrays: a design, a target, the rows
to learn from and those to predict. Linear fits come with what the stacked influence needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalrec.errors import OverlapError, StudyError
from causalrec.inference import FittedNuisance, fitted_linear, fitted_logistic
from causalrec.nuisances import (
    Encoders,
    LinearFit,
    choose_covariates,
    encode,
    fit_linear,
    row_design,
)

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]
RIDGE, CROSS_RIDGE = 1.0, 30.0
"""Of features and of user x item crosses, in units of rows, as in `ArmOutcomeModel`."""


@dataclass(frozen=True, eq=False)
class RowFeatures:
    """The numbers of some covariates, a row each, and the ridge of each.

    Attributes
    ----------
    matrix : float64 (n, k)
        The first column is 1.
    penalty : float64 (k,)
    """

    matrix: Floats
    penalty: Floats

    @classmethod
    def of(cls, log: InteractionLog, columns: Sequence[str]) -> RowFeatures:
        """Encode columns of the rows of a log as the outcome models do.

        A column that plays a role in the log (exposure, position) stands for a feature too.
        """
        apart = [one for one in sorted(set(columns)) if _plays_a_role(log, one)]
        chosen = choose_covariates(log, None, sorted(set(columns) - set(apart)))
        found = row_design(log, Encoders.of(log, chosen), crosses=True)
        frame = pd.DataFrame({name: log.column(name) for name in apart}, index=range(log.n_rows))
        roles = encode(frame, apart, table="events").apply(frame).matrix
        penalty = np.concatenate(
            [np.where(found.cross, CROSS_RIDGE, RIDGE), np.full(roles.shape[1], RIDGE)]
        )
        penalty[0] = 0.0
        return cls(np.hstack([found.matrix, roles]), penalty)

    def rows(self, inside: Bools | Codes) -> RowFeatures:
        """Return the features of some rows."""
        return replace(self, matrix=self.matrix[inside])

    def with_column(self, values: Floats) -> RowFeatures:
        """Return the features with one more."""
        return RowFeatures(
            np.column_stack([self.matrix, values]), np.concatenate([self.penalty, [RIDGE]])
        )


@dataclass(frozen=True, eq=False)
class FoldFit:
    """The linear fit of one fold: little to keep, and its error worked out when asked for.

    Attributes
    ----------
    fit : LinearFit
    features : RowFeatures
    target : float64 (n,)
    train, used : bool (n,)
        Rows it was fitted on, and rows it predicts.
    """

    fit: LinearFit
    features: RowFeatures
    target: Floats
    train: Bools
    used: Bools

    def error(self) -> tuple[FittedNuisance, Floats]:
        """Return the nuisance, and d mean / d linear predictor of the rows that it predicts."""
        matrix = self.features.matrix
        mean = self.fit.predict(matrix)
        logistic = self.fit.link == "logit"
        describe = fitted_logistic if logistic else fitted_linear
        nuisance = describe(
            matrix, self.target, mean, weight=self.train.astype(np.float64),
            penalty=self.fit.penalty,
        )  # fmt: skip
        slope = mean * (1.0 - mean) if logistic else np.ones(len(mean))
        return nuisance, np.where(self.used, slope, 0.0)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Predictions of a target, and the linear fits behind them.

    Attributes
    ----------
    values : float64 (n,)
        By the fold that has not seen the row; 0 where nothing was asked.
    fits : tuple of FoldFit
        One a fold; empty where an estimator was passed, whose error is not known.
    """

    values: Floats
    fits: tuple[FoldFit, ...]


def _plays_a_role(log: InteractionLog, column: str) -> bool:
    tables = {*log.users.columns, *log.items.columns, *log.events.columns}
    return column not in tables and column in log.columns.named().values()


def deal_folds(codes: npt.NDArray[Any], n_folds: int, rng: np.random.Generator) -> Codes:
    """Return the fold of each row: all rows of a subject (a user, an item, a provider) in one.

    Raises
    ------
    StudyError
        If there are fewer than two folds, or fewer subjects than folds.

    Examples
    --------
    >>> first, second, third, _ = deal_folds(np.array([0, 0, 7, 7]), 2, np.random.default_rng(0))
    >>> bool(first == second), bool(second == third)
    (True, False)
    """
    present, place = np.unique(codes, return_inverse=True)
    if n_folds < 2 or len(present) < n_folds:
        raise StudyError(
            f"n_folds={n_folds} with {len(present):,} subjects: there must be at least two folds,"
            " and as many subjects as folds."
        )
    fold = np.empty(len(present), dtype=np.int64)
    fold[rng.permutation(len(present))] = np.arange(len(present)) % n_folds
    return fold[place]


def fit_rows(
    features: RowFeatures,
    target: Floats,
    learn: Bools,
    asked: Bools,
    fold: Codes,
    given: Any = None,
    *,
    seed: int | None = 0,
) -> Fitted:
    """Predict a target from features, each row by a model that has not seen its subject.

    Parameters
    ----------
    features : RowFeatures
    target : float64 (n,)
        0/1 targets get a logistic, others a ridge regression.
    learn, asked : bool (n,)
        Rows to learn from, and rows to predict.
    fold : int64 (n,)
        One fold for all: one model, fitted on all rows of `learn` (a quick look, not inference).
    given : scikit-learn estimator, optional
    seed : int or None
        Of a given estimator that takes one.

    Raises
    ------
    OverlapError
        If a fold leaves nothing to learn from.
    """
    binary = bool(np.isin(target[learn], (0.0, 1.0)).all())
    values, fits = np.zeros(len(target)), []
    numbers = np.unique(fold)
    for number in numbers:
        train = learn & (fold != number) if len(numbers) > 1 else learn
        used = asked & (fold == number)
        if not train.any():
            raise OverlapError("A fold leaves no row to learn from: take fewer folds.")
        if given is not None:
            predict = linear_or_given(
                features.matrix[train], target[train], features.penalty, given, seed
            )
            if used.any():
                values[used] = predict(features.matrix[used])
            continue
        fit = fit_linear(
            features.matrix[train], target[train], penalty=features.penalty, binary=binary
        )
        values[used] = fit.predict(features.matrix[used])
        fits.append(FoldFit(fit, features, target, train, used))
    return Fitted(values, tuple(fits))


def linear_or_given(
    matrix: Floats, target: Floats, penalty: Floats, given: Any, seed: int | None
) -> Callable[[Floats], Floats]:
    """Fit a given scikit-learn estimator, or a linear model, and return how it predicts.

    Raises
    ------
    StudyError
        If a regressor is given for a target of 0 and 1.
    """
    binary = bool(np.isin(target, (0.0, 1.0)).all())
    if given is None:
        return fit_linear(matrix, target, penalty=penalty, binary=binary).predict
    from sklearn.base import clone, is_classifier

    model = clone(given)
    if seed is not None and "random_state" in model.get_params():
        model.set_params(random_state=seed)
    if binary and not is_classifier(model):
        raise StudyError(
            f"{type(given).__name__} is no classifier, and the target is 0 or 1: pass one that has"
            " predict_proba."
        )
    if not is_classifier(model):
        model.fit(matrix[:, 1:], target)
        return lambda x: np.asarray(model.predict(x[:, 1:]), dtype=np.float64).ravel()
    if len(np.unique(target)) == 1:
        only = float(target[0])
        return lambda x: np.full(len(x), only)
    model.fit(matrix[:, 1:], target.astype(np.int64))
    return lambda x: np.asarray(model.predict_proba(x[:, 1:])[:, 1], dtype=np.float64)
