"""EconML's doubly robust learners, their nuisances read back for our inference.

`LinearDRLearner` clusters nothing: its nominal 95 % intervals cover 74 % where users and items
carry effects of their own. Its score is sound, so it is taken over and only the variance is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects._econml import _models as models
from causalrec.effects._econml._own import OwnAnswer
from causalrec.effects._nuisances import Nuisances

if TYPE_CHECKING:
    from causalrec.effects._econml._models import Floats
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question

SMALLEST = 1e-6
"""EconML's own floor of propensities."""


def fit_doubly_robust(
    population: Population, question: Question, outcome_model: Any, seed: int
) -> Nuisances:
    """Fit `LinearDRLearner` ("econml") or `DRLearner` and read its nuisances back.

    Covariates are controls (W) of the first and features (X) of the second, whose final stage is a
    boosted model of the effect; the outcome model is one model of covariates and exposure, as
    EconML has it. Both have the same score on the same folds.

    Notes
    -----
    The cached nuisances are E[Y | W, T = t] corrected by the residual of the rows in arm t, and
    the propensities; the outcome model's own predictions follow by inverting the correction. That
    the score made of them is EconML's, to 1e-10, is tested.
    """
    template, design = models.covariates_for(population, question)
    y, a = population.outcome, population.exposure
    linear = question.estimator == "econml"
    learner = _learner(
        linear,
        question.random_state,
        model_propensity=models.exposure_model(template),
        model_regression=models.outcome_model_of(outcome_model, models.is_binary(y)),
        discrete_outcome=models.is_binary(y),
        min_propensity=SMALLEST if question.clip is None else question.clip,
        cv=models.our_folds(population, question, seed),
    )
    features = {"X": None, "W": design} if linear else {"X": design, "W": None}
    with models.quiet():
        learner.fit(
            models.as_target(y),
            a.astype(np.int64),
            **features,
            cache_values=True,
            inference="auto" if linear else None,
        )
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
        own=_own(learner, linear, design),
    )


def _learner(linear: bool, random_state: int | None, **options: Any) -> Any:
    from econml.dr import DRLearner, LinearDRLearner
    from sklearn.ensemble import HistGradientBoostingRegressor

    if linear:
        return LinearDRLearner(**options, random_state=random_state)
    final = HistGradientBoostingRegressor(
        max_leaf_nodes=8, min_samples_leaf=50, max_iter=50, random_state=random_state
    )
    return DRLearner(model_final=final, **options, random_state=random_state)


def _own(learner: Any, linear: bool, design: Floats) -> OwnAnswer:
    if not linear:
        average = float(np.ravel(learner.ate(design))[0])
        words = "supported rows: the average of its predicted effects, which has no interval"
        return OwnAnswer("DRLearner", words, average, None)
    found = learner.intercept__inference(T=1)
    error = float(np.ravel(found.stderr)[0])
    return OwnAnswer(
        "LinearDRLearner", "supported rows", float(np.ravel(learner.intercept_(T=1))[0]), error
    )


def _uncorrected(corrected: Floats, y: Floats, in_arm: Floats, p: Floats) -> Floats:
    """Return g from g + (in_arm / p) (y - g)."""
    weight = in_arm / p
    return np.asarray((corrected - weight * y) / (1.0 - weight))
