"""EconML's causal forest, and the doubly robust score of what it predicts out of bag."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects._econml import _models as models
from causalrec.effects._econml._own import OwnAnswer
from causalrec.effects._nuisances import Nuisances, _clip

if TYPE_CHECKING:
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question

TREES, LEAF = 100, 50


def fit_causal_forest(
    population: Population, question: Question, outcome_model: Any, seed: int
) -> Nuisances:
    """Fit `CausalForestDML` and return the nuisances of its doubly robust average.

    Notes
    -----
    The forest (Athey, Tibshirani & Wager 2019) predicts the effect tau of a row from the residuals
    Y - m and A - p. With g1 = m + (1 - p) tau and g0 = m - p tau the doubly robust score is that of
    EconML's `ate_`, but that EconML raises p (1 - p) to .01 where it is below. tau is out of bag:
    by trees that did not see the row, though they may have seen others of its user.
    """
    from econml.dml import CausalForestDML

    template, design = models.covariates_for(population, question)
    y, a = population.outcome, population.exposure
    learner = CausalForestDML(
        model_y=models.outcome_model_of(outcome_model, models.is_binary(y)),
        model_t=models.exposure_model(template),
        discrete_outcome=models.is_binary(y),
        discrete_treatment=True,
        cv=models.our_folds(population, question, seed),
        n_estimators=TREES,
        min_samples_leaf=LEAF,
        n_jobs=1,
        random_state=question.random_state,
    )
    with models.quiet():
        # Rows no tree left out are counted below.
        warnings.filterwarnings("ignore", message="Could not generate out-of-bag predictions")
        learner.fit(
            models.as_target(y),
            a.astype(np.int64),
            X=design,
            W=None,
            cache_values=True,
            inference=None,
        )
    outcome_left, exposure_left = (
        np.asarray(part, dtype=np.float64).ravel() for part in learner.residuals_[:2]
    )
    p, unclipped = _clip(a - exposure_left, question.clip)
    mean = y - outcome_left
    tau = np.asarray(learner.model_cate.oob_predict(design), dtype=np.float64).ravel()
    unseen = np.isnan(tau)
    tau = np.where(unseen, float(tau[~unseen].mean()) if not unseen.all() else 0.0, tau)
    return Nuisances(
        propensity=p,
        unexposed=mean - p * tau,
        exposed=mean + (1.0 - p) * tau,
        n_clipped=0 if unclipped is None else int((~unclipped).sum()),
        unclipped=unclipped,
        notes=(
            f"A causal forest of {TREES} trees (leaves of at least {LEAF} rows) predicts each row's"
            " effect by trees that did not see the row, though they may have seen others of its"
            f" user; in {int(unseen.sum()):,} rows every tree did, and the mean stands in.",
        ),
        own=OwnAnswer(
            "CausalForestDML",
            "supported rows (its ate_ and ate_stderr_)",
            float(np.ravel(learner.ate_)[0]),
            float(np.ravel(learner.ate_stderr_)[0]),
        ),
    )
