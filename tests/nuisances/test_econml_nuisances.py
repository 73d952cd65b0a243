"""EconML's propensities are ours on the same folds and models, and go on through the chain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import causalrec as cr
from causalrec.errors import DataError
from causalrec.nuisances import (
    KnownPropensity,
    PropensityModel,
    cell_propensity,
    cross_fit,
    folds_by_user,
    propensity_from_econml,
    resolve_propensity,
    row_propensity,
    support,
)


@pytest.fixture(scope="module")
def world():
    return cr.simulate("shop", n_users=200, n_items=60, random_state=0)


@pytest.fixture(scope="module")
def learner(world):
    from econml.dr import LinearDRLearner

    folds = folds_by_user(world.log, 3)
    classifier = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    ours = cross_fit(PropensityModel(classifier=classifier), world.log, folds, world.graph)
    covariates = ours.models_[0].row_design_.matrix[:, 1:]
    theirs = LinearDRLearner(
        model_propensity=LogisticRegression(C=1.0, tol=1e-10, max_iter=1000),
        model_regression=LinearRegression(),
        cv=folds.row_pairs(world.log),
        min_propensity=1e-6,
        random_state=0,
    )
    log = world.log
    theirs.fit(log.outcome, log.exposure, X=None, W=covariates, cache_values=True)
    return theirs, ours


def test_same_folds_and_models_give_the_same_propensities(world, learner) -> None:
    theirs, ours = learner
    found = propensity_from_econml(theirs, world.log)
    difference = row_propensity(found, world.log) - ours.out_of_fold_rows()
    assert np.abs(difference).max() < 1e-10


def test_they_are_accepted_downstream(world, learner) -> None:
    found = propensity_from_econml(learner[0], world.log)
    assert isinstance(found, KnownPropensity)
    assert resolve_propensity(found, world.log) is found
    cells = world.log.observed_cells()
    p = cell_propensity(found, world.log, cells.users, cells.items)
    np.testing.assert_allclose(p, row_propensity(found, world.log)[cells.rows])
    train, test = world.log.split(by="cell", test_size=0.3)
    for part in (train, test):
        assert row_propensity(found, part).shape == (part.n_rows,)
    assert support(found, world.log).unit == "rows"
    assert found.diagnostics(world.log, by="gender").kind == "propensity"


def test_refusals(world, learner) -> None:
    from econml.dr import LinearDRLearner

    with pytest.raises(DataError, match="cache_values=True"):
        propensity_from_econml(LinearDRLearner(), world.log)
    with pytest.raises(DataError, match="fitted on"):
        propensity_from_econml(learner[0], world.log.select(np.arange(world.log.n_rows) < 50))
