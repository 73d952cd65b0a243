"""The models that EconML's learners are given: always named, never EconML's search ("auto")."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.nuisances import ArmOutcomeModel, PropensityModel, folds_by_user

if TYPE_CHECKING:
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question

Floats = NDArray[np.float64]
Rows = list[tuple[NDArray[Any], NDArray[Any]]]


def is_binary(outcome: Floats) -> bool:
    """Return whether an outcome is 0 or 1 everywhere."""
    return bool(np.isin(outcome, (0.0, 1.0)).all())


def as_target(outcome: Floats) -> NDArray[Any]:
    """Return the outcome as EconML takes it: whole numbers where it is binary."""
    return outcome.astype(np.int64) if is_binary(outcome) else outcome


def our_folds(population: Population, question: Question, seed: int) -> Rows:
    """Return the folds of users as (training rows, held-out rows)."""
    return folds_by_user(population.rows, question.n_folds, seed).row_pairs(population.rows)


def covariates_for(population: Population, question: Question) -> tuple[PropensityModel, Floats]:
    """Return the unfitted propensity model and the covariates, one row a supported row.

    Raises
    ------
    StudyError
        If propensities were given, or no row design belongs to them.
    """
    model, asked = population.propensity, question.estimator
    if population.template is None or not isinstance(model, PropensityModel):
        raise StudyError(
            f'estimator="{asked}" estimates its own propensities: EconML cannot take given ones'
            " (its models are fitted again in each fold). Use"
            ' estimator="dr", which is a doubly robust score and takes them; or pass an unfitted'
            " PropensityModel(classifier=...), whose classifier EconML will use."
        )
    if model.row_design_ is None:
        raise StudyError(
            f"A propensity by {model.method!r} has no covariates for EconML to adjust for: use the"
            " logistic method."
        )
    return population.template, model.row_design_.matrix[population.supported][:, 1:]


def exposure_model(template: PropensityModel) -> Any:
    """Return the classifier of the exposure."""
    from sklearn.linear_model import LogisticRegression

    if template.classifier is not None:
        return template.classifier
    return LogisticRegression(C=1.0 / template.regularization, max_iter=1000)


def outcome_model_of(given: Any, binary: bool) -> Any:
    """Return one model of the outcome: the one given, else logistic or ridge."""
    from sklearn.linear_model import LogisticRegression, Ridge

    ridge = 1.0
    if isinstance(given, ArmOutcomeModel):
        own = given.classifier if binary else given.regressor
        if own is not None:
            return own
        ridge = given.regularization
    elif given is not None:
        return given
    return LogisticRegression(C=1.0 / ridge, max_iter=1000) if binary else Ridge(alpha=ridge)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what EconML passes on from scikit-learn about its own way of calling it."""
    with warnings.catch_warnings():
        # EconML hands scikit-learn a column of outcomes and passes its complaint on.
        warnings.filterwarnings("ignore", message="A column-vector y was passed")
        yield
