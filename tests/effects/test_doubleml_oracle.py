"""Our doubly robust effect is DoubleML's on the same folds, and our two-way interval is calibrated.

DoubleML counts the noise of a row in its user's sum and in its item's, in blocks of folds, and
takes it off neither: right as clusters grow, too wide while the noise of rows matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge

import causalrec as cr
from causalrec.effects._nuisances import Fitter
from causalrec.effects._population import find_population
from causalrec.effects._question import Question
from causalrec.effects._scores import Computation
from causalrec.nuisances import folds_by_user

doubleml = pytest.importorskip("doubleml")
pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning", "ignore:.*:DeprecationWarning")

REPLICATES = 400
QUESTION = Question.of(
    contrast=(1, 0), unit="item", sampled=("user", "item"), estimator="dr", estimand="ate",
    clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip


class ArmRidge:
    """One ridge an arm, on the covariates that the propensity model has."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def clone(self) -> ArmRidge:
        return ArmRidge(self.graph)

    def fit(self, log: Any, graph: Any = None, *, users: Any = None, items: Any = None) -> Any:
        seen = users[log.user_codes]
        matrix = covariates(log, self.graph)
        self.models = [
            clone(Ridge()).fit(
                matrix[seen & (log.exposure == arm)], log.outcome[seen & (log.exposure == arm)]
            )
            for arm in (0, 1)
        ]
        return self

    def for_rows(self, log: Any, arm: int = 1) -> Any:
        return self.models[arm].predict(covariates(log, self.graph))


def covariates(log: Any, graph: Any) -> Any:
    model = cr.PropensityModel().fit(log, graph)
    assert model.row_design_ is not None
    return model.row_design_.matrix[:, 1:]


def as_doubleml(matrix: Any, log: Any, clusters: bool) -> Any:
    names = [f"x{k}" for k in range(matrix.shape[1])]
    frame = pd.DataFrame(matrix, columns=names).assign(
        y=log.outcome, d=log.exposure.astype(float), user=log.user_codes, item=log.item_codes
    )
    two_way = {"cluster_cols": ["user", "item"]} if clusters else {}
    used = frame if clusters else frame.drop(columns=["user", "item"])
    return doubleml.DoubleMLData(used, y_col="y", d_cols="d", x_cols=names, **two_way)


def test_dr_equals_doubleml_on_the_same_folds_and_models() -> None:
    world: Any = cr.simulate("video", n_users=150, n_items=50, random_state=1)
    assignment = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10)
    ours = cr.estimate_effect(
        world.log, world.graph, propensity=cr.PropensityModel(classifier=assignment),
        outcome_model=ArmRidge(world.graph), n_repeats=1, random_state=4,
    )  # fmt: skip
    seed = int(np.random.default_rng(4).integers(0, 2**31, 1)[0])
    data = as_doubleml(covariates(world.log, world.graph), world.log, clusters=False)
    theirs = doubleml.DoubleMLIRM(
        data, ml_g=Ridge(), ml_m=assignment, trimming_threshold=1e-12, draw_sample_splitting=False
    )
    theirs.set_sample_splitting(folds_by_user(world.log, 5, seed).row_pairs(world.log))
    theirs.fit()
    assert ours.value == pytest.approx(float(theirs.coef[0]), abs=1e-8)
    # its interval without clusters is that of independent rows
    assert float(theirs.se[0]) < 0.8 * ours.standard_error


def test_linear_dml_equals_doubleml_on_the_same_residuals() -> None:
    world: Any = cr.simulate("video", n_users=150, n_items=50, random_state=1)
    ours = cr.estimate_effect(world.log, world.graph, estimator="linear-dml", n_repeats=1)
    computation = ours.internal("computation")
    data = as_doubleml(covariates(world.log, world.graph), world.log, clusters=False)
    theirs = doubleml.DoubleMLPLR(data, ml_l=Ridge(), ml_m=Ridge(), draw_sample_splitting=False)
    theirs.set_sample_splitting(folds_by_user(world.log, 5, 1).row_pairs(world.log))
    y, a = world.log.outcome, world.log.exposure
    mean, chance = y - computation.residuals.outcome, a - computation.residuals.exposure
    theirs.fit(external_predictions={"d": {"ml_l": mean[:, None], "ml_m": chance[:, None]}})
    assert ours.value == pytest.approx(float(theirs.coef[0]), abs=1e-8)


@pytest.mark.slow
def test_two_way_intervals_are_calibrated_where_doublemls_are_too_wide() -> None:
    values, ours, theirs, hits = [], [], [], []
    for seed in range(REPLICATES):
        world: Any = cr.simulate(
            "shop", n_users=80, n_items=80, n_candidates=20, random_state=7000 + seed
        )
        population = find_population(world.log, world.graph, None, QUESTION)
        nuisances = Fitter(population, world.graph, QUESTION, None).fit(0)
        estimate = Computation(population, QUESTION, nuisances).estimate()["dr"]
        low, high = estimate.interval()[0]
        hits.append(low <= world.population_truth["ate"] <= high)
        matrix = np.zeros((population.rows.n_rows, 1))
        np.random.seed(seed)  # noqa: NPY002 - DoubleML deals its folds from the global generator
        model = doubleml.DoubleMLIRM(
            as_doubleml(matrix, population.rows, clusters=True), ml_g=Ridge(),
            ml_m=LogisticRegression(), n_folds=2, trimming_threshold=1e-12,
        )  # fmt: skip
        assert nuisances.unexposed is not None
        assert nuisances.exposed is not None
        given = {
            "ml_m": nuisances.propensity, "ml_g0": nuisances.unexposed, "ml_g1": nuisances.exposed
        }  # fmt: skip
        model.fit(external_predictions={"d": {name: p[:, None] for name, p in given.items()}})
        values.append(float(estimate))
        ours.append(float(estimate.standard_error[0]))
        theirs.append(float(model.se[0]))
        if seed == 0:
            assert values[0] == pytest.approx(float(model.coef[0]), abs=1e-8)
    spread = float(np.std(values))
    share = {
        "coverage": float(np.mean(hits)),
        "ours": float(np.mean(ours)) / spread,
        "DoubleML": float(np.mean(theirs)) / spread,
    }
    assert 0.915 <= share["coverage"] <= 0.985, share
    # the spread of 400 draws is known to one part in sqrt(800), 3.5 %
    assert 0.88 < share["ours"] < 1.12, share
    assert share["DoubleML"] > 1.5, share
