"""Calibration slope, AUTOC and Qini are those of EconML's `DRTester`, on independent rows.

EconML draws its curves on a grid of quantiles and clips propensities at .01 without a word; ours
are exact sums over ranks. On the grid of all ranks both are the same sums but for the first row.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects import validate_effects


class Given:
    """Predicted effects that are known."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def effect(self, X: Any, T0: Any = 0, T1: Any = 1) -> Any:
        return self.values


def test_validation_is_drtesters_on_the_same_scores() -> None:
    from econml.validate.drtester import DRTester
    from econml.validate.utils import calculate_dr_outcomes

    world: Any = cr.simulate("shop", n_users=500, n_items=60, n_candidates=1, random_state=2)
    effect = cr.estimate_effect(world.log, world.graph, sampled=("user",), n_repeats=1)
    computation = effect.internal("computation")
    y, a = computation.population.outcome, computation.population.exposure
    p, n = computation.nuisances.propensity, len(y)
    assert p.min() > 0.01
    assert p.max() < 0.99  # EconML would clip
    scores = calculate_dr_outcomes(
        a.astype(int),
        y,
        np.column_stack([computation.nuisances.unexposed, computation.nuisances.exposed]),
        np.column_stack([1 - p, p]),
    )
    ours_scores = computation.adjusted(computation.everybody(), 1)
    plain = computation._plain(computation.everybody(), 1)
    assert np.abs(scores - plain.numerator).max() < 1e-10
    assert float(ours_scores.value[0]) == pytest.approx(float(scores.mean()), abs=1e-10)

    rng = np.random.default_rng(0)
    predicted = world.log.column("quality").to_numpy(dtype=float) + 0.1 * rng.random(n)
    found = validate_effects(effect, predicted)
    tester = DRTester(model_regression=None, model_propensity=None, cate=Given(predicted[:, None]))
    tester.dr_val_, tester.treatments, tester.n_treat = scores, np.array([0, 1]), 1
    tester.cate_preds_val_ = tester.cate_preds_train_ = predicted[:, None]
    slope = tester.evaluate_blp()
    assert found["calibration slope"].value == pytest.approx(slope.params[0], abs=1e-10)

    # the k-th quantile of n ranks is a row: all but k rows are at or above it
    ranks = np.arange(1, n) * 100 / (n - 1)
    quantiles = np.nextafter(np.sort(predicted), -np.inf)[1:]
    first = float(scores[np.argmax(predicted), 0] - scores.mean())
    for metric, label in (("toc", "AUTOC"), ("qini", "Qini")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of its bootstrap, not used
            theirs = uplift(tester, quantiles, scores, ranks, metric)
        share = 1.0 if metric == "toc" else 1 / n
        ours = (n * float(found[label].value) - share * first) / (n - 1)
        assert ours == pytest.approx(theirs, abs=1e-10)


def uplift(tester: Any, quantiles: Any, scores: Any, ranks: Any, metric: str) -> float:
    """Return EconML's coefficient on the grid of all ranks."""
    from econml.validate import utils

    patch = pytest.MonkeyPatch()
    patch.setattr(utils.np, "percentile", lambda values, at: percentile(values, at, quantiles))
    try:
        state = np.random.get_state()  # noqa: NPY002 - its bootstrap draws from it
        coefficient, _, _ = utils.calc_uplift(
            tester.cate_preds_train_, tester.cate_preds_val_, scores, ranks, metric, 2
        )
        np.random.set_state(state)  # noqa: NPY002
    finally:
        patch.undo()
    return float(coefficient)


QUANTILE = np.percentile


def percentile(values: Any, at: Any, quantiles: Any) -> Any:
    """Return the ranks' own values where quantiles are asked for: interpolation may miss them."""
    return quantiles if np.size(at) == len(quantiles) else QUANTILE(values, at)
