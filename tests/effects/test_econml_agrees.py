"""Our doubly robust score is EconML's, on the same folds and models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

import causalrec as cr
from causalrec.nuisances import ArmOutcomeModel


class SharedOutcomeModel:
    """One model of covariates and exposure, as EconML's learner has it."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def clone(self) -> SharedOutcomeModel:
        return SharedOutcomeModel(self.estimator)

    def fit(self, log: Any, graph: Any = None, *, users: Any = None, items: Any = None) -> Any:
        from sklearn.base import clone

        self._design = ArmOutcomeModel(regressor=LinearRegression(), classifier=LinearRegression())
        self._graph, seen = graph, users[log.user_codes]
        matrix = np.column_stack([self._covariates(log), log.exposure])[seen]
        self.binary = bool(np.isin(log.outcome, (0, 1)).all())
        outcome = log.outcome.astype(int) if self.binary else log.outcome
        self._fitted = clone(self.estimator).fit(matrix, outcome[seen])
        return self

    def _covariates(self, log: Any) -> Any:
        model = cr.PropensityModel().fit(log, self._graph)
        assert model.row_design_ is not None
        return model.row_design_.matrix[:, 1:]

    def for_rows(self, log: Any, arm: int = 1) -> Any:
        matrix = np.column_stack([self._covariates(log), np.full(log.n_rows, arm)])
        if self.binary:
            return self._fitted.predict_proba(matrix)[:, 1]
        return self._fitted.predict(matrix)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("shop", LogisticRegression(C=1.0, max_iter=2000)), ("video", Ridge(alpha=1.0))],
)
def test_dr_equals_econml_on_the_same_folds_and_models(name: str, outcome: Any) -> None:
    world: Any = cr.simulate(name, n_users=150, n_items=50, random_state=1)
    assignment = LogisticRegression(C=1.0, max_iter=2000)
    options: Any = {
        "propensity": cr.PropensityModel(classifier=assignment),
        "n_repeats": 1,
        "random_state": 4,
    }
    theirs = cr.estimate_effect(
        world.log, world.graph, estimator="econml", outcome_model=outcome, **options
    )
    ours = cr.estimate_effect(
        world.log, world.graph, outcome_model=SharedOutcomeModel(outcome), **options
    )
    computed = [one.internal("computation") for one in (ours, theirs)]
    groups = computed[0].everybody()
    scores = [one.adjusted(groups, 1).numerator for one in computed]
    assert np.abs(scores[0] - scores[1]).max() < 1e-10 * max(1.0, np.abs(scores[0]).max())
    assert ours.value == pytest.approx(theirs.value, abs=1e-10)
    assert ours.standard_error == pytest.approx(theirs.standard_error, rel=1e-9)


def test_the_score_is_what_econml_reports_as_its_effect() -> None:
    from econml.dr import LinearDRLearner

    world = cr.simulate("video", n_users=150, n_items=50, random_state=1)
    found = cr.estimate_effect(world.log, world.graph, estimator="econml", n_repeats=1)
    computation = found.internal("computation")
    from causalrec.nuisances import folds_by_user

    seed = int(np.random.default_rng(0).integers(0, 2**31, 1)[0])
    folds = folds_by_user(world.log, 5, seed)
    design = computation.population.propensity.row_design_.matrix[:, 1:]
    learner = LinearDRLearner(
        model_propensity=LogisticRegression(C=1.0, max_iter=1000),
        model_regression=Ridge(alpha=1.0),
        cv=folds.row_pairs(world.log),
        random_state=0,
    )
    assert world.log.exposure is not None
    learner.fit(world.log.outcome, world.log.exposure.astype(int), X=None, W=design)
    assert float(learner.intercept_(T=1)) == pytest.approx(found.value, abs=1e-10)
    # Rows of one user and of one item are alike; EconML's standard error does not know that.
    assert float(learner.intercept__inference(T=1).stderr) < 0.8 * found.standard_error
