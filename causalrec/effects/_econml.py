"""EconML's doubly robust learner on our folds, its nuisances read back for our inference.

`LinearDRLearner` clusters nothing: its nominal 95 % intervals cover 74 % where users and items
carry effects of their own. Its score is sound, so it is taken over and only the variance is ours.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects._nuisances import Nuisances
from causalrec.errors import StudyError
from causalrec.nuisances import ArmOutcomeModel, PropensityModel, folds_by_user

if TYPE_CHECKING:
    from causalrec.effects._population import Floats, Population
    from causalrec.effects._question import Question

SMALLEST = 1e-6
"""EconML's own floor of propensities."""


def fit_econml(
    population: Population, question: Question, outcome_model: Any, seed: int
) -> Nuisances:
    """Fit `econml.dr.LinearDRLearner` on folds of users and read its nuisances back.

    All covariates go in as W; the outcome model is one model of (W, T), as EconML has it.

    Notes
    -----
    The cached nuisances are E[Y | W, T = t] corrected by the residual of the rows in arm t, and
    the propensities; the outcome model's own predictions follow by inverting the correction. That
    the score made of them is EconML's, to 1e-10, is tested.
    """
    from econml.dr import LinearDRLearner

    template, design = _design(population)
    y, a = population.outcome, population.exposure
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    folds = folds_by_user(population.rows, question.n_folds, seed)
    floor = SMALLEST if question.clip is None else question.clip
    learner = LinearDRLearner(
        model_propensity=_propensity_model(template),
        model_regression=_regression_model(outcome_model, binary),
        discrete_outcome=binary,
        min_propensity=floor,
        cv=folds.row_pairs(population.rows),
        random_state=question.random_state,
    )
    target = y.astype(np.int64) if binary else y
    with warnings.catch_warnings():
        # EconML hands scikit-learn a column of outcomes and passes its complaint on.
        warnings.filterwarnings("ignore", message="A column-vector y was passed")
        learner.fit(target, a.astype(np.int64), X=None, W=design, cache_values=True, inference=None)
    corrected, clipped, raw = (
        np.asarray(part, dtype=np.float64).reshape(len(y), 2)
        for part in learner._cached_values.nuisances[:3]
    )
    unclipped = np.asarray((np.abs(clipped - raw) <= 1e-15).all(axis=1))
    p = clipped[:, 1]
    return Nuisances(
        propensity=p,
        unexposed=_uncorrected(corrected[:, 0], y, 1.0 - a, clipped[:, 0]),
        exposed=_uncorrected(corrected[:, 1], y, a, p),
        n_clipped=int((~unclipped).sum()),
        unclipped=unclipped,
        notes=(
            "EconML's outcome model is one model of covariates and exposure; its interval would be"
            " that of independent rows, so only its score is used.",
        ),
    )


def _uncorrected(corrected: Floats, y: Floats, in_arm: Floats, p: Floats) -> Floats:
    """Return g from g + (in_arm / p) (y - g)."""
    weight = in_arm / p
    return np.asarray((corrected - weight * y) / (1.0 - weight))


def _design(population: Population) -> tuple[PropensityModel, Floats]:
    model = population.propensity
    if population.template is None or not isinstance(model, PropensityModel):
        raise StudyError(
            'estimator="econml" estimates its own propensities: EconML cannot take given ones.'
            ' Use estimator="dr", which is the same score and takes them; or pass an unfitted'
            " PropensityModel(classifier=...), whose classifier EconML will use."
        )
    if model.row_design_ is None:
        raise StudyError(
            f"A propensity by {model.method!r} has no covariates for EconML to adjust for: use the"
            " logistic method."
        )
    return population.template, model.row_design_.matrix[population.supported][:, 1:]


def _propensity_model(template: PropensityModel) -> Any:
    from sklearn.linear_model import LogisticRegression

    if template.classifier is not None:
        return template.classifier
    return LogisticRegression(C=1.0 / template.regularization, max_iter=1000)


def _regression_model(outcome_model: Any, binary: bool) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if isinstance(outcome_model, ArmOutcomeModel):
        given = outcome_model.classifier if binary else outcome_model.regressor
        if given is not None:
            return given
        ridge = outcome_model.regularization
    elif outcome_model is not None:
        return outcome_model
    else:
        ridge = 1.0
    return LogisticRegression(C=1.0 / ridge, max_iter=1000) if binary else Ridge(alpha=ridge)
