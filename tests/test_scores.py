"""The score: right with one nuisance wrong, wrong with both, and exact in worlds of strata."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from causalrec import scores
from causalrec.errors import DataError, OverlapError, StudyError
from causalrec.scores import Score, dr_score, effect_score, group_scores, mean_score

N = 200_000


@pytest.fixture(scope="module")
def missing() -> dict[str, np.ndarray]:
    """A mean with selection on x: the truth of E[Y] is 0 + E[x] = 0."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=N)
    p = expit(-0.5 + x)
    y = x + rng.normal(scale=0.7, size=N)
    observed = (rng.random(N) < p).astype(float)
    # What is not observed must never be read.
    return {"x": x, "p": p, "y": np.where(observed == 1, y, np.nan), "o": observed, "all": y}


def z_score(score: Score, truth: float) -> float:
    """Distance from the truth in (i.i.d.) standard errors: these rows are independent."""
    spread = np.sqrt(np.square(score.influence).sum())
    return float(abs(score.value[0] - truth) / spread)


WRONG_P, WRONG_G = 0.35, 0.8


@pytest.mark.parametrize(
    ("p_right", "g_right", "is_right"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_dr_is_right_unless_both_nuisances_are_wrong(missing, p_right, g_right, is_right):
    p = missing["p"] if p_right else np.full(N, WRONG_P)
    g = missing["x"] if g_right else np.full(N, WRONG_G)
    z = z_score(Score(dr_score(missing["y"], missing["o"], p, g)), 0.0)
    # 4 standard errors: a false alarm once in 16,000 seeds; the seed is fixed.
    assert (z < 4.0) == is_right, z


@pytest.mark.parametrize("estimator", ["ips", "snips", "regression", "dr"])
def test_each_estimator_is_right_with_right_nuisances(missing, estimator):
    score = mean_score(missing["y"], missing["o"], missing["p"], missing["x"], estimator=estimator)
    assert z_score(score, 0.0) < 4.0


def test_naive_is_the_plain_mean_of_what_was_observed_and_biased(missing):
    score = scores.naive_score(missing["y"], missing["o"])
    assert score.value[0] == pytest.approx(np.nanmean(missing["y"]), rel=1e-12)
    assert z_score(score, 0.0) > 50.0


def test_the_mean_of_a_squared_error_needs_the_variance_in_its_imputation(missing):
    """p is 1.5 times too large, the outcome model right: only the variance term saves it."""
    prediction, x, variance = np.full(N, 0.2), missing["x"], 0.49
    loss = np.square(missing["y"] - prediction)
    p = np.minimum(1.5 * missing["p"], 1.0)
    truth = float(np.square(missing["all"] - prediction).mean())
    full = scores.squared_error_imputation(prediction, x, variance)
    with_variance = Score(dr_score(loss, missing["o"], p, full))
    without = Score(dr_score(loss, missing["o"], p, full - variance))
    assert z_score(with_variance, truth) < 4.0
    # The bias is E[(O/p - 1) variance] where O/p has mean < 1: here about -.13.
    weight_deficit = float((missing["p"] / p).mean() - 1.0)
    assert without.value[0] - truth == pytest.approx(weight_deficit * variance, abs=0.01)
    assert z_score(without, truth) > 10.0


def test_absolute_error_imputations_agree_with_simulation():
    rng = np.random.default_rng(0)
    residuals = rng.normal(scale=1.3, size=400_000)
    f, g = np.array([3.0, 1.0, 5.0]), np.array([3.0, 2.5, 4.9])
    direct = np.abs((g - f)[:, None] + residuals).mean(axis=1)
    # Monte Carlo error of a mean of |N|: 1.3 / sqrt(4e5) = .002; four of them.
    folded = scores.absolute_error_imputation(f, g, 1.3**2)
    np.testing.assert_allclose(folded, direct, atol=0.008)
    empirical = scores.loss_imputation_from_residuals(f, g, residuals)
    np.testing.assert_allclose(empirical, direct, rtol=1e-10)
    squared = scores.loss_imputation_from_residuals(f, g, residuals, power=2)
    np.testing.assert_allclose(squared, np.square((g - f)[:, None] + residuals).mean(axis=1))
    assert scores.absolute_error_imputation(3.0, 1.0, 0.0) == pytest.approx(2.0)


# ---------------------------------------------------------------------- effects


@pytest.fixture(scope="module")
def strata() -> dict[str, np.ndarray]:
    """Strata 1:1:1 with p = .1, .5, 0 and effects 1, 3, 5, without sampling error.

    Each stratum holds exactly its share of exposed rows and outcomes without noise.
    """
    stratum = np.repeat([0, 1, 2], 1000)
    p = np.array([0.1, 0.5, 0.0])[stratum]
    within = np.tile(np.arange(1000), 3)
    exposure = (within < 1000 * p).astype(float)
    base, effect = np.array([0.0, 2.0, 1.0])[stratum], np.array([1.0, 3.0, 5.0])[stratum]
    return {
        "stratum": stratum, "p": p, "a": exposure, "y": base + exposure * effect,
        "g0": base, "g1": base + effect,
    }  # fmt: skip


def strata_score(world, rows=slice(None), wrong_g=0.0, **options) -> float:
    names = ("y", "a", "p")
    imputations = [world[g][rows] + wrong_g for g in ("g0", "g1")]
    return float(effect_score(*(world[k][rows] for k in names), *imputations, **options).value[0])


@pytest.mark.parametrize("estimator", ["dr", "ips", "snips"])
def test_strata_give_their_known_effects(strata, estimator):
    supported = strata["stratum"] < 2
    if estimator != "snips":  # Hajek's arms weigh the strata alike only on average over draws
        assert strata_score(strata, supported, target="ate", estimator=estimator) == pytest.approx(
            2
        )
    for target, truth in (("att", 16 / 6), ("overlap", 0.84 / 0.34)):
        found = strata_score(strata, target=target, estimator=estimator)
        assert found == pytest.approx(truth, abs=1e-9), target
    atu = strata_score(strata, supported, target="atu", estimator=estimator)
    assert atu == pytest.approx((0.9 * 1 + 0.5 * 3) / 1.4)


def test_dr_corrects_a_wrong_outcome_model_in_the_strata(strata):
    supported = strata["stratum"] < 2
    assert strata_score(strata, supported, wrong_g=0.7, target="ate") == pytest.approx(2.0)
    assert strata_score(strata, wrong_g=0.7, target="att") == pytest.approx(16 / 6)


@pytest.mark.parametrize(("target", "rows"), [("ate", "p = 0"), ("atu", "p = 0")])
def test_a_stratum_that_is_never_exposed_has_no_point_for_all(strata, target, rows):
    with pytest.raises(OverlapError, match=r"1,000 of 3,000 rows .*supported population"):
        strata_score(strata, target=target)


def test_att_needs_no_outcome_model_of_the_exposed(strata):
    known = (strata["y"], strata["a"], strata["p"], strata["g0"])
    assert effect_score(*known, target="att").value[0] == pytest.approx(16 / 6)
    with pytest.raises(StudyError, match="imputation_exposed"):
        effect_score(*(k[strata["stratum"] < 2] for k in known), target="ate")


@pytest.mark.parametrize("estimator", ["dr", "ips", "snips", "regression"])
@pytest.mark.parametrize("target", ["ate", "att", "atu", "overlap"])
def test_group_columns_equal_the_effects_computed_on_each_group_alone(estimator, target):
    rng = np.random.default_rng(1)
    n = 500
    group = rng.integers(-1, 3, n)
    p = rng.uniform(0.2, 0.8, n)
    a = (rng.random(n) < p).astype(float)
    y, g0, g1 = rng.normal(size=(3, n))
    options = {"target": target, "estimator": estimator}
    together = effect_score(y, a, p, g0, g1, groups=group, **options)
    for k in range(3):
        rows = group == k
        alone = effect_score(y[rows], a[rows], p[rows], g0[rows], g1[rows], **options)
        assert together.value[k] == pytest.approx(alone.value[0])
        np.testing.assert_allclose(together.influence[rows, k], alone.influence[:, 0], atol=1e-15)
        assert not together.influence[~rows, k].any()


@pytest.mark.parametrize("target", ["ate", "att", "atu", "overlap"])
def test_derivatives_equal_finite_differences(target):
    rng = np.random.default_rng(2)
    n, step = 40, 1e-6
    logit, y, g0, g1 = rng.normal(size=(4, n))
    a = (rng.random(n) < expit(logit)).astype(float)
    value = 0.3

    def rows(eta, unexposed, exposed):
        score = effect_score(y, a, expit(eta), unexposed, exposed, target=target)
        return (score.numerator - value * score.denominator)[:, 0]

    found = scores.effect_derivatives(y, a, expit(logit), g0, g1, target=target, value=value)
    arguments = [logit, g0, g1]
    for k, derivative in enumerate(found):
        up, down = list(arguments), list(arguments)
        up[k], down[k] = arguments[k] + step, arguments[k] - step
        numeric = (rows(*up) - rows(*down)) / (2 * step)
        np.testing.assert_allclose(derivative[:, 0], numeric, atol=1e-7)
    by_p, by_m = scores.dr_derivatives(y, a, expit(logit), g0)
    for k, derivative in enumerate((by_p, by_m)):
        move = [step, 0.0] if k == 0 else [0.0, step]
        up = dr_score(y, a, expit(logit + move[0]), g0 + move[1])
        down = dr_score(y, a, expit(logit - move[0]), g0 - move[1])
        np.testing.assert_allclose(derivative, (up - down) / (2 * step), atol=1e-7)


# ---------------------------------------------------------------------- shapes, groups, refusals


def test_group_scores_orders_columns_by_score_column_then_group():
    score = Score(np.arange(8.0).reshape(4, 2), [[1.0, 2.0]] * 4)
    grouped = group_scores(score, [0, 1, -1, 1], n_groups=3)
    assert grouped.numerator.shape == (4, 6)
    np.testing.assert_array_equal(grouped.numerator[1], [0, 2, 0, 0, 3, 0])
    np.testing.assert_array_equal(grouped.denominator[1], [0, 1, 0, 0, 2, 0])
    assert not grouped.numerator[2].any()


def test_design_residual_is_the_horvitz_thompson_variance():
    """Over all draws of O, the sum of squares estimates the variance of the DR mean."""
    rng = np.random.default_rng(5)
    y, p, m = rng.normal(size=50), rng.uniform(0.2, 0.9, 50), rng.normal(size=50)
    draws = (rng.random((20_000, 50)) < p).astype(float)
    means = (m + draws / p * (y - m)).mean(axis=1)
    estimated = [np.square(scores.design_residual(y, o, p, m)).sum() / 50**2 for o in draws[:2_000]]
    # A variance over 20,000 draws is good to 1 %, the mean of 2,000 estimates to about 1 %.
    assert np.mean(estimated) == pytest.approx(means.var(), rel=0.05)


def test_design_residuals_of_a_slate_are_summed_first():
    h, o, p = np.array([1.0, 2.0, 3.0]), np.ones(3), np.full(3, 0.5)
    alone = scores.design_residual(h, o, p)
    joint = scores.design_residual(h, o, p, slate=[7, 7, 9])
    np.testing.assert_allclose(joint, [alone[0] + alone[1], 0.0, alone[2]])


def test_what_is_not_observed_is_never_read():
    assert dr_score([np.nan, 2.0], [0, 1], [np.nan, 0.5], [1.0, 1.0]).tolist() == [1.0, 3.0]


def test_refusals_name_the_rows():
    with pytest.raises(OverlapError, match=r"1 of 2 observed rows \(rows \[1\]"):
        dr_score([1.0, 2.0], [1, 1], [0.5, 0.0], [0.0, 0.0])
    with pytest.raises(DataError, match=r"'imputation' is not a finite number in 1 of 2 rows"):
        dr_score([1.0, 2.0], [1, 1], [0.5, 0.5], [0.0, np.nan])
    with pytest.raises(StudyError, match="Did you mean 'snips'"):
        mean_score([1.0], [1], [0.5], estimator="snip")  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="needs imputation"):
        mean_score([1.0], [1], [0.5], estimator="dr")
    with pytest.raises(DataError, match="0 or 1"):
        effect_score([1.0], [2.0], [0.5], [0.0], [0.0])
    with pytest.raises(StudyError, match="Did you mean 'att'"):
        effect_score([1.0], [1.0], [0.5], [0.0], [0.0], target="atts")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="numerator has 2 rows"):
        Score([1.0, 2.0], [1.0, 1.0, 1.0])
    with pytest.raises(DataError, match="the score has 2 rows"):
        group_scores(Score([1.0, 2.0]), [0])
